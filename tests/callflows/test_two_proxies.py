"""RFC 3665 §3.2: session establishment through two proxies (without the digest of F2 and F3)."""

from __future__ import annotations

from sipyard.testing import CallFlow

from .conftest import OVER_UDP, Cast


@OVER_UDP
def test_session_through_two_proxies(cast: Cast) -> None:
    """Both proxies record-route, so ACK and BYE pass them as well."""
    network, ss1, ss2, alice, bob = cast.network, cast.ss1, cast.ss2, cast.alice, cast.bob
    flow = CallFlow(network, alice, ss1, ss2, bob)
    call = alice.invite("sip:bob@biloxi.example.com")
    flow.expect("""
        alice -> ss1  INVITE sip:bob@biloxi.example.com F4
            Max-Forwards: 70
        {
          ss1 -> alice  100 F6
          ss1 -> ss2  INVITE sip:bob@biloxi.example.com F5
            Max-Forwards: 69
            Record-Route: <sip:10.1.0.1;*lr*>
        }
        {
          ss2 -> ss1  100 F8
          ss2 -> bob  INVITE sip:bob@192.0.2.201 F7
            Max-Forwards: 68
            Record-Route: <sip:10.2.0.1;*lr*>
        }
        bob -> ss2    180 Ringing F9
        ss2 -> ss1    180 Ringing F10
        ss1 -> alice  180 Ringing F11
    """)
    bob.call.answer()
    flow.expect("""
        bob -> ss2    200 OK (INVITE) F12
        ss2 -> ss1    200 OK (INVITE) F13
        ss1 -> alice  200 OK (INVITE) F14
        alice -> ss1  ACK sip:bob@192.0.2.201 F15
        ss1 -> ss2    ACK sip:bob@192.0.2.201 F16
        ss2 -> bob    ACK sip:bob@192.0.2.201 F17
            !Route
    """)
    assert call.is_answered
    assert bob.call.is_acknowledged or network.run(1) is None
    bob.call.hang_up()
    flow.expect("""
        bob -> ss2    BYE sip:alice@192.0.2.101 F18
        ss2 -> ss1    BYE sip:alice@192.0.2.101 F19
        ss1 -> alice  BYE sip:alice@192.0.2.101 F20
            !Route
        alice -> ss1  200 OK (BYE) F21
        ss1 -> ss2    200 OK (BYE) F22
        ss2 -> bob    200 OK (BYE) F23
    """)
    flow.end()
    assert call.is_over


def test_the_session_description_arrives_unchanged(cast: Cast) -> None:
    """What Alice and Bob say to each other passes both proxies byte for byte."""
    cast.bob.answers()
    call = cast.alice.invite(cast.bob)
    cast.network.run(1)
    assert cast.bob.call.invite.body == cast.alice.session
    assert call.response is not None
    assert call.response.body == cast.bob.session


def test_nothing_is_left_behind(cast: Cast) -> None:
    """After the call both proxies forget it (RFC 3261 §17: every transaction ends)."""
    cast.bob.answers(after=2)
    call = cast.alice.invite(cast.bob)
    cast.network.run(5)
    call.hang_up()
    cast.network.run()
    for server in (cast.ss1, cast.ss2):
        assert not any(server.live.values()), server.live
