"""Statements that belong to the language and not to a module: names, arguments, where they may stand.

Each is a method of `Context`; `shape` tells how its arguments are read:

    text        one string or word                    number      one number
    flag        a flag (setflag …)                    none        no argument
    avp_flag    an attribute and a declared flag      log         [level,] text
    branch      [uri [, q]]                           port        [port]
    destination host[, port], uri:host[, uri:port]    socket      [proto:]host[:port]
    texts       two strings
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sipyard.arguments import RouteKind

EVERYWHERE: Final = RouteKind.from_letters("RFOBS")
BUT_ONSEND: Final = RouteKind.from_letters("RFOB")


@dataclass(frozen=True, slots=True)
class CoreFunction:
    """A core statement. `at_least` and `at_most` count arguments; `protocol` is what forward_udp fixes."""

    name: str
    method: str
    shape: str
    at_least: int
    at_most: int
    routes: RouteKind = BUT_ONSEND
    is_async: bool = False
    protocol: str | None = None
    names: tuple[str, ...] = ()


def _text(name: str, method: str, *names: str) -> CoreFunction:
    return CoreFunction(name, method, "text", 1, 1, names=names)


def _destinations(name: str, at_least: int, routes: RouteKind) -> list[CoreFunction]:
    return [
        CoreFunction(
            f"{name}_{protocol}" if protocol else name,
            name,
            "destination",
            at_least,
            2,
            routes,
            True,
            protocol,
        )
        for protocol in ((None, "udp", "tcp", "tls") if name == "forward" else (None, "tcp"))
    ]


FUNCTIONS: Final[tuple[CoreFunction, ...]] = (
    *_destinations("forward", 0, BUT_ONSEND),
    *_destinations("send", 1, EVERYWHERE),
    CoreFunction("log", "log", "log", 1, 2, EVERYWHERE),
    CoreFunction("error", "error_text", "texts", 2, 2),
    CoreFunction("exec", "exec", "text", 1, 1, is_async=True),
    CoreFunction("setflag", "set_flag", "flag", 1, 1, EVERYWHERE),
    CoreFunction("resetflag", "reset_flag", "flag", 1, 1, EVERYWHERE),
    CoreFunction("isflagset", "is_flag_set", "flag", 1, 1, EVERYWHERE),
    CoreFunction("setavpflag", "set", "avp_flag", 2, 2),
    CoreFunction("resetavpflag", "reset", "avp_flag", 2, 2),
    CoreFunction("isavpflagset", "test", "avp_flag", 2, 2),
    _text("rewritehost", "rewrite_host", "sethost", "seth"),
    _text("rewritehostport", "rewrite_hostport", "sethostport", "sethp"),
    _text("rewriteuser", "rewrite_user", "setuser", "setu"),
    _text("rewriteuserpass", "rewrite_userpass", "setuserpass", "setup"),
    _text("rewriteport", "rewrite_port", "setport", "setp"),
    _text("rewriteuri", "rewrite_uri", "seturi"),
    CoreFunction("revert_uri", "revert_uri", "none", 0, 0),
    _text("prefix", "prefix"),
    CoreFunction("strip", "strip", "number", 1, 1),
    CoreFunction("strip_tail", "strip_tail", "number", 1, 1),
    CoreFunction("append_branch", "append_branch", "branch", 0, 2),
    CoreFunction("force_rport", "force_rport", "none", 0, 0, names=("add_rport",)),
    CoreFunction("force_tcp_alias", "force_tcp_alias", "port", 0, 1, names=("add_tcp_alias",)),
    _text("set_advertised_address", "set_advertised_address"),
    CoreFunction("set_advertised_port", "set_advertised_port", "port", 1, 1),
    CoreFunction("force_send_socket", "force_send_socket", "socket", 1, 1),
)

CORE_FUNCTIONS: Final[dict[str, CoreFunction]] = {
    name: each for each in FUNCTIONS for name in (each.name, *each.names)
}
CORE_NAMES: Final = tuple(CORE_FUNCTIONS)
