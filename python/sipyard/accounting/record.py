"""What was seen of one transaction, as records of SER name it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.attributes import Attributes, Name, Scope, Track
from sipyard.sip.digest import Verified

if TYPE_CHECKING:
    from sipyard._native.core import Message

_UIDS: Final = (Name("uid", Track.FROM, Scope.USER), Name("uid", Track.TO, Scope.USER))
_DIDS: Final = (Name("did", Track.FROM, Scope.DOMAIN), Name("did", Track.TO, Scope.DOMAIN))


@dataclass(slots=True)
class Record:
    """A transaction, or what a script wants recorded.

    :ivar request: as it came in.
    :ivar out_uri: the Request-URI that the answer came from, or the last one.
    :ivar status: final status; 0 when a script records a request that has none yet.
    :ivar reason: reason phrase of the answer, or the script's comment (SER 0.9).
    :ivar requested: when it came, in seconds since 1970; `answered` likewise, or when a script recorded it.
    """

    request: Message
    out_uri: str
    status: int
    reason: str
    to_tag: str
    flags: int
    attributes: Attributes | None
    verified: Verified | None
    requested: float
    answered: float

    @property
    def method(self) -> str:
        """Method of the request."""
        return self.request.method

    @property
    def source_number(self) -> int:
        """The source address as a number, as SER's tables keep it; 0 for IPv6."""
        address = ipaddress.ip_address(self.request.source_ip.partition("%")[0])
        return int(address) if address.version == 4 else 0

    def uid(self, track: Track) -> str | None:
        """The user on one side, if the script has looked him up."""
        return self._read(_UIDS[track])

    def did(self, track: Track) -> str | None:
        """The domain on one side, if the script has looked it up."""
        return self._read(_DIDS[track])

    def _read(self, name: Name) -> str | None:
        value = None if self.attributes is None else self.attributes.value(name)
        return None if value is None else str(value)

    def chosen(self, names: Sequence[Name]) -> str:
        """``name=value`` of these attributes, with ``,`` between them; a backslash stands before what would
        be mistaken for the end of one."""
        return ",".join(
            f"{name}={text}".replace("\\", "\\\\").replace(",", "\\,") for name, text in self._values(names)
        )

    def pairs(self, names: Sequence[Name]) -> list[str]:
        """``name:value`` of these attributes."""
        return [f"{name}:{text}" for name, text in self._values(names)]

    def _values(self, names: Sequence[Name]) -> list[tuple[str, str]]:
        if self.attributes is None:
            return []
        return [(name.name, str(value)) for name in names for value in self.attributes.values(name)]


def uri_of(text: str | None) -> Uri | None:
    """The URI that a text is, None when it is none."""
    try:
        return Uri(text or "")
    except ParseError:
        return None


def _part(
    read: Callable[[Record], str | None], part: Callable[[Uri], str | None]
) -> Callable[[Record], str | None]:
    def value(record: Record) -> str | None:
        uri = uri_of(read(record))
        return None if uri is None else part(uri)

    return value


def _header(name: str) -> Callable[[Record], str | None]:
    return lambda record: record.request.header(name)


def _user(uri: Uri) -> str | None:
    return uri.user


def _host(uri: Uri) -> str | None:
    return uri.host


def _from_uri(record: Record) -> str | None:
    return record.request.from_uri


def _to_uri(record: Record) -> str | None:
    return record.request.to_uri


def _in_uri(record: Record) -> str | None:
    return record.request.request_uri


def _digest_user(record: Record) -> str | None:
    return None if record.verified is None else record.verified.username


Read = Callable[[Record], str | None]

_COMMON: Final[dict[str, tuple[str, Read]]] = {
    "c": ("call_id", lambda record: record.request.call_id),
    "d": ("to_tag", lambda record: record.to_tag),
    "f": ("from", _header("From")),
    "i": ("i-uri", _in_uri),
    "m": ("method", lambda record: record.method),
    "n": ("cseq", lambda record: str(record.request.cseq_number)),
    "o": ("o-uri", lambda record: record.out_uri),
    "r": ("from_tag", lambda record: record.request.from_tag),
    "t": ("to", _header("To")),
    "u": ("digest_user", _digest_user),
    "F": ("from_uri", _from_uri),
    "T": ("to_uri", _to_uri),
    "S": ("code", lambda record: str(record.status)),
}
LETTERS_20: Final[dict[str, tuple[str, Read]]] = {
    **_COMMON,
    "g": ("flags", lambda record: str(record.flags)),
    "p": ("src_ip", lambda record: record.request.source_ip),
    "x": ("request_timestamp", lambda record: f"{record.requested:.0f}"),
    "D": ("to_did", lambda record: record.did(Track.TO)),
    "I": ("from_uid", lambda record: record.uid(Track.FROM)),
    "M": ("from_did", lambda record: record.did(Track.FROM)),
    "P": ("src_port", lambda record: str(record.request.source_port)),
    "R": ("digest_realm", lambda record: None if record.verified is None else record.verified.realm),
    "U": ("to_uid", lambda record: record.uid(Track.TO)),
    "X": ("response_timestamp", lambda record: f"{record.answered:.0f}"),
}
"""Letters of `log_fmt` in SER 2.0 (inventory B.9) but `a`, the attributes: what they are called, how they are
read."""
LETTERS_09: Final[dict[str, tuple[str, Read]]] = {
    **_COMMON,
    "s": ("reason", lambda record: record.reason),
    "U": ("uid", lambda record: _digest_user(record) or _from_uri(record)),
    "0": ("from_user", _part(_from_uri, _user)),
    "1": ("to_user", _part(_to_uri, _user)),
    "X": ("from_domain", _part(_from_uri, _host)),
    "p": ("user", _part(_in_uri, _user)),
    "D": ("domain", _part(_in_uri, _host)),
}
"""Letters of `log_fmt` in SER 0.9."""
