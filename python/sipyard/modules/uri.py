"""uri: what the Request-URI and To say, without a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipyard._native.core import ParseError, Uri
from sipyard.fault import Fault
from sipyard.module import Module, function

if TYPE_CHECKING:
    from sipyard.context import Context


class UriChecks(Module):
    """uri: checks and changes of URIs."""

    name = "uri"

    @function("R")
    def is_user(self, msg: Context, username: str) -> int:
        """1 when credentials were verified and are this user's (the name as the client gave it), else -1."""
        verified = msg.verified
        return 1 if verified is not None and verified.username == username else -1

    @function("R")
    def has_totag(self, msg: Context) -> int:
        """1 when To has a tag, so the request is one inside a dialog (RFC 3261 §12.2), else -1."""
        return 1 if msg.message.to_tag else -1

    @function("R")
    def uri_param(self, msg: Context, name: str, value: str | None = None) -> int:
        """1 when the current Request-URI has the parameter with that value, or without one when none is
        given; else -1. Names are equal in any case, values only as written."""
        uri = _request_uri(msg)
        return 1 if uri is not None and uri.parameter(name) == (value or "") else -1

    @function("R")
    def add_uri_param(self, msg: Context, parameter: str) -> int:
        """Add `name` or `name=value` to the current Request-URI, before its headers. 1, or -1 when it then is
        no URI."""
        uri = _request_uri(msg)
        if uri is None:
            return -1
        if not parameter:
            return 1
        try:
            joined = f"{uri.parameters};{parameter}" if uri.parameters else parameter
            return msg.rewrite_uri(str(uri.replace(parameters=joined)))
        except ParseError:
            msg.error = Fault.BAD_URI
            return -1

    @function("R")
    def tel2sip(self, msg: Context) -> int:
        """Make a SIP URI of a tel: Request-URI (RFC 3261 §19.1.6): the number at the host of From, with
        `user=phone`. 1, also for other URIs, which stay; -1 when From names no host."""
        uri = _request_uri(msg)
        if uri is None:
            return -1
        if uri.scheme != "tel":
            return 1
        try:
            host = Uri(msg.message.from_uri or "")
            if host.scheme not in ("sip", "sips"):
                raise ParseError("From is no SIP URI")
            number = msg.request_uri.partition(":")[2]
            return msg.rewrite_uri(str(Uri(f"sip:{number}@{host.host};user=phone")))
        except ParseError:
            msg.error = Fault.BAD_URI
            return -1


def _request_uri(msg: Context) -> Uri | None:
    try:
        return Uri(msg.request_uri)
    except ParseError:
        msg.error = Fault.BAD_URI
        return None
