"""timer: routes that run by the clock.

A timer route is a request route that gets a message of no peer: its method is GET, it has no headers, reading
them yields nothing and nobody can be answered. It may wait like any route. When a run has not ended by the
time of the next, that one is left out.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sipyard._native.core import Message
from sipyard.arguments import ArgumentError, Dynamic, Generation, Loading, RouteKind, RouteNameKind, number_of
from sipyard.context import Context
from sipyard.errors import ConfigError
from sipyard.module import Module, function, parameter, select

if TYPE_CHECKING:
    from sipyard.engine import Engine, Route
    from sipyard.selects import Reader, SelectPath

MESSAGE: Final = b"GET sip:timer SIP/2.0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Declaration:
    """``route,milliseconds[,slow|fast][,enable]``."""

    route: str
    seconds: float
    is_enabled: bool
    says = '"route,milliseconds[,slow|fast][,enable]"'

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Declaration:
        """As `modparam` writes it."""
        route, *rest = (part.strip() for part in text.split(","))
        milliseconds = number_of(rest[0]) if rest else None
        words = rest[1:]
        if milliseconds is None or milliseconds < 1 or set(words) - {"slow", "fast", "enable", ""}:
            raise ArgumentError(f'"{text}" declares no timer', f"write {cls.says}")
        name = str(RouteNameKind(RouteKind.REQUEST).convert(route, loading))
        return cls(name, milliseconds / 1000, "enable" in words)


class _Timer:
    """One declared timer: planned while it is enabled."""

    def __init__(self, number: int, declared: Declaration) -> None:
        self.number = number
        self.declared = declared
        self.is_enabled = declared.is_enabled
        self._engine: Engine | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._is_running = False
        self._due = 0.0

    def start(self, engine: Engine) -> None:
        self._engine = engine
        if self._route(engine) is None:
            raise ConfigError(f"timer: route[{self.declared.route}] does not exist")
        self.enable(self.is_enabled)

    def _route(self, engine: Engine) -> Route | None:
        """The route as the present version of the script has it."""
        name = self.declared.route
        return engine.routes.main if name == "0" else engine.routes.routes.get(name)

    def enable(self, is_enabled: bool) -> None:
        """Plan the next run a whole interval from now, or none."""
        self.stop()
        self.is_enabled = is_enabled
        if is_enabled and self._engine is not None:
            self._due = asyncio.get_running_loop().time()
            self._plan()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _plan(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = max(self._due + self.declared.seconds, loop.time())
        self._handle = loop.call_at(self._due, self._fire)

    def _fire(self) -> None:
        self._plan()
        engine = self._engine
        if engine is None or (route := self._route(engine)) is None:
            return
        if self._is_running:
            name = self.declared.route
            engine.log_incident(f"timer {self.number}: route[{name}] still runs", logging.WARNING)
            return

        async def run(msg: Context) -> int:
            self._is_running = True
            try:
                return await route(msg)
            finally:
                self._is_running = False

        engine.run(Context(engine, Message.parse(MESSAGE)), run)


class Timers(Module):
    """timer: routes that run by the clock."""

    name = "timer"
    acts_by_clock = True

    def __init__(self) -> None:
        super().__init__()
        self._timers: list[_Timer] = []

    @parameter(Declaration, generations=Generation.SER_2_0)
    def declare_timer(self, declared: Declaration) -> None:
        """A timer: ``route,milliseconds[,slow|fast][,enable]``. The first has number 0, the next 1 and so on.
        Without `enable` it waits for timer_enable; slow and fast are the same here."""
        self._timers.append(_Timer(len(self._timers), declared))

    async def start(self, engine: Engine) -> None:
        for timer in self._timers:
            timer.start(engine)

    async def stop(self) -> None:
        for timer in self._timers:
            timer.stop()

    @function("RFOBS", generations=Generation.SER_2_0)
    def timer_enable(self, msg: Context, number: Dynamic[int], is_enabled: Dynamic[int]) -> int:
        """Start (1) or stop (0) a timer; it fires a whole interval later. 1, or -1 when there is no such
        timer."""
        if not 0 <= number < len(self._timers):
            msg.log(-1, f"timer_enable: there is no timer {number}")
            return -1
        self._timers[number].enable(bool(is_enabled))
        return 1

    @select("timer")
    def timer(self, path: SelectPath) -> Reader:
        """@timer[number].enabled: "1" or "0"."""
        number: Any = path[0].index
        if number is None or len(path) != 2 or path[1].name.lower() != "enabled":
            raise ArgumentError("@timer needs a number and a part", "write @timer[0].enabled")
        if not 0 <= number < len(self._timers):
            raise ArgumentError(f"there is no timer {number}", "timers count from 0, in order of declaration")
        timer = self._timers[number]
        return lambda msg: "1" if timer.is_enabled else "0"
