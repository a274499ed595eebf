"""A phone's own transactions (RFC 3261 §17, RFC 6026), in Python and independent of the core that is tested.

Each class is one of the four state machines; what may not live here is anything about dialogs, calls or
routing. Timers carry RFC 3261's letters. Over a connection nothing is sent again but the 2xx to an INVITE;
the timers that wait for what may still come run all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .trace import Address

if TYPE_CHECKING:
    from sipyard._native.core import Message

    from .clock import Timer
    from .messages import Request
    from .node import Node


@dataclass(frozen=True, slots=True)
class Timers:
    """RFC 3261 §17.1.1.1: round-trip estimate, longest retransmission interval, message lifetime; seconds."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def timeout(self) -> float:
        """64*T1: Timers B, F, H, J, L, M and D."""
        return 64 * self.t1


class _Machine:
    """What the machines share: a state, one retransmission timer, one end timer."""

    def __init__(self, node: Node, timers: Timers, destination: Address, state: str) -> None:
        self.node = node
        self.timers = timers
        self.destination = destination
        self.state = state
        self._retransmit: Timer | None = None
        self._end: Timer | None = None

    @property
    def is_terminated(self) -> bool:
        """True when the transaction is over and forgets what it knew."""
        return self.state == "terminated"

    def _repeat(self, interval: float, data: bytes, limit: float, *, always: bool = False) -> None:
        """Send `data` again after `interval`, which doubles up to `limit`; over connections only `always`."""
        if self.node.is_reliable and not always:
            return
        if self._retransmit is not None:
            self._retransmit.cancel()
        self._retransmit = self.node.network.after(interval, self._again, interval, data, limit)

    def _again(self, interval: float, data: bytes, limit: float) -> None:
        self.node.send(data, self.destination)
        self._repeat(min(interval * 2, limit), data, limit, always=True)

    def _stop_repeating(self) -> None:
        if self._retransmit is not None:
            self._retransmit.cancel()

    def _end_after(self, seconds: float, action: Callable[[], object]) -> None:
        if self._end is not None:
            self._end.cancel()
        self._end = self.node.network.after(seconds, action)

    def terminate(self) -> None:
        """Stop all timers; the transaction is over."""
        self._stop_repeating()
        if self._end is not None:
            self._end.cancel()
        self.state = "terminated"


class ClientTransaction(_Machine):
    """A request of ours. `on_response(message)` for what the phone has to know; `on_failure(status)` with
    408 when nobody answered (Timer B or F) and 503 when it could not be delivered (RFC 3261 §8.1.3.1)."""

    def __init__(
        self,
        node: Node,
        timers: Timers,
        request: Request,
        destination: Address,
        on_response: Callable[[Message], None],
        on_failure: Callable[[int], None],
    ) -> None:
        super().__init__(node, timers, destination, "calling" if request.method == "INVITE" else "trying")
        self.request = request
        self.data = request.to_bytes()
        self.on_response = on_response
        self.on_failure = on_failure
        self.is_invite = request.method == "INVITE"
        self._ack = b""
        node.send(self.data, destination)
        self._repeat(timers.t1, self.data, float("inf") if self.is_invite else timers.t2)  # Timers A, E
        self._end_after(timers.timeout, self._timed_out)  # Timers B, F

    @property
    def key(self) -> tuple[str, str]:
        """What a response is matched by (§17.1.3): branch and CSeq method."""
        return self.request.branch, self.request.method

    def receive(self, response: Message) -> None:
        """A response that matched."""
        if self.is_terminated:
            return
        if self.is_invite:
            self._receive_invite(response)
        else:
            self._receive_other(response)

    def _receive_invite(self, response: Message) -> None:
        """Figure 5 of RFC 3261 with the accepted state of RFC 6026 §8.4."""
        status = response.status
        if self.state == "completed":
            if status >= 300:
                self.node.send(self._ack, self.destination)
            return
        if self.state == "accepted":
            if 200 <= status < 300:
                self.on_response(response)
            return
        self._stop_repeating()
        if status < 200:
            self.state = "proceeding"
            if self._end is not None:
                self._end.cancel()
        elif status < 300:
            self.state = "accepted"
            self._end_after(self.timers.timeout, self.terminate)  # Timer M
        else:
            self.state = "completed"
            self._ack = self.request.ack(response).to_bytes()
            self.node.send(self._ack, self.destination)
            self._end_after(max(32.0, self.timers.timeout), self.terminate)  # Timer D
        self.on_response(response)

    def _receive_other(self, response: Message) -> None:
        """Figure 6 of RFC 3261."""
        if self.state == "completed":
            return
        if response.status < 200:
            if self.state == "trying":
                self.state = "proceeding"
                self._repeat(self.timers.t2, self.data, self.timers.t2)  # Timer E in proceeding
        else:
            self.state = "completed"
            self._stop_repeating()
            self._end_after(self.timers.t4, self.terminate)  # Timer K
        self.on_response(response)

    def give_up_after(self, seconds: float) -> None:
        """RFC 3261 §9.1: a cancelled INVITE that nobody ends is over 64*T1 after the CANCEL."""
        if self.state in ("calling", "proceeding"):
            self._end_after(seconds, self._timed_out)

    def transport_failed(self) -> None:
        """The network says that the request cannot be delivered."""
        if self.state in ("calling", "trying"):
            self.terminate()
            self.on_failure(503)

    def _timed_out(self) -> None:
        self.terminate()
        self.on_failure(408)


class ServerTransaction(_Machine):
    """A request to us. `reply(status, data)` sends; `on_end(acknowledged)` says how an INVITE's final
    answer went."""

    def __init__(
        self, node: Node, timers: Timers, request: Message, destination: Address, to_tag: str
    ) -> None:
        super().__init__(node, timers, destination, "proceeding")
        self.request = request
        self.to_tag = to_tag
        self.is_invite = request.method == "INVITE"
        self.status = 0
        self.on_end: Callable[[bool], None] = lambda _acknowledged: None
        self._last = b""

    @property
    def is_final(self) -> bool:
        """True when a final response was sent."""
        return self.status >= 200

    def reply(self, status: int, data: bytes) -> None:
        """Send a response; ValueError when a final one has been sent already (RFC 3261 §17.2)."""
        if self.is_final:
            raise ValueError(f"cannot answer {status}: {self.status} has been sent")
        self.status = status
        self._last = data
        self.node.send(data, self.destination)
        if status >= 200:
            self._finish(status, data)

    def _finish(self, status: int, data: bytes) -> None:
        timers = self.timers
        if not self.is_invite:
            self.state = "completed"
            self._end_after(timers.timeout, self.terminate)  # Timer J
        elif status < 300:
            self.state = "accepted"
            self._repeat(timers.t1, data, timers.t2, always=True)  # §13.3.1.4: the UAS core repeats its 2xx
            self._end_after(timers.timeout, self._never_acknowledged)  # Timer L
        else:
            self.state = "completed"
            self._repeat(timers.t1, data, timers.t2)  # Timer G
            self._end_after(timers.timeout, self._never_acknowledged)  # Timer H

    def receive_again(self) -> None:
        """The request came again: the last response is sent again (§17.2.1, §17.2.2); in accepted it is
        absorbed (RFC 6026 §7.1)."""
        if self._last and self.state in ("proceeding", "completed"):
            self.node.send(self._last, self.destination)

    def acknowledge(self) -> None:
        """The ACK came."""
        if self.state == "completed":
            self._stop_repeating()
            self.state = "confirmed"
            self._end_after(self.timers.t4, self.terminate)  # Timer I
            self.on_end(True)
        elif self.state == "accepted" and self._retransmit is not None:
            self._stop_repeating()
            self._retransmit = None
            # The transaction stays in accepted until Timer L, to absorb late copies of the INVITE.
            self._end_after(self.timers.timeout, self.terminate)
            self.on_end(True)

    def _never_acknowledged(self) -> None:
        self.terminate()
        self.on_end(False)
