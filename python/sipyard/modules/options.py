"""options: answer OPTIONS for the server itself (RFC 3261 §11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import Generation
from sipyard.module import Module, Parameter, function

if TYPE_CHECKING:
    from sipyard.context import Context


class Options(Module):
    """options: the server's own capabilities."""

    name = "options"
    requires = ("sl",)
    live_parameters = ("*",)

    accept = Parameter(str, "*/*", "Value of the Accept header.")
    accept_encoding = Parameter(str, "", "Value of the Accept-Encoding header.")
    accept_language = Parameter(str, "en", "Value of the Accept-Language header.")
    support = Parameter(str, "", "Value of the Supported header.", generations=Generation.SER_0_9)
    supported = Parameter(str, "", "Value of the Supported header.", generations=Generation.SER_2_0)

    @function("RF")
    def options_reply(self, msg: Context) -> int:
        """Answer an OPTIONS for the server (its Request-URI names no user) with 200. 1, or -1 when it is not
        one."""
        if msg.message.method != "OPTIONS":
            return -1
        try:
            if Uri(msg.request_uri).user:
                return -1
        except ParseError:
            return -1
        supported = self.support if self.generation is Generation.SER_0_9 else self.supported
        headers = (
            f"Accept: {self.accept}\r\n"
            f"Accept-Encoding: {self.accept_encoding}\r\n"
            f"Accept-Language: {self.accept_language}\r\n"
            f"Supported: {supported}\r\n"
        )
        sl: Any = self.need("sl")
        return int(sl.send(msg, 200, "OK", headers))
