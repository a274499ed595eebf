"""RFC 3665 §2: registrations. The challenges of §2.1 and §2.5 belong to the digest modules and their
tests."""

from __future__ import annotations

from sipyard.testing import CallFlow, Network, SipServer, UserAgent

from .conftest import OVER_UDP


@OVER_UDP
def test_successful_new_registration(network: Network, proxy: SipServer, bob: UserAgent) -> None:
    """§2.1: Bob registers his phone; the 200 shows the binding and for how long it holds."""
    flow = CallFlow(network, bob, proxy)
    registration = bob.register(expires=7200)
    flow.expect("""
        bob -> proxy  REGISTER sip:biloxi.example.com F1
            To: <sip:bob@biloxi.example.com>
            Contact: <sip:bob@192.0.2.201>
        proxy -> bob  200 OK F4
            Contact: <sip:bob@192.0.2.201>;*expires=7200*
    """)
    flow.end()
    assert registration.status == 200


@OVER_UDP
def test_update_of_contact_list(network: Network, proxy: SipServer, bob: UserAgent) -> None:
    """§2.2: another Contact is added to the one that is there; the 200 lists both."""
    bob.register(expires=3600)
    network.run(1)
    flow = CallFlow(network, bob, proxy)
    update = bob.register(contacts=["mailto:bob@biloxi.example.com", "<sip:bob@192.0.2.77>;q=0.5"])
    flow.expect("""
        bob -> proxy  REGISTER F1
        proxy -> bob  200 F2
    """)
    assert update.response is not None
    contacts = update.response.contacts()
    assert isinstance(contacts, list)
    assert {contact.uri for contact in contacts} >= {"sip:bob@192.0.2.201", "sip:bob@192.0.2.77"}
    assert [contact.parameter("q") for contact in contacts if contact.uri == "sip:bob@192.0.2.77"] == ["0.5"]


@OVER_UDP
def test_request_for_current_contact_list(network: Network, proxy: SipServer, bob: UserAgent) -> None:
    """§2.3: a REGISTER without Contact changes nothing and is answered with the bindings."""
    bob.register(expires=3600)
    network.run(600)
    flow = CallFlow(network, bob, proxy)
    bob.register(contacts=[], expires=None)
    flow.expect("""
        bob -> proxy  REGISTER F1
            !Contact
        proxy -> bob  200 F2
            Contact: <sip:bob@192.0.2.201>;*expires=3000*
    """)


def test_cancellation_of_registration(network: Network, proxy: SipServer, bob: UserAgent) -> None:
    """§2.4: `Contact: *` with `Expires: 0` removes every binding; calls then find nobody."""
    bob.register()
    network.run(1)
    flow = CallFlow(network, bob, proxy)
    bob.unregister()
    flow.expect("""
        bob -> proxy  REGISTER F1
            Contact: *
            Expires: 0
        proxy -> bob  200 F2
            !Contact
    """)
    call = bob.invite("sip:bob@biloxi.example.com")
    network.run(1)
    assert call.status == 404


def test_a_binding_expires(network: Network, proxy: SipServer, bob: UserAgent, alice: UserAgent) -> None:
    """RFC 3261 §10.3: after its time a binding is gone, to the second."""
    bob.register(expires=300)
    bob.answers()
    network.run(298)
    before = alice.invite(bob)
    network.run(1)
    assert before.is_answered
    network.run(2)
    after = alice.invite(bob)
    network.run(1)
    assert after.status == 404


@OVER_UDP
def test_registration_over_a_bad_network(network: Network, proxy: SipServer, bob: UserAgent) -> None:
    """The answer to the REGISTER is lost twice: the phone repeats it (Timer E) and there is one binding."""
    network.link(proxy, bob, both_ways=False, loss=1.0)
    flow = CallFlow(network, bob, proxy)
    registration = bob.register()
    flow.expect("""
        0.0  bob -> proxy  REGISTER
        proxy -x bob       200
        0.5  bob -> proxy  REGISTER
        proxy -x bob       200
    """)
    network.heal()
    flow.expect("""
        1.5  bob -> proxy  REGISTER
        proxy -> bob       200
    """)
    flow.end()
    assert registration.status == 200
    listing = bob.register(contacts=[], expires=None)
    network.run(1)
    assert listing.response is not None
    assert len(listing.response.values("Contact")) == 1
