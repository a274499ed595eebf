"""A script in the manner of SER 2.0's ser.cfg, run as it stands but for the modules of management: domains,
users, attributes, accounting and the gateway, all from one database (inventory E.3)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from databases import TestDatabase
from people import with_users
from sipyard.storage.provisioning import Provisioning
from sipyard.testing import Network, UserAgent
from sipyard.testing.call import Outcome

SCRIPT = Path(__file__).parents[1] / "script" / "configs" / "ser-2.0.cfg"
HOME = "example.org"
PASSWORDS = {"alice": "wonderland", "bob": "zanzibar"}
GATEWAY = "192.0.2.200"


def text_for(url: str) -> str:
    """The script without what serves management, and with the test's database."""
    text = SCRIPT.read_text()
    text = re.sub(r"^(loadmodule|modparam\().*(ctl|fifo|xmlrpc).*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"route\[RPC\]\n\{.*?\n\}\n", "", text, flags=re.DOTALL)
    found = re.sub(r"mysql://[^\"]+", url, text)
    assert "RPC" not in found
    return found


async def attributes(people: Provisioning) -> None:
    for name, password in PASSWORDS.items():
        await people.set_password(f"{name}@{HOME}", password, keep_plain=True)
    await people.set_attribute(f"bob@{HOME}", "fr_inv_timer", "5000")
    await people.set_attribute(f"alice@{HOME}", "asserted_id", "+420123456")
    await people.set_attribute("global", "gw_ip", GATEWAY)


class House:
    def __init__(self, network: Network, database: TestDatabase) -> None:
        self.network = network
        self.database = database
        with_users(database.url, HOME, attributes, **PASSWORDS)
        self.server = network.server(text_for(database.url), aliases=[HOME])
        self.alice, self.bob = (self.phone(name) for name in PASSWORDS)

    def phone(self, user: str, **options: str) -> UserAgent:
        name = user if user not in self.network.nodes else f"{user}{len(self.network.nodes)}"
        chosen = {"aor": f"sip:{user}@{HOME}", "username": user, "password": PASSWORDS[user], **options}
        return self.network.user_agent(name, proxy=self.server, **chosen)

    def register(self, *phones: UserAgent) -> list[int]:
        return [self.ask(phone.register()) for phone in phones]

    def ask(self, outcome: Outcome) -> int:
        self.network.run_until(lambda: outcome.is_final, within=40)
        return outcome.status

    def rows(self, columns: str) -> list[tuple[object, ...]]:
        self.network.run(1)
        return self.database.ask(f"SELECT {columns} FROM acc ORDER BY id")


@pytest.fixture
def house(network: Network, database: TestDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.chdir(tmp_path)
    return House(network, database)


def test_registration(house: House) -> None:
    assert house.register(house.alice, house.bob) == [200, 200]
    stored = house.database.ask("SELECT uid, aor FROM location ORDER BY uid")
    assert [uid for uid, _ in stored] == [f"alice@{HOME}", f"bob@{HOME}"]
    assert house.register(house.phone("alice", aor=f"sip:bob@{HOME}")) == [403]
    assert house.register(house.phone("alice", aor=f"sip:nobody@{HOME}")) == [404]
    assert house.register(house.phone("alice", password="guess")) == [401]
    assert house.ask(house.alice.register("sip:elsewhere.org")) == 403


def test_a_call_and_its_account(house: House) -> None:
    house.register(house.alice, house.bob)
    house.bob.answers(after=1)
    call = house.alice.invite(house.bob)
    house.network.run(3)
    assert call.is_answered
    assert house.bob.call.invite.header("P-hint") == "usrloc applied"
    call.hang_up()
    house.network.run(1)
    assert house.bob.call.is_over
    rows = house.rows("sip_method, sip_status, from_did, to_did, to_uid")
    assert rows[0] == ("INVITE", "200", HOME, HOME, f"bob@{HOME}")
    # The BYE's flag comes back in the cookie of the Route.
    assert rows[1][:2] == ("BYE", "200")


def test_each_callee_has_timers_of_his_own(house: House) -> None:
    house.register(house.alice, house.bob)
    house.bob.rings()
    call = house.alice.invite(house.bob)
    house.network.run(4)
    assert call.status == 180
    house.network.run(3)
    assert call.status == 408
    assert house.rows("sip_status") == [("408",)]


def test_who_is_not_registered_and_who_is_not_there(house: House) -> None:
    house.register(house.alice)
    call = house.alice.invite(house.bob)
    house.network.run(2)
    assert call.status == 480
    call = house.alice.invite(f"sip:nobody@{HOME}")
    house.network.run(2)
    assert call.status == 404


def test_a_fake_identity(house: House) -> None:
    house.register(house.alice, house.bob)
    faker = house.phone("bob", aor=f"sip:alice@{HOME}")
    assert house.ask(faker.request("MESSAGE", house.bob.aor)) == 403


def test_out_to_another_domain(house: House) -> None:
    outside = house.network.user_agent("outside", "198.51.100.9:5060")
    outside.answers()
    call = house.alice.invite(outside.contact)
    house.network.run(3)
    assert call.is_answered
    assert outside.call.invite.header("P-hint") == "outbound"


def test_a_number_goes_to_the_gateway(house: House) -> None:
    gateway = house.network.user_agent("gateway", f"{GATEWAY}:5060")
    gateway.answers()
    call = house.alice.invite(f"sip:+420777888999@{HOME}")
    house.network.run(3)
    assert call.is_answered
    invite = gateway.call.invite
    assert invite.request_uri == f"sip:+420777888999@{GATEWAY}"
    assert invite.header("Remote-Party-ID") == f"<sip:+420123456@{HOME}>;screen=yes"
