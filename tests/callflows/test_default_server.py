"""The default script (examples/ser.cfg): users prove who they are, and it relays for nobody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from people import with_users
from sipyard.sip.digest import answer_challenge, parse_challenge
from sipyard.testing import Network, SipServer, UserAgent
from sipyard.testing.call import Outcome

SCRIPT = Path(__file__).parents[2] / "examples" / "ser.cfg"
HOME = "127.0.0.1"
PASSWORDS = {"alice": "wonderland", "bob": "zanzibar"}


class House:
    """The server, two users with phones, and somebody who is no user."""

    def __init__(self, network: Network) -> None:
        self.network = network
        with_users("sqlite:///sipyard.db", HOME, None, **PASSWORDS)
        self.server: SipServer = network.server(SCRIPT, address=f"{HOME}:5060")
        self.alice, self.bob = (self.phone(name) for name in PASSWORDS)
        self.stranger = network.user_agent(
            "stranger", "198.51.100.66:5060", proxy=self.server, domain="elsewhere.example"
        )
        self.victim = network.user_agent("victim", "198.51.100.9:5060")
        for phone in (self.alice, self.bob):
            outcome = phone.register()
            self.until(outcome)
            assert outcome.status == 200

    def phone(self, user: str, **options: str) -> UserAgent:
        """A further phone of a user."""
        chosen = {"username": user, "password": PASSWORDS[user], **options}
        name = user if user not in self.network.nodes else f"{user}{len(self.network.nodes)}"
        aor = chosen.pop("aor", f"sip:{user}@{HOME}")
        return self.network.user_agent(name, proxy=self.server, aor=aor, **chosen)

    def until(self, *outcomes: Outcome) -> None:
        self.network.run_until(lambda: all(each.is_final for each in outcomes), within=40)


@pytest.fixture
def house(network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.chdir(tmp_path)
    return House(network)


METHODS = ["INVITE", "MESSAGE", "SUBSCRIBE", "NOTIFY", "PUBLISH", "REFER", "INFO", "UPDATE", "OPTIONS", "X"]


# -- what it is for ------------------------------------------------------------------------------------------


def test_a_call_between_two_users(house: House) -> None:
    house.bob.answers(after=1)
    call = house.alice.invite(house.bob)
    house.network.run(3)
    assert (call.is_answered, len(call.invite.challenges)) == (True, 1)
    assert not house.bob.call.invite.has_header("Proxy-Authorization")
    house.bob.call.hang_up()
    house.network.run(1)
    assert call.is_over


def test_a_stranger_calls_a_user(house: House) -> None:
    house.bob.answers(after=1)
    call = house.stranger.invite(house.bob)
    house.network.run(3)
    assert call.is_answered
    call.hang_up()
    house.network.run(1)
    assert house.bob.call.is_over


def test_a_user_calls_out(house: House) -> None:
    house.victim.answers()
    call = house.alice.invite(house.victim.contact)
    house.network.run(3)
    assert call.is_answered


def test_a_call_outlives_a_restart(house: House) -> None:
    """The mark of the server that began the call is not known any more: users prove who they are."""
    house.bob.answers()
    call = house.alice.invite(house.bob)
    house.network.run(3)
    house.server.stop()
    house.network.server(SCRIPT, address=f"{HOME}:5060", name="again")
    call.hang_up()
    house.network.run(3)
    assert house.bob.call.is_over


# -- an open relay -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_nothing_goes_out_for_strangers(house: House, method: str) -> None:
    outcome = house.stranger.request(method, house.victim.contact)
    house.until(outcome)
    assert outcome.status == 403
    assert house.victim.requests == []


ROUTES: Sequence[Sequence[str]] = [
    (f"<sip:{HOME};lr>", "<sip:198.51.100.9;lr>"),
    (f"<sip:{HOME};lr>", f"<sip:{HOME};lr>", "<sip:198.51.100.9;lr>"),
    (f"<sip:{HOME};lr;ftag=x>", "<sip:198.51.100.9;lr>"),
    (f"<sip:{HOME};lr;avp=AAAA>", "<sip:198.51.100.9;lr>"),
]


@pytest.mark.parametrize("is_in_dialog", [False, True])
@pytest.mark.parametrize("uri", ["sip:bob@127.0.0.1", "sip:127.0.0.1", "sip:victim@198.51.100.9"])
@pytest.mark.parametrize("routes", ROUTES)
def test_no_route_leads_strangers_out(
    house: House, routes: Sequence[str], uri: str, is_in_dialog: bool
) -> None:
    to = "sip:x@y>;tag=made-up;z=<" if is_in_dialog else "sip:bob@127.0.0.1"
    outcome = house.stranger.request("MESSAGE", uri, routes=routes, to=to)
    house.network.run(40)
    assert outcome.status in (403, 404)
    assert house.victim.requests == []


def test_a_route_that_does_not_lead_here_leads_nowhere(house: House) -> None:
    outcome = house.stranger.request("MESSAGE", house.bob.aor, routes=["<sip:198.51.100.9;lr>"])
    house.until(outcome)
    assert house.victim.requests == []


# -- who somebody is -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_a_user_is_asked_for_the_password(house: House, method: str) -> None:
    faker = house.network.user_agent("faker", proxy=house.server, aor=f"sip:alice@{HOME}")
    outcome = faker.request(method, house.bob.aor)
    house.until(outcome)
    assert outcome.status == 407


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE", "SUBSCRIBE"])
def test_a_fake_identity(house: House, method: str) -> None:
    """Bob's password for a call in Alice's name."""
    faker = house.phone("bob", aor=f"sip:alice@{HOME}")
    outcome = faker.request(method, house.bob.aor)
    house.until(outcome)
    assert (outcome.status, outcome.response and outcome.response.reason) == (403, "Fake Identity")


def test_somebody_elses_address(house: House) -> None:
    thief = house.phone("bob", aor=f"sip:alice@{HOME}")
    outcome = thief.register()
    house.until(outcome)
    assert outcome.status == 403


def test_a_registration_by_a_third_party(house: House) -> None:
    """From says Bob, and he proves it; To says Alice."""
    outcome = house.bob.request(
        "REGISTER", f"sip:{HOME}", ["Contact: <sip:x@198.51.100.9>"], to=house.alice.aor
    )
    house.until(outcome)
    assert outcome.status == 403


def test_a_user_of_no_domain_of_ours_registers(house: House) -> None:
    outcome = house.stranger.register()
    house.until(outcome)
    assert outcome.status == 403


def test_a_wrong_password(house: House) -> None:
    for outcome in (
        house.phone("alice", password="guess").register(),
        house.network.user_agent("n", proxy=house.server, aor=f"sip:n@{HOME}", password="x").register(),
    ):
        house.until(outcome)
        assert outcome.status == 401


def test_asserted_identities_of_strangers_stay_outside(house: House) -> None:
    house.bob.on("MESSAGE", lambda message: 200)
    lines = ["P-Asserted-Identity: <sip:alice@127.0.0.1>", "Remote-Party-ID: <sip:alice@127.0.0.1>"]
    house.until(house.stranger.request("MESSAGE", house.bob.aor, lines))
    got = house.bob.requests[-1]
    assert (got.method, got.has_header("P-Asserted-Identity"), got.has_header("Remote-Party-ID")) == (
        "MESSAGE",
        False,
        False,
    )


# -- credentials that were seen ------------------------------------------------------------------------------


def seen(house: House, method: str, uri: str, **options: str) -> tuple[str, Outcome]:
    """The header with Alice's proof for a request that she sends, as somebody on the way sees it."""
    outcome = house.alice.request(method, uri, **options)
    house.until(outcome)
    line = next(each for each in outcome.request.lines if "uthorization: " in each)
    return line, outcome


def test_replayed_credentials(house: House) -> None:
    proof, _ = seen(house, "MESSAGE", house.bob.aor)
    thief = house.network.user_agent("thief", "198.51.100.66:5070", proxy=house.server, aor=house.alice.aor)
    for uri in (house.bob.aor, house.victim.contact):
        outcome = thief.request("MESSAGE", uri, [proof])
        house.until(outcome)
        assert outcome.status == 407
    assert [each.method for each in house.bob.requests] == ["MESSAGE"]
    assert house.victim.requests == []


def test_a_replayed_registration(house: House) -> None:
    line = [f"Contact: <{house.alice.contact}>"]
    outcome = house.alice.request("REGISTER", f"sip:{HOME}", line, to=house.alice.aor)
    house.until(outcome)
    assert outcome.status == 200
    proof = next(each for each in outcome.request.lines if "uthorization: " in each)
    thief = house.network.user_agent("thief", "198.51.100.66:5070", proxy=house.server, aor=house.alice.aor)
    stolen = thief.register(contacts=["<sip:thief@198.51.100.66:5070>"], headers=[proof])
    house.until(stolen)
    assert stolen.status == 401


def test_credentials_for_another_call(house: House) -> None:
    """A proof for one Request-URI, not yet used, does not open another."""
    bare = replace(house.alice.compose("MESSAGE", house.bob.aor))
    probe = house.network.user_agent("probe", proxy=house.server, aor=house.alice.aor)
    asked = probe.request("MESSAGE", house.bob.aor)
    house.until(asked)
    assert asked.response is not None
    challenge = parse_challenge("Proxy-Authenticate", asked.response.headers("Proxy-Authenticate")[0])
    found = answer_challenge(challenge, bare.method, house.bob.aor, "alice", "wonderland", cnonce="c")
    outcome = probe.request("MESSAGE", house.victim.contact, [f"{found.header}: {found.value}"])
    house.until(outcome)
    assert outcome.status == 407
    assert house.victim.requests == []
