"""avpops: attributes by their old names, and what leaves the server through them."""

from __future__ import annotations

import logging

import pytest
from wire_peer import WirePeer

from sipyard._native.core import Message
from sipyard.errors import ConfigError
from sipyard.testing import Network

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "avpops"
modparam("avpops", "avp_aliases", "email=s:email; limit=i:12")
route {{
    {statements}
    t_relay();
}}
"""
OLD, NEW = "#!SER 0.9", "#!SER 2.0"
TO_PHONE = 'rewritehostport("192.0.2.50:5060");'
TRUE, FALSE = 'append_hf("X-Result: true\\r\\n");', 'append_hf("X-Result: false\\r\\n");'
HEADERS = ["X-Limit: 20", "X-Evil: a@b"]


def relayed(network: Network, statements: str, directive: str = OLD, *, messages: int = 1) -> list[Message]:
    """What the phone gets of a MESSAGE to sip:bob@10.0.0.1."""
    network.server(SCRIPT.format(directive=directive, statements=statements))
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    peer.post(peer.request("MESSAGE", headers=HEADERS))
    network.run_until(lambda: len(phone.messages) >= messages, within=5)
    return phone.messages


def holds(network: Network, before: str, condition: str, directive: str = OLD) -> bool:
    """Whether a condition is true after some statements."""
    statements = f"{before} if ({condition}) {{ {TRUE} }} else {{ {FALSE} }} {TO_PHONE}"
    return relayed(network, statements, directive)[0].header("X-Result") == "true"


TWO = 'avp_write("s:a", "s:x"); avp_write("s:b", "s:x");'
CONDITIONS = [
    ("", 'avp_check("s:x", "eq/s:a")', False),
    ('avp_write("a", "s:x");', 'avp_check("s:x", "eq/s:a")', True),
    ('avp_write("s:a", "$email");', 'avp_check("s:email", "eq/a")', True),
    ('avp_write("i:5", "$limit");', 'avp_check("i:12", "eq/i:5")', True),
    ('avp_write("i:5", "$limit");', 'avp_check("i:12", "lt/i:6")', True),
    ('avp_write("i:5", "$limit");', 'avp_check("i:12", "gt/i:5")', False),
    ('avp_write("i:5", "$limit");', 'avp_check("i:12", "eq/s:5")', False),
    ('avp_write("s:b", "s:x");', 'avp_check("s:x", "gt/s:a")', True),
    ('avp_write("s:A", "s:x");', 'avp_check("s:x", "eq/s:a")', False),
    ('avp_write("s:A", "s:x");', 'avp_check("s:x", "eq/s:a/i")', True),
    (TWO, 'avp_check("s:x", "eq/s:a")', False),
    (TWO, 'avp_check("s:x", "eq/s:a/g")', True),
    (TWO + 'avp_check("s:x", "eq/s:a/gd");', 'avp_check("s:x", "eq/s:a/g")', False),
    (TWO + 'avp_check("s:x", "eq/s:a/gd");', 'avp_check("s:x", "eq/s:b")', True),
    (TWO + 'avp_delete("s:x");', 'avp_check("s:x", "eq/s:a")', True),
    (TWO + 'avp_delete("s:x/g");', 'avp_check("s:x", "re/./g")', False),
    ("", 'avp_delete("s:x")', False),
    ('avp_write("$from", "s:x");', 'avp_check("s:x", "eq/sip:alice@example.org")', True),
    ('avp_write("$from/username", "s:x");', 'avp_check("s:x", "eq/alice")', True),
    ('avp_write("$to/domain", "s:x");', 'avp_check("s:x", "eq/10.0.0.1")', True),
    ('avp_write("$ruri/username", "s:x");', 'avp_check("s:x", "eq/$to/username")', True),
    ('avp_write("$src_ip", "s:x");', 'avp_check("s:x", "eq/192.0.2.9")', True),
    ('avp_write("$dst_ip", "s:x");', 'avp_check("s:x", "eq/10.0.0.1")', True),
    ('avp_write("$hdr[X-Limit]", "s:x");', 'avp_check("s:x", "eq/20")', True),
    ("", 'avp_write("$hdr[X-Nothing]", "s:x")', False),
    ("", 'avp_write("$unknown", "s:x")', False),
    ("", 'avp_write("s:a", "$unknown")', False),
    ('avp_write("s:a", "$email"); avp_write("$email", "s:x");', 'avp_check("s:x", "eq/$email")', True),
    ('avp_write("$from", "s:x");', 'avp_check("s:x", "re/^SIP:.*@example/i")', True),
    ('avp_write("$from", "s:x");', 'avp_check("s:x", "re/^SIP:/")', False),
    ('avp_write("$from", "s:x");', 'avp_check("s:x", "fm/sip:*@example.org")', True),
    ('avp_write("$from", "s:x");', 'avp_check("s:x", "fm/sip:*@example.com")', False),
    ("", 'avp_pushto("$ruri", "s:x")', False),
]


@pytest.mark.parametrize(("before", "condition", "result"), CONDITIONS)
def test_conditions(network: Network, before: str, condition: str, result: bool) -> None:
    assert holds(network, before, condition) is result


COPIES = [
    (TWO + 'avp_copy("s:x", "s:y");', 'avp_check("s:y", "eq/s:b")', True),
    (TWO + 'avp_copy("s:x", "s:y");', 'avp_check("s:y", "eq/s:a/g")', False),
    (TWO + 'avp_copy("s:x/g", "s:y");', 'avp_check("s:y", "eq/s:a/g")', True),
    (TWO + 'avp_copy("s:x/gd", "s:y");', 'avp_check("s:x", "re/./g")', False),
    (TWO + 'avp_copy("s:x/d", "s:y");', 'avp_check("s:x", "eq/s:a")', True),
    ("", 'avp_copy("s:x", "s:y")', False),
    ('avp_write("s:a", "s:x");', '$x == "a"', True),  # the same attributes as everywhere
]


@pytest.mark.parametrize(("before", "condition", "result"), COPIES)
def test_copies(network: Network, before: str, condition: str, result: bool) -> None:
    assert holds(network, before, condition, NEW) is result


@pytest.mark.parametrize(
    ("value", "destination", "uri"),
    [
        ("sip:carol@192.0.2.50", "$ruri", "sip:carol@192.0.2.50"),
        ("carol", "$ruri/username", "sip:carol@192.0.2.50:5060"),
        ("192.0.2.50", "$ruri/domain", "sip:bob@192.0.2.50:5060"),
        ("a@192.0.2.66", "$ruri/username", "sip:bob@192.0.2.50:5060"),
        ("h;lr", "$ruri/domain", "sip:bob@192.0.2.50:5060"),
        ("no uri", "$ruri", "sip:bob@192.0.2.50:5060"),
    ],
)
def test_into_the_uri(network: Network, value: str, destination: str, uri: str) -> None:
    script = f'{TO_PHONE} avp_write("s:{value}", "s:x"); avp_pushto("{destination}", "s:x");'
    assert relayed(network, script)[0].request_uri == uri


def test_several_values_become_branches(network: Network) -> None:
    script = (
        'avp_write("s:sip:one@192.0.2.50", "s:x"); avp_write("s:sip:two@192.0.2.50", "s:x"); '
        'avp_pushto("$ruri", "s:x/g");'
    )
    got = relayed(network, script, messages=2)
    assert [one.request_uri for one in got] == ["sip:two@192.0.2.50", "sip:one@192.0.2.50"]


def test_into_headers(network: Network) -> None:
    script = f'avp_write("s:a\\r\\nX-Forged: 1", "s:x"); avp_pushto("$hdr[X-New]", "s:x"); {TO_PHONE}'
    got = relayed(network, script)[0]
    assert got.header("X-New") == "a X-Forged: 1"
    assert not got.has_header("X-Forged")


def test_into_a_reply(network: Network) -> None:
    script = (
        'avp_write("s:a", "s:x"); avp_pushto("$hdr[X-New]/reply", "s:x"); sl_send_reply("404", "No"); break;'
    )
    network.server(SCRIPT.format(directive=OLD, statements=script))
    peer = WirePeer(network)
    assert peer.ask(peer.request()).header("X-New") == "a"


def test_they_are_logged(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="sipyard.script")
    script = 'avp_write("s:a", "s:x"); avp_write("i:5", "i:12"); avp_print(); break;'
    network.server(SCRIPT.format(directive=OLD, statements=script)).engine.debug = 4
    peer = WirePeer(network)
    peer.post(peer.request())
    network.run(1)
    lines = [one.getMessage() for one in caplog.records if one.name == "sipyard.script"]
    assert lines == ["$fr.x='a'", "$fr.12=5"]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ('avp_check("s:x", "eqq/s:a");', "did you mean eq"),
        ('avp_check("s:x", "re/$from");', "an expression that the script writes"),
        ('avp_write("$from/port", "s:x");', "has no part port"),
        ('avp_write("i:five", "s:x");', "a number behind i:"),
        ('avp_pushto("$from", "s:x");', "expects .ruri"),
        ('avp_delete("x");', "expects an attribute"),
    ],
)
def test_mistakes_are_found_at_load(network: Network, statement: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        relayed(network, statement)


@pytest.mark.parametrize("aliases", ["email", "a b=s:x", "x=$email"])
def test_aliases_that_are_none(network: Network, aliases: str) -> None:
    script = f'loadmodule "avpops" modparam("avpops", "avp_aliases", "{aliases}")\nroute {{ drop; }}\n'
    with pytest.raises(ConfigError, match="alias"):
        network.server(script)
