"""How the DNS is asked and its answers are kept and used: SER's `dns_*` core parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

V4_ONLY: Final = 1
V6_ONLY: Final = 2
V6_FIRST: Final = 4


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Times in seconds; -1 stands for what ``/etc/resolv.conf`` says, as in SER."""

    use_cache: bool = True
    cache_flags: int = 0
    """`V4_ONLY`, `V6_ONLY` or `V6_FIRST`."""
    cache_negative_ttl: int = 60
    cache_min_ttl: int = 0
    cache_max_ttl: int = 2**31 - 1
    cache_stale: int = 3600
    """How long after its end an answer still serves while nobody gives a newer one (RFC 8767)."""
    cache_memory: int = 500 * 1024
    """Bytes."""
    cache_gc_interval: int = 120
    try_ipv6: bool = True
    try_naptr: bool = False
    """RFC 3263 §4.1 for URIs that name neither transport nor port; else SER's rule, which is UDP."""
    ignore_naptr_order: bool = True
    """Our preferences come before the order that the other side's NAPTR records ask for."""
    balances_srv: bool = True
    """RFC 2782: among SRV records of one priority draw by weight, else the heaviest first."""
    preferences: dict[str, int] = field(default_factory=lambda: {"udp": 30, "tcp": 20, "tls": 10})
    """Of transports; a negative one is never chosen by NAPTR."""
    retry_time: int = -1
    retries: int = -1
    servers: int = -1
    """How many of resolv.conf's servers are asked."""
    use_search_list: int = -1
    deadline: float = 8.0
    """How long one message may wait for the DNS altogether."""

    @property
    def families(self) -> tuple[bool, ...]:
        """Address families that are wanted, best first: False is IPv4, True IPv6."""
        if self.cache_flags & V4_ONLY or not self.try_ipv6:
            return (False,)
        if self.cache_flags & V6_ONLY:
            return (True,)
        return (True, False) if self.cache_flags & V6_FIRST else (False, True)
