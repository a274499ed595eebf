"""uri_db: whose URI it is (SER 2.0), and whether credentials may use it (SER 0.9)."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import DOMAIN, provision, provision_0_9
from sipyard.storage.provisioning import Provisioning
from sipyard.testing import Network, UserAgent

NEW = """
loadmodule "sl" loadmodule "textops" loadmodule "domain" loadmodule "uri_db"
modparam("domain|uri_db", "db_url", "{url}")
route {{
    {before}
    if ({call}) {{
        append_to_reply("X-Found: %$fu.uid %$tu.uid %$tu.ruri_canonical\\r\\n");
        sl_reply("200", "OK");
    }}
    else if ($? == -2) {{ sl_reply("500", "Database"); }}
    else {{ sl_reply("404", "Not Found"); }}
}}
"""
BY_LOOKUP = 'lookup_domain("$fd", "@from.uri.host"); lookup_domain("$td", "@ruri.host");'
NONE = "<null>"
CASES = [
    # call, Request-URI, From, what is found
    ('lookup_user("From")', "sip:x@example.org", "sip:bob@example.org", f"bob@{DOMAIN} {NONE} {NONE}"),
    ('lookup_user("From")', "sip:x@example.org", "sip:100@example.org", f"bob@{DOMAIN} {NONE} {NONE}"),
    ('lookup_user("From")', "sip:x@example.org", "sip:bob@example.net", None),
    ('lookup_user("To")', "sip:bob@example.org", "sip:x@example.org", f"{NONE} bob@{DOMAIN} {NONE}"),
    ('lookup_user("Request-URI")', "sip:bob@example.org", "sip:x@example.org", f"{NONE} bob@{DOMAIN} 1"),
    ('lookup_user("Request-URI")', "sip:100@example.org", "sip:x@example.org", f"{NONE} bob@{DOMAIN} {NONE}"),
    ('lookup_user("Request-URI")', "sips:bob@example.org", "sip:x@example.org", f"{NONE} bob@{DOMAIN} 1"),
    ('lookup_user("Request-URI")', "sip:carol@example.org", "sip:x@example.org", None),
    ('lookup_user("$tu.uid", "@ruri")', "sip:bob@example.org", "sip:x@y", f"{NONE} bob@{DOMAIN} {NONE}"),
    ('lookup_user("$fu.uid", "@from.uri")', "sip:x@y", "sip:bob@EXAMPLE.ORG", f"bob@{DOMAIN} {NONE} {NONE}"),
    ('lookup_user("$tu.uid", "@ruri")', "sip:bob@example.net", "sip:x@y", None),
    ('lookup_user("$tu.uid", "nonsense")', "sip:bob@example.net", "sip:x@y", None),
]


async def with_alias(people: Provisioning) -> None:
    await people.add_alias(f"100@{DOMAIN}", f"bob@{DOMAIN}")


def ask(network: Network, uri: str, sender: str) -> tuple[int, str | None]:
    peer = WirePeer(network)
    answer = peer.ask(peer.request(uri=uri).replace("sip:alice@example.org", sender))
    return answer.status, answer.header("X-Found")


@pytest.mark.parametrize(("call", "uri", "sender", "found"), CASES)
def test_lookup_user(
    network: Network, sqlite: TestDatabase, call: str, uri: str, sender: str, found: str | None
) -> None:
    provision(sqlite, with_alias)
    network.server(NEW.format(url=sqlite.url, call=call, before=BY_LOOKUP))
    assert ask(network, uri, sender) == (404 if found is None else 200, found)


@pytest.mark.parametrize("case", [0, 4, 8, 11])
def test_lookup_user_in_every_database(network: Network, database: TestDatabase, case: int) -> None:
    provision(database, with_alias)
    call, uri, sender, found = CASES[case]
    network.server(NEW.format(url=database.url, call=call, before=BY_LOOKUP))
    assert ask(network, uri, sender) == (404 if found is None else 200, found)


@pytest.mark.parametrize(
    ("call", "flags", "status"),
    [
        ('lookup_user("From")', 1 | 16, 200),
        ('lookup_user("From")', 1 | 8, 404),
        ('lookup_user("$fu.uid", "@ruri")', 1 | 8, 404),
        ('lookup_user("$tu.uid", "@ruri")', 1 | 8, 200),
        ('lookup_user("To")', 1 | 16, 404),
        ('lookup_user("To")', 1 | 2 | 8, 404),
        ('lookup_user("To")', 8, 404),
    ],
)
def test_where_a_uri_may_stand(
    network: Network, sqlite: TestDatabase, call: str, flags: int, status: int
) -> None:
    provision(sqlite)
    sqlite.ask(f"UPDATE uri SET flags = {flags}")
    network.server(NEW.format(url=sqlite.url, call=call, before=BY_LOOKUP))
    assert ask(network, f"sip:bob@{DOMAIN}", f"sip:bob@{DOMAIN}")[0] == status


def test_without_domains_there_is_the_default_one(network: Network, sqlite: TestDatabase) -> None:
    provision(sqlite)
    sqlite.ask("UPDATE uri SET did = '_default'")
    network.server(NEW.format(url=sqlite.url, call='lookup_user("From")', before=""))
    assert ask(network, "sip:x@y", "sip:bob@anywhere") == (200, f"bob@{DOMAIN} {NONE} {NONE}")


def test_no_table_is_a_database_error(network: Network, database: TestDatabase) -> None:
    provision(database)
    database.ask("DROP TABLE uri")
    network.server(NEW.format(url=database.url, call='lookup_user("From")', before=BY_LOOKUP))
    assert ask(network, "sip:x@y", f"sip:bob@{DOMAIN}")[0] == 500


@pytest.mark.parametrize(("uid", "status"), [(f"bob@{DOMAIN}", 200), ("carol", 404)])
def test_check_uri(network: Network, sqlite: TestDatabase, uid: str, status: int) -> None:
    provision(sqlite)
    before = f'$fu.uid = "{uid}"; {BY_LOOKUP}'
    network.server(NEW.format(url=sqlite.url, call='check_uri("From")', before=before))
    assert ask(network, "sip:x@y", f"sip:bob@{DOMAIN}")[0] == status


# -- SER 0.9 -------------------------------------------------------------------------------------------------

OLD = """
loadmodule "sl" loadmodule "auth" loadmodule "auth_db" loadmodule "uri_db"
modparam("auth_db|uri_db", "db_url", "{url}")
modparam("uri_db", "use_uri_table", {table})
modparam("uri_db", "use_domain", {domain})
route {{
    if (!proxy_authorize("example.org", "subscriber")) {{ proxy_challenge("example.org", "1"); break; }};
    if (!check_from()) {{ sl_send_reply("403", "From"); break; }};
    if (!check_to()) {{ sl_send_reply("404", "To"); break; }};
    if (!does_uri_exist()) {{ sl_send_reply("484", "URI"); break; }};
    sl_send_reply("200", "OK");
}}
"""
OLD_CASES = [
    # use_uri_table, use_domain, From, To, Request-URI, status
    (0, 0, "bob", "bob", "bob@example.org", 200),
    (0, 0, "BOB", "bob", "bob@anywhere", 200),
    (0, 1, "bob", "bob", "bob@anywhere", 484),
    (0, 0, "alice", "bob", "bob@example.org", 403),
    (0, 0, "bob", "alice", "bob@example.org", 404),
    (0, 0, "bob", "bob", "alice@example.org", 484),
    (1, 0, "bobby", "bobby", "bobby@example.org", 200),
    (1, 1, "bobby", "bobby", "bobby@example.org", 200),
    (1, 0, "carol", "bobby", "bobby@example.org", 403),
]


@pytest.mark.parametrize(("table", "domain", "sender", "to", "uri", "status"), OLD_CASES)
def test_ser_0_9(
    network: Network,
    sqlite: TestDatabase,
    table: int,
    domain: int,
    sender: str,
    to: str,
    uri: str,
    status: int,
) -> None:
    row = "INSERT INTO uri (username, domain, uri_user) VALUES ('bob', 'example.org', 'bobby')"
    provision_0_9(sqlite, row)
    server = network.server(OLD.format(url=sqlite.url, table=table, domain=domain))
    phone = UserAgent(
        network,
        "phone",
        "192.0.2.9:5060",
        proxy=server,
        aor=f"sip:{sender}@example.org",
        username="bob",
        password="zanzibar",
    )
    outcome = phone.request("MESSAGE", f"sip:{uri}", to=f"sip:{to}@example.org")
    network.run_until(lambda: outcome.is_final, within=10)
    assert outcome.status == status
