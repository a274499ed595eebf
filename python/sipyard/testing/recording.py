"""What a server's routes did, kept for a test to look at: attributes, flags, results and log lines."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sipyard.attributes import Attributes, Name, Value

if TYPE_CHECKING:
    from sipyard.arguments import RouteKind
    from sipyard.context import Context
    from sipyard.engine import Route, Routes

_SCRIPT_LOG = logging.getLogger("sipyard.script")


@dataclass(frozen=True, slots=True)
class RouteRun:
    """One run of one block, as it left its message.

    :param kind: request, failure, onreply, branch or onsend route.
    :param name: the block's name; "" for the unnamed one.
    :param method: of the request, or of the request that was answered.
    :param request_uri: the Request-URI as the block left it.
    :param flags: SER's flags as bits.
    :param result: what the block returned; None when it raised.
    """

    kind: RouteKind
    name: str
    method: str
    request_uri: str
    dst_uri: str | None
    flags: int
    result: int | None
    attributes: Attributes

    def __getitem__(self, name: str) -> Value | None:
        """The value of an attribute, named as in a script: `run["$f.did"]`; None when it is missing.

        :raises ValueError: not an attribute's name.
        """
        return self.attributes.value(Name.parse(name))

    def values(self, name: str) -> list[Value]:
        """Every value of an attribute, oldest first."""
        return self.attributes.values(Name.parse(name))

    def has_flag(self, flag: int) -> bool:
        """Whether one of the flags 0 to 31 is set."""
        return bool(self.flags >> flag & 1)


class Recording(logging.Handler):
    """Routes that keep a record of each run, and the lines that scripts log while it is open.

    `runs` and `log` are in the order of happening. Scripts share one logger: with several recording servers
    each gets the lines of all.
    """

    def __init__(self, routes: Routes) -> None:
        super().__init__()
        self.runs: list[RouteRun] = []
        self.log: list[str] = []
        self.routes = routes.routes
        self.main = self._optional(routes.main)
        self.onreply = self._optional(routes.onreply)
        self.onsend = self._optional(routes.onsend)
        self.failure = self._named(routes.failure)
        self.onreply_named = self._named(routes.onreply_named)
        self.branch = self._named(routes.branch)
        self._level_before = _SCRIPT_LOG.level
        _SCRIPT_LOG.addHandler(self)
        _SCRIPT_LOG.setLevel(logging.DEBUG)  # the script's own `debug` has decided already

    def emit(self, record: logging.LogRecord) -> None:
        """A script logged a line."""
        self.log.append(record.getMessage())

    def close(self) -> None:
        """Keep no more lines."""
        _SCRIPT_LOG.removeHandler(self)
        _SCRIPT_LOG.setLevel(self._level_before)
        super().close()

    def _named(self, routes: Mapping[str, Route]) -> dict[str, Route]:
        return {name: self._recorded(route, name) for name, route in routes.items()}

    def _optional(self, route: Route | None) -> Route | None:
        return None if route is None else self._recorded(route, "")

    def _recorded(self, route: Route, name: str) -> Route:
        async def run(msg: Context) -> int:
            result: int | None = None
            try:
                result = await route(msg)
            finally:
                self.runs.append(_run_of(msg, name, result))
            return result

        return run


def _run_of(msg: Context, name: str, result: int | None) -> RouteRun:
    method = msg.message.method
    attributes = msg.attributes.copy() if msg.has_attributes else Attributes()
    uri = msg.request_uri if msg.message.is_request else ""
    return RouteRun(msg.kind, name, method, uri, msg.dst_uri, msg.flags, result, attributes)
