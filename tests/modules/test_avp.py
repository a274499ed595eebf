"""avp: what scripts of both generations find in attributes, and what leaves the server through them."""

from __future__ import annotations

import logging
import time

import pytest
from wire_peer import WirePeer

from sipyard._native.core import Message
from sipyard.errors import ConfigError
from sipyard.script import check_text
from sipyard.testing import Network

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "avp"
route {{
    {statements}
    t_relay();
}}
"""
NEW, OLD = "#!SER 2.0", "#!SER 0.9"
TO_PHONE = 'rewritehostport("192.0.2.50:5060");'
TRUE, FALSE = 'append_hf("X-Result: true\\r\\n");', 'append_hf("X-Result: false\\r\\n");'
HEADERS = [
    'X-Prefs: lang=cz, Tone = "a, \\"b\\"; c";vip,<sip:x;no=1>',
    "X-Prefs: more=1",
    'X-Evil: "sip:a@b" <sip:carol@192.0.2.50>',
]


def relayed(network: Network, statements: str, directive: str = NEW) -> Message:
    """What the phone gets of a MESSAGE to sip:bob:pw@10.0.0.1:5070."""
    network.server(SCRIPT.format(directive=directive, statements=statements))
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    peer.post(peer.request("MESSAGE", "sip:bob:pw@10.0.0.1:5070;x=1", headers=HEADERS))
    network.run_until(lambda: bool(phone.messages), within=5)
    return phone.messages[0]


def holds(network: Network, before: str, condition: str, directive: str = NEW) -> bool:
    """Whether a condition is true after some statements."""
    statements = f"{before} if ({condition}) {{ {TRUE} }} else {{ {FALSE} }} {TO_PHONE}"
    return relayed(network, statements, directive).header("X-Result") == "true"


CONDITIONS = [
    ("", 'attr_exists("x")', False),
    ('set_attr("$x", "a");', 'attr_exists("x")', True),
    ('set_sattr("x", "a");', "$x == 'a'", True),
    ('set_attr("x", "a");', 'attr_exists("$t.x")', False),
    ('set_attr("$tu.x", "a");', 'attr_exists("$t.x")', True),
    ('set_attr("$tu.x", "a");', 'attr_exists("$tr.x")', False),
    ('set_attr("x", "@from.uri.user");', '$x == "alice"', True),
    ('set_attr("x", "a"); set_attr("y", "$x");', '$y == "a"', True),
    ("", 'set_attr("x", "$missing")', False),
    ('set_attr("x", "a"); set_attr("x", "b");', 'attr_equals("x", "a")', True),  # both are there
    ('set_attr("x", "a"); set_attr("x", "b");', 'attr_equals("$x[-1]", "a")', False),
    ('set_attr("x", "a");', 'attr_equals("x", "A")', False),
    ('set_iattr("x", "12");', 'attr_equals("x", "12")', True),
    ('set_iattr("x", 12);', "$x == 12", True),
    ('set_attr("x", "alice");', 'attr_equals_xl("x", "%@from.uri.user")', True),
    ('xlset_attr("x", "%rm-%fu");', '$x == "MESSAGE-sip:alice@example.org"', True),
    ("setflag(1); setflag(3); flags2attr($x);", "$x == 10", True),
    ('set_attr("x", "a1b2"); subst_attr("x", "/([0-9])/<\\1>/g");', '$x == "a<1>b<2>"', True),
    ('set_attr("$fu.x", "a"); subst_attr("x", "/a/b/");', '$fu.x == "b"', True),
    ('set_attr("x", "a"); subst_attr("$x[1]", "/a/b/"); set_attr("x", "c");', '$x[1] == "b"', True),
    ('set_attr("x", "a");', 'subst_attr("x", "/z/b/")', False),
    ('set_iattr("x", "1");', 'subst_attr("x", "/1/2/")', False),
    ('set_attr("x", "a"); set_attr("$fu.x", "b"); del_attr("x");', 'attr_exists("x")', False),
    ('set_attr("x", "a"); set_attr("$fu.x", "b"); del_attr("$fr.x");', '$x == "b"', True),
    ("", 'del_attr("x")', True),
    ('set_attr("$tu.x", "a"); del_attrs("$tu");', 'attr_exists("$t.x")', False),
    ('set_attr("$tr.x", "a"); del_attrs("$tu");', 'attr_exists("$t.x")', True),
    ('set_attr("$tr.x", "a"); set_attr("y", "a"); del_attrs("t");', 'attr_exists("$t.x")', False),
    ('set_attr("$tr.x", "a"); set_attr("y", "a"); del_attrs("t");', 'attr_exists("y")', True),
    ('hdr_body2attrs("X-Prefs", "p_");', '$p_lang == "cz"', True),
    ('hdr_body2attrs("X-Prefs", "p_");', "$p_tone == 'a, \"b\"; c'", True),
    ('hdr_body2attrs("X-Prefs", "$tu.p_");', 'attr_exists("$tu.p_vip")', True),
    ('hdr_body2attrs("X-Prefs", "p_");', 'attr_exists("p_no")', False),
    ('hdr_body2attrs("X-Prefs", "p_");', 'attr_exists("p_more")', False),
    ('hdr_body2attrs2("X-Prefs", "p_");', 'attr_exists("p_more")', True),
    ("", 'hdr_body2attrs("X-Nothing", "p_")', False),
    ("", 'attr2uri("x")', False),
    ("", 'attr_destination("x")', False),
    ("", 'append_attr_hf("x")', False),
    ("", 'print_attr("x")', False),
]


@pytest.mark.parametrize(("before", "condition", "result"), CONDITIONS)
def test_conditions(network: Network, before: str, condition: str, result: bool) -> None:
    assert holds(network, before, condition) is result


OLD_CONDITIONS = [
    ('set_sattr("x", "a");', 'is_sattr_set("x")', True),
    ('set_iattr("x", "1");', 'is_sattr_set("x")', False),
    ("", 'is_sattr_set("x")', False),
    ('set_sattr("x", "a"); set_sattr("x", "b");', 'avp_exists("x", "a")', True),
    ('set_sattr("x", "a");', 'avp_exists("x", "c")', False),
    ('set_sattr("x", "$ruri");', 'avp_exists("x", "$ruri")', True),  # nothing is read in 0.9
    ("setflag(2); flags2attr();", 'avp_exists("flags", "4")', True),
    ('uri2attr("x");', 'avp_exists("x", "sip:bob:pw@10.0.0.1:5070;x=1")', True),
    ("", 'attr2uri("x")', False),
    ("", 'print_sattr("x")', False),
]


@pytest.mark.parametrize(("before", "condition", "result"), OLD_CONDITIONS)
def test_conditions_of_0_9(network: Network, before: str, condition: str, result: bool) -> None:
    assert holds(network, before, condition, OLD) is result


def test_the_uri_of_an_attribute_in_0_9(network: Network) -> None:
    script = 'set_sattr("x", "sip:carol@192.0.2.50"); attr2uri("x");'
    assert relayed(network, script, OLD).request_uri == "sip:carol@192.0.2.50"


# -- the Request-URI and the next hop ------------------------------------------------------------------------

PARTS = [
    ("sip:carol@192.0.2.50", "", "sip:carol@192.0.2.50"),
    ("sip:carol@192.0.2.50", "uri", "sip:carol@192.0.2.50"),
    ("00", "prefix", "sip:00bob:pw@192.0.2.50:5060;x=1"),
    ("carol", "user", "sip:carol:pw@192.0.2.50:5060;x=1"),
    ("carol", "username", "sip:carol:pw@192.0.2.50:5060;x=1"),
    ("carol:secret", "userpass", "sip:carol:secret@192.0.2.50:5060;x=1"),
    ("carol", "usernamepassword", "sip:carol@192.0.2.50:5060;x=1"),
    ("192.0.2.50", "host", "sip:bob:pw@192.0.2.50:5060;x=1"),
    ("192.0.2.50:5060", "domainport", "sip:bob:pw@192.0.2.50:5060;x=1"),
    ("192.0.2.50", "hostport", "sip:bob:pw@192.0.2.50;x=1"),
    ("5060", "port", "sip:bob:pw@192.0.2.50:5060;x=1"),
]


@pytest.mark.parametrize(("value", "part", "uri"), PARTS)
def test_parts_of_the_uri(network: Network, value: str, part: str, uri: str) -> None:
    assert (
        relayed(network, f'{TO_PHONE} set_attr("x", "{value}"); attr2uri("x", "{part}");').request_uri == uri
    )


SPOILT = [
    ("username", "a:b"),
    ("username", "a@192.0.2.66"),
    ("userpass", "a:b@c"),
    ("domain", "h:5060"),
    ("domain", "h;transport=tcp"),
    ("hostport", "h:x"),
    ("port", "5060;lr"),
    ("port", "-1"),
    ("prefix", "x@"),
    ("uri", "no uri"),
]


@pytest.mark.parametrize(("part", "value"), SPOILT)
def test_a_value_stays_the_part_that_it_is(network: Network, part: str, value: str) -> None:
    assert not holds(network, f'set_attr("x", "{value}");', f'attr2uri("x", "{part}")')


def test_an_unknown_part_is_found_at_load(network: Network) -> None:
    with pytest.raises(ConfigError, match="a part of the URI"):
        relayed(network, 'attr2uri("x", "domian");')


def test_a_domain_attribute_cannot_be_set(network: Network) -> None:
    with pytest.raises(ConfigError, match="cannot be assigned to"):
        relayed(network, 'set_attr("$fd.x", "a");')


@pytest.mark.parametrize(
    "statements",
    [
        'set_attr("x", "sip:192.0.2.50"); attr_destination("x");',
        '$x = @msg["X-Evil"]; attr_destination($x);',  # as a name-addr
        'xlset_destination("sip:%@via[1].host");',
    ],
)
def test_destinations(network: Network, statements: str) -> None:
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    network.server(SCRIPT.format(directive=NEW, statements=statements))
    peer.post(peer.request("MESSAGE", headers=HEADERS))
    network.run_until(lambda: bool(phone.messages or peer.messages), within=2)
    arrived = (phone.messages or peer.messages)[0]
    assert arrived.request_uri == "sip:bob@10.0.0.1"


# -- headers -------------------------------------------------------------------------------------------------


def test_headers_of_attributes(network: Network) -> None:
    got = relayed(
        network,
        'set_attr("x-new", "1"); set_attr("y", "2"); set_attr("more", "3"); '
        'append_attr_hf("$x-new"); insert_attr_hf("X-First", "y"); append_attr_hf("X-Last", "$more"); '
        f'replace_attr_hf("X-Prefs", "more"); {TO_PHONE}',
    )
    assert got.header("x-new") == "1"
    names = [name for name, _ in got.all_headers()]
    assert names.index("X-First") < names.index("Max-Forwards") < names.index("X-Last")
    assert got.header("X-First") == "2"
    assert got.header("X-Last") == "3"
    assert got.headers("X-Prefs") == ["3"]


def test_a_header_of_a_reply(network: Network) -> None:
    statements = 'set_attr("x", "1"); attr_to_reply("X-Answer", "x"); sl_reply("404", "No"); drop;'
    network.server(SCRIPT.format(directive=NEW, statements=statements))
    peer = WirePeer(network)
    assert peer.ask(peer.request()).header("X-Answer") == "1"


def test_a_value_cannot_begin_a_header(network: Network) -> None:
    got = relayed(network, f'set_attr("x", "a\\r\\nX-Forged: 1"); append_attr_hf("X-Value", "x"); {TO_PHONE}')
    assert not got.has_header("X-Forged")
    assert got.header("X-Value") == "a X-Forged: 1"


def test_blanks_in_a_value_cost_no_more_than_they_are_long(network: Network) -> None:
    """As many as a datagram holds; to look for an end at each of them would take half a minute."""
    statements = (
        'hdr_body2attrs("X-Long", "p_"); $x = @msg["X-Long"]; attr_to_reply("X-Copy", "x"); '
        'sl_reply("200", "OK"); drop;'
    )
    network.server(SCRIPT.format(directive=NEW, statements=statements))
    peer = WirePeer(network)
    began = time.process_time()
    assert peer.ask(peer.request(headers=[f"X-Long: a=b\t{' ' * 30_000}c"])).status == 200
    assert time.process_time() - began < 2


# -- logs ----------------------------------------------------------------------------------------------------


def test_attributes_are_logged(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="sipyard.script")
    statements = (
        'set_attr("$tu.y", "b"); set_iattr("x", "1"); set_attr("x", "a\\nb"); '
        'print_attr("x"); dump_attrs("$tu"); dump_attrs(); drop;'
    )
    server = network.server(SCRIPT.format(directive=NEW, statements=statements))
    server.engine.debug = 4
    peer = WirePeer(network)
    peer.post(peer.request())
    network.run(1)
    lines = [one.getMessage() for one in caplog.records if one.name == "sipyard.script"]
    assert lines == [
        "$x='a\\nb'",
        "$tu.y='b'",
        "$fr.x=1",
        "$fr.x='a\\nb'",
        "$tu.y='b'",
    ]


# -- what the checker says -----------------------------------------------------------------------------------


def rules(statements: str) -> set[str | None]:
    """Rules that find something in a script."""
    return {each.rule for each in check_text(SCRIPT.format(directive=NEW, statements=statements)).problems}


@pytest.mark.parametrize(
    ("statements", "is_unset"),
    [
        ('if ($x == "a") { drop; }', True),
        ('set_attr("x", "a"); if ($x == "a") { drop; }', False),
        ('hdr_body2attrs("X-Prefs", "p_"); if ($p_x == "a") { drop; }', False),
    ],
)
def test_the_checker_knows_what_sets_attributes(statements: str, is_unset: bool) -> None:
    assert ("attribute-unset" in rules(statements)) is is_unset
