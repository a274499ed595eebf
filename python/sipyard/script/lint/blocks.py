"""Rules about blocks: what nothing calls, arms or reaches."""

from __future__ import annotations

from collections.abc import Iterator

from sipyard.arguments import RouteKind
from sipyard.script.lint.rule import Finding, rule
from sipyard.script.lint.states import Known
from sipyard.script.lint.subject import Subject, nodes
from sipyard.script.source import Severity
from sipyard.script.tree import Block, If, Route, Statement, Stop

_ARMED_BY = {
    RouteKind.FAILURE: "t_on_failure",
    RouteKind.ONREPLY: "t_on_reply",
    RouteKind.BRANCH: "t_on_branch",
}


def _title(route: Route) -> str:
    return f"{route.kind.block}[{route.name}]"


@rule(
    "route-unused",
    Severity.WARNING,
    summary="a route block that nothing calls",
    reason="what stands in it never happens",
    source="SER core",
    mend="call it by route(NAME), or take it out",
)
def route_unused(subject: Subject) -> Iterator[Finding]:
    """Blocks that timers or RPC enter by a module parameter count as used."""
    for route in subject.tree.routes:
        if route.kind not in _ARMED_BY and not subject.is_used(route):
            yield Finding(route.place, f"{_title(route)} is never called")


@rule(
    "route-unarmed",
    Severity.WARNING,
    summary="a failure_route, onreply_route or branch_route that is never armed",
    reason="such a block runs only for transactions for which it was armed before relaying",
    source="RFC 3261 §16.7; SER tm",
    mend="arm it before t_relay by t_on_failure, t_on_reply or t_on_branch",
)
def route_unarmed(subject: Subject) -> Iterator[Finding]:
    """Whatever the name that `t_on_…` was given by mistake: that is an error of its own."""
    for route in subject.tree.routes:
        arming = _ARMED_BY.get(route.kind)
        if arming is not None and not subject.is_used(route):
            mend = f'call {arming}("{route.name}") before t_relay'
            yield Finding(route.place, f"{_title(route)} is never armed", mend)


@rule(
    "arm-late",
    Severity.WARNING,
    summary="t_on_failure, t_on_reply or t_on_branch after the request was relayed",
    reason="branches have left without it, and a reply may come before it",
    source="RFC 3261 §16.6, §16.7; SER tm",
    mend="arm it before t_relay",
)
def arm_late(subject: Subject) -> Iterator[Finding]:
    """Where all ways have relayed."""
    for call, flow in subject.visits(RouteKind.REQUEST):
        is_late = all(state.relayed is Known.YES for state in flow)
        if call.name in _ARMED_BY.values() and is_late:
            yield Finding(call.name_place, f"{call.name} comes after the request was relayed")


@rule(
    "unreachable",
    Severity.WARNING,
    summary="a statement that no message can reach",
    reason="it never runs: something before it ends every way, or its condition can never be true there",
    source="SER core",
    mend="take it out, or move it before what ends the way",
)
def unreachable(subject: Subject) -> Iterator[Finding]:
    """The first such statement of a body; a stop that only makes sure is fine."""
    for route in subject.tree.routes:
        was_entered = (route.kind, route.name or "0") in subject.walk.entered
        for body in _bodies(route):
            yield from _first_dead(subject, body, was_entered)


def _bodies(route: Route) -> Iterator[list[Statement]]:
    yield route.body
    for node in nodes(route.body):
        if isinstance(node, If):
            yield node.then
            yield node.otherwise or []
        elif isinstance(node, Block):
            yield node.body


def _first_dead(subject: Subject, body: list[Statement], was_entered: bool) -> Iterator[Finding]:
    is_alive = True
    for number, statement in enumerate(body):
        before = body[number - 1] if number else None
        if isinstance(before, Stop):
            yield Finding(statement.place, f"this is never reached: `{before.kind.value}` stands before it")
            return
        is_reached = bool(subject.walk.flow_at(statement))
        if was_entered and not is_reached and is_alive and (number or _is_alive_around(subject, body)):
            if not isinstance(statement, Stop):
                yield Finding(statement.place, "no message can reach this")
                return
            is_alive = False


def _is_alive_around(subject: Subject, body: list[Statement]) -> bool:
    """Whether the `if` around a body is reached, so that its condition is what keeps messages out."""
    for node in nodes(subject.tree.routes):
        if isinstance(node, If) and (node.then is body or node.otherwise is body):
            return bool(subject.walk.flow_at(node))
    return True
