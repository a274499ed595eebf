"""Which SER a script is written for.

The rule, in this order (docs/guides/script.md says it to users):

1. what the caller demands (`sipyard check --ser 2.0`);
2. a comment line `#!SER 0.9` or `#!SER 2.0` anywhere in the file;
3. a construct that only SER 2.0 has: attributes, selects, named routes, `flags`, `return`, branch_route, a
   2.0-only setting, module, function or module parameter;
4. otherwise SER 0.9: such a script means the same in both but for `drop`, and that in its favour.

In a script read as 2.0, what only 0.9 has is an error, and the other way round.
"""

from __future__ import annotations

from collections.abc import Iterator

from sipyard.arguments import Generation
from sipyard.registry import module_name_of
from sipyard.script import knowledge
from sipyard.script.core_parameters import SETTINGS
from sipyard.script.source import Findings
from sipyard.script.tree import Action, Assign, Block, Call, Expression, If, Logic, Not, Sign, Statement, Tree


def decide(tree: Tree, findings: Findings, demanded: Generation | None) -> tuple[Generation, str]:
    """The generation and why, in words for the report. Constructs of the other one are reported."""
    signs = sorted([*tree.signs, *_more_signs(tree)], key=lambda sign: sign.place)
    newest = next((sign for sign in signs if sign.is_new), None)
    if demanded is not None:
        chosen, reason = demanded, "as demanded"
    elif tree.directive is not None:
        chosen = Generation.SER_2_0 if tree.directive.is_new else Generation.SER_0_9
        reason = f"line {tree.directive.place.line} says {tree.directive.what}"
    elif newest is not None:
        chosen, reason = Generation.SER_2_0, f"line {newest.place.line} has {newest.what}"
    else:
        chosen, reason = Generation.SER_0_9, "nothing in it needs SER 2.0"
    _contradictions(signs, chosen, reason, findings)
    return chosen, reason


def _contradictions(signs: list[Sign], chosen: Generation, reason: str, findings: Findings) -> None:
    is_new = chosen is Generation.SER_2_0
    other = "SER 0.9" if is_new else "SER 2.0"
    said: set[str] = set()
    for sign in signs:
        if sign.is_new == is_new or sign.what in said:
            continue
        said.add(sign.what)
        hint = f"the script is read as {chosen}: {reason}"
        if sign.what == "`|` for `or`" or sign.what == "`&` for `and`":
            hint = "write || or &&: in SER 2.0 these are bit operators on attributes"
        findings.error(
            f"{sign.what} exist{'' if sign.what.endswith(')') else 's'} in {other} only", sign.place, hint
        )


def _more_signs(tree: Tree) -> Iterator[Sign]:
    """Signs that names give."""
    for setting in tree.settings:
        row = SETTINGS.get(setting.name)
        if row is not None and row.generations is not Generation.BOTH:
            yield Sign(row.generations is Generation.SER_2_0, f"setting {setting.name}", setting.place)
    for load in tree.modules:
        name = module_name_of(load.path)
        only = knowledge.generation_of_module(name)
        if only is not None:
            yield Sign(only is Generation.SER_2_0, f"module {name}", load.path_place)
    for parameter in tree.parameters:
        only = knowledge.generation_of_parameter(parameter.module, parameter.name)
        if only is not None:
            what = f"parameter {parameter.name} of module {parameter.module}"
            yield Sign(only is Generation.SER_2_0, what, parameter.name_place)
    for route in tree.routes:
        for call in calls_in(route.body):
            only = knowledge.generation_of_function(call.name)
            if only is not None:
                yield Sign(only is Generation.SER_2_0, f"function {call.name}", call.name_place)


def calls_in(body: list[Statement]) -> Iterator[Call]:
    """All calls in a block, conditions included."""
    for statement in body:
        if isinstance(statement, Call):
            yield statement
        elif isinstance(statement, If):
            yield from _calls_of(statement.condition)
            yield from calls_in(statement.then)
            yield from calls_in(statement.otherwise or [])
        elif isinstance(statement, Assign):
            if isinstance(statement.value, Call):
                yield statement.value
            elif isinstance(statement.value, Logic | Not | Action | Block):
                yield from _calls_of(statement.value)


def _calls_of(node: Expression) -> Iterator[Call]:
    if isinstance(node, Logic):
        for part in node.parts:
            yield from _calls_of(part)
    elif isinstance(node, Not):
        yield from _calls_of(node.inner)
    elif isinstance(node, Action):
        yield from calls_in([node.statement])
    elif isinstance(node, Block):
        yield from calls_in(node.body)
