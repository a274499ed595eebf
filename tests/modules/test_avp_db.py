"""avp_db: attributes that are stored of users and URIs."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import DOMAIN, provision, provision_0_9
from sipyard.storage.provisioning import Provisioning
from sipyard.testing import Network

NEW = """
loadmodule "sl" loadmodule "textops" loadmodule "domain" loadmodule "avp_db"
modparam("domain|avp_db", "db_url", "{url}")
route {{
    $fu.uid = "bob@example.org";
    if (load_attrs("{group}", "{whose}")) {{
        append_to_reply("X-Attrs: %{group}.name %{group}.lines %{group}.alias[]\\r\\n");
        sl_reply("200", "OK");
    }} else if ($? == -2) {{ sl_reply("500", "Database"); }}
    else {{ sl_reply("404", "No"); }}
}}
"""


async def with_attributes(people: Provisioning) -> None:
    await people.set_attribute(f"bob@{DOMAIN}", "name", "Bob")
    await people.set_attribute(f"bob@{DOMAIN}", "lines", "7")


def ask(network: Network, uri: str = f"sip:bob@{DOMAIN}") -> tuple[int, str | None]:
    peer = WirePeer(network)
    answer = peer.ask(peer.request(uri=uri))
    return answer.status, answer.header("X-Attrs")


@pytest.mark.parametrize("group", ["$fu", "$tu"])
def test_attributes_of_a_user(network: Network, database: TestDatabase, group: str) -> None:
    provision(database, with_attributes)
    for value in ("a", "b"):
        row = f"'bob@{DOMAIN}', 'alias', '{value}', 2, 1"
        database.ask(f"INSERT INTO user_attrs (uid, name, value, type, flags) VALUES ({row})")
    network.server(NEW.format(url=database.url, group=group, whose="$fu.uid"))
    assert ask(network) == (200, "Bob 7 a,b")


@pytest.mark.parametrize("group", ["$fr", "$tr"])
def test_attributes_of_a_uri(network: Network, database: TestDatabase, group: str) -> None:
    provision(database)
    row = "INSERT INTO uri_attrs (username, did, scheme, name, value, type, flags) VALUES "
    database.ask(f"{row}('bob', '{DOMAIN}', 'sip', 'name', 'Robert', 2, 1)")
    database.ask(f"{row}('bob', '{DOMAIN}', 'sip', 'lines', 'none', 0, 1)")
    database.ask(f"{row}('bob', '{DOMAIN}', 'sip', 'alias', 'hidden', 2, 32)")
    database.ask(f"{row}('bob', 'else', 'sip', 'name', 'Other', 2, 1)")
    network.server(NEW.format(url=database.url, group=group, whose="@ruri"))
    assert ask(network) == (200, "Robert <null> <null>")


def test_who_has_none_is_no_error(network: Network, database: TestDatabase) -> None:
    provision(database)
    network.server(NEW.format(url=database.url, group="$fu", whose="nobody"))
    assert ask(network) == (200, "<null> <null> <null>")


def test_no_table_is_a_database_error(network: Network, database: TestDatabase) -> None:
    provision(database)
    database.ask("DROP TABLE user_attrs")
    network.server(NEW.format(url=database.url, group="$fu", whose="nobody"))
    assert ask(network)[0] == 500


OLD = """
loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "avp" loadmodule "avp_db"
modparam("avp_db", "db_url", "{url}")
modparam("avp_db", "use_domain", {domain})
route {{
    set_sattr("i:1", "u-1");
    if (!avp_load("{whose}")) {{ sl_send_reply("404", "No"); break; }};
    if (avp_exists("speed", "fast")) {{ sl_send_reply("200", "Fast"); break; }};
    sl_send_reply("202", "Slow");
}}
"""


@pytest.mark.parametrize(
    ("whose", "domain", "uri", "status"),
    [
        ("callee", 0, "sip:bob@anywhere", 200),
        ("callee", 1, "sip:bob@anywhere", 202),
        ("callee", 1, f"sip:bob@{DOMAIN}", 200),
        ("caller", 0, "sip:bob@anywhere", 202),
        ("caller_uuid", 0, "sip:x@anywhere", 200),
        ("callee_uuid", 0, "sip:x@anywhere", 404),
    ],
)
def test_ser_0_9(
    network: Network, database: TestDatabase, whose: str, domain: int, uri: str, status: int
) -> None:
    columns = "uuid, username, domain, attribute, value, type"
    values = f"'u-1', 'bob', '{DOMAIN}', 'speed', 'fast', 0"
    provision_0_9(database, f"INSERT INTO usr_preferences ({columns}) VALUES ({values})")
    network.server(OLD.format(url=database.url, whose=whose, domain=domain))
    assert ask(network, uri)[0] == status
