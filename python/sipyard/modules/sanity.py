"""sanity: is the message fit to be worked on? A check that fails answers it and ends the script.

Much of this the core has looked at before any script runs; what is left (and a core told to be lenient) is
decided here. The bits are SER 2.0's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import Generation
from sipyard.module import Module, Parameter, function
from sipyard.sip.field_text import one_line

if TYPE_CHECKING:
    from sipyard._native.core import Message
    from sipyard.context import Context

RURI_VERSION, RURI_SCHEME, REQUIRED, VIA_VERSION, VIA_PROTOCOL, CSEQ_METHOD, CSEQ_NUMBER = (
    1 << bit for bit in range(7)
)
CONTENT_LENGTH, EXPIRES, PROXY_REQUIRE, PARSE_URIS, DIGEST = (1 << bit for bit in range(7, 12))
DEFAULT_CHECKS: Final = 4095 - VIA_VERSION - VIA_PROTOCOL - PARSE_URIS
IN_RURI, IN_FROM, IN_TO, IN_CONTACT = (1 << bit for bit in range(4))

_SCHEMES: Final = frozenset({"sip", "sips", "tel", "tels"})
_REQUIRED: Final = ("To", "From", "CSeq", "Call-ID", "Via")
# RFC 2617 §3.2.2 and RFC 3261 §22.4: without these nobody can check the response.
_DIGEST: Final = frozenset({"username", "realm", "nonce", "uri", "response"})
_DIGEST_PART: Final = re.compile(
    r"""\s*([A-Za-z0-9!%*_+`'~.-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s",]+)\s*(,|\Z)""", re.DOTALL
)
_LARGEST: Final = 2**32 - 1


class Failed(NamedTuple):
    """What a failed check answers; status 0 answers nothing."""

    status: int
    reason: str
    headers: str = ""


def _number(text: str | None) -> int | None:
    if text is None or not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    return int(text)


def ruri_version(message: Message) -> Failed | None:
    """RFC 3261 §21.5.6."""
    return None if message.version.upper() == "SIP/2.0" else Failed(505, "Version Not Supported")


def ruri_scheme(message: Message) -> Failed | None:
    """RFC 3261 §8.2.2.1."""
    try:
        scheme = Uri(message.request_uri).scheme
    except ParseError:
        return Failed(400, "Bad Request URI")
    return None if scheme in _SCHEMES else Failed(416, "Unsupported URI Scheme")


def required_headers(message: Message) -> Failed | None:
    """RFC 3261 §8.1.1."""
    if all(map(message.has_header, _REQUIRED)):
        return None
    return Failed(400, "Missing Required Header in Request")


def via_version(message: Message) -> Failed | None:
    """RFC 3261 §20.42."""
    via = _via(message)
    return None if via is not None and via.version == "2.0" else Failed(505, "Via Version Not Supported")


def via_protocol(message: Message) -> Failed | None:
    """RFC 3261 §18.1.1: the top Via names the transport that was used."""
    via = _via(message)
    if via is not None and via.transport.lower() in (message.protocol, ""):
        return None
    return Failed(400, "Via Protocol Mismatch")


def _via(message: Message) -> Any:
    try:
        return message.via(0)
    except ParseError:
        return None


def cseq_method(message: Message) -> Failed | None:
    """RFC 3261 §8.1.1.5."""
    if message.cseq_method == message.method:
        return None
    return Failed(400, "CSeq Method Does Not Match Request Method")


def cseq_number(message: Message) -> Failed | None:
    """RFC 3261 §8.1.1.5: less than 2**31."""
    return None if 0 <= message.cseq_number < 2**31 else Failed(400, "Illegal CSeq Number")


def content_length(message: Message) -> Failed | None:
    """RFC 3261 §18.3."""
    written = message.header("Content-Length")
    if written is None or _number(written) == len(message.body):
        return None
    return Failed(400, "Content-Length Mismatch")


def expires(message: Message) -> Failed | None:
    """RFC 3261 §20.19."""
    written = message.header("Expires")
    number = _number(written)
    if written is None or (number is not None and number <= _LARGEST):
        return None
    return Failed(400, "Illegal Expires Value")


def digest(message: Message) -> Failed | None:
    """RFC 3261 §22.4; who sends nonsense here gets no answer."""
    credentials = [*message.headers("Authorization"), *message.headers("Proxy-Authorization")]
    return None if all(map(_is_digest, credentials)) else Failed(0, "")


def _is_digest(text: str) -> bool:
    scheme, _, rest = text.partition(" ")
    if scheme.lower() != "digest":
        return True
    names, at = set(), 0
    while at < len(rest):
        part = _DIGEST_PART.match(rest, at)
        if part is None:
            return False
        names.add(part[1].lower())
        at = part.end()
        if part[3] and at == len(rest):  # a comma with nothing behind it
            return False
    return names >= _DIGEST


Check = Callable[["Message"], "Failed | None"]
_CHECKS: Final[tuple[tuple[int, Check], ...]] = (
    (RURI_VERSION, ruri_version),
    (RURI_SCHEME, ruri_scheme),
    (REQUIRED, required_headers),
    (VIA_VERSION, via_version),
    (VIA_PROTOCOL, via_protocol),
    (CSEQ_METHOD, cseq_method),
    (CSEQ_NUMBER, cseq_number),
    (CONTENT_LENGTH, content_length),
    (EXPIRES, expires),
)


def parsed_uris(message: Message, uris: int) -> Failed | None:
    """Can the URIs be read, those that `uris` names?"""
    read: tuple[tuple[int, str, Callable[[], list[str]]], ...] = (
        (IN_RURI, "Bad Request URI", lambda: [message.request_uri]),
        (IN_FROM, "Bad From", lambda: [message.from_.uri]),
        (IN_TO, "Bad To", lambda: [message.to.uri]),
        (IN_CONTACT, "Bad Contact", lambda: _contact_uris(message)),
    )
    for bit, reason, texts in read:
        if uris & bit:
            try:
                for text in texts():
                    Uri(text)
            except ParseError:
                return Failed(400, reason)
    return None


def _contact_uris(message: Message) -> list[str]:
    contacts = message.contacts()
    return [] if isinstance(contacts, str) else [contact.uri for contact in contacts]


class Sanity(Module):
    """sanity: checks of a message's form."""

    name = "sanity"
    requires = ("sl",)

    default_checks = Parameter(
        int, DEFAULT_CHECKS, "Checks that sanity_check() makes.", generations=Generation.SER_2_0
    )
    uri_checks = Parameter(
        int,
        IN_RURI | IN_FROM | IN_TO,
        "URIs that bit 1024 looks at: 1 Request-URI, 2 From, 4 To, 8 Contact.",
        generations=Generation.SER_2_0,
    )
    proxy_require = Parameter(
        str, "", "Extensions that Proxy-Require may ask for, with commas.", generations=Generation.SER_2_0
    )

    @function("R", generations=Generation.SER_2_0)
    def sanity_check(self, msg: Context, checks: int = -1, uris: int = -1) -> int:
        """Make the checks whose bits are set. 1; 0 when one failed: it was answered and the script ends."""
        wanted = self.default_checks if checks < 0 else checks
        failed = self._first_failure(msg.message, wanted, self.uri_checks if uris < 0 else uris)
        if failed is None:
            return 1
        if failed.status and msg.message.method != "ACK":
            sl: Any = self.need("sl")
            sl.send(msg, failed.status, failed.reason, failed.headers)
        return 0

    def _first_failure(self, message: Message, wanted: int, uris: int) -> Failed | None:
        for bit, check in _CHECKS:
            if wanted & bit and (failed := check(message)) is not None:
                return failed
        if wanted & PROXY_REQUIRE and (failed := self._proxy_require(message)) is not None:
            return failed
        if wanted & PARSE_URIS and (failed := parsed_uris(message, uris)) is not None:
            return failed
        return digest(message) if wanted & DIGEST else None

    def _proxy_require(self, message: Message) -> Failed | None:
        # RFC 3261 §20.29, §16.3 step 5.
        if not message.has_header("Proxy-Require"):
            return None
        accepted = {tag.strip().lower() for tag in self.proxy_require.split(",")}
        asked = [tag.strip() for tag in message.values("Proxy-Require")]
        unknown = [one_line(tag) for tag in asked if tag.lower() not in accepted]
        if not unknown:
            return None
        return Failed(420, "Bad Extension", f"Unsupported: {', '.join(unknown)}\r\n")
