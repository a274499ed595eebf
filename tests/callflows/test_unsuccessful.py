"""RFC 3665 §3.8 to §3.11: calls that do not come about, through two proxies."""

from __future__ import annotations

from sipyard.testing import CallFlow, Network

from .conftest import HERE, OVER_UDP, Cast

RINGING = """
    alice -> ss1  INVITE sip:bob@biloxi.example.com F1
    {
      ss1 -> ss2    INVITE F2
      ss1 -> alice  100 F3
    }
    {
      ss2 -> bob    INVITE sip:bob@192.0.2.201 F4
      ss2 -> ss1    100 F5
    }
    bob -> ss2    180 F6
    ss2 -> ss1    180 F7
    ss1 -> alice  180 F8
"""

SILENT = """
failure_route[SILENT] {
    if (t_branch_timeout()) {
        t_reply("480", "No Response");
    }
}
"""


@OVER_UDP
def test_no_answer(cast: Cast) -> None:
    """§3.8: Bob does not answer and Alice gives up. Each hop answers the CANCEL itself and acknowledges the
    487."""
    network, ss1, ss2, alice, bob = cast.network, cast.ss1, cast.ss2, cast.alice, cast.bob
    flow = CallFlow(network, alice, ss1, ss2, bob)
    call = alice.invite("sip:bob@biloxi.example.com")
    flow.expect(RINGING)
    call.cancel(after=10)
    flow.expect("""
        alice -> ss1  CANCEL sip:bob@biloxi.example.com F9
        {
          ss1 -> alice  200 (CANCEL) F10
          ss1 -> ss2    CANCEL F11
        }
        {
          ss2 -> ss1    200 (CANCEL) F12
          ss2 -> bob    CANCEL F13
        }
        bob -> ss2    200 OK (CANCEL) F14
        bob -> ss2    487 (INVITE) F15
        ss2 -> bob    ACK F16
        ss2 -> ss1    487 (INVITE) F17
        ss1 -> ss2    ACK F18
        ss1 -> alice  487 (INVITE) F19
        alice -> ss1  ACK F20
    """)
    flow.end()
    assert call.status == 487
    assert bob.call.is_cancelled


@OVER_UDP
def test_busy(cast: Cast) -> None:
    """§3.9: Bob's phone is busy; the ACK goes hop by hop, not end to end."""
    network, ss1, ss2, alice, bob = cast.network, cast.ss1, cast.ss2, cast.alice, cast.bob
    bob.rejects(486)
    flow = CallFlow(network, alice, ss1, ss2, bob)
    alice.invite("sip:bob@biloxi.example.com")
    flow.expect("""
        alice -> ss1  INVITE F1
        {
          ss1 -> ss2    INVITE F2
          ss1 -> alice  100 F3
        }
        {
          ss2 -> bob    INVITE F4
          ss2 -> ss1    100 F5
        }
        bob -> ss2    486 Busy Here F6
        ss2 -> bob    ACK F7
        ss2 -> ss1    486 Busy Here F8
        ss1 -> ss2    ACK F9
        ss1 -> alice  486 Busy Here F10
        alice -> ss1  ACK F11
    """)
    flow.end()
    assert bob.call.is_acknowledged


def test_no_response_from_user_agent(network: Network) -> None:
    """§3.10: Bob's phone is off. The proxy repeats the INVITE seven times (Timer A), and after Timer B its
    script answers 480, as in the RFC's flow."""
    script = (HERE / "proxy.cfg").read_text()
    script = script.replace("if (!t_relay())", 't_on_failure("SILENT");\n    if (!t_relay())')
    script += SILENT
    proxy = network.server(
        script, address="10.2.0.1:5060", aliases=["biloxi.example.com"], settings={"fr_timer": 32.0}
    )
    alice = network.user_agent("alice", proxy=proxy)
    bob = network.user_agent("bob", proxy=proxy, domain="biloxi.example.com")
    bob.register()
    network.run(1)
    network.unplug(bob)
    flow = CallFlow(network, alice, proxy, bob)
    alice.invite(bob)
    flow.expect("""
        alice -> proxy  INVITE F1
        {
          0.01 proxy -> alice  100 F3
          0.01 proxy -x bob    INVITE F4
        }
        0.51  proxy -x bob     INVITE F6
        1.51  proxy -x bob     INVITE F7
        3.51  proxy -x bob     INVITE F8
        7.51  proxy -x bob     INVITE F9
        15.51 proxy -x bob     INVITE F10
        31.51 proxy -x bob     INVITE F11
        32.01 proxy -> alice   480 No Response F12
        alice -> proxy         ACK
    """)
    flow.end()
    assert not any(proxy.live.values()), proxy.live


@OVER_UDP
def test_temporarily_unavailable(cast: Cast) -> None:
    """§3.11: the phone rings first and then refuses with 480."""
    network, ss1, ss2, alice, bob = cast.network, cast.ss1, cast.ss2, cast.alice, cast.bob
    flow = CallFlow(network, alice, ss1, ss2, bob)
    call = alice.invite("sip:bob@biloxi.example.com")
    flow.expect(RINGING)
    bob.call.reject(480)
    flow.expect("""
        bob -> ss2    480 Temporarily Unavailable F9
        ss2 -> bob    ACK F10
        ss2 -> ss1    480 F11
        ss1 -> ss2    ACK F12
        ss1 -> alice  480 F13
        alice -> ss1  ACK F14
    """)
    flow.end()
    assert call.status == 480
