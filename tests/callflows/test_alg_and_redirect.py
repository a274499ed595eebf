"""RFC 3665 §3.5 and §3.6: a gateway that changes the message on its way, and a redirect server before the
proxy."""

from __future__ import annotations

from sipyard.testing import CallFlow, Network

from .conftest import HERE

#: An application level gateway of §3.5: it stays in the path and puts a mark into what passes.
ALG = """
loadmodule "sl"
loadmodule "tm"
loadmodule "rr"
loadmodule "textops"
route {
    record_route();
    if (!loose_route()) {
        rewritehost("biloxi.example.com");
    }
    append_hf("P-Gateway: alg1\\r\\n");
    t_on_reply("INSIDE");
    t_relay();
}
onreply_route[INSIDE] {
    append_hf("P-Gateway: alg1\\r\\n");
}
"""

REDIRECT = """
loadmodule "sl"
route {
    if (method == "ACK") {
        drop;
    }
    seturi("sip:bob@biloxi.example.com");
    sl_reply("302", "Moved Temporarily");
}
"""


def test_session_through_a_gateway(network: Network) -> None:
    """§3.5: every message of the dialog passes the gateway, changed in both directions."""
    alg = network.server(ALG, name="alg1", address="10.3.0.1:5060")
    proxy = network.server(
        HERE / "proxy.cfg", name="ss2", address="10.2.0.1:5060", aliases=["biloxi.example.com"]
    )
    alice = network.user_agent("alice", "192.0.2.101", proxy=alg)
    bob = network.user_agent("bob", "192.0.2.201", proxy=proxy, domain="biloxi.example.com")
    bob.register()
    bob.answers()
    network.run(1)
    flow = CallFlow(network, alice, alg, proxy, bob)
    call = alice.invite("sip:bob@10.3.0.1")
    flow.expect("""
        alice -> alg1  INVITE F1
        {
          alg1 -> alice  100 F3
          alg1 -> ss2    INVITE sip:bob@biloxi.example.com F2
            P-Gateway: alg1
        }
        {
          ss2 -> alg1    100 F5
          ss2 -> bob     INVITE F4
        }
        bob -> ss2     180 F6
        bob -> ss2     200 F9
        ss2 -> alg1    180 F7
            !P-Gateway
        ss2 -> alg1    200 F10
        alg1 -> alice  180 F8
            P-Gateway: alg1
        alg1 -> alice  200 F11
            P-Gateway: alg1
        alice -> alg1  ACK F12
        alg1 -> ss2    ACK F13
        ss2 -> bob     ACK F14
    """)
    bob.call.hang_up()
    flow.expect("""
        bob -> ss2     BYE F15
        ss2 -> alg1    BYE F16
        alg1 -> alice  BYE F17
        alice -> alg1  200 F18
        alg1 -> ss2    200 F19
        ss2 -> bob     200 F20
    """)
    flow.end()
    assert call.is_over


def test_session_via_redirect_and_proxy_with_late_offer(network: Network) -> None:
    """§3.6: the redirect server sends Alice to the proxy; the offer is in the 200, the answer in the ACK."""
    redirect = network.server(REDIRECT, name="rs1", address="10.4.0.1:5060")
    proxy = network.server(
        HERE / "proxy.cfg", name="ss3", address="10.2.0.1:5060", aliases=["biloxi.example.com"]
    )
    alice = network.user_agent("alice", "192.0.2.101", proxy=redirect)
    bob = network.user_agent("bob", "192.0.2.201", proxy=proxy, domain="biloxi.example.com")
    bob.register()
    bob.answers()
    network.run(1)
    flow = CallFlow(network, alice, redirect, proxy, bob)
    first = alice.invite("sip:bob@old.example.com", body=b"")
    flow.expect("""
        alice -> rs1  INVITE F1
        rs1 -> alice  302 Moved Temporarily F2
            Contact: *<sip:bob@biloxi.example.com>*
        alice -> rs1  ACK F3
    """)
    assert first.response is not None
    contacts = first.response.contacts()
    assert isinstance(contacts, list)
    alice.proxy = network.resolve(contacts[0].uri)
    alice.invite(contacts[0].uri, body=b"")
    flow.expect("""
        alice -> ss3  INVITE F4
            Content-Length: 0
        {
          ss3 -> bob    INVITE F5
          ss3 -> alice  100 F6
        }
        bob -> ss3    180 F7
        bob -> ss3    200 F9
        ss3 -> alice  180 F8
        ss3 -> alice  200 F10
            Content-Type: application/sdp
        alice -> ss3  ACK F11
        ss3 -> bob    ACK F12
    """)
    flow.end()
