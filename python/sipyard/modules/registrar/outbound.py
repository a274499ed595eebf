"""Flows of phones (RFC 5626 §6): which REGISTERs bind one, and which of an instance's flows is used."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from sipyard._native.core import NameAddr, ParseError, Uri
from sipyard.context import source_uri
from sipyard.modules.registrar.lookup import first_of
from sipyard.modules.registrar.request import Refused, tokens
from sipyard.modules.registrar.update import is_flow
from sipyard.modules.usrloc import MEMORY_ONLY, Contact

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.modules.registrar.request import Registration

_LACKS: Final = Refused(
    439, "First Hop Lacks Outbound Support", "the first hop does not keep the flow (RFC 5626 §6)"
)


def bind_flows(msg: Context, registration: Registration, path: str) -> bool:
    """Make the bindings of a REGISTER whose phone supports outbound lead back over its flow; whether it has
    any.

    :raises Refused: 439, a proxy stands between that does not keep flows.
    """
    flows = [one for one in registration.contacts if is_flow(one)]
    if not flows or "outbound" not in tokens(msg, "Supported"):
        return False
    message = msg.message
    if not _keeps_flows(path) if path else len(message.values("Via")) > 1:
        raise _LACKS
    if not path:  # otherwise the flow is the first hop's
        for contact in flows:
            contact.received = contact.received or source_uri(message)
            if message.connection:
                contact.flags |= MEMORY_ONLY  # it ends with the connection, and so with the server
    return True


def _keeps_flows(path: str) -> bool:
    """Whether the first hop, whose Path value is the last, has marked it with `ob`."""
    rest = path
    while len(head := first_of(rest)) < len(rest):
        rest = rest[len(head) + 1 :]
    try:
        return Uri(NameAddr(rest.strip()).uri).parameter("ob") is not None
    except ParseError:
        return False


def one_flow_each(contacts: Iterable[Contact]) -> list[Contact]:
    """Of an instance's flows the one whose binding ends last, which is the one bound last where all are bound
    for equally long, in the place of its first (RFC 5626 §6: a request goes to an instance once)."""
    found: dict[str, Contact] = {}
    for number, contact in enumerate(contacts):
        name = contact.instance.partition(";reg-id=")[0] if is_flow(contact) else str(number)
        known = found.get(name)
        if known is None or contact.expires > known.expires:
            found[name] = contact
    return list(found.values())
