"""auth and auth_db: who proves to know a password, in both generations and on every database."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import DOMAIN, provision, provision_0_9
from sipyard._native.core import Message
from sipyard.sip.digest import ALGORITHMS, answer_challenge, parse_challenge
from sipyard.testing import Network

NEW = """
loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "avp"
loadmodule "usrloc" loadmodule "registrar"
loadmodule "auth" loadmodule "auth_db"
modparam("auth_db", "db_url", "{url}")
modparam("auth_db", "use_did", 0)
{parameters}
route {{
    if (method == "REGISTER") {{
        if (!www_authenticate("example.org", "credentials")) {{
            if ($? == -2) {{ sl_reply("500", "Database"); drop; }}
            if ($? == -3) {{ sl_reply("400", "Malformed"); drop; }}
            append_to_reply("%$digest_challenge");
            sl_reply("401", "Unauthorized");
            drop;
        }}
        append_to_reply("X-Uid: %$fu.uid\\r\\n");
        save_contacts("location");
        drop;
    }}
    if (!proxy_authenticate("example.org", "credentials")) {{
        append_to_reply("%$digest_challenge");
        sl_reply("407", "Proxy Authentication Required");
        drop;
    }}
    consume_credentials();
    t_relay_to_udp("192.0.2.50", "5060");
}}
"""
OLD = """
loadmodule "sl" loadmodule "tm" loadmodule "usrloc" loadmodule "registrar"
loadmodule "auth" loadmodule "auth_db"
modparam("auth_db", "db_url", "{url}")
{parameters}
route {{
    if (method == "REGISTER") {{
        if (!www_authorize("{realm}", "subscriber")) {{
            www_challenge("{realm}", "1");
            break;
        }};
        save("location");
        break;
    }};
    if (!proxy_authorize("{realm}", "subscriber")) {{
        proxy_challenge("{realm}", "0");
        break;
    }};
    consume_credentials();
    {route}
    t_relay_to_udp("192.0.2.50", "5060");
}}
"""


class Phone:
    """Sends what it is told to, and answers challenges as it is told to."""

    def __init__(self, network: Network, address: str = "192.0.2.9:5060") -> None:
        self.peer = WirePeer(network, f"peer {address}", address)
        self.call_id = address
        self.cseq = 0

    def ask(
        self, method: str = "REGISTER", *lines: str, user: str = "bob", uri: str = f"sip:{DOMAIN}"
    ) -> Message:
        self.cseq += 1
        contact = [f"Contact: <sip:{user}@192.0.2.9>"] if method == "REGISTER" else []
        text = self.peer.request(
            method,
            uri,
            headers=[*contact, *lines],
            to=f"sip:{user}@{DOMAIN}",
            call_id=self.call_id,
            cseq=self.cseq,
        )
        return self.peer.ask(text)

    def proof(
        self,
        answer: Message,
        password: str = "zanzibar",
        *,
        method: str = "REGISTER",
        username: str = "bob",
        uri: str = f"sip:{DOMAIN}",
        place: int = 0,
        count: int = 1,
    ) -> str:
        name = "WWW-Authenticate" if answer.status == 401 else "Proxy-Authenticate"
        asked = parse_challenge(name, answer.headers(name)[place])
        found = answer_challenge(asked, method, uri, username, password, cnonce="c0", count=count)
        return f"{found.header}: {found.value}"


class Served(NamedTuple):
    network: Network
    phone: Phone


def serve(network: Network, database: TestDatabase, *parameters: str, text: str = NEW, **more: str) -> Served:
    provision(database) if text is NEW else provision_0_9(database)
    lines = "\n".join(
        f'modparam("{module}", {rest})' for module, _, rest in (each.partition(":") for each in parameters)
    )
    values = {"realm": DOMAIN, "route": "", **more}
    network.server(text.format(url=database.url, parameters=lines, **values))
    return Served(network, Phone(network))


# -- SER 2.0 -------------------------------------------------------------------------------------------------


def test_a_phone_that_knows_its_password_registers(network: Network, database: TestDatabase) -> None:
    phone = serve(network, database).phone
    first = phone.ask()
    assert first.status == 401
    assert first.header("WWW-Authenticate", 1) is None
    assert "algorithm" not in (first.header("WWW-Authenticate") or "")
    second = phone.ask("REGISTER", phone.proof(first))
    assert (second.status, second.header("X-Uid")) == (200, f"bob@{DOMAIN}")


REFUSED = {
    "a wrong password": {"password": "wrong"},
    "an unknown user": {"username": "nobody"},
    "no user name": {"username": ""},
    "another method": {"method": "INVITE"},
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(network: Network, database: TestDatabase, case: str) -> None:
    phone = serve(network, database).phone
    answer = phone.ask("REGISTER", phone.proof(phone.ask(), **REFUSED[case]))
    assert answer.status == (400 if case == "no user name" else 401)
    assert "stale" not in (answer.header("WWW-Authenticate") or "")


def test_user_at_domain_is_the_same_user(network: Network, database: TestDatabase) -> None:
    phone = serve(network, database).phone
    assert phone.ask("REGISTER", phone.proof(phone.ask(), username=f"bob@{DOMAIN}")).status == 200


def test_an_old_nonce_is_stale_only_with_the_right_password(network: Network, database: TestDatabase) -> None:
    served = serve(network, database, 'auth:"nonce_expire", 30')
    phone = served.phone
    first = phone.ask()
    right, wrong = phone.proof(first), phone.proof(first, "wrong")
    network.run(31)
    answer = phone.ask("REGISTER", right)
    assert "stale=true" in (answer.header("WWW-Authenticate") or "")
    assert phone.ask("REGISTER", phone.proof(answer)).status == 200
    assert "stale" not in (phone.ask("REGISTER", wrong).header("WWW-Authenticate") or "")


def test_a_proxys_challenge_and_credentials_stay_here(network: Network, database: TestDatabase) -> None:
    phone = serve(network, database).phone
    callee = WirePeer(network, "callee", "192.0.2.50:5060")
    first = phone.ask("MESSAGE")
    assert first.status == 407
    other = 'Proxy-Authorization: Digest username="x", realm="else", nonce="n", uri="u", response="r"'
    text = phone.peer.request(
        "MESSAGE", f"sip:{DOMAIN}", headers=[other, phone.proof(first, method="MESSAGE")], cseq=9
    )
    phone.peer.post(text)
    network.run_until(lambda: bool(callee.messages), within=5)
    assert callee.messages[0].headers("Proxy-Authorization") == [other.partition(": ")[2]]


def test_every_algorithm_that_is_offered_works(network: Network, database: TestDatabase) -> None:
    phone = serve(network, database, 'auth:"algorithms", "SHA-512-256, SHA-256, MD5"').phone
    first = phone.ask()
    offered = [parse_challenge("x", value).algorithm for value in first.headers("WWW-Authenticate")]
    assert offered == ["SHA-512-256", "SHA-256", "MD5"]
    for place in range(3):
        assert phone.ask("REGISTER", phone.proof(first, place=place)).status == 200
        assert phone.ask("REGISTER", phone.proof(first, "wrong", place=place)).status == 401


def test_an_algorithm_that_is_not_offered_is_refused(network: Network, database: TestDatabase) -> None:
    phone = serve(network, database, 'auth:"algorithms", "SHA-256"').phone
    proof = phone.proof(phone.ask())
    assert phone.ask("REGISTER", proof).status == 200
    asked = parse_challenge("WWW-Authenticate", phone.ask().headers("WWW-Authenticate")[0])
    found = answer_challenge(
        asked._replace(algorithm="MD5"), "REGISTER", f"sip:{DOMAIN}", "bob", "zanzibar", cnonce="c"
    )
    assert phone.ask("REGISTER", f"Authorization: {found.value}").status == 401


def test_passwords_kept_as_they_are(network: Network, database: TestDatabase) -> None:
    phone = serve(network, database, 'auth_db:"calculate_ha1", 1', 'auth:"algorithms", "SHA-256"').phone
    database.ask("UPDATE credentials SET password = 'zanzibar', ha1 = '', ha1_sha256 = ''")
    assert phone.ask("REGISTER", phone.proof(phone.ask())).status == 200


@pytest.mark.parametrize("flags", [0, 3, 32])
def test_rows_that_are_not_for_the_server(network: Network, database: TestDatabase, flags: int) -> None:
    phone = serve(network, database).phone
    database.ask(f"UPDATE credentials SET flags = {flags}")
    assert phone.ask("REGISTER", phone.proof(phone.ask())).status == 401


def test_no_table_is_a_database_error(network: Network, database: TestDatabase) -> None:
    phone = serve(network, database).phone
    database.ask("DROP TABLE credentials")
    assert phone.ask("REGISTER", phone.proof(phone.ask())).status == 500


MALFORMED = [
    'Digest realm="example.org"',
    'Digest username="bob", realm="example.org", nonce="n", uri="u", response="r", qop=auth',
    'Digest username="bob", realm="example.org", nonce="n", uri="u", response="r", algorithm=ROT13',
]


@pytest.mark.parametrize("value", MALFORMED)
def test_malformed_credentials(network: Network, sqlite: TestDatabase, value: str) -> None:
    assert serve(network, sqlite).phone.ask("REGISTER", f"Authorization: {value}").status == 400


@pytest.mark.parametrize("method", ["ACK", "CANCEL", "PRACK"])
def test_methods_that_cannot_be_challenged_pass(network: Network, sqlite: TestDatabase, method: str) -> None:
    phone = serve(network, sqlite).phone
    callee = WirePeer(network, "callee", "192.0.2.50:5060")
    phone.peer.post(phone.peer.request(method, f"sip:{DOMAIN}"))
    network.run(1)
    assert [each.method for each in callee.messages[:1]] == [method]
    assert [each.status for each in phone.peer.messages if each.status == 407] == []


def test_a_nonce_of_another_realm_is_none(network: Network, sqlite: TestDatabase) -> None:
    phone = serve(network, sqlite).phone
    asked = parse_challenge("WWW-Authenticate", phone.ask().headers("WWW-Authenticate")[0])
    forged = [
        asked.nonce[:-1] + ("0" if asked.nonce[-1] != "0" else "1"),
        "f" * 48,
        "",
        "x",
        asked.nonce + "0",
    ]
    for nonce in forged:
        proof = answer_challenge(
            asked._replace(nonce=nonce), "REGISTER", f"sip:{DOMAIN}", "bob", "zanzibar", cnonce="c"
        )
        assert phone.ask("REGISTER", f"Authorization: {proof.value}").status in (400, 401)


def test_replays_are_refused_when_counts_are_checked(network: Network, sqlite: TestDatabase) -> None:
    phone = serve(network, sqlite, 'auth:"nonce_count", 1').phone
    first = phone.ask()
    assert phone.ask("REGISTER", phone.proof(first)).status == 200
    replayed = phone.ask("REGISTER", phone.proof(first))
    assert "stale=true" in (replayed.header("WWW-Authenticate") or "")
    assert phone.ask("REGISTER", phone.proof(first, count=2)).status == 200
    assert phone.ask("REGISTER", phone.proof(first, count=1)).status == 401


def test_a_retransmission_is_no_replay(network: Network, sqlite: TestDatabase) -> None:
    phone = serve(network, sqlite, 'auth:"nonce_count", 1').phone
    first = phone.ask()
    lines = ["Contact: <sip:bob@192.0.2.9>", phone.proof(first)]
    text = phone.peer.request("REGISTER", f"sip:{DOMAIN}", headers=lines, to=f"sip:bob@{DOMAIN}", cseq=7)
    assert [phone.peer.ask(text).status for _ in range(3)] == [200, 200, 200]
    thief = Phone(network, "192.0.2.66:5060")
    assert thief.peer.ask(text.replace("192.0.2.9:5060", "192.0.2.66:5060")).status == 401


def test_one_time_nonces(network: Network, sqlite: TestDatabase) -> None:
    phone = serve(network, sqlite, 'auth:"one_time_nonce", 1').phone
    first = phone.ask()
    assert phone.ask("REGISTER", phone.proof(first)).status == 200
    assert phone.ask("REGISTER", phone.proof(first, count=2)).status == 401


def test_credentials_for_another_uri(network: Network, sqlite: TestDatabase) -> None:
    phone = serve(network, sqlite, 'auth:"check_uri", 1').phone
    proof = phone.proof(phone.ask(), uri="sip:elsewhere.org")
    assert phone.ask("REGISTER", proof).status == 401
    proof = phone.proof(phone.ask(), uri=f"sip:{DOMAIN}:5060;transport=udp")
    assert phone.ask("REGISTER", proof).status == 200


def test_contacts_bound_to_the_nonce(network: Network, sqlite: TestDatabase) -> None:
    phone = serve(network, sqlite, 'auth:"protect_contacts", 1').phone
    proof = phone.proof(phone.ask())
    other = ["Contact: <sip:thief@192.0.2.66>", proof]
    text = phone.peer.request("REGISTER", f"sip:{DOMAIN}", headers=other, to=f"sip:bob@{DOMAIN}", cseq=5)
    assert phone.peer.ask(text).status == 401
    assert phone.ask("REGISTER", proof).status == 200


def test_guessing_is_slow_but_the_owner_is_not_held_up(network: Network, sqlite: TestDatabase) -> None:
    served = serve(network, sqlite, 'auth:"guess_limit", 5', 'auth:"guess_delay", 1000')
    owner, thief = served.phone, Phone(network, "192.0.2.66:5060")
    assert owner.ask("REGISTER", owner.proof(owner.ask())).status == 200
    for _ in range(5):
        thief.ask("REGISTER", thief.proof(thief.ask(), "guess"))
    begun = network.now
    for _ in range(4):
        assert thief.ask("REGISTER", thief.proof(thief.ask(), "guess")).status == 401
    assert network.now - begun > 2.5
    begun = network.now
    assert owner.ask("REGISTER", owner.proof(owner.ask())).status == 200
    assert network.now - begun < 0.5
    # From an address that nobody knows the owner waits for a turn, and gets in.
    away = Phone(network, "192.0.2.77:5060")
    assert away.ask("REGISTER", away.proof(away.ask())).status == 200


def test_servers_that_share_a_secret_accept_each_others_nonces(
    network: Network, sqlite: TestDatabase
) -> None:
    phone = serve(network, sqlite, 'auth:"secret", "shared"').phone
    text = NEW.format(url=sqlite.url, parameters='modparam("auth", "secret", "shared")')
    network.server(text, address="10.0.0.2:5060", name="second")
    proof = phone.proof(phone.ask())
    lines = ["Contact: <sip:bob@192.0.2.9>", proof]
    text = phone.peer.request("REGISTER", f"sip:{DOMAIN}", headers=lines, to=f"sip:bob@{DOMAIN}", cseq=9)
    assert phone.peer.ask(text, "10.0.0.2:5060").status == 200


# -- SER 0.9 -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("realm", [DOMAIN, ""])
def test_ser_0_9(network: Network, database: TestDatabase, realm: str) -> None:
    phone = serve(network, database, text=OLD, realm=realm).phone
    first = phone.ask()
    assert (first.status, 'qop="auth"' in (first.header("WWW-Authenticate") or "")) == (401, True)
    assert phone.ask("REGISTER", phone.proof(first, "wrong")).status == 401
    assert phone.ask("REGISTER", phone.proof(first)).status == 200
    proxy = phone.ask("MESSAGE")
    assert (proxy.status, "qop" in (proxy.header("Proxy-Authenticate") or "")) == (407, False)


def test_ser_0_9_attributes_of_the_subscriber(network: Network, sqlite: TestDatabase) -> None:
    route = 'if (is_rpid_user_e164()) { append_rpid_hf(); append_rpid_hf("<", ">;x"); };'
    phone = serve(network, sqlite, text=OLD, route=route).phone
    callee = WirePeer(network, "callee", "192.0.2.50:5060")
    proof = phone.proof(phone.ask("MESSAGE"), method="MESSAGE")
    phone.peer.post(phone.peer.request("MESSAGE", f"sip:{DOMAIN}", headers=[proof], cseq=9))
    network.run_until(lambda: bool(callee.messages), within=5)
    assert callee.messages[0].headers("Remote-Party-ID") == [
        "sip:+420123@example.org;party=calling;id-type=subscriber;screen=yes",
        "<sip:+420123@example.org>;x",
    ]
    assert not callee.messages[0].has_header("Proxy-Authorization")


@pytest.mark.parametrize(("name", "is_passed"), [("bob", True), ("carol", False)])
def test_is_user(network: Network, sqlite: TestDatabase, name: str, is_passed: bool) -> None:
    route = f'if (!is_user("{name}")) {{ sl_send_reply("403", "Not you"); break; }};'
    phone = serve(
        network, sqlite, text=OLD.replace('"auth"', '"auth" loadmodule "uri"', 1), route=route
    ).phone
    callee = WirePeer(network, "callee", "192.0.2.50:5060")
    proof = phone.proof(phone.ask("MESSAGE"), method="MESSAGE")
    phone.peer.post(phone.peer.request("MESSAGE", f"sip:{DOMAIN}", headers=[proof], cseq=9))
    network.run(1)
    assert bool(callee.messages) is is_passed


def test_ser_0_9_stale(network: Network, sqlite: TestDatabase) -> None:
    phone = serve(network, sqlite, text=OLD).phone
    proof = phone.proof(phone.ask())
    network.run(301)
    assert "stale=true" in (phone.ask("REGISTER", proof).header("WWW-Authenticate") or "")


def test_ser_0_9_passwords_kept_as_they_are(network: Network, sqlite: TestDatabase) -> None:
    wanted = [
        'auth_db:"calculate_ha1", 1',
        'auth_db:"password_column", "password"',
        'auth_db:"use_domain", 1',
    ]
    phone = serve(network, sqlite, *wanted, text=OLD).phone
    assert phone.ask("REGISTER", phone.proof(phone.ask())).status == 200


def test_all_algorithms_are_named() -> None:
    assert ALGORITHMS == ("MD5", "SHA-256", "SHA-512-256")
