"""The control flow of a script: every way of a message through its tree, with what is known on it.

The walk is over the structure (the language has no loops): a statement turns the states before it into those
after it, a condition into those for which it is true and those for which it is false. A called route is
walked with the states of its caller. What reached a place is kept for the rules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sipyard.arguments import ArgumentError, Generation, RouteKind, number_of
from sipyard.errors import Place
from sipyard.regex import Regex
from sipyard.script.lint.effects import RECORDING, UNKNOWN, Effect
from sipyard.script.lint.states import METHODS, OTHER, Dialog, Flow, Known, State, decided, mask, merge
from sipyard.script.tree import (
    Action,
    Assign,
    Block,
    Call,
    Compare,
    Expression,
    If,
    Logic,
    Not,
    Operand,
    Route,
    RouteCall,
    Statement,
    Stop,
    StopKind,
    Tree,
    Truth,
)

_SENDERS: Final = (
    *("src_ip", "dst_ip", "src_port", "dst_port", "proto", "af", "@src", "@dst", "@received"),
    *("@msg", "@hf_value", "@contact", "from_uri", "@from", "status"),
)
"""What tells senders apart: that a script drops what somebody sends is meant."""
_NOT_HEARD_AGAIN: Final = mask("ACK", "CANCEL")
_DEEPEST: Final = 60


@dataclass(slots=True)
class Ends:
    """How a block may be left: by its end, by leaving the route with a result, by ending the script."""

    falls: Flow = field(default_factory=dict)
    true: Flow = field(default_factory=dict)
    false: Flow = field(default_factory=dict)


@dataclass(slots=True)
class End:
    """A place where a message's way ends. `by` is the statement, or None for the end of the block."""

    place: Place
    by: Stop | None
    flow: Flow


@dataclass(slots=True)
class Walk:
    """The outcome: which states reach which statement, and where ways end."""

    tree: Tree
    generation: Generation
    effect: Callable[[Call], Effect]
    reached: dict[int, Flow] = field(default_factory=dict)
    """By `id()` of a statement."""
    ends: dict[Place, End] = field(default_factory=dict)
    entered: set[tuple[RouteKind, str]] = field(default_factory=set)
    _routes: dict[str, Route] = field(default_factory=dict)
    _stack: list[str] = field(default_factory=list)
    _known: dict[tuple[str, frozenset[State]], Ends] = field(default_factory=dict)

    def run(self) -> Walk:
        """Walk from every block that the server enters by itself."""
        self._routes = {each.name or "0": each for each in self.tree.routes if each.kind is RouteKind.REQUEST}
        for route in self.tree.routes:
            if route.kind is RouteKind.REQUEST and route.name is not None:
                continue
            methods = State().methods
            if route.kind is not RouteKind.REQUEST:
                methods &= ~_NOT_HEARD_AGAIN
            transaction = Known.NO if route.kind is RouteKind.REQUEST else Known.YES
            start: Flow = {State(route.kind, methods, transaction=transaction): ()}
            self.entered.add((route.kind, route.name or "0"))
            ends = self._body(route.body, start)
            if ends.falls:
                self._end(route.end, None, ends.falls)
        return self

    def flow_at(self, statement: Statement) -> Flow:
        """The states that reach a statement; empty when nothing does."""
        return self.reached.get(id(statement), {})

    # -- statements ------------------------------------------------------------------------------------------

    def _body(self, body: list[Statement], flow: Flow) -> Ends:
        ends = Ends(flow)
        for statement in body:
            if not ends.falls:
                break
            before = self.reached.get(id(statement), {})
            self.reached[id(statement)] = merge(before, ends.falls)
            after = self._statement(statement, ends.falls)
            ends = Ends(after.falls, merge(ends.true, after.true), merge(ends.false, after.false))
        return ends

    def _statement(self, statement: Statement, flow: Flow) -> Ends:
        if isinstance(statement, Stop):
            return self._stop(statement, flow)
        if isinstance(statement, If):
            return self._if(statement, flow)
        if isinstance(statement, Call | RouteCall):
            true, false = self._call(statement, flow)
            return Ends(merge(true, false))
        if isinstance(statement, Assign):
            value = statement.value
            if isinstance(value, Call | RouteCall):
                self.reached[id(value)] = merge(self.flow_at(value), flow)
                true, false = self._call(value, flow)
                return Ends(merge(true, false))
            if not isinstance(value, Operand):
                return Ends(merge(*self._condition(value, flow, value.place.line)))
        return Ends(flow)

    def _if(self, statement: If, flow: Flow) -> Ends:
        true, false = self._condition(statement.condition, flow, statement.place.line)
        if self._only_records(statement.then):
            false = _with_decision(false)
        then = self._body(statement.then, true)
        otherwise = self._body(statement.otherwise or [], false)
        return Ends(
            merge(then.falls, otherwise.falls),
            merge(then.true, otherwise.true),
            merge(then.false, otherwise.false),
        )

    def _only_records(self, body: list[Statement]) -> bool:
        """Whether a body is about recording the route and the request goes on after it."""
        calls = [each for each in body if isinstance(each, Call)]
        is_short = not any(isinstance(each, RouteCall | Stop) for each in body)
        is_kept = not any(self.effect(each).relays for each in calls)
        return is_short and is_kept and any(each.name in RECORDING for each in calls)

    def _stop(self, stop: Stop, flow: Flow) -> Ends:
        leaves_route = self.generation is Generation.SER_0_9 or stop.kind in (StopKind.BREAK, StopKind.RETURN)
        if not leaves_route or not self._stack:
            self._end(stop.place, stop, flow)
            return Ends()
        if stop.by_retcode:
            return Ends({}, flow, flow)
        value = stop.value if stop.value is not None else 1 if stop.kind is StopKind.RETURN else 0
        is_true = value > 0 or (value == 0 and self.generation is Generation.SER_0_9)
        return Ends({}, flow, {}) if is_true else Ends({}, {}, flow)

    def _end(self, place: Place, by: Stop | None, flow: Flow) -> None:
        end = self.ends.setdefault(place, End(place, by, {}))
        end.flow = merge(end.flow, flow)

    # -- calls -----------------------------------------------------------------------------------------------

    def _call(self, call: Call | RouteCall, flow: Flow) -> tuple[Flow, Flow]:
        if isinstance(call, RouteCall):
            ends = self._enter(call.name, flow)
            return merge(ends.true, ends.falls), merge(ends.false, ends.falls)
        effect = self.effect(call)
        if effect.replies and is_provisional(call):
            return flow, {}
        true: Flow = {}
        false: Flow = {}
        for state, way in flow.items():
            for outcome, into in ((True, true), (False, false)):
                into.setdefault(effect.after(state, outcome), way)
        return true, false

    def _enter(self, name: str, flow: Flow) -> Ends:
        route = self._routes.get(name)
        if route is None or name in self._stack or len(self._stack) > _DEEPEST:
            anything: Flow = {}
            for state, way in flow.items():
                anything.setdefault(UNKNOWN.after(state, True), way)
            return Ends(anything)
        self.entered.add((RouteKind.REQUEST, name))
        key = (name, frozenset(flow))
        found = self._known.get(key)
        if found is None:
            self._stack.append(name)
            found = self._body(route.body, flow)
            self._stack.pop()
            self._known[key] = found
        return found

    # -- conditions ------------------------------------------------------------------------------------------

    def _condition(self, node: Expression, flow: Flow, line: int) -> tuple[Flow, Flow]:
        true, false = self._expression(node, flow)
        return decided(true, line, True), decided(false, line, False)

    def _expression(self, node: Expression, flow: Flow) -> tuple[Flow, Flow]:
        if isinstance(node, Not):
            true, false = self._expression(node.inner, flow)
            return false, true
        if isinstance(node, Logic):
            return self._logic(node, flow)
        if isinstance(node, Action):
            return self._action(node.statement, flow)
        if isinstance(node, Block):
            falls = self._body(node.body, flow).falls
            return falls, falls
        if isinstance(node, Compare):
            return _compared(node, flow)
        if isinstance(node, Truth):
            return _true(node, flow)
        return flow, flow

    def _logic(self, node: Logic, flow: Flow) -> tuple[Flow, Flow]:
        is_and = node.operator in ("and", "&&", "&")
        settled: Flow = {}
        for part in node.parts:
            true, false = self._expression(part, flow)
            flow = true if is_and else false
            settled = merge(settled, false if is_and else true)
        return (flow, settled) if is_and else (settled, flow)

    def _action(self, statement: Statement, flow: Flow) -> tuple[Flow, Flow]:
        self.reached[id(statement)] = merge(self.flow_at(statement), flow)
        if isinstance(statement, Call | RouteCall):
            return self._call(statement, flow)
        falls = self._statement(statement, flow).falls
        return falls, falls


def is_provisional(call: Call) -> bool:
    """Whether a reply function answers with a 1xx."""
    status = status_of(call)
    return status is not None and status < 200


def status_of(call: Call) -> int | None:
    """The status that a reply function is given; None when it is not a constant."""
    if not call.arguments or call.arguments[0].kind not in ("string", "number"):
        return None
    value = call.arguments[0].value
    return value if isinstance(value, int) else number_of(value)


def _narrowed(flow: Flow, methods: int) -> Flow:
    narrowed: Flow = {}
    for state, way in flow.items():
        if state.methods & methods:
            narrowed.setdefault(state._replace(methods=state.methods & methods), way)
    return narrowed


def _with_dialog(flow: Flow, dialog: Dialog) -> Flow:
    known: Flow = {}
    for state, way in flow.items():
        if state.dialog in (Dialog.UNKNOWN, dialog):
            known.setdefault(state._replace(dialog=dialog), way)
    return known


def _with_decision(flow: Flow) -> Flow:
    """The script could have recorded the route here and did not want to."""
    return {state._replace(recorded=True): way for state, way in flow.items()}


def _sifted(flow: Flow) -> Flow:
    return {state._replace(sifted=True): way for state, way in flow.items()}


def _compared(node: Compare, flow: Flow) -> tuple[Flow, Flow]:
    left, value = str(node.left.value), node.right.value
    if left in ("method", "@method") and node.right.kind in ("word", "string"):
        return _by_method(node.operator, str(value), flow)
    if left in ("@to.tag", "@t.tag") and value == "" and node.operator in ("==", "!="):
        # A missing tag makes `==` false and `!=` true, so neither tells both cases apart.
        outside = _with_dialog(flow, Dialog.OUTSIDE)
        return (outside, flow) if node.operator == "==" else (flow, outside)
    if left.startswith(_SENDERS):
        return (flow, _sifted(flow)) if node.operator == "!=" else (_sifted(flow), flow)
    return flow, flow


def _by_method(operator: str, text: str, flow: Flow) -> tuple[Flow, Flow]:
    if operator == "=~":
        try:
            search = Regex(text).search
        except ArgumentError:
            return flow, flow
        methods = sum(1 << number for number, name in enumerate(METHODS) if search(name))
        return _narrowed(flow, methods | OTHER), _narrowed(flow, ~methods)
    upper = text.upper()
    if upper not in METHODS:
        same, other = _narrowed(flow, OTHER), flow
    else:
        same, other = _narrowed(flow, mask(upper)), _narrowed(flow, ~mask(upper))
    return (other, same) if operator == "!=" else (same, other)


def _true(node: Truth, flow: Flow) -> tuple[Flow, Flow]:
    operand = node.operand
    if operand.kind == "number":
        return (flow, {}) if int(operand.value) > 0 else ({}, flow)
    if operand.kind == "select" and operand.value in ("@to.tag", "@t.tag"):
        return _with_dialog(flow, Dialog.INSIDE), _with_dialog(flow, Dialog.OUTSIDE)
    return flow, flow
