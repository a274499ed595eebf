"""The settings of a script's top level (inventory A.3), both generations.

A row says the type, the defaults, and either that the setting acts or why it has no meaning here;
`sipyard check` says the latter for each such setting that a script has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sipyard.arguments import Generation

Type = Literal["number", "switch", "string", "word", "name or number", "sockets"]

_THREADS = "one thread decides here and the core moves the packets, so there are no worker processes to count"
_MEMORY = "there is no shared memory pool; Python and the core use what they need"
_TLS = "TLS is set by module tls"
_RAW_SQL = "no command takes SQL"
_NO_WAIT = "an answer never waits"
_BLACKLIST = "an entry goes when it ends, without cleanings"
_RECEIVED = "`received` is added by comparing addresses, as RFC 3261 §18.2.1 asks, without DNS"
_FULL_NAMES = "full names are asked for and answers to others are dropped in any case"
_STUN = "answers to STUN carry no fingerprint, and none is asked for"


@dataclass(frozen=True, slots=True)
class CoreParameter:
    """One setting. `without_meaning` is None when it acts."""

    name: str
    type: Type
    default_09: str | int | None
    default_20: str | int | None
    generations: Generation
    doc: str
    without_meaning: str | None = None
    names: tuple[str, ...] = ()

    def default(self, generation: Generation) -> str | int | None:
        return self.default_09 if generation is Generation.SER_0_9 else self.default_20


_B, _N, _O = Generation.BOTH, Generation.SER_2_0, Generation.SER_0_9
_P = CoreParameter

PARAMETERS: Final[tuple[CoreParameter, ...]] = (
    _P("debug", "number", 2, 0, _B, "log threshold: -3 alert … 4 debug"),
    _P("fork", "switch", 1, 1, _B, "fork workers", _THREADS),
    _P("log_stderror", "switch", 0, 0, _B, "log to stderr instead of syslog"),
    _P("log_facility", "word", "LOG_DAEMON", "LOG_DAEMON", _B, "syslog facility"),
    _P("listen", "sockets", None, None, _B, "where to listen"),
    _P("alias", "sockets", None, None, _B, "further names that are this server"),
    _P("port", "number", 5060, 5060, _B, "default port"),
    _P("tls_port_no", "number", 5061, 5061, _B, "default TLS port"),
    _P("dns", "switch", 0, 0, _B, "look up the Via host before adding `received`", _RECEIVED),
    _P("rev_dns", "switch", 0, 0, _B, "the same by reverse lookup", _RECEIVED),
    _P("dns_try_ipv6", "switch", 1, 1, _N, "AAAA as well as A"),
    _P("dns_try_naptr", "switch", 0, 0, _N, "choose the transport by NAPTR (RFC 3263 §4.1)"),
    _P("dns_naptr_ignore_rfc", "switch", 1, 1, _N, "dns_*_pref come before the order of NAPTR records"),
    _P("dns_udp_pref", "number", 30, 30, _N, "preference of UDP by NAPTR; negative: never"),
    _P("dns_tcp_pref", "number", 20, 20, _N, "preference of TCP by NAPTR; negative: never"),
    _P("dns_tls_pref", "number", 10, 10, _N, "preference of TLS by NAPTR; negative: never"),
    _P("dns_sctp_pref", "number", 20, 20, _N, "preference of SCTP by NAPTR", "there is no SCTP here"),
    _P(
        "dns_srv_lb",
        "switch",
        1,
        1,
        _N,
        "draw among SRV records by weight, else the heaviest first",
        names=("dns_srv_loadbalancing",),
    ),
    _P("dns_retr_time", "number", -1, -1, _N, "seconds a server has to answer, -1 the system's"),
    _P("dns_retr_no", "number", -1, -1, _N, "how often each server is asked, -1 the system's"),
    _P("dns_servers_no", "number", -1, -1, _N, "how many of resolv.conf's servers to ask, -1 all"),
    _P("dns_use_search_list", "number", -1, -1, _N, "honour resolv.conf's search list; 0 not"),
    _P("dns_search_full_match", "switch", 1, 1, _N, "check names found by the search list", _FULL_NAMES),
    _P(
        "dns_deadline",
        "number",
        8,
        8,
        _B,
        "seconds a message may wait for the DNS, 0 any (not in SER)",
    ),
    _P("use_dns_cache", "switch", 1, 1, _N, "cache answers; without it /etc/hosts comes first"),
    _P("use_dns_failover", "switch", 1, 1, _N, "try the next address when one fails (SER: off)"),
    _P("dns_cache_flags", "number", 0, 0, _N, "1 IPv4 only, 2 IPv6 only, 4 prefer IPv6"),
    _P("dns_cache_negative_ttl", "number", 60, 60, _N, "most seconds that an absence is remembered"),
    _P("dns_cache_min_ttl", "number", 0, 0, _N, "least seconds an answer is kept"),
    _P("dns_cache_max_ttl", "number", 2147483647, 2147483647, _N, "most seconds an answer is kept"),
    _P(
        "dns_cache_stale",
        "number",
        3600,
        3600,
        _B,
        "seconds after its end for which an answer serves while no server answers (not in SER)",
    ),
    _P("dns_cache_mem", "number", 500, 500, _N, "KB of cache, 2 names each"),
    _P("dns_cache_gc_interval", "number", 120, 120, _N, "seconds between cleanings"),
    _P("use_dst_blacklist", "switch", 0, 0, _N, "remember dead destinations"),
    _P("dst_blacklist_mem", "number", 250, 250, _N, "KB of blacklist, 16 entries each"),
    _P(
        "dst_blacklist_expire",
        "number",
        60,
        60,
        _N,
        "seconds on the blacklist",
        names=("dst_blacklist_ttl",),
    ),
    _P("dst_blacklist_gc_interval", "number", 60, 60, _N, "seconds between cleanings", _BLACKLIST),
    _P("statistics", "string", None, None, _B, "statistics file", "counters are read by RPC and metrics"),
    _P("maxbuffer", "number", 4194304, 4194304, _B, "bytes of the UDP receive buffer (SER: 262144)"),
    _P("children", "number", 8, 8, _B, "workers per UDP socket", _THREADS),
    _P("check_via", "switch", 0, 0, _B, "drop replies whose top Via is not ours"),
    _P(
        "phone2tel",
        "switch",
        1,
        1,
        _N,
        "treat user=phone as tel: in URI lookups",
        "no module of this build looks URIs up",
    ),
    _P("syn_branch", "switch", 1, 1, _B, "constant branch for stateless forwarding"),
    _P("memlog", "number", 4, 4, _B, "level of memory dumps", _MEMORY, ("mem_log",)),
    _P("memdbg", "number", 4, 4, _N, "level of malloc debugging", _MEMORY, ("mem_dbg",)),
    _P("sip_warning", "switch", 1, 1, _B, "add a Warning header to local replies"),
    _P("server_signature", "switch", 1, 1, _B, "add Server and User-Agent"),
    _P("reply_to_via", "switch", 0, 0, _B, "send local replies to the Via's address"),
    _P("user", "name or number", None, None, _B, "run as this user", None, ("uid",)),
    _P("group", "name or number", None, None, _B, "run as this group", None, ("gid",)),
    _P(
        "chroot",
        "string",
        None,
        None,
        _B,
        "change the root directory",
        "containers and systemd do this better",
    ),
    _P(
        "workdir",
        "string",
        "",
        "",
        _B,
        "working directory; empty: where it was started (SER: /)",
        None,
        ("wdir",),
    ),
    _P("mhomed", "switch", 0, 0, _B, "ask the kernel for the outgoing interface", "the core always does"),
    _P(
        "disable_tcp",
        "switch",
        0,
        0,
        _B,
        "no TCP; else an address without a protocol is listened on by UDP and TCP",
    ),
    _P(
        "udp_mtu",
        "number",
        0,
        0,
        _B,
        "requests of more bytes go by TCP, and by UDP when that fails; 0: no (RFC 3261 §18.1.1; not in SER)",
    ),
    _P("tcp_children", "number", 8, 8, _B, "TCP readers", _THREADS),
    _P("tcp_accept_aliases", "switch", 0, 0, _B, "honour the Via's alias parameter"),
    _P("tcp_send_timeout", "number", 10, 10, _B, "seconds for a peer to read what waits for it"),
    _P("tcp_connect_timeout", "number", 10, 10, _B, "seconds for a connection to come about"),
    _P("tcp_connection_lifetime", "number", 120, 120, _N, "seconds without a message or keep-alive"),
    _P(
        "ws_origins",
        "string",
        None,
        None,
        _B,
        "pages that may connect by WebSocket, by commas; none: all (not in SER)",
    ),
    _P("tcp_max_of_one", "number", 1024, 1024, _B, "most connections from one address (not in SER)"),
    _P("tcp_first_message", "number", 10, 10, _B, "seconds for a peer's first whole message (not in SER)"),
    _P(
        "tcp_poll_method", "word", None, None, _N, "how to wait for sockets", "the core always waits by epoll"
    ),
    _P("tcp_max_connections", "number", 2048, 2048, _B, "most connections"),
    _P("disable_tls", "switch", 1, 1, _B, "no TLS", "enable_tls says it", ("tls_disable",)),
    _P(
        "enable_tls",
        "switch",
        0,
        0,
        _B,
        "TLS on the addresses without a protocol too; needs module tls",
        None,
        ("tls_enable",),
    ),
    _P("tls_method", "word", "sslv23", None, _B, "TLS version", _TLS),
    _P("tls_verify", "switch", 0, None, _B, "check certificates", _TLS),
    _P("tls_require_certificate", "switch", 0, None, _B, "require certificates", _TLS),
    _P("tls_certificate", "string", "cert.pem", None, _B, "certificate file", _TLS),
    _P("tls_private_key", "string", "cert.pem", None, _B, "key file", _TLS),
    _P("tls_ca_list", "string", None, None, _B, "CA file", _TLS),
    _P("tls_handshake_timeout", "number", 120, None, _B, "seconds", _TLS),
    _P("tls_send_timeout", "number", 120, None, _B, "seconds", _TLS),
    _P("tlslog", "number", None, None, _B, "log level of TLS", _TLS, ("tls_log",)),
    _P("advertised_address", "string", None, None, _B, "host for Via and Record-Route"),
    _P("advertised_port", "number", None, None, _B, "port for Via and Record-Route"),
    _P("disable_core_dump", "switch", 0, 0, _B, "no core dumps", "set the limit where the server is started"),
    _P("open_files_limit", "number", -1, -1, _B, "descriptors"),
    _P("mcast_loopback", "switch", 0, 0, _B, "receive one's own multicast"),
    _P("mcast_ttl", "number", -1, -1, _B, "TTL of multicast"),
    _P("tos", "number", 16, 16, _N, "IP type of service"),
    _P("pmtu_discovery", "switch", 0, 0, _N, "set DF on UDP", "the kernel's default holds"),
    _P("exit_timeout", "number", 60, 60, _N, "seconds to drain at shutdown", None, ("ser_kill_timeout",)),
    _P(
        "message_deadline",
        "number",
        60,
        60,
        _B,
        "seconds a message may wait in a route; 0: for ever (not in SER)",
    ),
    _P(
        "stall_limit",
        "number",
        1000,
        1000,
        _B,
        "milliseconds a route may compute unreported; 0: any (not in SER)",
    ),
    _P(
        "ctl_socket",
        "string",
        "sipyard.ctl",
        "sipyard.ctl",
        _B,
        'socket of sipyard ctl; "": none (not in SER)',
    ),
    _P("stun_refresh_interval", "number", 0, 0, _N, "milliseconds", _STUN),
    _P("stun_allow_stun", "switch", 1, 1, _N, "answer STUN binding requests on UDP ports"),
    _P("stun_allow_fp", "switch", 1, 1, _N, "fingerprint in STUN", _STUN),
    _P("fifo", "string", None, None, _O, "named pipe that takes commands"),
    _P("fifo_dir", "string", "/tmp/", None, _O, "folder of the pipes that answers go to"),  # noqa: S108 (SER's default)
    _P("fifo_mode", "number", 0o660, None, _O, "rights of the pipe", None, ("sock_mode", "file_mode")),
    _P("fifo_user", "name or number", None, None, _O, "owner of the pipe", None, ("sock_user",)),
    _P("fifo_group", "name or number", None, None, _O, "group of the pipe", None, ("sock_group",)),
    _P("fifo_db_url", "string", None, None, _O, "database of the FIFO", _RAW_SQL),
    _P("unix_sock", "string", None, None, _O, "datagram socket that takes commands"),
    _P("unix_sock_children", "number", 1, None, _O, "servers of the socket", _THREADS),
    _P("unix_tx_timeout", "number", 2000, None, _O, "milliseconds", _NO_WAIT),
)

SETTINGS: Final[dict[str, CoreParameter]] = {
    name: each for each in PARAMETERS for name in (each.name, *each.names)
}
MISNOMERS: Final = {"disable_core": "disable_core_dump", "open_fd_limit": "open_files_limit"}
"""Names in sample scripts' comments that SER itself never knew."""
SOCKET_LISTS: Final = ("listen", "alias")
