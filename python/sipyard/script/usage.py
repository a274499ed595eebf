"""What the blocks of a script use: which routes call which, and whether `$?` is read."""

from __future__ import annotations

from collections.abc import Iterator

from sipyard.arguments import RouteKind
from sipyard.script.tree import (
    Action,
    Assign,
    BitTest,
    Block,
    Call,
    Compare,
    Expression,
    If,
    Logic,
    Not,
    Operand,
    RouteCall,
    Statement,
    Stop,
    Tree,
    Truth,
)


def statements_in(body: list[Statement]) -> Iterator[Statement]:
    """All statements of a block, those in conditions and nested blocks included."""
    for statement in body:
        yield statement
        if isinstance(statement, If):
            yield from _in_expression(statement.condition)
            yield from statements_in(statement.then)
            yield from statements_in(statement.otherwise or [])
        elif isinstance(statement, Assign):
            value = statement.value
            if isinstance(value, Call | RouteCall):
                yield value
            elif not isinstance(value, Operand):
                yield from _in_expression(value)


def _in_expression(node: Expression) -> Iterator[Statement]:
    if isinstance(node, Logic):
        for part in node.parts:
            yield from _in_expression(part)
    elif isinstance(node, Not):
        yield from _in_expression(node.inner)
    elif isinstance(node, Action):
        yield from statements_in([node.statement])
    elif isinstance(node, Block):
        yield from statements_in(node.body)


def _operands(node: Expression) -> Iterator[Operand]:
    if isinstance(node, Logic):
        for part in node.parts:
            yield from _operands(part)
    elif isinstance(node, Not):
        yield from _operands(node.inner)
    elif isinstance(node, Compare):
        yield node.left
        yield node.right
    elif isinstance(node, Truth):
        yield node.operand
    elif isinstance(node, BitTest):
        yield node.attribute
        yield node.mask


def reads_retcode(body: list[Statement]) -> bool:
    """Whether `$?` is read in a block."""
    for statement in statements_in(body):
        if isinstance(statement, Stop) and statement.by_retcode:
            return True
        if isinstance(statement, If) and any(
            each.kind == "retcode" for each in _operands(statement.condition)
        ):
            return True
        if isinstance(statement, Assign):
            value = statement.value
            if isinstance(value, Operand):
                if value.kind == "retcode":
                    return True
            elif not isinstance(value, Call | RouteCall) and any(
                each.kind == "retcode" for each in _operands(value)
            ):
                return True
        if isinstance(statement, Call) and any(
            str(each.value).lower() in ("$?", "$retcode") for each in statement.arguments
        ):
            return True
    return False


def recursive_routes(tree: Tree) -> set[str]:
    """Route blocks that can reach themselves, or whose chain of calls is longer than allowed: these count
    their nesting at run time."""
    from sipyard.script.runtime import MAX_NESTING

    calls: dict[str, set[str]] = {}
    for route in tree.routes:
        if route.kind is RouteKind.REQUEST:
            found = {each.name for each in statements_in(route.body) if isinstance(each, RouteCall)}
            calls.setdefault(route.name or "0", set()).update(found)
    if len(calls) > MAX_NESTING:
        return set(calls)
    recursive = set()
    for name in calls:
        reached: set[str] = set()
        waiting = list(calls[name])
        while waiting:
            each = waiting.pop()
            if each not in reached:
                reached.add(each)
                waiting += calls.get(each, ())
        if name in reached:
            recursive.add(name)
    return recursive
