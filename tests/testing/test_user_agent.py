"""The kit's phones among themselves: they must be right before anything is measured with them."""

from __future__ import annotations

import pytest

from sipyard.testing import Network, UserAgent


@pytest.fixture
def pair(network: Network) -> tuple[UserAgent, UserAgent]:
    """Two phones without a proxy."""
    return network.user_agent("alice", "192.0.2.1"), network.user_agent("bob", "192.0.2.2")


def _moments(network: Network, label: str) -> list[float]:
    packets = [packet for packet in network.trace if packet.label == label]
    return [round(network.trace.seconds(packet), 3) for packet in packets]


def test_timer_a_and_b(network: Network, pair: tuple[UserAgent, UserAgent]) -> None:
    """RFC 3261 §17.1.1.2."""
    alice, bob = pair
    network.unplug(bob)
    call = alice.invite(bob)
    network.run()
    assert _moments(network, "INVITE") == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert call.status == 408
    assert call.invite.is_timed_out
    assert network.now == 32


def test_timer_e_and_f(network: Network, pair: tuple[UserAgent, UserAgent]) -> None:
    """RFC 3261 §17.1.2.2."""
    alice, bob = pair
    network.unplug(bob)
    outcome = alice.request("OPTIONS", bob.aor)
    network.run()
    assert _moments(network, "OPTIONS") == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert outcome.status == 408


def test_timer_g_and_h(network: Network, pair: tuple[UserAgent, UserAgent]) -> None:
    """RFC 3261 §17.2.1: the refusal is repeated until the ACK comes, or until Timer H."""
    alice, bob = pair
    bob.rejects(486, after=1, ring=True)
    alice.invite(bob)
    network.run(0.5)
    network.link(bob, alice, both_ways=False, loss=1.0)
    network.run(20)
    network.heal()
    network.run()
    assert bob.call.is_acknowledged
    assert _moments(network, "486 Busy Here") == [1.01, 1.51, 2.51, 4.51, 8.51, 12.51, 16.51, 20.51]


def test_an_answer_that_nobody_acknowledges(network: Network, pair: tuple[UserAgent, UserAgent]) -> None:
    """RFC 3261 §13.3.1.4: after 64*T1 the callee gives up and sends a BYE."""
    alice, bob = pair
    bob.answers(after=1)
    call = alice.invite(bob)
    network.run(0.5)
    network.unplug(alice)
    network.run(34)
    network.plug(alice)
    network.run()
    assert bob.call.is_acknowledged is False
    assert bob.call.is_over
    assert call.status == 180


def test_cancel_waits_for_a_provisional(network: Network, pair: tuple[UserAgent, UserAgent]) -> None:
    """RFC 3261 §9.1."""
    alice, bob = pair
    bob.rings(after=3)
    call = alice.invite(bob)
    call.cancel()
    network.run(2)
    assert "CANCEL" not in [packet.label for packet in network.trace]
    network.run()
    assert call.status == 487
    assert bob.call.is_cancelled
    assert call.cancel_outcome is not None
    assert call.cancel_outcome.status == 200


@pytest.mark.parametrize("seed", range(20))
def test_calls_over_a_bad_network(seed: int) -> None:
    """Half of everything is lost for a while: the call comes about and ends, and nothing stays."""
    with Network(seed, loss=0.5, duplication=0.3, jitter=0.3, reordering=0.3) as network:
        alice, bob = network.user_agent("alice"), network.user_agent("bob")
        bob.answers(after=2)
        call = alice.invite(bob)
        network.run(12)
        network.heal()
        network.run(10)
        assert call.is_answered
        assert bob.call.is_acknowledged
        bob.call.hang_up()
        network.run()
        assert call.is_over
        assert bob.call.is_over
        assert alice.live_transactions == bob.live_transactions == 0


def test_what_a_phone_answers_by_itself(network: Network, pair: tuple[UserAgent, UserAgent]) -> None:
    """481 in no dialog, 200 for what it knows, a handler's word otherwise."""
    alice, bob = pair
    bob.on("MESSAGE", lambda message: 415 if message.body else 202)
    outcomes = [
        alice.request("OPTIONS", bob.aor),
        alice.request("MESSAGE", bob.aor),
        alice.request("MESSAGE", bob.aor, body=b"x", content_type="text/plain"),
        alice.request("BYE", bob.aor, to=f"{bob.aor}>;tag=x;y=<z"),  # a To-tag of no dialog
    ]
    network.run()
    assert [outcome.status for outcome in outcomes] == [200, 202, 415, 481]


def test_mistakes_are_told(network: Network, pair: tuple[UserAgent, UserAgent]) -> None:
    """Wrong use of a phone is a ValueError or LookupError with a sentence."""
    alice, bob = pair
    with pytest.raises(LookupError, match="nobody has called bob yet"):
        _ = bob.call
    call = alice.invite(bob, ["Subject: x"])
    with pytest.raises(LookupError, match="no dialog yet"):
        call.hang_up()
    network.run(1)
    with pytest.raises(ValueError, match="a refusal is a status from 300 to 699"):
        bob.call.reject(200)
    bob.call.answer()
    with pytest.raises(ValueError, match="cannot answer 486: 200 has been sent"):
        bob.call.reject(486)
    with pytest.raises(ValueError, match="not a header line"):
        alice.invite(bob, ["Subject"])
