"""diversion: tell the next hop that a call was diverted (RFC 5806)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipyard.module import Module, Parameter, function
from sipyard.sip.field_text import one_line

if TYPE_CHECKING:
    from sipyard.context import Context


class Diversion(Module):
    """diversion: the Diversion header."""

    name = "diversion"

    suffix = Parameter(str, "", "Text behind the reason, such as `;privacy=full`.")

    @function("RF")
    def add_diversion(self, msg: Context, reason: str) -> int:
        """Add a Diversion header above those that are there (RFC 5806 §4): the Request-URI as received, and
        the reason. 1, or -1 when these do not make a header."""
        # RFC 3261 §25.1: ">" is not part of a URI; unescaped it would end this one.
        uri = one_line(msg.message.request_uri).replace(">", "%3E")
        line = f"Diversion: <{uri}>;reason={one_line(reason)}{one_line(self.suffix)}\r\n"
        try:
            if not msg.message.insert_header_before("Diversion", line):
                msg.message.prepend_header(line)
        except ValueError as error:
            msg.engine.log_incident(f"diversion: {error}")
            return -1
        return 1
