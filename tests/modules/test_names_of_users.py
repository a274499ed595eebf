"""group, alias_db, speeddial: who belongs where, and what short and other names lead to."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import DOMAIN, PASSWORD, provision, provision_0_9
from sipyard.testing import Network

# -- group ---------------------------------------------------------------------------------------------------

GROUP = """
#!SER 0.9
loadmodule "sl" loadmodule "auth" loadmodule "auth_db" loadmodule "group"
modparam("auth_db|group", "db_url", "{url}")
modparam("group", "use_domain", {domain})
route {{
    if ({asks}) {{
        if (!www_authorize("example.org", "subscriber")) {{ www_challenge("example.org", "1"); break; }};
    }};
    if (is_user_in("{who}", "ld")) {{ sl_send_reply("200", "OK"); }} else {{ sl_send_reply("403", "No"); }};
}}
"""
MEMBERS = [
    # who, use_domain, From, To, Request-URI, status
    ("From", 0, "bob@else", "x@y", "x@y", 200),
    ("From", 1, "bob@else", "x@y", "x@y", 403),
    ("From", 1, f"bob@{DOMAIN}", "x@y", "x@y", 200),
    ("To", 0, "x@y", "bob@h", "x@y", 200),
    ("Request-URI", 0, "x@y", "x@y", "bob@h", 200),
    ("Request-URI", 0, "x@y", "x@y", "carol@h", 403),
    ("Credentials", 1, "x@y", "x@y", "x@y", 200),
]


@pytest.mark.parametrize(("who", "domain", "sender", "to", "uri", "status"), MEMBERS)
def test_is_user_in(
    network: Network,
    sqlite: TestDatabase,
    who: str,
    domain: int,
    sender: str,
    to: str,
    uri: str,
    status: int,
) -> None:
    provision_0_9(sqlite, f"INSERT INTO grp (username, domain, grp) VALUES ('bob', '{DOMAIN}', 'ld')")
    asks = 'method == "MESSAGE"' if who == "Credentials" else 'method == "INFO"'
    server = network.server(GROUP.format(url=sqlite.url, who=who, domain=domain, asks=asks))
    phone = network.user_agent("bob", "192.0.2.9:5060", proxy=server, aor=f"sip:{sender}", password=PASSWORD)
    outcome = phone.request("MESSAGE", f"sip:{uri}", to=f"sip:{to}")
    network.run_until(lambda: outcome.is_final, within=5)
    assert outcome.status == status


@pytest.mark.parametrize("table", ["grp", "gone"])
def test_groups_in_every_database(network: Network, database: TestDatabase, table: str) -> None:
    provision_0_9(database, f"INSERT INTO grp (username, domain, grp) VALUES ('alice', '{DOMAIN}', 'ld')")
    network.server(f"""
    #!SER 0.9
    loadmodule "sl" loadmodule "group"
    modparam("group", "db_url", "{database.url}") modparam("group", "table", "{table}")
    route {{
        if (is_user_in("From", "ld")) {{ sl_send_reply("200", "OK"); break; }};
        sl_send_reply("403", "No");
    }}
    """)
    peer = WirePeer(network)
    assert peer.ask(peer.request()).status == (200 if table == "grp" else 403)


# -- where a call goes ---------------------------------------------------------------------------------------


def leaves_for(network: Network, text: str, uri: str) -> list[str]:
    """Request-URIs of what the script relays, the branches in any order."""
    network.server(text)
    peer, callee = WirePeer(network), WirePeer(network, "callee", "192.0.2.50:5060")
    peer.post(peer.request(uri=uri))
    network.run(1)
    return sorted({each.request_uri for each in callee.messages if each.method == "MESSAGE"})


@pytest.mark.parametrize(
    ("domain", "uri", "uris"),
    [
        (0, "sip:100@anywhere", ["sip:bob@192.0.2.50", "sip:carol@192.0.2.50"]),
        (1, "sip:100@sip.example.org", ["sip:bob@192.0.2.50"]),
        (1, "sip:100@anywhere", []),
    ],
)
def test_alias_db(network: Network, database: TestDatabase, domain: int, uri: str, uris: list[str]) -> None:
    columns = "alias_username VARCHAR(64), alias_domain VARCHAR(64), username VARCHAR(64), domain VARCHAR(64)"
    database.ask(f"CREATE TABLE dbaliases ({columns})")
    database.ask("INSERT INTO dbaliases VALUES ('100', 'example.org', 'bob', '192.0.2.50')")
    database.ask("INSERT INTO dbaliases VALUES ('100', 'example.net', 'carol', '192.0.2.50')")
    text = f"""
    loadmodule "sl" loadmodule "tm" loadmodule "alias_db"
    modparam("alias_db", "db_url", "{database.url}")
    modparam("alias_db", "use_domain", {domain})
    modparam("alias_db", "domain_prefix", "sip.")
    route {{ if (alias_db_lookup("dbaliases")) {{ t_relay(); }} }}
    """
    assert leaves_for(network, text, uri) == uris


SPEED_20 = """
#!SER 2.0
loadmodule "sl" loadmodule "tm" loadmodule "domain" loadmodule "speeddial"
modparam("domain|speeddial", "db_url", "{url}")
route {{ {before} if (sd_lookup("speed_dial")) {{ t_relay(); }} }}
"""


@pytest.mark.parametrize(
    ("before", "uri", "is_found"),
    [
        ("", f"sip:22@{DOMAIN}", True),
        ('$fu.uid = "alice";', f"sip:22@{DOMAIN}", True),
        ('$fu.uid = "carol";', f"sip:22@{DOMAIN}", False),
        ("", "sip:22@elsewhere", False),
        ("", f"sip:23@{DOMAIN}", False),
    ],
)
def test_speeddial(network: Network, database: TestDatabase, before: str, uri: str, is_found: bool) -> None:
    provision(database)
    row = f"'alice', '22', '{DOMAIN}', 'sip:friend@192.0.2.50'"
    database.ask(f"INSERT INTO speed_dial (uid, dial_username, dial_did, new_uri) VALUES ({row})")
    found = leaves_for(network, SPEED_20.format(url=database.url, before=before), uri)
    assert found == (["sip:friend@192.0.2.50"] if is_found else [])


@pytest.mark.parametrize(
    ("domain", "uri", "is_found"),
    [(0, "sip:22@anywhere", True), (1, f"sip:22@sip.{DOMAIN}", True), (1, "sip:22@anywhere", False)],
)
def test_speeddial_0_9(
    network: Network, database: TestDatabase, domain: int, uri: str, is_found: bool
) -> None:
    row = f"'alice', '{DOMAIN}', '22', '{DOMAIN}', 'sip:friend@192.0.2.50', '', '', ''"
    columns = "username, domain, sd_username, sd_domain, new_uri, fname, lname, description"
    provision_0_9(database, f"INSERT INTO speed_dial ({columns}) VALUES ({row})")
    text = f"""
    #!SER 0.9
    loadmodule "sl" loadmodule "tm" loadmodule "speeddial"
    modparam("speeddial", "db_url", "{database.url}")
    modparam("speeddial", "use_domain", {domain})
    modparam("speeddial", "domain_prefix", "sip.")
    route {{ if (sd_lookup("speed_dial")) {{ t_relay(); }}; }}
    """
    assert leaves_for(network, text, uri) == (["sip:friend@192.0.2.50"] if is_found else [])


def test_a_stored_uri_that_is_none(network: Network, sqlite: TestDatabase) -> None:
    provision(sqlite)
    row = f"'alice', '22', '{DOMAIN}', '?'"
    sqlite.ask(f"INSERT INTO speed_dial (uid, dial_username, dial_did, new_uri) VALUES ({row})")
    assert leaves_for(network, SPEED_20.format(url=sqlite.url, before=""), f"sip:22@{DOMAIN}") == []
