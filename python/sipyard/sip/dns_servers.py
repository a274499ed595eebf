"""Which DNS servers are asked, and how patiently: ``/etc/resolv.conf`` as resolv.conf(5) describes it, and
``/etc/hosts``."""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from sipyard.sip.dns_settings import DnsSettings

RESOLV_CONF: Final = Path("/etc/resolv.conf")
HOSTS: Final = Path("/etc/hosts")
LOOK_EVERY: Final = 5.0
"""Seconds between two looks whether the file has changed."""
_MAX_SEARCH: Final = 6
_log = logging.getLogger("sipyard.resolver")


class NameServer(NamedTuple):
    """Where a DNS server listens."""

    ip: str
    port: int = 53

    def __str__(self) -> str:
        host = f"[{self.ip}]" if ":" in self.ip else self.ip
        return host if self.port == 53 else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NameServers:
    """Servers in the order in which they are asked. `timeout` in seconds for each try; `attempts` rounds."""

    servers: tuple[NameServer, ...]
    search: tuple[str, ...] = ()
    ndots: int = 1
    timeout: float = 5.0
    attempts: int = 2

    @classmethod
    def read(cls, text: str) -> NameServers:
        """From the text of a resolv.conf. Lines that mean nothing to us are passed over, as by the system."""
        servers: list[NameServer] = []
        search: tuple[str, ...] = ()
        options: dict[str, int] = {}
        for line in text.splitlines():
            words = line.split()
            if len(words) < 2 or words[0][0] in "#;":
                continue
            if words[0] == "nameserver" and _is_address(words[1]):
                servers.append(NameServer(words[1]))
            elif words[0] in ("search", "domain"):
                search = tuple(word.strip(".") for word in words[1:])[:_MAX_SEARCH]
            elif words[0] == "options":
                for word in words[1:]:
                    name, _, number = word.partition(":")
                    if number.isdecimal():
                        options[name] = int(number)
        return cls(
            tuple(servers) or (NameServer("127.0.0.1"),),
            tuple(name for name in search if name),
            min(options.get("ndots", 1), 15),
            float(min(max(options.get("timeout", 5), 1), 30)),
            min(max(options.get("attempts", 2), 1), 5),
        )

    def as_set(self, settings: DnsSettings) -> NameServers:
        """With what the script says about them."""
        return replace(
            self,
            servers=self.servers[: settings.servers] if settings.servers > 0 else self.servers,
            search=self.search if settings.use_search_list else (),
            timeout=float(settings.retry_time) if settings.retry_time > 0 else self.timeout,
            attempts=settings.retries if settings.retries > 0 else self.attempts,
        )

    def candidates(self, name: str) -> Iterator[str]:
        """The full names that a name may mean, in the order of asking: one with fewer dots than `ndots` is
        tried in the search list's domains first (labels of a service such as ``_sip._udp`` do not count)."""
        if name.endswith("."):
            yield name
            return
        labels = name.split(".")
        if sum(not label.startswith("_") for label in labels) - 1 < self.ndots:
            for domain in self.search:
                yield f"{name}.{domain}."
        yield f"{name}."


class SystemNameServers:
    """Those of a resolv.conf, read anew when the file changes."""

    def __init__(self, path: Path = RESOLV_CONF) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._looked_at = float("-inf")
        self._now = NameServers((NameServer("127.0.0.1"),))

    def __call__(self, now: float) -> NameServers:
        """The servers at a moment of the loop's clock. A file that cannot be read means this host, as for the
        system."""
        if now - self._looked_at >= LOOK_EVERY:
            self._looked_at = now
            try:
                found = self._path.stat()
                stamp = (found.st_mtime_ns, found.st_ino)
                if stamp != self._stamp:
                    self._now = NameServers.read(self._path.read_text("utf-8", "replace"))
                    self._stamp = stamp
            except OSError as error:
                if self._stamp is None:
                    _log.warning("no DNS servers are configured: %s", error)
        return self._now


def hosts_addresses(name: str, ipv6: bool, path: Path = HOSTS) -> list[str]:
    """Addresses of one family that ``/etc/hosts`` has for a name; none when there is no such file."""
    found: list[str] = []
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        return found
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        names = [word.lower().rstrip(".") for word in words[1:]]
        if name in names and _is_address(words[0]) and (":" in words[0]) == ipv6:
            found.append(words[0])
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
