"""A module that records what a script called, and a way to run a script without any message."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from sipyard.context import Context
from sipyard.module import (
    Dynamic,
    FailureRouteName,
    FlagNumber,
    Generation,
    Module,
    Parameter,
    RouteKind,
    function,
    parameter,
)
from sipyard.registry import Modules
from sipyard.script import Script, load_text

OLD, NEW = Generation.SER_0_9, Generation.SER_2_0


class Probe(Module):
    """probe: records calls; its functions return what the script tells them to."""

    name = "probe"
    limit = Parameter(int, 16, "A number.")
    label = Parameter(str, "x", "A string.")
    old_only = Parameter(int, 1, "Only in 0.9.", generations=Generation.SER_0_9)
    flag: Parameter[int] = Parameter(FlagNumber, 4, "A flag.")

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[object] = []
        self.timers: list[str] = []

    @parameter(str)
    def declare_timer(self, value: str) -> None:
        """Repeatable."""
        self.timers.append(value)

    @function("RFOBS")
    def say(self, msg: Context, what: Dynamic[str]) -> None:
        """Record a text."""
        self.calls.append(what)

    @function("RFOBS")
    def value(self, msg: Context, result: Dynamic[int]) -> int:
        """Record and return a number."""
        self.calls.append(result)
        return result

    @function("RFOBS")
    async def later(self, msg: Context, result: int) -> int:
        """The same, asynchronous."""
        self.calls.append(result)
        return result

    @function("RFOBS")
    def optional(self, msg: Context, what: Dynamic[str] | None = None) -> None:
        """Record a text or None."""
        self.calls.append(what)

    @function("RFOBS")
    def yes(self, msg: Context) -> bool:
        """True."""
        return True

    @function("RFOBS")
    def no(self, msg: Context) -> bool:
        """False."""
        return False

    @function("RF")
    def arm(self, msg: Context, route: FailureRouteName) -> int:
        """Takes a route's name."""
        self.calls.append(route)
        return 1

    @function("R")
    def broken(self, msg: Context) -> int:
        """Raises."""
        raise ValueError("broken on purpose")


def load(text: str, generation: Generation | None = None, file: str = "test.cfg") -> tuple[Script, Probe]:
    """Compile a script beside a probe."""
    modules, probe = Modules(), Probe()
    modules.add(probe)
    return load_text(text, file, generation, modules), probe


def context(**engine: Any) -> Context:
    """A context without message or core: for scripts that look at neither."""
    made: Any = SimpleNamespace(core=None, global_attributes=None, debug=0, **engine)
    nothing: Any = None
    return Context(made, nothing, RouteKind.REQUEST)


def run(text: str, generation: Generation | None = NEW) -> tuple[int, list[object]]:
    """The main route's result and what was recorded."""
    script, probe = load(text, generation)
    assert script.main is not None
    coroutine = script.main(context())
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value, probe.calls
    raise AssertionError("the script waits for something")
