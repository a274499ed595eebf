"""RFC 3665 §3.1 and §3.7: phones that talk to each other, and a re-INVITE past a proxy that is no longer in
the path."""

from __future__ import annotations

from sipyard.testing import CallFlow, Network

from .conftest import HERE


def test_session_without_a_proxy(network: Network) -> None:
    """§3.1: the phones of the kit alone, so that their own behaviour is held to the RFC too."""
    alice = network.user_agent("alice", "192.0.2.101")
    bob = network.user_agent("bob", "192.0.2.201")
    flow = CallFlow(network, alice, bob)
    call = alice.invite("sip:bob@192.0.2.201")
    flow.expect("""
        alice -> bob  INVITE F1
        bob -> alice  180 Ringing F2
    """)
    bob.call.answer(after=2)
    flow.expect("""
        bob -> alice  200 OK F3
        alice -> bob  ACK F4
    """)
    bob.call.hang_up(after=5)
    flow.expect("""
        bob -> alice  BYE F5
        alice -> bob  200 OK F6
    """)
    flow.end()
    assert call.is_over
    assert alice.live_transactions == bob.live_transactions == 0


def test_session_with_reinvite(network: Network) -> None:
    """§3.7: the proxy does not record-route, so the re-INVITE with Bob's new address goes straight to
    Alice."""
    script = (HERE / "proxy.cfg").read_text().replace("record_route();", 'log("not recorded\\n");')
    proxy = network.server(script, name="ss2", address="10.2.0.1:5060", aliases=["biloxi.example.com"])
    alice = network.user_agent("alice", "192.0.2.101", proxy=proxy)
    bob = network.user_agent("bob", "192.0.2.201", proxy=proxy, domain="biloxi.example.com")
    bob.register()
    network.run(1)
    bob.answers()
    flow = CallFlow(network, alice, proxy, bob)
    call = alice.invite(bob)
    flow.expect("""
        alice -> ss2  INVITE F1
        {
          ss2 -> bob    INVITE F2
            !Record-Route
          ss2 -> alice  100 F3
        }
        bob -> ss2    180 Ringing F4
        bob -> ss2    200 OK F6
        ss2 -> alice  180 Ringing F5
        ss2 -> alice  200 OK F7
        alice -> bob  ACK F8
    """)
    reinvite = bob.call.request("INVITE", body=b"v=0\r\n")
    flow.expect("""
        bob -> alice  INVITE sip:alice@192.0.2.101 F9
        alice -> bob  200 OK (INVITE) F10
        bob -> alice  ACK F11
    """)
    call.hang_up()
    flow.expect("""
        alice -> bob  BYE F12
        bob -> alice  200 OK F13
    """)
    flow.end()
    assert reinvite.status == 200


def test_reinvite_through_a_recording_proxy(network: Network) -> None:
    """RFC 3261 §14: with Record-Route every request of the dialog passes the proxy, in both directions."""
    proxy = network.server(HERE / "proxy.cfg", address="10.2.0.1:5060", aliases=["biloxi.example.com"])
    alice = network.user_agent("alice", "192.0.2.101", proxy=proxy)
    bob = network.user_agent("bob", "192.0.2.201", proxy=proxy, domain="biloxi.example.com")
    bob.register()
    bob.answers()
    network.run(1)
    alice.invite(bob)
    network.run(1)
    flow = CallFlow(network, alice, proxy, bob)
    bob.call.request("INVITE", body=b"v=0\r\n")
    flow.expect("""
        bob -> proxy    INVITE sip:alice@192.0.2.101
            Route: <sip:10.2.0.1;*lr*>
        {
          proxy -> bob    100
          proxy -> alice  INVITE sip:alice@192.0.2.101
            !Route
        }
        alice -> proxy  200
        proxy -> bob    200
        bob -> proxy    ACK
        proxy -> alice  ACK
    """)
    flow.end()
