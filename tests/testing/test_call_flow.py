"""The language of call flows: what fits, what does not, and how it is said."""

from __future__ import annotations

import pytest

from sipyard.testing import Address, CallFlow, FlowMismatch, FlowSyntaxError, Network, Node

INVITE = b"INVITE sip:bob@example.com SIP/2.0\r\nMax-Forwards: 70\r\nCSeq: 1 INVITE\r\n\r\n"
RINGING = b"SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n"
OK = b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n"


class Mute(Node):
    """Receives and keeps silent."""

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """Nothing is answered."""


@pytest.fixture
def flow(network: Network) -> CallFlow:
    """A flow between two nodes: an INVITE at 0 s, 180 at 1 s, 200 at 2 s."""
    alice, bob = Mute(network, "alice", "10.0.0.1"), Mute(network, "bob", "10.0.0.2")
    network.attach(alice)
    network.attach(bob)
    flow = CallFlow(network, alice, bob)
    alice.send(INVITE, bob.address)
    network.after(1, bob.send, RINGING, alice.address)
    network.after(2, bob.send, OK, alice.address)
    return flow


@pytest.mark.parametrize(
    "text",
    [
        "alice -> bob INVITE\nbob -> alice 180\nbob -> alice 200",
        "bob <- alice INVITE\nalice <- bob 180 Ringing\nalice <- bob 200 OK (INVITE) F3",
        "alice -> bob INVITE sip:bob@example.com F1\n  Max-Forwards: 70\n  !Route\n...\nbob -> alice 200",
        "alice -> bob INVITE sip:*@example.com\n...\n...\nbob -> alice 200",
        "0 alice -> bob INVITE\n1.0 bob -> alice 180\n2 bob -> alice 200",
        "alice -> bob INVITE\n{\nbob -> alice 200\nbob -> alice 180\n}",
        "alice -> bob INVITE\n? alice -> bob INVITE\nbob -> alice 180\nbob -> alice 200",
        "? alice -> bob INVITE   # with a remark\n\nbob -> alice 180\n? bob -> alice 183\nbob -> alice 200",
    ],
)
def test_what_fits(flow: CallFlow, text: str) -> None:
    """And afterwards there is nothing left."""
    flow.expect(text)
    flow.end()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("bob -> alice INVITE", "it goes from alice to bob"),
        ("alice -> bob BYE", "it is INVITE"),
        ("alice -> bob INVITE sip:carol@example.com", "its Request-URI is sip:bob@example.com"),
        ("alice -> bob INVITE\n  Max-Forwards: 69", "its Max-Forwards is 70"),
        ("alice -> bob INVITE\n  Route: *", "it has no Route"),
        ("alice -> bob INVITE\n  !Max-Forwards", "it has Max-Forwards: 70"),
        ("alice -> bob INVITE\nbob -> alice 180 Trying", "its reason is Ringing"),
        ("alice -> bob INVITE\nbob -> alice 180 (BYE)", "it answers INVITE"),
        ("alice -> bob INVITE\n0.5 bob -> alice 180", "it is sent at 1.000 s"),
        ("alice -x bob INVITE", "it is not lost"),
        ("{\nalice -> bob BYE\nalice -> bob ACK\n}", "expected alice -> bob ACK"),
        ("...\nbob -> alice 486", "still lines without a packet"),
        ("alice -> bob INVITE\nbob -> alice 180\nbob -> alice 200\nalice -> bob ACK", "alice -> bob ACK"),
    ],
)
def test_what_does_not_fit(flow: CallFlow, text: str, why: str) -> None:
    """The failure says why, and draws what happened."""
    with pytest.raises(FlowMismatch) as failure:
        flow.expect(text, within=10)
    assert why in str(failure.value)
    assert "|-------INVITE----->|" in str(failure.value)


def test_packets_that_nobody_expected(flow: CallFlow) -> None:
    """Silence can be expected, too."""
    flow.expect("alice -> bob INVITE")
    flow.expect_nothing(0.5)
    with pytest.raises(FlowMismatch, match="nothing was expected"):
        flow.expect_nothing(1)
    flow.skip()
    flow.expect("bob -> alice 200")


@pytest.mark.parametrize(
    "text", ["alice bob INVITE", "Max-Forwards: 70", "{\nalice -> bob INVITE", "alice -> bob"]
)
def test_what_cannot_be_read(flow: CallFlow, text: str) -> None:
    """A flow that is no flow is a ValueError, not a mismatch."""
    with pytest.raises(FlowSyntaxError):
        flow.expect(text)


def test_lost_packets_are_drawn(network: Network) -> None:
    """A cross where they end."""
    one, two = Mute(network, "one", "10.0.0.1"), Mute(network, "two", "10.0.0.2")
    network.attach(one)
    network.attach(two)
    network.link(one, two, loss=1.0)
    one.send(INVITE, two.address)
    assert "|-------INVITE-----X|" in network.trace.ladder()
