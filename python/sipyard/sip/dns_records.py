"""Questions to the DNS and what is read from an answer (RFC 1035 §4, RFC 6891); names and their compression
are dnspython's.

An answer comes from a stranger and is read on the deciding thread, so it is read by a loop that ends: at most
`MAX_RECORDS` records and `MAX_ALIASES` aliases are looked at, however many there are.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeAlias

import dns.exception
import dns.name
import dns.wire

MAX_RECORDS: Final = 100
"""Records of an answer that are read."""
MAX_ALIASES: Final = 8
"""CNAME records that one question follows."""
PAYLOAD: Final = 1232
"""Bytes that we take by UDP (RFC 6891 §6.2.5; what passes every path unfragmented)."""

Kind: TypeAlias = Literal["A", "AAAA", "SRV", "NAPTR"]
KINDS: Final[dict[Kind, int]] = {"A": 1, "AAAA": 28, "SRV": 33, "NAPTR": 35}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
RCODES: Final = ("no error", "format error", "server failure", "no such name", "not implemented", "refused")
_CNAME, _SOA, _OPT, _IN = 5, 6, 41, 1
_ASKED_NAME: Final = b"\xc0\x0c"
"""A pointer to the name in the question, which stands right after the head of 12 bytes (RFC 1035 §4.1.4)."""
_IS_REPLY, _OPCODE, _IS_TRUNCATED, _WANT_RECURSION = 0x8000, 0x7800, 0x0200, 0x0100


class ResolutionError(Exception):
    """A name has no address, or nobody said in time. The peer's URI is at fault: SER answers 478."""


class Service(NamedTuple):
    """One SRV record (RFC 2782); a `host` of "." says that there is no such service."""

    priority: int
    weight: int
    port: int
    host: str


class Naptr(NamedTuple):
    """One NAPTR record (RFC 3403). `flags` and `service` in lower case; "." as `replacement` is none."""

    order: int
    preference: int
    flags: str
    service: str
    regexp: str
    replacement: str


Record: TypeAlias = str | Service | Naptr
"""Addresses are text."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said.

    :ivar alias: where a chain of CNAMEs ends without the records that were asked for.
    :ivar ttl: seconds for which it is true; None: an absence that no SOA record limits (RFC 2308 §5).
    """

    rcode: int
    is_truncated: bool
    records: tuple[Record, ...] = ()
    alias: dns.name.Name | None = None
    ttl: int | None = None
    aliases: int = 0


def name_of(text: str) -> dns.name.Name:
    """The absolute name that a text means.

    :raises ResolutionError: it cannot stand in the DNS.
    """
    try:
        return dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise ResolutionError(f"{text!r} is no domain name: {error}") from error


@dataclass(frozen=True, slots=True)
class Question:
    """One question with its number; `extended` speaks EDNS, which a few old servers do not understand."""

    number: int
    name: dns.name.Name
    kind: Kind
    extended: bool = True

    @property
    def _asked(self) -> bytes:
        return (self.name.to_wire() or b"") + struct.pack("!HH", KINDS[self.kind], _IN)

    def to_wire(self) -> bytes:
        head = struct.pack("!HHHHHH", self.number, _WANT_RECURSION, 1, 0, 0, int(self.extended))
        more = b"\0" + struct.pack("!HHIH", _OPT, PAYLOAD, 0, 0) if self.extended else b""
        return head + self._asked + more

    def read(self, wire: bytes) -> Reply | None:
        """The answer in a message, None when it is no answer to this question (RFC 5452 §9.1) or cannot be
        read."""
        try:
            return self._read(dns.wire.Parser(wire))
        except (dns.exception.DNSException, ValueError, struct.error):
            return None

    def _read(self, parser: dns.wire.Parser) -> Reply | None:
        number, flags, questions, answers, authorities, _ = parser.get_struct("!HHHHHH")
        if number != self.number or not flags & _IS_REPLY or flags & _OPCODE:
            return None
        rcode, is_truncated = flags & 0xF, bool(flags & _IS_TRUNCATED)
        if questions != 1:
            # A server that does not understand us may leave the question out; it has nothing to say then.
            return Reply(rcode, False) if rcode in (FORMERR, NOTIMP, REFUSED, SERVFAIL) else None
        asked = dns.name.from_wire_parser(parser)
        if asked != self.name or parser.get_struct("!HH") != (KINDS[self.kind], _IN):
            return None
        if is_truncated or rcode not in (NOERROR, NXDOMAIN):
            return Reply(rcode, is_truncated)
        return self._answer(parser, rcode, answers, authorities)

    def _answer(self, parser: dns.wire.Parser, rcode: int, answers: int, authorities: int) -> Reply:
        wanted, found = KINDS[self.kind], _Found(self.name, {}, {})
        for _ in range(min(answers, MAX_RECORDS)):
            found.take(parser, wanted)
        name, ttl, seen = self.name, 2**31 - 1, 0
        while name in found.aliases and name not in found.records and seen <= MAX_ALIASES:
            name, alias_ttl = found.aliases[name]
            ttl, seen = min(ttl, alias_ttl), seen + 1
        records = found.records.get(name, [])
        if records:
            ttl = min(ttl, *(each for _, each in records))
            return Reply(rcode, False, tuple(record for record, _ in records), ttl=ttl, aliases=seen)
        if seen:
            return Reply(rcode, False, alias=name, ttl=ttl, aliases=seen)
        absence = _absence_ttl(parser, authorities) if answers <= MAX_RECORDS else None
        return Reply(rcode, False, ttl=absence)


@dataclass(slots=True)
class _Found:
    """Records and aliases of an answer section, by owner, each with its TTL."""

    asked: dns.name.Name
    records: dict[dns.name.Name, list[tuple[Record, int]]]
    aliases: dict[dns.name.Name, tuple[dns.name.Name, int]]

    def take(self, parser: dns.wire.Parser, wanted: int) -> None:
        if parser.wire[parser.current : parser.current + 2] == _ASKED_NAME:
            parser.get_bytes(2)
            owner = self.asked
        else:
            owner = dns.name.from_wire_parser(parser)
        kind, group, ttl, length = parser.get_struct("!HHIH")
        ttl = ttl if ttl < 2**31 else 0  # RFC 2181 §8
        with parser.restrict_to(length):
            if group == _IN and kind == wanted:
                self.records.setdefault(owner, []).append((_READERS[kind](parser), ttl))
            elif group == _IN and kind == _CNAME:
                self.aliases[owner] = (dns.name.from_wire_parser(parser), ttl)
            else:
                parser.get_remaining()


def _absence_ttl(parser: dns.wire.Parser, authorities: int) -> int | None:
    """RFC 2308 §5: the lesser of the SOA record's TTL and its MINIMUM field."""
    for _ in range(min(authorities, MAX_RECORDS)):
        dns.name.from_wire_parser(parser)
        kind, _group, ttl, length = parser.get_struct("!HHIH")
        with parser.restrict_to(length):
            if kind != _SOA:
                parser.get_remaining()
                continue
            dns.name.from_wire_parser(parser)
            dns.name.from_wire_parser(parser)
            minimum = parser.get_struct("!IIIII")[4]
        return int(min(ttl if ttl < 2**31 else 0, minimum))
    return None


def _address(parser: dns.wire.Parser) -> str:
    return str(ipaddress.ip_address(parser.get_remaining()))


def _service(parser: dns.wire.Parser) -> Service:
    priority, weight, port = parser.get_struct("!HHH")
    return Service(priority, weight, port, _text(dns.name.from_wire_parser(parser)))


def _naptr(parser: dns.wire.Parser) -> Naptr:
    order, preference = parser.get_struct("!HH")
    flags, service, regexp = (parser.get_counted_bytes().decode("utf-8", "surrogateescape") for _ in range(3))
    replacement = _text(dns.name.from_wire_parser(parser))
    return Naptr(order, preference, flags.lower(), service.lower(), regexp, replacement)


_READERS: Final[dict[int, Callable[[dns.wire.Parser], Record]]] = {
    1: _address,
    28: _address,
    33: _service,
    35: _naptr,
}


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=name != dns.name.root).lower()
