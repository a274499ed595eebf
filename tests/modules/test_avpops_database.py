"""avpops: attributes of users loaded, stored and deleted."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import DOMAIN, provision, provision_0_9
from sipyard.testing import Network

OLD = """
#!SER 0.9
loadmodule "sl" loadmodule "textops" loadmodule "avp" loadmodule "avpops"
modparam("avpops", "avp_url", "{url}")
modparam("avpops", "use_domain", {domain})
modparam("avpops", "db_scheme", "short:table=subscriber;username_col=username;value_col=uuid")
route {{
    {statements}
    if (avp_check("s:speed", "eq/s:fast")) {{ sl_send_reply("200", "Fast"); break; }};
    if (avp_check("i:7", "eq/i:70")) {{ sl_send_reply("202", "Number"); break; }};
    if (avp_check("s:id", "eq/s:u-1")) {{ sl_send_reply("299", "Identifier"); break; }};
    sl_send_reply("404", "Nothing");
}}
"""
ROW = "INSERT INTO usr_preferences (uuid, username, domain, attribute, value, type) VALUES "
ROWS = (
    f"{ROW} ('u-1', 'alice', '{DOMAIN}', 'speed', 'fast', 0)",
    f"{ROW} ('u-1', 'alice', '{DOMAIN}', '7', '70', 3)",
    f"{ROW} ('u-2', 'alice', 'elsewhere', 'speed', 'slow', 0)",
)
LOADS = [
    # use_domain, statements, status
    (1, 'avp_db_load("$from", "s:speed");', 200),
    (1, 'avp_db_load("$from", "*");', 200),
    (1, 'avp_db_load("$from", "i:");', 202),
    (1, 'avp_db_load("$from", "s:");', 200),
    (1, 'avp_db_load("$to", "s:speed");', 404),
    (0, 'avp_db_load("$from/username", "i:7");', 202),
    (0, 'avp_db_load("$from/domain", "s:speed");', 200),
    (0, 'avp_db_load("s:u-1", "s:speed");', 200),
    (0, 'avp_db_load("s:u-2", "s:speed");', 404),
    (1, 'avp_write("s:u-1", "s:who"); avp_db_load("s:nobody", "*");', 404),
    (1, 'avp_db_load("$ruri", "s:id/$short");', 299),
    (1, 'avp_db_delete("$from", "s:speed"); avp_db_load("$from", "*");', 202),
    (1, 'avp_db_delete("$from", "i:"); avp_db_load("$from", "*");', 200),
    (1, 'avp_db_delete("$from", "*"); avp_db_load("$from", "*");', 404),
    (1, 'avp_db_delete("$from", "*"); avp_write("i:70", "i:7"); avp_db_store("$from", "i:7"); '
        'avp_delete("i:7"); avp_db_load("$from", "i:7");', 202),
    (1, 'avp_db_load("$from", "s:speed/nowhere");', 404),
]  # fmt: skip


@pytest.mark.parametrize(("domain", "statements", "status"), LOADS)
def test_ser_0_9(network: Network, database: TestDatabase, domain: int, statements: str, status: int) -> None:
    provision_0_9(database, *ROWS)
    network.server(OLD.format(url=database.url, domain=domain, statements=statements))
    peer = WirePeer(network)
    assert peer.ask(peer.request(uri=f"sip:bob@{DOMAIN}")).status == status


NEW = """
#!SER 2.0
loadmodule "sl" loadmodule "textops" loadmodule "avpops"
modparam("avpops", "avp_url", "{url}")
route {{
    avp_write("i:5", "s:lines");
    avp_db_store("s:bob@example.org", "s:lines");
    avp_delete("s:lines");
    avp_db_load("s:bob@example.org", "*");
    append_to_reply("X-Attrs: %$lines %$plan\\r\\n");
    sl_reply("200", "OK");
}}
"""


def test_ser_2_0(network: Network, database: TestDatabase) -> None:
    provision(database)
    row = f"'bob@{DOMAIN}', 'plan', 'gold', 2, 1"
    database.ask(f"INSERT INTO user_attrs (uid, name, value, type, flags) VALUES ({row})")
    network.server(NEW.format(url=database.url))
    peer = WirePeer(network)
    assert peer.ask(peer.request()).header("X-Attrs") == "5 gold"
    stored = database.ask("SELECT value, type, flags FROM user_attrs WHERE name = 'lines'")
    assert stored == [("5", 0, 1)]


def test_without_a_database(network: Network) -> None:
    network.server(
        'loadmodule "sl" loadmodule "avpops" route '
        '{ if (avp_db_load("$from", "*")) sl_send_reply("200", "OK"); else sl_send_reply("404", "No"); }\n'
    )
    peer = WirePeer(network)
    assert peer.ask(peer.request()).status == 404
