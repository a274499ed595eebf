"""Rules about answers: that there is one, only one, and that it says what it means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Final

from sipyard.arguments import Generation, RouteKind
from sipyard.script.lint.effects import REPLYING
from sipyard.script.lint.flow import End, is_provisional, status_of
from sipyard.script.lint.rule import Finding, rule
from sipyard.script.lint.states import Flow, Known, mask, method_names, methods_of, told
from sipyard.script.lint.subject import Subject
from sipyard.script.source import Severity
from sipyard.script.tree import Call, StopKind

PHRASES: Final = {
    int(line[:3]): line[4:]
    for line in """
100 Trying
180 Ringing
181 Call Is Being Forwarded
182 Queued
183 Session Progress
199 Early Dialog Terminated
200 OK
202 Accepted
204 No Notification
300 Multiple Choices
301 Moved Permanently
302 Moved Temporarily
305 Use Proxy
380 Alternative Service
400 Bad Request
401 Unauthorized
402 Payment Required
403 Forbidden
404 Not Found
405 Method Not Allowed
406 Not Acceptable
407 Proxy Authentication Required
408 Request Timeout
410 Gone
412 Conditional Request Failed
413 Request Entity Too Large
414 Request-URI Too Long
415 Unsupported Media Type
416 Unsupported URI Scheme
417 Unknown Resource-Priority
420 Bad Extension
421 Extension Required
422 Session Interval Too Small
423 Interval Too Brief
424 Bad Location Information
428 Use Identity Header
429 Provide Referrer Identity
430 Flow Failed
433 Anonymity Disallowed
436 Bad Identity-Info
437 Unsupported Certificate
438 Invalid Identity Header
439 First Hop Lacks Outbound Support
440 Max-Breadth Exceeded
469 Bad Info Package
470 Consent Needed
480 Temporarily Unavailable
481 Call/Transaction Does Not Exist
482 Loop Detected
483 Too Many Hops
484 Address Incomplete
485 Ambiguous
486 Busy Here
487 Request Terminated
488 Not Acceptable Here
489 Bad Event
491 Request Pending
493 Undecipherable
494 Security Agreement Required
500 Server Internal Error
501 Not Implemented
502 Bad Gateway
503 Service Unavailable
504 Server Time-out
505 Version Not Supported
513 Message Too Large
555 Push Notification Service Not Supported
580 Precondition Failure
600 Busy Everywhere
603 Decline
604 Does Not Exist Anywhere
606 Not Acceptable
607 Unwanted
608 Rejected
""".strip().splitlines()
}
"""Status and reason phrase as the registry of SIP response codes has them (RFC 3261 §21, §27.4)."""
_ALIKE: Final = 0.88
_REQUEST, _FAILURE = RouteKind.REQUEST, RouteKind.FAILURE


def _unhandled(end: End) -> Flow:
    """What ends here with nothing done about it. An ACK is never answered (RFC 3261 §17)."""
    return {
        state: way
        for state, way in end.flow.items()
        if state.entry is _REQUEST and not state.is_handled and state.methods & ~mask("ACK")
    }


@rule(
    "no-answer",
    Severity.WARNING,
    summary="a way of a request ends without answering or relaying it",
    reason="the caller hears nothing, retransmits for 32 seconds and gives up with a timeout",
    source="RFC 3261 §8.2.6, §17.1",
    mend="relay the request or end the way with sl_reply",
)
def no_answer(subject: Subject) -> Iterator[Finding]:
    """Ways that run out of statements."""
    for end in subject.walk.ends.values():
        left = _unhandled(end) if end.by is None else {}
        if left:
            methods = method_names(methods_of(left) & ~mask("ACK"))
            yield Finding(end.place, f"{methods} can end here neither answered nor relayed{told(left)}")


@rule(
    "silent-drop",
    Severity.WARNING,
    summary="a request is dropped without an answer, and not because of who sent it",
    reason="the caller hears nothing, retransmits for 32 seconds and gives up with a timeout",
    source="RFC 3261 §8.2.6, §17.1",
    mend="answer with sl_reply before it; if silence is meant, say so with a lint comment",
)
def silent_drop(subject: Subject) -> Iterator[Finding]:
    """Ways that the script ends on purpose; dropping by address, User-Agent or rate is taken as meant."""
    for end in subject.walk.ends.values():
        left = _unhandled(end) if end.by is not None else {}
        left = {state: way for state, way in left.items() if not state.sifted}
        if left and end.by is not None:
            methods = method_names(methods_of(left) & ~mask("ACK"))
            yield Finding(end.place, f"{end.by.kind.value} leaves {methods} without an answer{told(left)}")


def _final_replies(subject: Subject) -> Iterator[tuple[Call, Flow]]:
    for call, flow in subject.visits(_REQUEST):
        if call.name in REPLYING and not is_provisional(call):
            yield call, flow


@rule(
    "answered-twice",
    Severity.WARNING,
    summary="a request that was answered already is answered again",
    reason="a request has one final response; the second one is lost or confuses the caller",
    source="RFC 3261 §8.2.6, §17.2",
    mend="end the way after the first reply",
)
def answered_twice(subject: Subject) -> Iterator[Finding]:
    """Only where every way here has an answer, or one surely has and nothing unsure came between."""
    for call, flow in _final_replies(subject):
        again = {state: way for state, way in flow.items() if state.answered is Known.YES}
        if again:
            message = f"the request can have been answered already{told(again)}"
            yield Finding(call.name_place, message, _stop_word(subject))


@rule(
    "relay-after-reply",
    Severity.WARNING,
    summary="a request that was answered already is relayed",
    reason="the callee is called although the caller has been told otherwise",
    source="RFC 3261 §16.2, §17.2",
    mend="end the way after the reply",
)
def relay_after_reply(subject: Subject) -> Iterator[Finding]:
    """The reply without the `drop` after it. A saved REGISTER may be sent on to another registrar."""
    for call, flow in subject.visits(_REQUEST):
        if subject.effect(call).relays:
            again = {
                state: way
                for state, way in flow.items()
                if state.answered is Known.YES and state.methods != mask("REGISTER")
            }
            if again:
                message = f"the request can have been answered before it is relayed{told(again)}"
                yield Finding(call.name_place, message, _stop_word(subject))


def _stop_word(subject: Subject) -> str:
    if subject.generation is Generation.SER_0_9:
        return "write break after the reply; in SER 0.9 it leaves one route only, so the caller must end too"
    return "write drop after the reply"


@rule(
    "reply-header-late",
    Severity.WARNING,
    summary="append_to_reply after the reply",
    reason="it adds to the reply that is still to be sent; the one before has left",
    source="RFC 3261 §8.2.6",
    mend="write it before the reply",
)
def reply_header_late(subject: Subject) -> Iterator[Finding]:
    """Where all ways have their answer."""
    for call, flow in subject.visits(_REQUEST):
        is_late = all(state.answered is Known.YES for state in flow)
        if call.name in ("append_to_reply", "attr_to_reply") and is_late:
            yield Finding(call.name_place, f"{call.name} comes after the reply")


@rule(
    "ack-answered",
    Severity.WARNING,
    summary="an ACK is answered",
    reason="an ACK has no response of any kind",
    source="RFC 3261 §17, §13.2.2.4",
    mend="relay it, or drop it without an answer",
)
def ack_answered(subject: Subject) -> Iterator[Finding]:
    """Replies that only ACK can reach."""
    for call, flow in subject.visits(_REQUEST):
        effect = subject.effect(call)
        if (effect.replies or effect.answers_last) and all(state.methods == mask("ACK") for state in flow):
            yield Finding(call.name_place, f"only ACK comes here, and {call.name} answers it")


def _normal(phrase: str) -> str:
    return re.sub(r"[^a-z]+", " ", phrase.lower()).strip()


_STATUSES: Final[dict[str, list[int]]] = {}
for _status, _phrase in PHRASES.items():
    _STATUSES.setdefault(_normal(_phrase), []).append(_status)


def meant_status(status: int, phrase: str) -> int | None:
    """The status whose phrase (RFC 3261 §21) stands beside another one; None when there is no such doubt."""
    wanted, own = _normal(phrase), _normal(PHRASES.get(status, ""))
    if own and (wanted in own or own in wanted):
        return None
    near = difflib.get_close_matches(wanted, _STATUSES, n=1, cutoff=_ALIKE)
    if not near or difflib.SequenceMatcher(None, wanted, own).ratio() >= _ALIKE:
        return None
    return min(_STATUSES[near[0]], key=lambda code: code // 100 != status // 100)


@rule(
    "status-reason",
    Severity.WARNING,
    summary="the reason phrase of a reply belongs to another status, or the status is none",
    reason="machines read the number and people the phrase: they are told different things",
    source="RFC 3261 §7.2, §21",
    mend="make status and phrase agree",
)
def status_reason(subject: Subject) -> Iterator[Finding]:
    """`sl_reply("483", "Temporarily Unavailable")`; phrases of one's own are fine."""
    for call in subject.calls:
        status = status_of(call) if call.name in REPLYING else None
        if status is None:
            continue
        if not 100 <= status <= 699:
            yield Finding(call.arguments[0].place, f"{status} is not a status: they are 100 to 699")
        elif len(call.arguments) > 1 and call.arguments[1].kind == "string":
            phrase = str(call.arguments[1].value)
            meant = meant_status(status, phrase)
            if meant is not None:
                mend = f"{status} is {PHRASES[status]}" if status in PHRASES else "look the status up"
                yield Finding(
                    call.arguments[1].place, f'"{phrase}" is the phrase of {meant}, not {status}', mend
                )


@rule(
    "challenge-empty",
    Severity.WARNING,
    summary="401 or 407 without a challenge in it",
    reason="the caller cannot compute an answer without WWW-Authenticate or Proxy-Authenticate",
    source="RFC 3261 §22.1, §20.44, §20.27",
    mend='write append_to_reply("%$digest_challenge") before it',
)
def challenge_empty(subject: Subject) -> Iterator[Finding]:
    """Replies before which no way adds a header."""
    for call, flow in _final_replies(subject):
        if status_of(call) in (401, 407) and not any(state.appended for state in flow):
            yield Finding(call.name_place, f"this {status_of(call)} carries no challenge")


@rule(
    "challenge-unchallengeable",
    Severity.WARNING,
    summary="401 or 407 to an ACK or CANCEL",
    reason="neither can be sent again with credentials: calls cannot be set up or ended",
    source="RFC 3261 §22.1",
    mend="let ACK and CANCEL pass before asking for credentials",
)
def challenge_unchallengeable(subject: Subject) -> Iterator[Finding]:
    """Challenges that an ACK or CANCEL can reach."""
    for call, flow in subject.visits(_REQUEST):
        is_challenge = call.name in REPLYING and status_of(call) in (401, 407)
        is_challenge |= call.name in ("www_challenge", "proxy_challenge")
        bare = {state: way for state, way in flow.items() if not state.refused}
        found = methods_of(bare) & mask("ACK", "CANCEL")
        if is_challenge and found:
            yield Finding(call.name_place, f"{method_names(found)} can be challenged here")


@rule(
    "challenge-kind",
    Severity.WARNING,
    summary="407 to a REGISTER",
    reason="a registrar is the addressee and asks with 401; 407 is what a proxy in between asks with",
    source="RFC 3261 §10.3, §22.2, §22.3",
    mend="use 401 and www_ functions",
)
def challenge_kind(subject: Subject) -> Iterator[Finding]:
    """Proxy challenges that only REGISTER reaches."""
    for call, flow in subject.visits(_REQUEST):
        is_407 = call.name in REPLYING and status_of(call) == 407
        if (is_407 or call.name == "proxy_challenge") and all(
            state.methods == mask("REGISTER") for state in flow
        ):
            yield Finding(call.name_place, "only REGISTER comes here, and is asked as by a proxy")


@rule(
    "t-reply-early",
    Severity.WARNING,
    summary="t_reply without a transaction",
    reason="t_reply answers through a transaction; without one it fails and nothing is sent",
    source="RFC 3261 §17.2; SER tm",
    mend="call t_newtran before it, or use sl_reply",
)
def t_reply_early(subject: Subject) -> Iterator[Finding]:
    """Where no way has made a transaction."""
    for call, flow in subject.visits(_REQUEST):
        if call.name == "t_reply" and all(state.transaction is Known.NO for state in flow):
            yield Finding(call.name_place, "no transaction was made before this t_reply")


@rule(
    "reply-dropped",
    Severity.WARNING,
    summary="the unnamed onreply_route drops replies, and not because of what they are",
    reason="not even the transaction sees what is dropped there: every call ends in a timeout",
    source="RFC 3261 §16.7; SER core",
    mend="leave the drop out, or test what the reply is before it",
)
def reply_dropped(subject: Subject) -> Iterator[Finding]:
    """Dropping by status, method or address is taken as meant."""
    unnamed = [each for each in subject.tree.routes if each.kind is RouteKind.ONREPLY and each.name is None]
    for end in subject.walk.ends.values():
        is_inside = any(each.place.line <= end.place.line <= each.end.line for each in unnamed)
        is_bare = any(state.entry is RouteKind.ONREPLY and not state.sifted for state in end.flow)
        if end.by is not None and end.by.kind is not StopKind.RETURN and is_inside and is_bare:
            yield Finding(end.place, f"{end.by.kind.value} here drops every reply")
