"""Core parameters: what a script assigns at its top level, typed, and what the native core is told of them.

Parameters of SER that have no meaning here (process counts, shared memory) are accepted so that a script
runs unchanged.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from sipyard import __version__
from sipyard.errors import ConfigError
from sipyard.sip.dns_settings import DnsSettings
from sipyard.sip.transports import TRANSPORTS

if TYPE_CHECKING:
    from sipyard._native.core import Core, _Settings

SIGNATURE: Final = f"Sipyard/{__version__}"
DEFAULT_PORT: Final = 5060
_LISTEN = re.compile(
    r"(?:(?P<protocol>udp|tcp|tls|ws|wss):)?(?P<host>\[[^\]]+\]|[^:\s]+|[0-9a-f:]+:[0-9a-f:.]*)"
    r"(?::(?P<port>[0-9]+|\*))?",
    re.IGNORECASE,
)
_FACILITY = re.compile(r"LOG_([A-Z0-9]+)")


@dataclass(frozen=True, slots=True)
class Listen:
    """A socket to open; `host` is an address, a name or a network interface; port None: the default."""

    host: str
    port: int | None = None
    protocol: str = ""

    @classmethod
    def parse(cls, text: str) -> Listen:
        """``[proto:]host[:port]``; the port may be ``*`` for the default.

        :raises ConfigError: not of that form.
        """
        match = _LISTEN.fullmatch(text.strip())
        port = match["port"] if match else None
        if match is None or (port and port != "*" and int(port) > 65535):
            raise ConfigError(f'"{text}" is not [proto:]address[:port]')
        number = int(port) if port and port != "*" else None
        return cls(match["host"].strip("[]"), number, (match["protocol"] or "").lower())

    def addresses(self) -> list[str]:
        """The IP addresses that the host means.

        :raises ConfigError: an unknown name or interface.
        """
        try:
            return [str(ipaddress.ip_address(self.host))]
        except ValueError:
            own = interface_addresses(self.host)
        if own:
            return own
        try:
            found = socket.getaddrinfo(self.host, None, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise ConfigError(f"cannot listen on {self.host}: {error}") from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        protocol = f"{self.protocol}:" if self.protocol else ""
        return f"{protocol}{host}{'' if self.port is None else f':{self.port}'}"


def interface_addresses(name: str | None = None) -> list[str]:
    """IPv4 addresses of one network interface, or of all that are up (loopback last, as SER lists them)."""
    known = [index[1] for index in socket.if_nameindex()]
    if name is not None:
        return [ip for ip in (_interface_ip(name),) if ip] if name in known else []
    found = [ip for each in known if (ip := _interface_ip(each))]
    return sorted(found, key=lambda ip: ipaddress.ip_address(ip).is_loopback)


def _interface_ip(name: str) -> str | None:
    """SIOCGIFADDR: Linux only, as is the native endpoint."""
    import fcntl  # not everywhere

    request = name.encode()[:15].ljust(40, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        try:
            return socket.inet_ntoa(fcntl.ioctl(asker.fileno(), 0x8915, request)[20:24])
        except OSError:
            return None


@dataclass(slots=True)
class Settings:
    """Core parameters with SER 2.0's defaults. Times in seconds."""

    debug: int = 0
    log_stderror: bool = False
    log_facility: str = "LOG_DAEMON"
    listen: list[str] = field(default_factory=list)
    alias: list[str] = field(default_factory=list)
    port: int = DEFAULT_PORT
    check_via: bool = False
    syn_branch: bool = True
    sip_warning: bool = True
    server_signature: bool = True
    reply_to_via: bool = False
    use_dns_failover: bool = True  # RFC 3263 §4.3; SER: off
    use_dns_cache: bool = True
    dns_cache_flags: int = 0
    dns_cache_negative_ttl: int = 60
    dns_cache_min_ttl: int = 0
    dns_cache_max_ttl: int = 2**31 - 1
    dns_cache_stale: int = 3600  # not in SER
    dns_cache_mem: int = 500  # KB
    dns_cache_gc_interval: int = 120
    dns_try_ipv6: bool = True
    dns_try_naptr: bool = False
    dns_naptr_ignore_rfc: bool = True
    dns_srv_lb: bool = True  # RFC 2782; SER: off
    dns_udp_pref: int = 30
    dns_tcp_pref: int = 20
    dns_tls_pref: int = 10
    dns_retr_time: int = -1
    dns_retr_no: int = -1
    dns_servers_no: int = -1
    dns_use_search_list: int = -1
    dns_deadline: int = 8  # not in SER
    use_dst_blacklist: bool = False
    dst_blacklist_expire: int = 60
    dst_blacklist_mem: int = 250
    disable_tcp: bool = False
    enable_tls: bool = False
    udp_mtu: int = 0  # not in SER
    stun_allow_stun: bool = True
    tls_port_no: int = 5061
    tcp_accept_aliases: bool = False
    tcp_send_timeout: int = 10
    tcp_connect_timeout: int = 10
    tcp_connection_lifetime: int = 120
    tcp_max_connections: int = 2048
    tcp_max_of_one: int = 1024  # not in SER
    tcp_first_message: int = 10  # not in SER
    ws_origins: str = ""  # not in SER
    advertised_address: str = ""
    advertised_port: int = 0
    maxbuffer: int = 4_194_304
    mcast_loopback: bool = False
    mcast_ttl: int = -1
    tos: int = 16
    exit_timeout: int = 60
    message_deadline: int = 60  # not in SER
    stall_limit: int = 1000  # milliseconds; not in SER
    ctl_socket: str = "sipyard.ctl"  # not in SER
    fifo: str = ""
    fifo_dir: str = "/tmp/"  # noqa: S108 (SER's default)
    fifo_mode: int = 0o660
    fifo_user: str = ""
    fifo_group: str = ""
    unix_sock: str = ""
    workdir: str = ""
    chroot: str = ""
    user: str = ""
    group: str = ""
    open_files_limit: int = -1

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Settings:
        """From a script's assignments, names as in SER; others are the server's to ignore.

        :raises ConfigError: a value of the wrong type.
        """
        settings = cls()
        for one in fields(cls):
            value = given.get(one.name)
            if value is None:
                continue
            default = getattr(settings, one.name)
            if isinstance(default, list):
                value = [value] if isinstance(value, str) else [str(each) for each in value]
            elif isinstance(default, bool):
                value = bool(value)
            elif isinstance(default, int) and not isinstance(value, int):
                raise ConfigError(f"{one.name} expects a number, not {value!r}")
            elif isinstance(default, str):
                value = str(value)
            setattr(settings, one.name, value)
        return settings

    def for_core(self) -> _Settings:
        """The part that the native core decides by."""
        return {
            "check_via": self.check_via,
            "syn_branch": self.syn_branch,
            "reply_warning": self.sip_warning,
            "server_header": SIGNATURE if self.server_signature else "",
            "user_agent_header": SIGNATURE if self.server_signature else "",
            "reply_to_via": self.reply_to_via,
            "dns_failover": self.use_dns_failover,
            "blacklist": self.use_dst_blacklist and self.dst_blacklist_expire > 0,
            "blacklist_expire": max(self.dst_blacklist_expire, 1),
            "blacklist_memory": self.dst_blacklist_mem * 1024,
            "stun": self.stun_allow_stun,
            "udp_mtu": max(self.udp_mtu, 0),
            "tcp_accept_aliases": self.tcp_accept_aliases,
            "tcp_send_timeout": max(self.tcp_send_timeout, 1),
            "tcp_connect_timeout": max(self.tcp_connect_timeout, 1),
            "tcp_connection_lifetime": max(self.tcp_connection_lifetime, 1),
            "tcp_max_connections": max(self.tcp_max_connections, 0),
            "tcp_max_of_one": max(self.tcp_max_of_one, 0),
            "tcp_first_message": max(self.tcp_first_message, 1),
            "ws_origins": [each.strip() for each in self.ws_origins.split(",") if each.strip()],
            "aliases": list(self.aliases()),
        }

    def dns(self) -> DnsSettings:
        """The part that the resolver decides by."""
        return DnsSettings(
            use_cache=self.use_dns_cache,
            cache_flags=self.dns_cache_flags,
            cache_negative_ttl=self.dns_cache_negative_ttl,
            cache_min_ttl=self.dns_cache_min_ttl,
            cache_max_ttl=self.dns_cache_max_ttl,
            cache_stale=self.dns_cache_stale,
            cache_memory=self.dns_cache_mem * 1024,
            cache_gc_interval=self.dns_cache_gc_interval,
            try_ipv6=self.dns_try_ipv6,
            try_naptr=self.dns_try_naptr,
            ignore_naptr_order=self.dns_naptr_ignore_rfc,
            balances_srv=self.dns_srv_lb,
            preferences={"udp": self.dns_udp_pref, "tcp": self.dns_tcp_pref, "tls": self.dns_tls_pref},
            retry_time=self.dns_retr_time,
            retries=self.dns_retr_no,
            servers=self.dns_servers_no,
            use_search_list=self.dns_use_search_list,
            deadline=float(self.dns_deadline) if self.dns_deadline > 0 else float("inf"),
        )

    def aliases(self) -> Iterable[tuple[str, int, str | None]]:
        """Names that count as ours: host, port (0: any), protocol (None: any)."""
        for text in self.alias:
            protocol, colon, rest = text.partition(":")
            has_protocol = bool(colon) and protocol.lower() in TRANSPORTS
            one = Listen.parse(rest if has_protocol else text)
            yield one.host.lower(), one.port or 0, protocol.lower() if has_protocol else None

    def configure(self, core: Core) -> None:
        """Tell the core."""
        core.configure(**self.for_core())

    def listens(self) -> list[Listen]:
        """What the script asks to listen on; nothing means all interfaces, as in SER."""
        return [Listen.parse(text) for text in self.listen]

    @property
    def syslog_facility(self) -> str:
        """As `logging.handlers.SysLogHandler` spells it."""
        match = _FACILITY.fullmatch(self.log_facility)
        return match[1].lower() if match else "daemon"

    @property
    def log_level(self) -> int:
        """The level of `logging` below which nothing is printed."""
        levels = {-3: logging.CRITICAL, -2: logging.CRITICAL, -1: logging.ERROR, 1: logging.WARNING, 2: 25}
        if self.debug <= 0:
            return levels.get(self.debug, logging.ERROR)
        return levels.get(self.debug, logging.INFO if self.debug == 3 else logging.DEBUG)


DNS_SETTINGS: Final = tuple(
    one.name for one in fields(Settings) if one.name.startswith(("dns_", "use_dns_cache"))
)
"""Core parameters that only the resolver reads."""
