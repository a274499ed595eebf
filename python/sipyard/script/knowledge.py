"""What SER's own modules export, so that a function of a module that this build lacks is named as such.

The data (`ser_modules.json`) are facts about SER 0.9.6 and 2.0: per generation and module the functions
with arity and route kinds, the parameters with type, the RPC commands; and whose a select is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any

from sipyard.arguments import Generation

_KEYS = {Generation.SER_0_9: "0.9", Generation.SER_2_0: "2.0"}


@cache
def _data() -> dict[str, dict[str, Any]]:
    loaded: dict[str, dict[str, Any]] = json.loads(
        files("sipyard.script").joinpath("ser_modules.json").read_text("utf-8")
    )
    return loaded


def _of(generation: Generation) -> Iterator[tuple[str, dict[str, Any]]]:
    for each, key in _KEYS.items():
        if each in generation:
            yield from _data()[key].items()


def exports(generation: Generation) -> dict[str, dict[str, Any]]:
    """All that the modules of one generation export, by the module's name."""
    return dict(_of(generation))


def module_names(generation: Generation = Generation.BOTH) -> frozenset[str]:
    """Modules that SER had."""
    return frozenset(name for name, _ in _of(generation))


def modules_with_function(name: str, generation: Generation = Generation.BOTH) -> tuple[str, ...]:
    """SER's modules that export a script function."""
    return tuple(
        dict.fromkeys(module for module, facts in _of(generation) if name in facts.get("functions", {}))
    )


def functions(generation: Generation = Generation.BOTH) -> frozenset[str]:
    """All script functions of SER's modules."""
    return frozenset(name for _, facts in _of(generation) for name in facts.get("functions", {}))


def parameter_type(module: str, name: str, generation: Generation = Generation.BOTH) -> str | None:
    """ "number", "string" or "number or string"; None when SER's module has no such parameter."""
    for each, facts in _of(generation):
        if each == module and name in facts.get("parameters", {}):
            return str(facts["parameters"][name])
    return None


def module_of_select(root: str, following: str = "") -> str | None:
    """The module that a select belongs to (`@hf_value`, `@rr.dialog_cookie`)."""
    selects = _data()["selects"]
    found = selects.get(f"{root}.{following}") or selects.get(root)
    return None if found is None else str(found)


def generation_of_function(name: str) -> Generation | None:
    """The only generation that has a function; None when both or neither have it."""
    return _only(name in functions(Generation.SER_0_9), name in functions(Generation.SER_2_0))


def generation_of_module(name: str) -> Generation | None:
    """The only generation that has a module; None when both or neither have it."""
    return _only(name in module_names(Generation.SER_0_9), name in module_names(Generation.SER_2_0))


def generation_of_parameter(module: str, name: str) -> Generation | None:
    """The only generation that has a module parameter; None when both or neither have it."""
    old = parameter_type(module, name, Generation.SER_0_9) is not None
    return _only(old, parameter_type(module, name, Generation.SER_2_0) is not None)


def _only(old: bool, new: bool) -> Generation | None:
    if old == new:
        return None
    return Generation.SER_0_9 if old else Generation.SER_2_0
