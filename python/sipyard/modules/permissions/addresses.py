"""Addresses with masks and ports (table `ipmatch`), and trusted sources (table `trusted`)."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from sipyard.arguments import ArgumentError
from sipyard.regex import Regex

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_log = logging.getLogger("sipyard.permissions")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of `ipmatch`. Port 0 means any."""

    network: Network
    port: int
    mark: int
    value: str

    def matches(self, address: Address, port: int, marks: int) -> bool:
        """Whether an address is meant, by an entry with one of the marks."""
        if not self.mark & marks or (self.port and port and self.port != port):
            return False
        return address.version == self.network.version and address in self.network


def entry_of(text: str, value: object, mark: int) -> Entry | None:
    """Read ``ip[/mask][:port]`` or ``[ip6][/mask][:port]``; None (which is logged) when it is none."""
    try:
        host, port = _split(text.strip())
        network = ipaddress.ip_network(host, strict=False)
    except ValueError as error:
        _log.warning("ipmatch: %r is no address: %s", text, error)
        return None
    return Entry(network, port, mark, "" if value is None else str(value))


def _split(text: str) -> tuple[str, int]:
    if text.startswith("["):
        inner, _, rest = text[1:].partition("]")
        mask, _, port = rest.partition(":")
        return inner + mask, int(port or "0")
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, int(port)
    return text, 0


@dataclass(frozen=True, slots=True)
class Trusted:
    """One row of `trusted`: a source, how it comes in ("any", "udp", …) and what its From must be like."""

    source: str
    protocol: str
    pattern: str
    regex: Regex | None

    def trusts(self, protocol: str, sender: str) -> bool:
        """Whether a request from the source is trusted."""
        if self.protocol not in ("any", protocol):
            return False
        return self.regex is None or self.regex.search(sender)


def trusted_of(rows: Iterable[tuple[object, ...]]) -> list[Trusted]:
    """Rows of `trusted`; those whose pattern is no expression are left out, which is logged."""
    found = []
    for source, protocol, pattern in rows:
        text = "" if pattern is None else str(pattern)
        try:
            regex = Regex(text, ignore_case=False) if text else None
        except ArgumentError as error:
            _log.warning("trusted: pattern %r: %s", text, error)
            continue
        found.append(Trusted(str(source), str(protocol).lower(), text, regex))
    return found
