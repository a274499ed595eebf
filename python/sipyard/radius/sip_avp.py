"""SIP-AVP: attributes of a script in an answer (SER's `SIP-AVP = "name:value"`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyrad.packet import Packet

# A name or #number; then ":" and a text, or "#" and a number.
_AVP: Final = re.compile(r"#?([A-Za-z0-9_.-]+)(?::(.*)|#(-?[0-9]{1,18}))", re.DOTALL)


def sip_avps(answer: Packet) -> Iterator[tuple[str, str | int]]:
    """Names (lower case) and values of all SIP-AVPs; what is none is passed over."""
    if "SIP-AVP" not in answer:
        return
    for value in answer["SIP-AVP"]:
        text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
        found = _AVP.fullmatch(text)
        if found is not None:
            yield found[1].lower(), found[2] if found[2] is not None else int(found[3])
