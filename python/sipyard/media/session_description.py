"""Where a session description (RFC 4566) names addresses and ports, so that they can be changed in place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_LINE: Final = re.compile(rb"([a-z])=([^\r\n]*)\r?\n?")
_ADDRESS: Final = re.compile(rb"IN (IP[46]) ([0-9A-Za-z.:-]{1,100})(?=/|\s*$)")
_MEDIA: Final = re.compile(rb"[\w-]+ (\d{1,5})(?=[/ ])")
_RTCP: Final = re.compile(rb"rtcp:(\d{1,5}(?: IN IP[46] \S+)?)")
MARKER: Final = b"nortpproxy:yes"
"""The attribute that says that a relay is in use already."""


class Malformed(ValueError):
    """Not a session description that can be changed."""


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of the description."""

    start: int
    end: int
    text: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """A `c=` line: `span` covers type and address, such as ``IP4 192.0.2.1``."""

    span: Span
    ip: str

    @property
    def is_v6(self) -> bool:
        return self.span.text.startswith(b"IP6")

    @property
    def is_held(self) -> bool:
        """The old way to put a call on hold (RFC 2543 §B.5): nothing is to be sent."""
        return self.ip in ("0.0.0.0", "::")  # noqa: S104  # compared, not bound


@dataclass(slots=True)
class Stream:
    """One `m=` line with a port that is not 0, and what belongs to it."""

    port: Span
    addresses: list[Address] = field(default_factory=list)
    rtcp: Span | None = None


@dataclass(slots=True)
class Description:
    """Streams in order. `number` of a stream counts those that are refused (port 0) as well, from 1."""

    session: list[Address]
    streams: list[tuple[int, Stream]]
    is_marked: bool

    def address_of(self, stream: Stream) -> Address:
        """The address that holds for a stream.

        :raises Malformed: there is none.
        """
        found = stream.addresses or self.session
        if not found:
            raise Malformed("a stream without a c= line")
        return found[0]


def read(body: bytes) -> Description:
    """What a description says of addresses and ports.

    :raises Malformed: it does not begin with v=0, or a line cannot be read.
    """
    if not body.startswith(b"v=0"):
        raise Malformed("it does not begin with v=0")
    found, current, number = Description([], [], False), Stream(Span(0, 0, b"")), 0
    for kind, start, value in _lines(body):
        if kind == b"m":
            number += 1
            port = _MEDIA.match(value)
            if port is None:
                raise Malformed(f"m={value.decode(errors='replace')}")
            current = Stream(_span(start, port, 1))
            if int(port[1]):
                found.streams.append((number, current))
        elif kind == b"c":
            address = _ADDRESS.match(value)
            if address is None:
                raise Malformed(f"c={value.decode(errors='replace')}")
            span = Span(start + address.start(1), start + address.end(2), address[1] + b" " + address[2])
            held = Address(span, address[2].decode("ascii", "replace"))
            (current.addresses if number else found.session).append(held)
        elif kind == b"a" and value == MARKER:
            found.is_marked = True
        elif kind == b"a" and (rtcp := _RTCP.match(value)) is not None:
            current.rtcp = _span(start, rtcp, 1)
    return found


def _lines(body: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Type, place of the value and value of each line."""
    for line in _LINE.finditer(body):
        yield line[1], line.start(2), line[2]


def _span(start: int, found: re.Match[bytes], group: int) -> Span:
    return Span(start + found.start(group), start + found.end(group), found[group])
