"""Call flows as RFC 3665 draws them: expected, held against the network's packets, and drawn when they
differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .flow_language import Matcher, parse_flow
from .trace import Packet

if TYPE_CHECKING:
    from .network import Network
    from .node import Node

#: How long, in virtual seconds, `expect` waits for its last line: longer than RFC 3261's longest usual wait
#: (Timer C, over 3 minutes), since virtual time costs nothing.
PATIENCE = 300.0


class FlowMismatch(AssertionError):
    """The packets are not those of the flow. The message holds the ladder diagram and what was expected."""


class CallFlow:
    """What happens on the network from now on, to be compared step by step.

    `nodes` are the columns of the ladder; packets between two nodes that are both left out do not matter.
    Without nodes, every packet matters::

        flow = CallFlow(network, alice, proxy, bob)
        alice.invite(bob)
        flow.expect('''
            alice -> proxy  INVITE
            proxy -> alice  100
            proxy -> bob    INVITE
            bob   -> proxy  180
            proxy -> alice  180
        ''')

    The language is described in `sipyard.testing.flow_language`. Packets count in the order in which they
    are *sent*.
    """

    def __init__(self, network: Network, *nodes: Node) -> None:
        self.network = network
        self.columns = [node.name for node in nodes]
        self._first = self._next = len(network.trace)
        self._began = network.now

    def expect(self, text: str, *, within: float = PATIENCE) -> list[Packet]:
        """Let time pass until every line was met, and return the packets that met them, in the flow's order.

        FlowMismatch as soon as a packet does not fit, or after `within` virtual seconds. What is sent after
        the last line's packet is left for the next `expect`.
        """
        matcher = Matcher(parse_flow(text))
        self.network.advance_until(lambda: self._feed(matcher), within)
        if matcher.problem:
            raise FlowMismatch(self._explain(matcher, "this packet does not fit"))
        if not matcher.is_complete:
            raise FlowMismatch(
                self._explain(matcher, f"after {within:g} s there are still lines without a packet")
            )
        if matcher.skips_rest:
            self.network.run(0)
            self._next = len(self.network.trace)
        return [packet for _, packet in matcher.done]

    def expect_nothing(self, seconds: float = 0.0) -> None:
        """Let so many seconds pass; FlowMismatch if any packet is sent that no `expect` has taken."""
        self.network.run(seconds)
        extra = self._pending()
        if extra:
            raise FlowMismatch(f"nothing was expected, but:\n\n{self.ladder({extra[0].number: '<== this'})}")

    def end(self) -> None:
        """Let everything come to its end (retransmissions, timers); FlowMismatch if another packet is
        sent."""
        self.network.run()
        self.expect_nothing()

    def skip(self) -> None:
        """Forget what was sent so far and not yet expected."""
        self._next = len(self.network.trace)

    def ladder(self, marks: dict[int, str] | None = None) -> str:
        """The flow since its beginning as a ladder diagram."""
        trace = self.network.trace
        packets = [packet for packet in trace[self._first :] if self._matters(packet)]
        return trace.ladder(*self.columns, packets=packets, marks=marks)

    def _feed(self, matcher: Matcher) -> bool:
        """Hand new packets to the matcher; True when it knows enough."""
        trace = self.network.trace
        while self._next < len(trace) and not matcher.is_complete:
            packet = trace[self._next]
            seconds = trace.seconds(packet) - self._began
            if self._matters(packet) and not matcher.feed(packet, seconds):
                return True
            self._next += 1
        return matcher.is_complete

    def _matters(self, packet: Packet) -> bool:
        columns = self.columns
        return not columns or packet.source in columns or packet.destination in columns

    def _pending(self) -> list[Packet]:
        return [packet for packet in self.network.trace[self._next :] if self._matters(packet)]

    def _explain(self, matcher: Matcher, what: str) -> str:
        marks = {packet.number: "ok" for _, packet in matcher.done}
        culprit = self._pending()[:1] if matcher.problem else []
        for packet in culprit:
            marks[packet.number] = "<== this one"
        missing = matcher.missing()
        waiting = "\n".join(f"    {'? ' * line.is_optional}{line.text}" for line in missing[:8])
        more = f"\n    … and {len(missing) - 8} more" if len(missing) > 8 else ""
        shown = "".join(f"\n\n{_shown(packet)}" for packet in culprit)
        reason = f"\n{matcher.problem}" if matcher.problem else ""
        return f"{what}{reason}\n\n{self.ladder(marks)}\n\nstill expected:\n{waiting}{more}{shown}"


def _shown(packet: Packet) -> str:
    return f"the packet from {packet.source} to {packet.destination}:\n" + "\n".join(
        f"    {line}" for line in packet.data.decode("utf-8", "backslashreplace").split("\r\n")
    )
