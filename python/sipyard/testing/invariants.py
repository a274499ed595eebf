"""What must hold for every proxy after every scenario, read from the packets that really went over the
network.

`violations(network, server)` says in sentences what did not hold; an empty list is good. It looks at
packets and live state only, not at the server's insides, so it holds for any proxy between any peers:

- every request that the server took got a final response, and only one (RFC 3261 §16.7, §17.2),
- no 2xx to an INVITE was lost in the server or changed into something else,
- what was relayed equals what came in but for what a proxy may change (§16.6, §16.7),
- nothing is left: no transaction, no timer, no queued event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from sipyard._native.core import Message, ParseError

from .trace import Packet

if TYPE_CHECKING:
    from .network import Network
    from .server import SipServer

#: Header fields that a proxy adds, removes or changes on its way (RFC 3261 §16.6, §16.7, RFC 5393 §5.3).
PERMITTED = frozenset(
    {"via", "v", "record-route", "route", "max-forwards", "max-breadth", "content-length", "l"}
)

_Key: TypeAlias = tuple[str, str]


class _Seen(NamedTuple):
    """A packet with its message."""

    packet: Packet
    message: Message


class _Traffic:
    """What one server received and sent, by what can be matched."""

    def __init__(self, network: Network, server: SipServer) -> None:
        self.problems: list[str] = []
        self.requests: dict[_Key, list[_Seen]] = {}
        self.finals: dict[_Key, list[_Seen]] = {}
        self.relayed: list[_Seen] = []
        self.replies_in: dict[tuple[str, str, int, str], _Seen] = {}
        self.replies_out: list[_Seen] = []
        for packet in sorted(network.trace, key=lambda packet: packet.arrived_us):
            if packet.destination == server.name and packet.fate == "delivered":
                self._received(packet)
        for packet in network.trace:
            if packet.source == server.name:
                self._sent(packet)

    def _received(self, packet: Packet) -> None:
        try:
            message = Message.parse(packet.data)
        except ParseError:
            return
        if message.is_request:
            self.requests.setdefault((branch_of(message, 0), message.method), []).append(
                _Seen(packet, message)
            )
        else:
            self.replies_in.setdefault(_reply_key(message, 1), _Seen(packet, message))

    def _sent(self, packet: Packet) -> None:
        try:
            message = Message.parse(packet.data)
        except ParseError as error:
            self.problems.append(f"{_named(packet)} cannot be parsed: {error}")
            return
        seen = _Seen(packet, message)
        if message.is_request:
            if message.via(1) is not None:
                self.relayed.append(seen)
        else:
            self.replies_out.append(seen)
            if message.status >= 200:
                self.finals.setdefault((branch_of(message, 0), message.cseq_method), []).append(seen)


def violations(network: Network, server: SipServer, *, settled: bool = True) -> list[str]:
    """What this server did that a proxy must not do. With `settled=False` the scenario is not over yet:
    requests may still wait for their final response, and state may be held."""
    traffic = _Traffic(network, server)
    found = list(traffic.problems)
    found += _one_final_each(traffic, settled)
    found += _no_answer_lost(traffic)
    found += _requests_unchanged(traffic)
    found += _replies_unchanged(traffic)
    if settled:
        held = {name: count for name, count in server.live.items() if count}
        if held:
            found.append(f"{server.name} still holds {held}")
    return [f"{server.name}: {problem}" for problem in found]


def branch_of(message: Message, index: int) -> str:
    """The branch of the index-th Via, empty if there is none."""
    via = message.via(index)
    return (via.branch or "") if via is not None else ""


def _reply_key(message: Message, index: int) -> tuple[str, str, int, str]:
    return branch_of(message, index), message.cseq_method, message.status, message.to_tag or ""


def _named(packet: Packet) -> str:
    return f"packet {packet.number} ({packet})"


def _one_final_each(traffic: _Traffic, settled: bool) -> Iterator[str]:
    for (branch, method), requests in traffic.requests.items():
        if method == "ACK":
            continue
        finals = traffic.finals.get((branch, method), [])
        name = _named(requests[0].packet)
        if not finals:
            if settled:
                yield f"{name} never got a final response"
            continue
        # Retransmissions say nothing new: what counts is the order of first appearances.
        answers = {(seen.message.status, seen.message.to_tag): None for seen in finals}
        statuses = [status for status, _tag in answers]
        refusals = {status for status in statuses if status >= 300}
        if len(refusals) > 1 or (method != "INVITE" and len(set(statuses)) > 1):
            yield f"{name} got several final responses: {statuses}"
        answered = [place for place, status in enumerate(statuses) if status < 300]
        if method == "INVITE" and answered and max(statuses[answered[0] :]) >= 300:
            yield f"{name} was refused after it had been answered: {statuses}"


def _no_answer_lost(traffic: _Traffic) -> Iterator[str]:
    sent = {_reply_key(seen.message, 0) for seen in traffic.replies_out}
    for key, seen in traffic.replies_in.items():
        branch, method, status, _tag = key
        if method == "INVITE" and 200 <= status < 300 and branch and key not in sent:
            yield f"{_named(seen.packet)} was not relayed"


def _requests_unchanged(traffic: _Traffic) -> Iterator[str]:
    for packet, message in traffic.relayed:
        came_in = traffic.requests.get((branch_of(message, 1), message.method))
        if came_in is None:
            yield f"{_named(packet)} was relayed although nothing like it came in"
            continue
        before = came_in[0].message
        yield from (f"{_named(packet)}: {what}" for what in changes(before, message))
        hops, left = before.max_forwards, message.max_forwards
        if hops is not None and (left is None or not 0 <= left <= hops):
            yield f"{_named(packet)}: Max-Forwards went from {hops} to {left}"


def _replies_unchanged(traffic: _Traffic) -> Iterator[str]:
    for packet, message in traffic.replies_out:
        came_in = traffic.replies_in.get(_reply_key(message, 0))
        if came_in is None:
            continue  # our own answer
        yield from (f"{_named(packet)}: {what}" for what in changes(came_in.message, message))
        if len(came_in.message.values("Via")) != len(message.values("Via")) + 1:
            yield f"{_named(packet)}: not exactly one Via was taken away"


def changes(before: Message, after: Message) -> Iterator[str]:
    """What differs between a message and its relayed form beyond what a proxy may change."""
    if before.body != after.body:
        yield f"the body changed from {len(before.body)} to {len(after.body)} bytes"
    if before.status != after.status or before.reason != after.reason:
        yield f"{before.status} {before.reason} became {after.status} {after.reason}"
    one, other = _kept(before.all_headers()), _kept(after.all_headers())
    if one != other:
        for field in one:
            if field not in other:
                yield f"the header {field[0]}: {field[1]} is gone or changed"
        for field in other:
            if field not in one:
                yield f"the header {field[0]}: {field[1]} is new or changed"
        if sorted(one) == sorted(other):
            yield "the order of the header fields changed"


def _kept(fields: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [field for field in fields if field[0].lower() not in PERMITTED]
