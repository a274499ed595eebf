"""db_ops: SQL from a script, with values that never become SQL."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import DOMAIN, provision
from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.errors import ConfigError
from sipyard.modules.db_ops.query import Query
from sipyard.testing import Network

SCRIPT = """
loadmodule "sl" loadmodule "textops" loadmodule "db_ops" loadmodule "xlog"
modparam("db_ops", "db_url", "{url}")
modparam("db_ops", "declare_query", "select count(*) as number from speed_dial")
{parameters}
route {{
    $f.who = "alice";
    {statements}
    sl_reply("200", "OK");
}}
route[ROW] {{ append_to_reply("X-Row: %@db.fetch[0].dial_username %@db.fetch[0].new_uri\\r\\n"); }}
"""


def fill(database: TestDatabase) -> None:
    provision(database)
    for number, who in (("21", "alice"), ("22", "alice"), ("23", "bob")):
        row = f"'{who}', '{number}', '{DOMAIN}', 'sip:{number}@{DOMAIN}'"
        database.ask(f"INSERT INTO speed_dial (uid, dial_username, dial_did, new_uri) VALUES ({row})")


def answer(network: Network, database: TestDatabase, statements: str, user: str = "bob") -> list[str]:
    """X-Row headers of the answer."""
    network.server(SCRIPT.format(url=database.url, statements=statements, parameters=""))
    peer = WirePeer(network)
    found = peer.ask(peer.request(uri=f"sip:{user}@{DOMAIN}"))
    assert found.status == 200
    return found.headers("X-Row")


COUNT = 'append_to_reply("X-Row: %@db.fetch[1].number\\r\\n");'
QUERIES = [
    ("db_query(0, 1); " + COUNT, ["3"]),
    ("db_query(\"select count(*) as number from speed_dial where uid='%$f.who'\", 1); " + COUNT, ["2"]),
    ("db_query(\"select count(*) as number from speed_dial where uid='al%@ruri.user'\", 1); " + COUNT, ["0"]),
    ("db_query(\"delete from speed_dial where uid='%$f.who'\"); db_query(0, 1); " + COUNT, ["1"]),
    ('db_query("delete/speed_dial/uid,dial_username//s:%$f.who,21"); db_query(0, 1); ' + COUNT, ["2"]),
    ('db_query("select/speed_dial/new_uri/uid/=//bob", 2);'
     'append_to_reply("X-Row: %@db.fetch[2].new_uri\\r\\n");', [f"sip:23@{DOMAIN}"]),
    ('db_query("update/speed_dial/new_uri/uid//sip:x@y,s:bob"); '
     'db_foreach("select/speed_dial/dial_username,new_uri/uid///bob", ROW);', ["23 sip:x@y"]),
    ('db_query("insert/speed_dial/uid,dial_username,dial_did,new_uri/carol,9,d,sip:c"); db_query(0, 1); '
     + COUNT, ["4"]),
    ('db_foreach("select/speed_dial/dial_username,new_uri/uid//dial_username desc/s:%$f.who", ROW);',
     [f"22 sip:22@{DOMAIN}", f"21 sip:21@{DOMAIN}"]),
    ("db_query(0, 1); db_close(1); " + COUNT, ["<null>"]),
    ("if (!db_close(1)) { append_to_reply(\"X-Row: none\\r\\n\"); }", ["none"]),
    ('if (!db_query("select * from nowhere")) { append_to_reply("X-Row: failed\\r\\n"); }', ["failed"]),
    ('if (!db_query(7)) { append_to_reply("X-Row: failed\\r\\n"); }', ["failed"]),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "rows"), QUERIES)
def test_queries(network: Network, database: TestDatabase, statements: str, rows: list[str]) -> None:
    fill(database)
    assert answer(network, database, statements) == rows


HOSTILE = ["x'or'1'='1", "%27%20or%201=1;--", "x';drop%20table%20speed_dial;--", "\\'", "alice", "x:y:v0"]


@pytest.mark.parametrize("user", HOSTILE)
def test_values_are_never_sql(network: Network, sqlite: TestDatabase, user: str) -> None:
    """A8: what a peer sends is compared, not carried out."""
    fill(sqlite)
    where = "uid='%@ruri.user'"
    statements = f'db_query("select count(*) as number from speed_dial where {where}", 1); {COUNT}'
    assert answer(network, sqlite, statements, user) == ["2" if user == "alice" else "0"]
    assert sqlite.ask("SELECT count(*) FROM speed_dial") == [(3,)]


@pytest.mark.parametrize("user", ["1", "1 or 1=1", "x"])
def test_nor_outside_quotes(network: Network, sqlite: TestDatabase, user: str) -> None:
    fill(sqlite)
    statements = f'db_query("select count(*) as number from speed_dial where id=%$f.number", 1); {COUNT}'
    found = answer(network, sqlite, f'$f.number = "{user}"; {statements}')
    assert found == ["1" if user == "1" else "0"]


BAD = [
    "",
    "selct/a/b",
    "select/a b",
    "select/t/a/b/~/c/1",
    "insert/t/a,b/1",
    "update/t/a/b/=/1",
    "select/t/a/b",
    "select x from y where z='",
]


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_query_is_refused_at_load(text: str) -> None:
    with pytest.raises(ArgumentError):
        Query.from_script(text, Loading(Generation.SER_2_0))


def test_a_bad_declaration_has_a_place(network: Network, sqlite: TestDatabase) -> None:
    bad = 'modparam("db_ops", "declare_query", "select/t/a/b")'
    with pytest.raises(ConfigError, match="0 values"):
        network.server(SCRIPT.format(url=sqlite.url, statements="", parameters=bad))
