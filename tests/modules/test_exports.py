"""Every module has what SER's had: functions with their arities and blocks, parameters, commands."""

from __future__ import annotations

from typing import Any

import pytest

from sipyard.arguments import Generation, RouteKind
from sipyard.module import Function, Module
from sipyard.registry import available, module_class
from sipyard.script import knowledge

MISSING: dict[str, str] = {
    # Diameter
    "acc": "acc_diam_request diameter_flag diameter_missed_flag diameter_client_host diameter_client_port",
    # another From on the way
    "uac": "uac_replace_from uac_restore_from from_store_param from_restore_mode",
}
"""What is not there yet, by module."""
GENERATIONS = (Generation.SER_0_9, Generation.SER_2_0)
CASES = [
    (generation, name, facts)
    for generation in GENERATIONS
    for name, facts in knowledge.exports(generation).items()
    if name in available()
]


def ids(value: object) -> str | None:
    return str(value) if isinstance(value, str | Generation) else ""


@pytest.mark.parametrize(("generation", "name", "facts"), CASES, ids=ids)
def test_exports(generation: Generation, name: str, facts: dict[str, Any]) -> None:
    module = module_class(name)
    missing = MISSING.get(name, "").split()
    for function, told in facts.get("functions", {}).items():
        ours = function_of(module, function, generation)
        assert (ours is None) == (function in missing), function
        if ours is None:
            continue
        for arity in told["arity"]:
            assert ours.required <= arity <= len(ours.kinds), f"{function}/{arity}"
        assert RouteKind.from_letters(told["routes"]) in ours.routes, function
    for parameter in facts.get("parameters", {}):
        declared = module.parameters.get(parameter)
        is_there = declared is not None and generation in declared.generations
        assert is_there == (parameter not in missing), parameter
    old_names = {each.old_name for each in module.rpcs.values()}
    for command in facts.get("commands", ()):
        assert command in module.rpcs or command in old_names, command


def function_of(module: type[Module], name: str, generation: Generation) -> Function | None:
    """What a name means in a generation."""
    variants = module.variants.get(name, ())
    return next((each for each in variants if generation in each.generations), None)
