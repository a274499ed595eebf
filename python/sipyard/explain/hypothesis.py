"""What is supposed: a request, who is registered, and what others answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from sipyard._native.core import ParseError, Uri
from sipyard.errors import ConfigError
from sipyard.testing import Address

_WITH_CONTACT: Final = ("INVITE", "REGISTER", "SUBSCRIBE", "REFER", "UPDATE")


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What is supposed.

    :param uri: Request-URI.
    :param source: who sends it, `ip:port`.
    :param headers: lines `Name: value`; they replace those that would be there.
    :param bindings: address-of-record and contact of pretended registrations in table `location`.
    :param answers: what the branches answer in turn ("486", "none"); the last one is repeated. Without any
        nothing is answered, and the explanation ends with what is sent first.
    :param names: host names and the addresses that they are supposed to have.
    :param listen: where the server listens, instead of what the script says.
    """

    method: str
    uri: str
    from_uri: str = "sip:alice@example.com"
    to_uri: str = ""
    source: str = "198.51.100.1:5060"
    headers: Sequence[str] = ()
    body: str = ""
    bindings: Sequence[tuple[str, str]] = ()
    answers: Sequence[str] = ()
    names: dict[str, str] = field(default_factory=dict)
    listen: Sequence[str] = ()

    def message(self) -> bytes:
        """The request on the wire (RFC 3261 §8.1.1)."""
        address = address_of(self.source, "--source")
        contact = f"<sip:{_user(self.from_uri)}{address}>"
        lines = {
            "via": f"Via: SIP/2.0/UDP {address};branch=z9hG4bK-explained",
            "max-forwards": "Max-Forwards: 70",
            "from": f"From: <{self.from_uri}>;tag=explained",
            "to": f"To: <{self.to_uri or self._callee()}>",
            "call-id": f"Call-ID: explained@{address.host}",
            "cseq": f"CSeq: 1 {self.method}",
        }
        if self.method in _WITH_CONTACT:
            lines["contact"] = f"Contact: {contact}"
        for line in self.headers:
            name, colon, _ = line.partition(":")
            if not colon or not name.strip() or "\n" in line or "\r" in line:
                raise ConfigError(f"{line!r} is no header line; write 'Name: value'")
            lines.pop(name.strip().lower(), None)
        body = self.body.encode("utf-8", "surrogateescape")
        head = [
            f"{self.method} {self.uri} SIP/2.0",
            *lines.values(),
            *self.headers,
            f"Content-Length: {len(body)}",
        ]
        return "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape") + body

    def _callee(self) -> str:
        return self.from_uri if self.method == "REGISTER" else self.uri


def address_of(text: str, what: str) -> Address:
    """`ip[:port]`; ConfigError, naming what was wrong."""
    try:
        address = Address.parse(text)
        ipaddress.ip_address(address.ip)
    except ValueError as error:
        raise ConfigError(f"{what}: {error}") from error
    return address


def _user(uri: str) -> str:
    try:
        user = Uri(uri).user
    except ParseError:
        return ""
    return f"{user}@" if user else ""
