"""Forked calls (RFC 3261 §16.7): several phones of one person, in parallel and one after the other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sipyard.testing import CallFlow, Network, SipServer, UserAgent

from .conftest import HERE

SERIAL = """
    t_on_failure("NEXT");
    if (!t_relay())"""

SERIAL_ROUTES = """
failure_route[NEXT] {
    if (t_check_status("486|408|480")) {
        append_branch("sip:voicemail@192.0.2.250");
        t_on_failure("LAST");
        t_relay();
    }
}
failure_route[LAST] {
    t_reply("404", "Nobody And No Voicemail");
}
"""

Phones = Callable[..., list[UserAgent]]


@pytest.fixture
def phones(network: Network, proxy: SipServer) -> Phones:
    """Makes that many phones of Bob's, all registered."""

    def make(count: int) -> list[UserAgent]:
        made = [
            network.user_agent(f"bob{number}", proxy=proxy, aor="sip:bob@biloxi.example.com")
            for number in range(1, count + 1)
        ]
        for phone in made:
            phone.register()
        network.run(1)
        return made

    return make


def test_the_first_answer_wins_and_the_others_are_cancelled(
    network: Network, proxy: SipServer, alice: UserAgent, phones: Phones
) -> None:
    """RFC 3261 §16.7 step 10: a 2xx ends the other branches; their 487s are acknowledged here and go no
    further."""
    one, two = phones(2)
    flow = CallFlow(network, alice, proxy, one, two)
    call = alice.invite("sip:bob@biloxi.example.com")
    flow.expect("""
        alice -> proxy  INVITE
        {
          proxy -> alice  100
          proxy -> bob1   INVITE
          proxy -> bob2   INVITE
          bob1 -> proxy   180
          bob2 -> proxy   180
        }
        proxy -> alice  180
        proxy -> alice  180
    """)
    two.call.answer()
    flow.expect("""
        bob2 -> proxy   200 (INVITE)
        {
          proxy -> alice  200 (INVITE)
          proxy -> bob1   CANCEL
        }
        {
          alice -> proxy  ACK
          bob1 -> proxy   200 (CANCEL)
          bob1 -> proxy   487 (INVITE)
          proxy -> bob2   ACK
          proxy -> bob1   ACK
        }
    """)
    flow.end()
    assert call.is_answered
    assert one.call.is_cancelled


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [(486, 404, 404), (486, 603, 603), (503, 486, 486), (302, 404, 302), (401, 404, 401), (500, 404, 404)],
)
def test_the_best_refusal_goes_upstream(  # fixtures and one row of the table
    network: Network,
    alice: UserAgent,
    phones: Phones,
    first: int,
    second: int,
    best: int,
) -> None:
    """SER 2.0's order: 6xx, then 3xx, then 4xx (401, 407, 415, 420, 484 before the others), then 5xx."""
    one, two = phones(2)
    one.rejects(first, after=1)
    two.rejects(second, after=2)
    call = alice.invite("sip:bob@biloxi.example.com")
    network.run(5)
    assert call.status == best


def test_a_lone_503_goes_upstream_as_500(network: Network, alice: UserAgent, phones: Phones) -> None:
    """RFC 3261 §16.7 step 6: a 503 speaks of the next hop, not of us."""
    (one,) = phones(1)
    one.rejects(503)
    call = alice.invite("sip:bob@biloxi.example.com")
    network.run(5)
    assert call.status == 500


def test_a_6xx_ends_the_other_branches(network: Network, alice: UserAgent, phones: Phones) -> None:
    """RFC 3261 §16.7 step 5: after a 6xx nobody else is rung; the decision waits for the cancelled branch."""
    one, two = phones(2)
    one.rejects(603, after=1)
    call = alice.invite("sip:bob@biloxi.example.com")
    network.run(3)
    assert call.status == 603
    assert two.call.is_cancelled


def test_two_answers_both_reach_the_caller(network: Network, alice: UserAgent, phones: Phones) -> None:
    """Both phones answer at the same moment: every 2xx is relayed (§16.7 step 5), the caller keeps the
    first."""
    one, two = phones(2)
    for phone in (one, two):
        phone.answers(after=1, ring=False)
    call = alice.invite("sip:bob@biloxi.example.com")
    network.run(60)
    assert len([dialog for dialog in call.dialogs if dialog.is_confirmed]) == 2
    assert call.is_answered
    assert sorted(phone.call.state for phone in (one, two)) == ["answered", "over"]


def test_serial_forking_by_failure_route(network: Network) -> None:
    """Busy here leads to the voicemail; the caller hears of one final response only."""
    script = (HERE / "proxy.cfg").read_text().replace("    if (!t_relay())", SERIAL) + SERIAL_ROUTES
    proxy = network.server(script, address="10.2.0.1:5060", aliases=["biloxi.example.com"])
    alice = network.user_agent("alice", proxy=proxy)
    bob = network.user_agent("bob", proxy=proxy, domain="biloxi.example.com")
    voicemail = network.user_agent("voicemail", "192.0.2.250", proxy=proxy)
    bob.register()
    network.run(1)
    bob.rejects(486)
    flow = CallFlow(network, alice, proxy, bob, voicemail)
    call = alice.invite(bob)
    flow.expect("""
        alice -> proxy      INVITE
        {
          proxy -> alice      100
          proxy -> bob        INVITE
        }
        bob -> proxy        486
        {
          proxy -> bob        ACK
          proxy -> voicemail  INVITE sip:voicemail@192.0.2.250
        }
        voicemail -> proxy  180
        proxy -> alice      180
    """)
    voicemail.call.answer()
    flow.expect("""
        voicemail -> proxy  200
        proxy -> alice      200
        alice -> proxy      ACK
        proxy -> voicemail  ACK
    """)
    flow.end()
    assert call.is_answered


def test_a_failure_route_that_answers_itself(network: Network) -> None:
    """Both tries fail and the second failure route replies; that is the one answer."""
    script = (HERE / "proxy.cfg").read_text().replace("    if (!t_relay())", SERIAL) + SERIAL_ROUTES
    proxy = network.server(script, address="10.2.0.1:5060", aliases=["biloxi.example.com"])
    alice = network.user_agent("alice", proxy=proxy)
    bob = network.user_agent("bob", proxy=proxy, domain="biloxi.example.com")
    voicemail = network.user_agent("voicemail", "192.0.2.250", proxy=proxy)
    bob.register()
    network.run(1)
    bob.rejects(486)
    voicemail.rejects(480)
    call = alice.invite(bob)
    network.run()
    assert call.status == 404
    assert call.response is not None
    assert call.response.reason == "Nobody And No Voicemail"
    assert not any(proxy.live.values()), proxy.live
