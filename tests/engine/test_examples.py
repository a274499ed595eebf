"""Every file in examples/ is checked, and does on the virtual network what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from people import with_users
from sipyard.script import check_file
from sipyard.testing import Network, SipServer, UserAgent

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(EXAMPLES.rglob("*.cfg"))
PROXIES = ["ser.cfg", "laboratory.cfg", "ser-0.9.cfg", "routes.py"]
IP = "127.0.0.1:5060"


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ser.cfg writes its bindings beside itself."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_it_is_good(script: Path) -> None:
    report = check_file(script)
    assert report.is_good, report.text()


def registered(network: Network, name: str) -> tuple[SipServer, UserAgent, UserAgent]:
    """The example as a server, with Alice and Bob registered."""
    if name == "ser.cfg":
        with_users("sqlite:///sipyard.db", "127.0.0.1", alice="wonderland", bob="zanzibar")
    server = network.server(EXAMPLES / name, address=IP)
    alice = network.user_agent("alice", proxy=server, password="wonderland")
    bob = network.user_agent("bob", proxy=server, password="zanzibar")
    outcomes = [alice.register(), bob.register()]
    network.run(1)
    assert [each.status for each in outcomes] == [200, 200]
    return server, alice, bob


@pytest.mark.parametrize("name", PROXIES)
def test_a_call_between_two_phones(network: Network, name: str) -> None:
    server, alice, bob = registered(network, name)
    bob.answers(after=1)
    call = alice.invite(bob)
    network.run(3)
    assert call.is_answered
    assert bob.call.invite.has_header("Record-Route")
    call.hang_up()
    network.run(1)
    assert bob.call.is_over
    network.run(60)
    assert server.live["transactions"] == 0


@pytest.mark.parametrize("name", PROXIES)
def test_a_call_that_is_given_up(network: Network, name: str) -> None:
    _, alice, bob = registered(network, name)
    call = alice.invite(bob)
    call.cancel(after=1)
    network.run(3)
    assert call.status == 487
    assert bob.call.is_over


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("method", ["INVITE", "OPTIONS", "REGISTER", "MESSAGE"])
def test_nothing_is_relayed_for_strangers(network: Network, name: str, method: str) -> None:
    server, alice, _ = registered(network, name)
    victim = network.user_agent("victim", "198.51.100.9:5060")
    if name == "ser.cfg":  # users who have proven who they are may call anybody
        alice = network.user_agent("mallory", "198.51.100.66:5060", proxy=server, domain="198.51.100.66")
    outcome = alice.request(method, victim.contact)
    network.run(2)
    assert outcome.status == 403
    assert victim.requests == []
    assert victim.calls == []


@pytest.mark.parametrize("name", ["laboratory.cfg", "routes.py"])
def test_a_preloaded_route_is_no_way_around(network: Network, name: str) -> None:
    _, alice, _ = registered(network, name)
    victim = network.user_agent("victim", "198.51.100.9:5060")
    outcome = alice.request("MESSAGE", victim.contact, routes=["<sip:127.0.0.1;lr>"])
    onward = alice.request("MESSAGE", "sip:127.0.0.1", routes=["<sip:127.0.0.1;lr>", "<sip:198.51.100.9;lr>"])
    network.run(2)
    assert outcome.status == 403
    assert onward.status in (403, 404)
    assert victim.requests == []


@pytest.mark.parametrize("name", ["ser-0.9.cfg", "routes.py"])
def test_busy_goes_to_the_mailbox(network: Network, name: str) -> None:
    server, alice, bob = registered(network, name)
    mailbox = network.user_agent("voicemail", proxy=server)
    mailbox.register()
    bob.rejects(486)
    mailbox.answers()
    call = alice.invite(bob)
    network.run(3)
    assert call.is_answered
    assert len(mailbox.calls) == 1


def test_unknown_users(network: Network) -> None:
    _, alice, _ = registered(network, "ser.cfg")
    call = alice.invite("sip:nobody@127.0.0.1")
    network.run(1)
    assert call.status == 404


def test_options_to_the_server(network: Network) -> None:
    _, alice, _ = registered(network, "ser.cfg")
    outcome = alice.request("OPTIONS", "sip:127.0.0.1")
    network.run(1)
    assert outcome.status == 200
    assert outcome.response is not None
    assert outcome.response.has_header("Accept")


def test_redirect(network: Network) -> None:
    _, alice, bob = registered(network, "redirect.cfg")
    call = alice.invite(bob)
    network.run(1)
    assert call.status == 302
    assert call.response is not None
    assert call.response.values("Contact") == [f"<{bob.contact}>"]
    quick = alice.invite("sip:12@127.0.0.1")
    network.run(1)
    assert quick.response is not None
    assert quick.response.values("Contact") == ["<sip:speed-12@127.0.0.1>"]
