"""Declarations of modules: functions, parameters, requirements, conversion of arguments."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sipyard.arguments import ArgumentError, Loading, near
from sipyard.attributes import Name, Scope, Track
from sipyard.context import Context
from sipyard.errors import ConfigError, InternalError, PeerError, StorageError, answer_to
from sipyard.module import (
    Dynamic,
    FlagNumber,
    Generation,
    HeaderName,
    Module,
    Parameter,
    RouteKind,
    function,
    parameter,
    rpc,
)
from sipyard.registry import Modules, available, module_class, module_name_of


class Base(Module):
    """base: something to require."""

    name = "base"

    async def start(self, engine: object) -> None:
        started.append("base")

    async def stop(self) -> None:
        started.append("base stopped")


class Sample(Module):
    """sample: one of everything."""

    name = "sample"
    requires = ("base",)
    number = Parameter(int, 30000, "A number.", default_09=30, names=("count",))
    text = Parameter(str, None, "A text or nothing.")
    switch = Parameter(bool, True, "A switch.")
    flag: Parameter[int] = Parameter(FlagNumber, "4", "A flag.")
    where: Parameter[Name] = Parameter(Name, "$t.code", "An attribute.")

    def __init__(self) -> None:
        super().__init__()
        self.added: list[int] = []

    @parameter(int, names=("plus",))
    def add(self, value: int) -> None:
        """Repeatable."""
        self.added.append(value)

    @function("RF", names=("alias",))
    def call(self, msg: Context, code: Dynamic[int], header: HeaderName = "X") -> int:
        """Two arguments, the second optional."""
        return code

    @rpc("sample.stats", old_name="sample_stats")
    def stats(self) -> int:
        """A command."""
        return 1

    async def start(self, engine: object) -> None:
        started.append("sample")

    async def stop(self) -> None:
        started.append("sample stopped")


started: list[str] = []
NOTHING: Any = None


def modules() -> Modules:
    made = Modules()
    made.add(Base())
    made.add(Sample())
    return made


def test_functions_are_declared_by_their_annotations() -> None:
    declared = Sample.functions["alias"]
    assert (declared.name, declared.arity, declared.routes) == (
        "call",
        "1 or 2",
        RouteKind.from_letters("RF"),
    )
    assert declared.parameter_names == ("code", "header")
    assert declared.doc.startswith("Two arguments")
    assert Sample.rpcs["sample.stats"].old_name == "sample_stats"


def test_parameters_are_values_on_an_instance_and_declarations_on_the_class() -> None:
    sample = Sample()
    assert (sample.number, sample.text, sample.switch, sample.flag) == (30000, None, True, 4)
    assert sample.where == Name("code", Track.TO)
    assert Sample.parameters["count"] is Sample.number
    sample = Sample()
    sample.bind({}, Generation.SER_0_9)
    assert sample.number == 30


def test_setting_parameters() -> None:
    sample = Sample()
    loading = Loading(flags={"FLAG_NAT": 6})
    sample.set_parameter("count", 5, loading)
    sample.set_parameter("flag", "FLAG_NAT", loading)
    sample.set_parameter("switch", 0, loading)
    sample.set_parameter("add", 1, loading)
    sample.set_parameter("plus", 2, loading)
    assert (sample.number, sample.flag, sample.switch, sample.added) == (5, 6, False, [1, 2])


BAD = [("number", "5"), ("text", 5), ("flag", "NOPE"), ("flag", 32), ("where", "$zz.x"), ("add", "x")]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_values_that_do_not_fit(name: str, value: object) -> None:
    with pytest.raises(ArgumentError):
        Sample().set_parameter(name, value, Loading())


def test_declarations_that_cannot_work_fail_at_import() -> None:
    with pytest.raises(TypeError, match="needs a type"):

        class Untyped(Module):
            @function("R")
            def f(self, msg, x) -> int:  # type: ignore[no-untyped-def]
                return 1

    with pytest.raises(TypeError, match="returns int, bool or None"):

        class Returns(Module):
            @function("R")
            def f(self, msg: Context) -> str:
                return ""

    with pytest.raises(ValueError, match="R F O B S"):
        function("X")(lambda: None)


def test_modules_start_after_what_they_need_and_stop_in_reverse() -> None:
    started.clear()
    loaded = modules()
    asyncio.run(loaded.start(NOTHING))
    asyncio.run(loaded.stop())
    assert started == ["base", "sample", "sample stopped", "base stopped"]


def test_only_declared_needs_can_be_reached() -> None:
    sample = modules()["sample"]
    assert sample.need("base").name == "base"
    with pytest.raises(InternalError, match="does not name it"):
        sample.need("tm")


def test_functions_are_found_by_any_name_in_their_generation() -> None:
    found = modules().function("alias")
    assert found is not None
    assert found[0].name == "sample"
    assert modules().function("nothing") is None


def test_unknown_modules() -> None:
    with pytest.raises(ConfigError, match="there is no module nope"):
        module_class("nope")
    assert module_name_of("/usr/lib/ser/modules/cpl-c.so") == "cpl-c"
    assert "maxfwd" in available()
    assert module_class("maxfwd").name == "maxfwd"


def test_near() -> None:
    assert near("t_rely", ["t_relay", "lookup"]) == "did you mean t_relay?"
    assert near("xyz", ["t_relay"]) is None


NAMES = [
    ("$x", Name("x")),
    ("$f.X", Name("x", Track.FROM)),
    ("$tu.uid[2]", Name("uid", Track.TO, Scope.USER, 2)),
    ("$g.gw", Name("gw", None, Scope.GLOBAL)),
    ("$td.d[]", Name("d", Track.TO, Scope.DOMAIN, 0)),
    ("s:name", Name("name")),
    ("i:12", Name("12")),
]


@pytest.mark.parametrize(("text", "name"), NAMES)
def test_attribute_names(text: str, name: Name) -> None:
    assert Name.parse(text) == name


def test_errors_say_what_to_answer() -> None:
    assert answer_to(PeerError("bad", 420, "Bad Extension")) == (420, "Bad Extension", "")
    assert answer_to(StorageError("down", retry_after=7)).headers == "Retry-After: 7\r\n"
    assert answer_to(RuntimeError("bug")).status == 500
