"""Rules about relaying: Record-Route, branches, lookups, registrations."""

from __future__ import annotations

from collections.abc import Iterator

from sipyard.arguments import RouteKind
from sipyard.script.lint.effects import RECORDING, SAVING
from sipyard.script.lint.rule import Finding, rule
from sipyard.script.lint.states import Dialog, Known, mask, method_names, methods_of, told
from sipyard.script.lint.subject import Subject
from sipyard.script.source import Severity
from sipyard.script.tree import Call, If, Route, Statement
from sipyard.script.usage import reads_retcode

_FORMING = mask("INVITE", "SUBSCRIBE")
"""Methods that form dialogs (RFC 3261 §12.1, RFC 6665 §4.4)."""


@rule(
    "record-route-late",
    Severity.WARNING,
    summary="record_route after the request was relayed",
    reason="the request has left without it, so later requests of the dialog go past this server",
    source="RFC 3261 §16.6 step 4",
    mend="write it before relaying",
)
def record_route_late(subject: Subject) -> Iterator[Finding]:
    """On any way."""
    for call, flow in subject.visits(RouteKind.REQUEST | RouteKind.FAILURE):
        late = [way for state, way in flow.items() if state.relayed is Known.YES]
        if call.name in RECORDING and late:
            yield Finding(call.name_place, f"{call.name} comes after the request was relayed")


@rule(
    "record-route-missing",
    Severity.WARNING,
    summary="a request that forms a dialog is relayed without record_route, in a script that follows routes",
    reason="ACK, BYE and all later requests of the dialog go past this server",
    source="RFC 3261 §16.6 step 4, §12.1",
    mend="call record_route before relaying INVITE and SUBSCRIBE",
)
def record_route_missing(subject: Subject) -> Iterator[Finding]:
    """Only where the script shows that it wants to stay: by loose_route or a record_route elsewhere."""
    if not subject.call_names & (RECORDING | {"loose_route"}):
        return
    for call, flow in subject.visits(RouteKind.REQUEST):
        if not subject.effect(call).relays:
            continue
        bare = {
            state: way
            for state, way in flow.items()
            if state.methods & _FORMING
            and not state.recorded
            and state.dialog is not Dialog.INSIDE
            and state.answered is not Known.YES
        }
        if bare:
            methods = methods_of(bare) & _FORMING
            message = f"{method_names(methods)} can be relayed without record_route{told(bare)}"
            yield Finding(call.name_place, message)


@rule(
    "record-route-register",
    Severity.WARNING,
    summary="record_route for a REGISTER",
    reason="REGISTER forms no dialog, and registrars ignore Record-Route",
    source="RFC 3261 §10.2, §10.3",
    mend="leave it out; Path (RFC 3327) is what a REGISTER leaves a route with",
)
def record_route_register(subject: Subject) -> Iterator[Finding]:
    """Where only REGISTER comes."""
    for call, flow in subject.visits(RouteKind.REQUEST):
        if call.name in RECORDING and all(state.methods == mask("REGISTER") for state in flow):
            yield Finding(call.name_place, f"only REGISTER comes to this {call.name}")


@rule(
    "failure-no-branch",
    Severity.WARNING,
    summary="a failure_route relays without a new branch",
    reason="all branches have ended; without a new one there is nowhere to send the request to",
    source="RFC 3261 §16.7 step 5, §16.6; SER tm",
    mend="call append_branch before t_relay",
)
def failure_no_branch(subject: Subject) -> Iterator[Finding]:
    """Where no way has made one."""
    for call, flow in subject.visits(RouteKind.FAILURE):
        is_bare = all(state.branched is Known.NO for state in flow)
        if subject.effect(call).relays and call.name.startswith("t_") and is_bare:
            yield Finding(call.name_place, f"no append_branch comes before this {call.name}")


@rule(
    "relay-loop",
    Severity.WARNING,
    summary="the result of looking up a user's location is not looked at",
    reason="for a user who is not registered the request goes back to this server until Max-Forwards ends it",
    source="RFC 3261 §16.5, §21.4.5",
    mend='write if (!lookup("location")) { sl_reply("404", "Not Found"); drop; }',
)
def relay_loop(subject: Subject) -> Iterator[Finding]:
    """A lookup that stands as a statement of its own with more after it; lookups of aliases may fail."""
    for route in subject.tree.routes:
        for call in _bare_calls(route):
            table = call.arguments[0].value if call.arguments else None
            if call.name in ("lookup", "lookup_contacts") and table == "location":
                flow = subject.walk.flow_at(call)
                if any(state.entry is RouteKind.REQUEST for state in flow) and not _tests_result(route, call):
                    yield Finding(call.name_place, f"whether {call.name} found anybody is not looked at")


def _bare_calls(route: Route) -> Iterator[Call]:
    def inside(body: list[Statement]) -> Iterator[Call]:
        for statement in body:
            if isinstance(statement, Call):
                yield statement
            elif isinstance(statement, If):
                yield from inside(statement.then)
                yield from inside(statement.otherwise or [])

    yield from inside(route.body)


def _tests_result(route: Route, call: Call) -> bool:
    """Whether something after the call may read its result from `$?`, or the request is not relayed but
    redirected."""
    return reads_retcode(route.body) or route.body[-1] is call


@rule(
    "save-not-register",
    Severity.WARNING,
    summary="contacts of something that is no REGISTER are saved",
    reason="only a REGISTER carries bindings",
    source="RFC 3261 §10.3",
    mend='call it under if (method == "REGISTER")',
)
def save_not_register(subject: Subject) -> Iterator[Finding]:
    """Where no REGISTER comes, or where nothing tells REGISTER from the rest."""
    for call, flow in subject.visits(RouteKind.REQUEST):
        if call.name not in SAVING:
            continue
        others = [state for state in flow if state.methods != mask("REGISTER")]
        if others:
            message = f"{method_names(others[0].methods & ~mask('REGISTER'))} can come to this {call.name}"
            yield Finding(call.name_place, message)


@rule(
    "max-forwards",
    Severity.NOTE,
    summary="a script relays and never looks at Max-Forwards",
    reason="a proxy must refuse a request whose Max-Forwards is 0: it is what ends loops",
    source="RFC 3261 §16.3 step 3, §16.6 step 3",
    mend='begin with if (!mf_process_maxfwd_header("10")) { sl_reply("483", "Too Many Hops"); drop; }',
)
def max_forwards(subject: Subject) -> Iterator[Finding]:
    """Once a script, at its first relay."""
    if subject.call_names & {"mf_process_maxfwd_header", "process_maxfwd", "mf_lowlimit"}:
        return
    for call, _ in subject.visits(RouteKind.REQUEST):
        if subject.effect(call).relays:
            yield Finding(call.name_place, "nothing looks at Max-Forwards before relaying")
            return
