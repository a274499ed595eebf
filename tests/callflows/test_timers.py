"""The timers of RFC 3261 §16.6 and §17 and RFC 6026, to the millisecond, by packets that are lost."""

from __future__ import annotations

import pytest

from sipyard.testing import CallFlow, Network, SipServer, UserAgent

from .conftest import OVER_UDP


@pytest.fixture(autouse=True)
def _registered(network: Network, bob: UserAgent) -> None:
    bob.register()
    network.run(1)


@OVER_UDP
def test_timer_a_and_b(network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent) -> None:
    """Nobody answers the INVITE at all: 408 after fr_timer (30 s), SER's Timer B."""
    network.unplug(bob)
    flow = CallFlow(network, alice, proxy, bob)
    call = alice.invite(bob)
    flow.expect("""
        alice -> proxy        INVITE
        {
          0.01  proxy -> alice  100
          0.01  proxy -x bob    INVITE
        }
        0.51  proxy -x bob    INVITE
        1.51  proxy -x bob    INVITE
        3.51  proxy -x bob    INVITE
        7.51  proxy -x bob    INVITE
        15.51 proxy -x bob    INVITE
        30.01 proxy -> alice  408
        alice -> proxy        ACK
    """)
    flow.end()
    assert call.status == 408
    assert not any(proxy.live.values()), proxy.live


@OVER_UDP
def test_timer_c(network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent) -> None:
    """It rings for ever: after fr_inv_timer (120 s) from the provisional the branch is cancelled and 408
    sent."""
    flow = CallFlow(network, alice, proxy, bob)
    call = alice.invite(bob)
    flow.expect("""
        alice -> proxy  INVITE
        ...
        proxy -> alice  180
    """)
    flow.expect_nothing(119)
    flow.expect("""
        {
          120.03 proxy -> bob  CANCEL
          120.03 proxy -> alice  408
          bob -> proxy    200 (CANCEL)
          bob -> proxy    487
          proxy -> bob    ACK
          alice -> proxy  ACK
        }
    """)
    flow.end()
    assert call.status == 408
    assert bob.call.is_cancelled
    assert not any(proxy.live.values()), proxy.live


@OVER_UDP
def test_timer_e_and_f(network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent) -> None:
    """A request other than INVITE: repeated after 0.5, 1, 2, 4, 4 … s, given up after fr_timer."""
    network.unplug(bob)
    flow = CallFlow(network, proxy, bob)
    outcome = alice.request("MESSAGE", "sip:bob@biloxi.example.com")
    network.link(alice, proxy, both_ways=False, is_up=True)
    flow.expect("""
        ? alice -> proxy      MESSAGE
        0.01  proxy -x bob    MESSAGE
        ...
        0.51  proxy -x bob    MESSAGE
        ...
        1.51  proxy -x bob    MESSAGE
        ...
        3.51  proxy -x bob    MESSAGE
        ...
        7.51  proxy -x bob    MESSAGE
        ...
        11.51 proxy -x bob    MESSAGE
        ...
        15.51 proxy -x bob    MESSAGE
        ...
    """)
    network.run()
    assert outcome.status == 408
    sent = [packet for packet in network.trace if packet.label == "MESSAGE" and packet.destination == "bob"]
    assert len(sent) == 10  # 0.01 … 27.51; the next would be at 31.51, after fr_timer
    assert not any(proxy.live.values()), proxy.live


@OVER_UDP
def test_timer_g_and_h(network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent) -> None:
    """The caller vanishes: the 486 is repeated (Timer G) until Timer H, then nothing is left."""
    bob.rejects(486, after=1)
    alice.invite(bob)
    network.run(0.5)
    network.unplug(alice)
    network.run()
    repeated = [packet for packet in network.trace if packet.status == 486 and packet.destination == "alice"]
    seconds = [
        round(network.trace.seconds(packet) - network.trace.seconds(repeated[0]), 3) for packet in repeated
    ]
    assert seconds[:6] == [0.0, 0.5, 1.5, 3.5, 7.5, 11.5]
    assert seconds[-1] < 33
    assert not any(proxy.live.values()), proxy.live


@OVER_UDP
def test_retransmitted_invite_is_absorbed(
    network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent
) -> None:
    """The 100 is lost: the caller's copies of the INVITE are answered here and go no further."""
    network.link(proxy, alice, both_ways=False, loss=1.0)
    call = alice.invite(bob)
    network.run(4)
    network.heal()
    network.run(4)
    assert call.status == 180
    relayed = [packet for packet in network.trace if packet.label == "INVITE" and packet.destination == "bob"]
    assert len(relayed) == 1


@OVER_UDP
def test_retransmitted_2xx_and_ack(
    network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent
) -> None:
    """RFC 6026 §7.1, §8.4: copies of the 200 pass the proxy as long as the callee sends them, and so do the
    ACKs."""
    bob.answers(after=1)
    call = alice.invite(bob)
    network.run(0.5)
    network.link(alice, proxy, both_ways=False, loss=1.0)
    network.run(10)
    assert call.is_answered
    assert bob.call.is_acknowledged is None
    network.heal()
    network.run(20)
    assert bob.call.is_acknowledged
    answers = [packet for packet in network.trace if packet.status == 200 and packet.method == "INVITE"]
    assert len([packet for packet in answers if packet.destination == "alice"]) >= 5
    assert len(answers) == 2 * len([packet for packet in answers if packet.destination == "alice"])


def test_a_late_2xx_after_the_408_is_relayed(
    network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent
) -> None:
    """The branch timed out and 408 went upstream; a 2xx that comes later still reaches the caller (§16.7
    step 5)."""
    proxy.core.configure(fr_timer=5.0)
    bob.ignores()
    network.link(bob, proxy, both_ways=False, latency=0.01)
    call = alice.invite(bob)
    network.run(6)
    assert call.status == 408
    bob.call.answer()
    network.run(1)
    packets = [packet for packet in network.trace if packet.status == 200 and packet.method == "INVITE"]
    assert [packet.destination for packet in packets][:2] == ["proxy", "alice"]


def test_the_host_refuses(network: Network, proxy: SipServer, alice: UserAgent, bob: UserAgent) -> None:
    """ICMP port unreachable: the branch fails at once instead of after fr_timer (RFC 3261 §16.9, §18.4)."""
    network.detach(bob)
    call = alice.invite(bob)
    network.run(1)
    assert call.status in (500, 503, 480, 408, 477, 478)
    assert call.invite.is_final
