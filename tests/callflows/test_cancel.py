"""CANCEL and its races (RFC 3261 §9, §16.10; RFC 6026 for the late 2xx)."""

from __future__ import annotations

import pytest

from sipyard.testing import CallFlow, Network, SipServer, UserAgent

from .conftest import OVER_UDP


@pytest.fixture(autouse=True)
def _registered(network: Network, bob: UserAgent) -> None:
    bob.register()
    network.run(1)


@OVER_UDP
def test_cancel_while_only_the_proxy_has_answered(
    network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent
) -> None:
    """The callee never sent a provisional: no CANCEL may go there (§9.1), and the caller gets its 487."""
    bob.ignores()
    network.unplug(bob)
    flow = CallFlow(network, alice, proxy, bob)
    call = alice.invite(bob)
    call.cancel(after=0.2)
    flow.expect("""
        alice -> proxy  INVITE
        {
          proxy -> alice  100
          proxy -x bob    INVITE
        }
        alice -> proxy  CANCEL
        {
          proxy -> alice  200 (CANCEL)
          proxy -> alice  487 (INVITE)
        }
        alice -> proxy  ACK
    """)
    network.run()
    assert call.status == 487
    assert not any(packet.label == "CANCEL" and packet.destination == "bob" for packet in network.trace)
    assert not any(proxy.live.values()), proxy.live


def test_a_cancelled_phone_that_rings_late(
    network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent
) -> None:
    """The callee's first provisional comes after the caller gave up: it is cancelled, and does not ring
    on."""
    bob.rings(after=2)
    call = alice.invite(bob)
    call.cancel(after=0.2)
    network.run(10)
    assert call.status == 487
    assert bob.call.is_cancelled
    network.run()
    assert not any(proxy.live.values()), proxy.live


def test_cancel_crosses_the_200(network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent) -> None:
    """Bob answers while the CANCEL is on its way: the 2xx wins, the caller acknowledges it and hangs up."""
    flow = CallFlow(network, alice, proxy, bob)
    call = alice.invite(bob)
    network.run_until(lambda: bob.is_ringing and call.status == 180)
    bob.call.answer(after=0.001)
    call.cancel()
    flow.expect("""
        ...
        alice -> proxy  CANCEL
        bob -> proxy    200 (INVITE)
        {
          proxy -> alice  200 (CANCEL)
          proxy -> bob    CANCEL
          proxy -> alice  200 (INVITE)
          bob -> proxy    200 (CANCEL)
          alice -> proxy  ACK
          alice -> proxy  BYE
          proxy -> bob    ACK
          proxy -> bob    BYE
          bob -> proxy    200 (BYE)
          proxy -> alice  200 (BYE)
        }
    """)
    flow.end()
    assert bob.call.state == "over"
    assert bob.call.is_acknowledged


def test_cancel_after_the_200_does_nothing(
    network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent
) -> None:
    """§9.2: once a final response was sent a CANCEL has no effect, but is answered."""
    bob.answers()
    call = alice.invite(bob)
    network.run(1)
    flow = CallFlow(network, alice, proxy, bob)
    alice.send(call.invite.request.cancel().to_bytes(), proxy.address)
    flow.expect("""
        alice -> proxy  CANCEL
        proxy -> alice  200 (CANCEL)
    """)
    flow.end()
    assert call.is_answered


def test_cancel_of_nothing(network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent) -> None:
    """No INVITE is known: the CANCEL is an ordinary request that goes on to the callee, who says 481."""
    stranger = alice.compose("INVITE", "sip:bob@biloxi.example.com").cancel()
    flow = CallFlow(network, alice, proxy, bob)
    alice.send(stranger.to_bytes(), proxy.address)
    flow.expect("""
        alice -> proxy  CANCEL
        proxy -> bob    CANCEL
        bob -> proxy    481
        proxy -> alice  481
    """)


def test_cancel_before_the_invite(
    network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent
) -> None:
    """The network turns INVITE and CANCEL round. Whatever happens to the CANCEL, the INVITE has one final
    answer and nothing is left."""
    bob.rejects(486, after=1, ring=True)
    call = alice.invite(bob)
    cancel = call.invite.request.cancel()
    network.link(alice, proxy, both_ways=False, latency=0.0)
    alice.send(cancel.to_bytes(), proxy.address)
    network.run()
    assert call.status in (486, 487)
    assert not any(proxy.live.values()), proxy.live


@OVER_UDP
def test_a_repeated_cancel_is_answered_again(
    network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent
) -> None:
    """The CANCEL is a transaction of its own (§9.2): a copy of it gets the 200 again and bob sees one
    CANCEL."""
    call = alice.invite(bob)
    network.run(0.5)
    call.cancel()
    network.run(0.5)
    answers = sum(packet.label == "200 canceling" or packet.status == 200 for packet in network.trace[-12:])
    alice.send(call.invite.request.cancel().to_bytes(), proxy.address)
    network.run()
    again = sum(packet.status == 200 and packet.method == "CANCEL" for packet in network.trace)
    assert answers >= 1
    assert again >= 3  # the callee's, the first and the repeated one
    assert sum(packet.label == "CANCEL" and packet.destination == "bob" for packet in network.trace) == 1
