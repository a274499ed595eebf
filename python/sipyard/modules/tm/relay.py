"""Stateful forwarding: from what a route decided to branches of a transaction (semantics §6, RFC 3261 §16.6).

The common request (one branch, a numeric target, nothing armed) takes the first lines of `relay` and a
handful of native calls. Retransmissions, 100, timers, the choice of the best response are the core's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipyard._native import core as native
from sipyard._native.core import Branch, ParseError
from sipyard.arguments import RouteKind
from sipyard.context import Context, uri_at
from sipyard.edited import share_edits
from sipyard.fault import Fault, answer_of

if TYPE_CHECKING:
    from sipyard._native.core import Message, Target, Transaction

_REQUEST: Final = RouteKind.REQUEST
_FAULTS: Final = {
    native.RELAY_NOT_SENT: Fault.SEND_FAILED,
    native.RELAY_NO_BRANCHES: Fault.CONFIGURATION,
    native.RELAY_CANCELLED: Fault.CANCELLED,
    native.RELAY_TOO_MANY: Fault.TOO_MANY_BRANCHES,
    native.RELAY_LOOP: Fault.LOOP,
}
TRYING: Final = "trying -- your call is important to us"


class Destination:
    """A host and port that the script names for every branch (`t_relay_to_udp`)."""

    __slots__ = ("host", "port", "protocol")

    def __init__(self, host: str, port: int | None, protocol: str | None) -> None:
        self.host = host
        self.port = port
        self.protocol = protocol

    @property
    def uri(self) -> str:
        """As a URI for the resolver."""
        return uri_at(self.host, self.port, self.protocol)


def begin(msg: Context) -> Transaction | None:
    """The request's transaction, created if need be. None: it was absorbed (a retransmission)."""
    transaction = msg.transaction
    if transaction is None:
        transaction = msg.transaction = msg.core.new_transaction(msg.message)
        msg.is_settled = transaction is None
        if transaction is not None and msg.timers is not None:
            fr_inv, fr = msg.timers
            transaction.set_timers(fr, fr_inv)
    return transaction


def relay_at_once(msg: Context) -> int | None:
    """t_relay of the common request: a request route, one branch, a numeric target. None: it takes more than
    that, see `relay`. One function without calls of our own: this is the hot path."""
    engine = msg.engine
    if msg.branches or msg.path or msg.kind is not _REQUEST:
        return None
    if msg.on_branch is not None or engine.watches_sending:
        return None
    core, message, uri = msg.core, msg.message, msg._uri
    target = msg.target
    if target is None:
        socket = msg.send_socket
        hop = msg._dst_uri or uri or message.request_uri
        try:
            target = core.target(hop) if socket is None else core.target(hop, socket.index)
        except ValueError:  # relay() will say why
            return None
        if target is None:
            return None
    method = message.method
    if method == "ACK":
        # One that reaches the script is for a 2xx: it goes on without state (RFC 3261 §13.3.1.4).
        msg.is_settled = True
        return 1 if core.forward(message, uri, [target]) > 0 else -1
    if method == "CANCEL":
        return None
    transaction = msg.transaction
    if transaction is None:
        transaction = msg.transaction = core.new_transaction(message)
        if transaction is None:  # a retransmission, absorbed
            msg.is_settled = True
            return 1
        if msg.timers is not None:
            fr_inv, fr = msg.timers
            transaction.set_timers(fr, fr_inv)
    if msg.on_failure or msg.on_reply or msg.is_hooked or engine.watches_replies:
        engine.remember(msg)
    sent = transaction.relay([Branch(message, uri, [target])])
    if sent > 0:
        msg.is_settled = True
        msg.error = 0
        return 1
    _note_fault(msg, sent)
    reject(msg, transaction)
    return -msg.error


async def relay(msg: Context, fixed: Destination | None = None) -> int:
    """t_relay: 1, or the negative number of a fault that was answered already."""
    kind, core, message = msg.kind, msg.core, msg.message
    if kind is _REQUEST:
        method = message.method
        if method == "ACK":
            return await _forward_ack(msg, fixed)
        if method == "CANCEL" and core.relay_cancel(message):
            msg.is_settled = True
            return 1
    transaction = msg.transaction or begin(msg)
    if transaction is None:
        return 1
    if kind is _REQUEST and message.method == "INVITE" and _must_wait(msg, fixed):
        transaction.reply(100, TRYING)  # before any waiting for names
    branches = await collect(msg, fixed)
    result = send(msg, transaction, branches)
    if result <= 0 and kind is _REQUEST:
        reject(msg, transaction)
        return -msg.error
    return result


def _must_wait(msg: Context, fixed: Destination | None) -> bool:
    """Does any branch need a name resolved?"""
    hops = (
        [fixed.uri]
        if fixed is not None
        else [msg.next_hop, *(one.dst_uri or one.uri for one in msg.branches)]
    )
    try:
        return any(msg.core.target(hop) is None for hop in hops)
    except ValueError:
        return False


def send(msg: Context, transaction: Transaction, branches: list[Branch]) -> int:
    """Hand branches to the core, with what later routes need kept first. 1, or -1 with `error` set."""
    if msg.on_failure or msg.on_reply or msg.is_hooked or msg.engine.watches_replies:
        msg.engine.remember(msg)
    msg.branches = ()
    if not branches:
        msg.error = msg.error or Fault.CONFIGURATION
        return -1
    sent = transaction.relay(branches)
    if sent > 0:
        msg.is_settled = True
        msg.error = 0
        return 1
    _note_fault(msg, sent)
    return -1


def _note_fault(msg: Context, sent: int) -> None:
    """Why the core sent nothing."""
    if sent == native.RELAY_FINAL:
        msg.is_settled = True
    msg.error = _FAULTS.get(sent, Fault.UNSPECIFIED)


def reject(msg: Context, transaction: Transaction) -> None:
    """Nothing could be sent: answer with the fault, ``(478/TM)``."""
    if transaction.status < 200:
        status, reason = answer_of(msg.error, "TM")
        transaction.reply(status, reason)
    msg.is_settled = True


async def _forward_ack(msg: Context, fixed: Destination | None) -> int:
    """An ACK that reaches the script is one for a 2xx: it goes on without state (RFC 3261 §13.3.1.4)."""
    msg.is_settled = True
    if fixed is not None:
        return await msg.forward(fixed.host, fixed.port, fixed.protocol)
    return await msg.forward()


async def collect(msg: Context, fixed: Destination | None) -> list[Branch]:
    """Branches of this relay: in a request route the Request-URI and what was appended, in a failure route
    only what was appended."""
    route = None
    if msg.on_branch is not None:
        route, msg.on_branch = msg.on_branch, None  # one-shot
    found: list[Branch] = []
    if msg.kind is not RouteKind.FAILURE:
        first = _branch_context(msg, msg.uri, msg.dst_uri, msg.ruri_q)
        first.path = msg.path
        first.target, first.send_socket = msg.target, msg.send_socket
        await _add(found, msg, first, route, fixed)
    for appended in msg.branches:
        one = _branch_context(msg, appended.uri, appended.dst_uri, appended.q)
        one.send_socket = appended.send_socket or msg.send_socket
        one.target, one.path = appended.target, appended.path
        await _add(found, msg, one, route, fixed)
    return found


def _branch_context(msg: Context, uri: str | None, dst_uri: str | None, q: int) -> Context:
    branch = Context(msg.engine, msg.message, RouteKind.BRANCH)
    branch.uri, branch.dst_uri, branch.ruri_q = uri, dst_uri, q
    branch.transaction, branch.flags = msg.transaction, msg.flags
    branch.is_settled = True
    branch.routes = msg.routes
    branch._dns_budget = msg.dns_budget
    if msg.has_attributes:
        branch.attributes = msg.attributes
    return branch


async def _add(
    found: list[Branch], msg: Context, branch: Context, route: str | None, fixed: Destination | None
) -> None:
    """Run the branch route, find the targets, ask onsend_route; a branch without target is left out."""
    if route is not None:
        branch.message = msg.message.copy()
        share_edits(msg, branch)
        await msg.routes.branch[route](branch)
        msg.flags = branch.flags
    targets = await _targets(branch, fixed)
    if targets and msg.engine.watches_sending:
        targets = await msg.engine.allowed_targets(branch, targets)
        if not targets:
            branch.error = Fault.SEND_FAILED
    if targets:
        found.append(Branch(branch.routed_message(), branch.uri, targets, branch.ruri_q))
    else:
        msg.error = branch.error or Fault.UNRESOLVABLE


async def _targets(branch: Context, fixed: Destination | None) -> list[Target]:
    if fixed is not None:
        return await branch.targets_of(fixed.uri, branch.listener_index)
    if branch.target is not None:
        return [branch.target]
    return await branch.targets_of(branch.next_hop, branch.listener_index)


async def replicate(msg: Context, target: Destination) -> int:
    """t_replicate: send a copy whose answers nobody upstream sees, so it is a request of our own: only our
    Via is on it. 1, or -1 with `error` set."""
    targets = await msg.targets_of(target.uri, msg.listener_index)
    if not targets:
        return -1
    try:
        method, uri, headers, body = copied(msg.message, msg.uri)
        msg.engine.clients.send(method, uri, headers, body, targets, _ignore)
    except ParseError:
        msg.error = Fault.BAD_REQUEST
        return -1
    except ValueError as error:
        msg.error = Fault.SEND_FAILED
        msg.log(-1, f"t_replicate: {error}")
        return -1
    return 1


def copied(message: Message, uri: str | None) -> tuple[str, str, str, bytes]:
    """Method, Request-URI, header lines and body of a copy with all edits made so far."""
    edited = native.Message.parse(message.to_bytes()) if message.is_edited else message
    lines = (
        f"{name}: {value}\r\n"
        for name, value in edited.all_headers()
        if name.lower() not in ("via", "v", "content-length", "l")
    )
    return message.method, uri or message.request_uri, "".join(lines), edited.body


def _ignore(_status: int, _reply: Message | None) -> None:
    """Answers to a replicated request end here."""
