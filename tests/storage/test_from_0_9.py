"""A SER 0.9 database copied to the tables of SER 2.0."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from databases import TestDatabase
from sipyard.errors import ConfigError
from sipyard.storage import DatabaseUrl
from sipyard.storage.administration import upgrade
from sipyard.storage.from_0_9 import copy

OLD = """
INSERT INTO domain (domain) VALUES ('example.com');
INSERT INTO subscriber (username, domain, password, ha1, ha1b, first_name, timezone, rpid)
 VALUES ('alice', 'example.com', 'x', 'h1', 'h2', 'Alice', 'Prague', '+420111'),
 ('bob', 'b.example', 'y', 'h3', 'h4', '', '', '');
INSERT INTO aliases (username, domain, contact) VALUES ('100', 'example.com', 'sip:alice@example.com'),
 ('200', 'example.com', 'sip:x@far.example');
INSERT INTO uri (username, domain, uri_user) VALUES ('bob', 'b.example', 'robert');
INSERT INTO grp (username, domain, grp)
 VALUES ('alice', 'example.com', 'ld'), ('alice', 'example.com', 'int');
INSERT INTO usr_preferences (username, domain, attribute, value)
 VALUES ('bob', 'b.example', 'fwd', 'sip:x@y');
INSERT INTO speed_dial (username, domain, sd_username, sd_domain, new_uri)
 VALUES ('bob', 'b.example', '01', 'b.example', 'sip:z@y');
INSERT INTO location (username, domain, contact, expires, cseq)
 VALUES ('bob', 'b.example', 'sip:bob@192.0.2.9', '2030-01-01 00:00:00', 5);
INSERT INTO acc (sip_from, sip_callid, username, domain, i_uri, time)
 VALUES ('f', 'call-1', 'bob', 'b.example', 'sip:in', '2006-01-02 03:04:05');
INSERT INTO trusted VALUES ('192.0.2.1', 'any', '^sip:')
"""


def test_what_was_there_is_there(database: TestDatabase, tmp_path: Path) -> None:
    old = TestDatabase("sqlite", f"sqlite:///{tmp_path}/old.db", "old", path=tmp_path / "old.db")
    asyncio.run(upgrade(DatabaseUrl.parse(old.url), "0.9"))
    asyncio.run(upgrade(DatabaseUrl.parse(database.url), "2.0"))
    for statement in OLD.strip().split(";\n"):
        old.ask(statement)
    source, target = DatabaseUrl.parse(old.url), DatabaseUrl.parse(database.url)
    report = asyncio.run(copy(source, target))
    assert "uri: 4 rows" in report
    assert report[-1] == "not copied: 1 rows of aliases (lead to another domain)"
    ask = database.ask
    assert ask("SELECT did, domain, flags FROM domain ORDER BY did") == [
        ("b.example", "b.example", 37),
        ("example.com", "example.com", 37),
    ]
    assert ask("SELECT auth_username, did, realm, ha1, uid FROM credentials ORDER BY uid") == [
        ("alice", "example.com", "example.com", "h1", "alice@example.com"),
        ("bob", "b.example", "b.example", "h3", "bob@b.example"),
    ]
    assert ask("SELECT uid, username, did FROM uri WHERE username IN ('100', 'robert') ORDER BY uid") == [
        ("alice@example.com", "100", "example.com"),
        ("bob@b.example", "robert", "b.example"),
    ]
    attributes = ask(
        "SELECT name, value FROM user_attrs WHERE uid = 'alice@example.com' ORDER BY name, value"
    )
    expected = [("acl", "int"), ("acl", "ld"), ("asserted_id", "+420111")]
    assert attributes == [*expected, ("first_name", "Alice"), ("timezone", "Prague")]
    assert ask("SELECT uid, dial_username, new_uri FROM speed_dial") == [("bob@b.example", "01", "sip:z@y")]
    assert ask("SELECT uid, aor, cseq FROM location") == [("bob@b.example", "sip:bob@b.example", 5)]
    assert ask("SELECT sip_callid, in_ruri, from_uid FROM acc") == [("call-1", "sip:in", "bob@b.example")]
    assert ask("SELECT src_ip FROM trusted") == [("192.0.2.1",)]
    with pytest.raises(ConfigError, match="is not empty"):
        asyncio.run(copy(source, target))
    with pytest.raises(ConfigError, match=r"has no tables of SER 0\.9"):
        asyncio.run(copy(target, source))
