"""textops: what leaves the server after each function, byte for byte where it matters."""

from __future__ import annotations

import random

import pytest
from wire_peer import WirePeer

from sipyard._native.core import Message
from sipyard.arguments import ArgumentError, Loading
from sipyard.edited import Ranges
from sipyard.errors import ConfigError
from sipyard.modules.textops import HeaderLineKind
from sipyard.modules.textops.header_values import HeaderItem
from sipyard.testing import Network

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "tm" loadmodule "textops"
route {{
    {statements}
}}
"""
TRUE = 'append_hf("X-Result: true\\r\\n");'
FALSE = 'append_hf("X-Result: false\\r\\n");'

HEADERS = [
    "Subject: Hello World",
    "Supported: path, 100rel , timer",
    'Foo: one;a=1;b="x;y,z", two;lr',
    "Foo: three;a=3",
    "X-Evil: a\tb",
    'Authorization: Digest username="bob", realm="r, s", nc=00000001',
]
BODY = "v=0\r\no=- 1 1 IN IP4 10.9.9.9\r\nc=IN IP4 10.9.9.9\r\n"


def relayed(network: Network, statements: str, *, old: bool = False, headers: list[str] = HEADERS) -> Message:
    """What a phone gets of a MESSAGE with these headers after the statements."""
    directive = "#!SER 0.9" if old else "#!SER 2.0"
    statements += ' rewritehostport("192.0.2.50:5060"); t_relay();'
    network.server(SCRIPT.format(directive=directive, statements=statements))
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    peer.post(peer.request("MESSAGE", "sip:bob@10.0.0.1", headers=headers, body=BODY))
    network.run_until(lambda: bool(phone.messages), within=5)
    return phone.messages[0]


def answered(
    network: Network, statements: str, *, old: bool = False, headers: list[str] = HEADERS
) -> Message:
    """The answer to such a MESSAGE."""
    directive = "#!SER 0.9" if old else "#!SER 2.0"
    network.server(SCRIPT.format(directive=directive, statements=statements))
    peer = WirePeer(network)
    return peer.ask(peer.request("MESSAGE", "sip:bob@10.0.0.1", headers=headers, body=BODY))


CONDITIONS = [
    ('search("hello.*world")', True),
    ('search("hello.*supported")', False),  # . does not cross a line
    ('search("^subject:")', True),
    ('search("10\\.9\\.9\\.9$")', False),  # the line's CR stands before its end
    ('search("c=IN IP4")', True),
    ('search("nothing like it")', False),
    ('is_present_hf("Subject")', True),
    ('is_present_hf("s")', True),
    ('is_present_hf("Date")', False),
    ('remove_hf("Date")', False),
    ('replace("nothing like it", "x")', False),
    ('subst("/nothing like it/x/")', False),
    ('subst_uri("/nobody/x/")', False),
    ('hf_value_exists("Supported", "100rel")', True),
    ('hf_value_exists("Supported", "TIMER")', True),
    ('hf_value_exists("Supported", "rel")', False),
    ('hf_value_exists("Nothing", "rel")', False),
    ('remove_hf_value("Foo[9]")', False),
    ('remove_hf_value("Foo.nothing")', False),
    ('assign_hf_value("Foo[-4]", "x")', False),
]


@pytest.mark.parametrize(("call", "result"), CONDITIONS)
def test_results(network: Network, call: str, result: bool) -> None:
    got = relayed(network, f"if ({call}) {{ {TRUE} }} else {{ {FALSE} }}")
    assert got.header("X-Result") == str(result).lower()


# -- text ----------------------------------------------------------------------------------------------------

REPLACED = [
    ('replace("Hello", "Bye")', "Bye World"),
    ('replace("hello (world)", "%%1 %rm")', "%1 MESSAGE"),
    ('replace_all("([lr])l", "L")', "HeLo WoLd"),
    ('replace("ello", "E"); replace("ll", "x")', "HE World"),
    ('search_append("hello", ", my")', "Hello, my World"),
    ('subst("/^Subject: (.*) (.*)\\r$/Subject: \\2 \\1\\r/i")', "World Hello"),
    ('subst("/ello|orld/\\0\\0/g")', "Helloello Worldorld"),
    ('subst("/ello|orld/\\0\\0/")', "Helloello World"),
]


@pytest.mark.parametrize(("call", "value"), REPLACED)
def test_replacing_text(network: Network, call: str, value: str) -> None:
    assert relayed(network, call + ";", headers=["Subject: Hello World"]).header("Subject") == value


def test_replacing_in_the_body_corrects_its_length(network: Network) -> None:
    got = relayed(network, 'replace_all("10\\.9\\.9\\.9", "203.0.113.77");')
    assert got.body == BODY.replace("10.9.9.9", "203.0.113.77").encode()
    assert got.header("Content-Length") == str(len(got.body))


def test_the_second_replace_means_the_next_occurrence(network: Network) -> None:
    got = relayed(network, 'replace("9\\.9", "A"); replace("9\\.9", "B");')
    assert got.body == BODY.replace("10.9.9.9", "10.A.9", 1).replace("10.9.9.9", "10.B.9", 1).encode()


def test_the_start_line_is_not_touched(network: Network) -> None:
    got = relayed(network, 'replace_all("SIP/2\\.0$", "SIP/9.9"); subst("/^MESSAGE/INVITE/");')
    assert got.method == "MESSAGE"


URIS = [
    ('subst_uri("/^sip:bob/sip:eva/")', "sip:eva@192.0.2.50:5060"),
    ('subst_uri("/bob@(.*)/bob-\\1@h/")', "sip:bob-10.0.0.1@192.0.2.50:5060"),
    ('subst_uri("/^.*$/not a uri/")', "sip:bob@192.0.2.50:5060"),
    ('subst_user("/^b(.)b$/\\1/")', "sip:o@192.0.2.50:5060"),
    ('subst_user("/bob//")', "sip:192.0.2.50:5060"),
    ('subst_user("/bob/a b/")', "sip:bob@192.0.2.50:5060"),
]


@pytest.mark.parametrize(("call", "uri"), URIS)
def test_substituting_in_the_request_uri(network: Network, call: str, uri: str) -> None:
    assert relayed(network, call + ";").request_uri == uri


# -- headers -------------------------------------------------------------------------------------------------


def test_appending_and_removing_headers(network: Network) -> None:
    got = relayed(
        network,
        'append_hf("P-One: 1\\r\\nP-Two: %rm\\r\\n"); append_urihf("P-Uri: <", ">\\r\\n");'
        'remove_hf("Foo"); remove_hf("s"); remove_hf("Foo");',
    )
    assert [got.header(name) for name in ("P-One", "P-Two", "P-Uri")] == [
        "1",
        "MESSAGE",
        "<sip:bob@10.0.0.1>",
    ]
    assert not got.has_header("Foo")
    assert not got.has_header("Subject")


def test_a_percent_is_one_in_0_9(network: Network) -> None:
    assert relayed(network, 'append_hf("P-One: %rm\\r\\n");', old=True).header("P-One") == "%rm"


def test_headers_of_replies(network: Network) -> None:
    got = answered(
        network, 'append_to_reply("X-One: %rm\\r\\n"); append_time(); sl_reply("404", "Not Found");'
    )
    assert got.header("X-One") == "MESSAGE"
    date = got.header("Date")
    assert date is not None
    assert date.endswith(" GMT")
    assert len(date) == len("Sat, 13 Nov 2010 23:29:00 GMT")


INJECTIONS = [
    'append_hf("X-Copy: %{Subject}\\r\\n");',
    '$x = @msg.subject; append_hf("X-Copy: %$x\\r\\n");',
    'append_urihf("X-Copy: %{Subject}", "\\r\\n");',
    'search_append("Foo: one", "%{Subject}");',
    'replace("Foo: three", "Foo: %{Subject}");',
    'append_hf_value("X-Copy", "%{Subject}");',
    'insert_hf_value("Foo", "%{Subject}");',
    'assign_hf_value("Foo[1]", "%{Subject}");',
    'include_hf_value("Supported", "%{Subject}");',
]


@pytest.mark.parametrize("statements", INJECTIONS)
def test_a_copied_value_cannot_start_a_header(network: Network, statements: str) -> None:
    """attacks.md P3, A8: a folded value that is copied stays one value."""
    folded = ["Subject: x\n  X-Admin: yes", *HEADERS[1:]]
    got = relayed(network, statements, headers=folded)
    names = [name.lower() for name, _ in got.all_headers()]
    assert "x-admin" not in names
    assert names.count("subject") == 1


def test_a_script_cannot_end_the_headers() -> None:
    kind = HeaderLineKind()
    with pytest.raises(ArgumentError, match="empty line"):
        kind.convert("X: 1\r\n\r\nbody", Loading())


# -- values --------------------------------------------------------------------------------------------------

ONE, TWO, THREE = 'one;a=1;b="x;y,z"', "two;lr", "three;a=3"
VALUES = [
    ('append_hf_value("Foo", "new")', [ONE, TWO, THREE, "new"]),
    ('append_hf_value("Foo[1]", "new")', [ONE, "new", TWO, THREE]),
    ('append_hf_value("Foo[-1]", "new")', [ONE, TWO, THREE, "new"]),
    ('append_hf_value("Foo[7]", "new")', [ONE, TWO, THREE, "new"]),
    ('append_hf_value("Foo[*]", "new")', [ONE, "new", TWO, "new", THREE, "new"]),
    ('append_hf_value("Foo[1]", "n1"); append_hf_value("Foo[1]", "n2")', [ONE, "n1", "n2", TWO, THREE]),
    ('insert_hf_value("Foo", "new")', ["new", ONE, TWO, THREE]),
    ('insert_hf_value("Foo[2]", "new")', [ONE, "new", TWO, THREE]),
    ('insert_hf_value("Foo[-1]", "new")', [ONE, TWO, "new", THREE]),
    ('remove_hf_value("Foo")', [TWO, THREE]),
    ('remove_hf_value("Foo[2]")', [ONE, THREE]),
    ('remove_hf_value("Foo[3]")', [ONE, TWO]),
    ('remove_hf_value("Foo[*]")', []),
    ('remove_hf_value("Foo"); remove_hf_value("Foo")', [THREE]),
    ('remove_hf_value("Foo[2]"); remove_hf_value("Foo[1]")', [THREE]),
    ('remove_hf_value("Foo.a")', ['one;b="x;y,z"', TWO, THREE]),
    ('remove_hf_value("Foo.b")', ["one;a=1", TWO, THREE]),
    ('remove_hf_value("Foo[2].lr")', [ONE, "two", THREE]),
    ('remove_hf_value("Foo[*].a")', ['one;b="x;y,z"', TWO, "three"]),
    ('assign_hf_value("Foo", "new")', ["new", TWO, THREE]),
    ('assign_hf_value("Foo[-1]", "new")', [ONE, TWO, "new"]),
    ('assign_hf_value("Foo[*]", "new")', ["new", "new", "new"]),
    ('assign_hf_value("Foo.a", "9")', ['one;a=9;b="x;y,z"', TWO, THREE]),
    ('assign_hf_value("Foo.p.a", "9")', ['one;a=9;b="x;y,z"', TWO, THREE]),
    ('assign_hf_value("Foo.c", "9")', [ONE + ";c=9", TWO, THREE]),
    ('assign_hf_value("Foo[2].lr", "on")', [ONE, "two;lr=on", THREE]),
    ('assign_hf_value("Foo[3].a", "")', [ONE, TWO, "three;a"]),
    ('assign_hf_value("Foo[*].ob", "")', [ONE + ";ob", TWO + ";ob", THREE + ";ob"]),
    ('assign_hf_value("Foo.a", "9"); assign_hf_value("Foo.b", "8")', ["one;a=9;b=8", TWO, THREE]),
    ('assign_hf_value("Foo.a", "9"); assign_hf_value("Foo.a", "8")', ['one;a=9;b="x;y,z"', TWO, THREE]),
    ('assign_hf_value("Foo", "new"); remove_hf_value("Foo")', ["new", TWO, THREE]),
    ('append_hf_value("Foo[1]", "new"); remove_hf("Foo")', [ONE, "new", TWO]),
]


@pytest.mark.parametrize(("call", "values"), VALUES)
def test_values_of_a_header(network: Network, call: str, values: list[str]) -> None:
    got = relayed(network, call + ";")
    assert got.values("Foo") == values
    assert got.header("Subject") == "Hello World"
    assert got.body == BODY.encode()


SETS = [
    ('include_hf_value("Supported", "path")', ["path", "100rel", "timer"]),
    ('include_hf_value("Supported", "gruu")', ["path", "100rel", "timer", "gruu"]),
    (
        'include_hf_value("Supported", "gruu"); include_hf_value("Supported", "GRUU")',
        ["path", "100rel", "timer", "gruu"],
    ),
    ('exclude_hf_value("Supported", "100REL")', ["path", "timer"]),
    ('exclude_hf_value("Supported", "path"); exclude_hf_value("Supported", "timer")', ["100rel"]),
    ('exclude_hf_value("Supported", "nothing")', ["path", "100rel", "timer"]),
]


@pytest.mark.parametrize(("call", "values"), SETS)
def test_sets(network: Network, call: str, values: list[str]) -> None:
    assert relayed(network, call + ";").values("Supported") == values


def test_a_set_that_is_not_there_is_made(network: Network) -> None:
    got = relayed(network, 'include_hf_value("Allow-Events", "dialog");')
    assert got.values("Allow-Events") == ["dialog"]


CREDENTIALS = [
    ('assign_hf_value2("Authorization.nc", "00000002")', 'Digest username="bob", realm="r, s", nc=00000002'),
    (
        'assign_hf_value2("Authorization.qop", "auth")',
        'Digest username="bob", realm="r, s", nc=00000001, qop=auth',
    ),
    ('remove_hf_value2("Authorization.nc")', 'Digest username="bob", realm="r, s"'),
    ('remove_hf_value2("Authorization.username")', 'Digest realm="r, s", nc=00000001'),
    ('assign_hf_value2("Authorization", "Basic x")', "Basic x"),
    ('remove_hf_value2("Authorization")', None),
]


@pytest.mark.parametrize(("call", "value"), CREDENTIALS)
def test_headers_like_authorization(network: Network, call: str, value: str | None) -> None:
    got = relayed(network, call + ";").header("Authorization")
    assert (None if got is None else got.replace("  ", " ")) == value


@pytest.mark.parametrize(
    "written", ["Via.branch", "v[1]", "Content-Length", "Foo[0]", "Foo[x]", "", "a b", "Foo..x"]
)
def test_what_is_no_header_item(written: str) -> None:
    with pytest.raises(ArgumentError):
        HeaderItem.from_script(written, Loading())


# -- selects -------------------------------------------------------------------------------------------------

CONTACTS = [
    'Contact: "Bob, B." <sip:bob:pw@h1:5070;transport=tcp>;q=0.5;x="a\\"b"',
    "Contact: <sip:eva@h2>",
    *HEADERS[1:],
]
SELECTS = [
    ("@hf_value.supported", "path,100rel,timer"),
    ("@hf_value.supported[2]", "100rel"),
    ("@hf_value.supported[-1]", "timer"),
    ("@hf_value.foo[*]", f"{ONE},{TWO},{THREE}"),
    ("@hf_value.foo.a", "1"),
    ("@hf_value.foo.b", "x;y,z"),
    ("@hf_value.foo[3].p.a", "3"),
    ("@hf_value.foo[3].param.a", "3"),
    ("@hf_value.contact.uri", "sip:bob:pw@h1:5070;transport=tcp"),
    ("@hf_value.contact.uri.user", "bob"),
    ("@hf_value.contact.uri.host", "h1"),
    ("@hf_value.contact.uri.hostport", "h1:5070"),
    ("@hf_value.contact.uri.params.transport", "tcp"),
    ("@hf_value.contact.name", "Bob, B."),
    ("@hf_value.contact[1].nameaddr.name", "Bob, B."),
    ("@hf_value.contact[2].nameaddr.uri.user", "eva"),
    ("@hf_value.contact.q", "0.5"),
    ("@hf_value.contact.x", 'a"b'),
    ("@hf_value2.authorization.realm", "r, s"),
    ("@hf_value2.authorization.nc", "00000001"),
    ("@hf_value_exists.supported.timer", "1"),
    ("@hf_value_exists.supported.gruu", "0"),
    ("@hf_value.nothing", None),
    ("@hf_value.foo[9]", None),
    ("@hf_value.foo.nothing", None),
]


@pytest.mark.parametrize(("select", "value"), SELECTS)
def test_selects(network: Network, select: str, value: str | None) -> None:
    got = answered(
        network, f'append_to_reply("X-Value: %{select}\\r\\n"); sl_reply("200", "OK");', headers=CONTACTS
    )
    assert got.header("X-Value") == ("<null>" if value is None else value)


@pytest.mark.parametrize(
    "select", ["@hf_value", "@hf_value.foo.a.b", "@hf_value.foo.uri.nothing", "@hf_value_exists.x"]
)
def test_selects_that_are_refused_at_load(network: Network, select: str) -> None:
    with pytest.raises(ConfigError):
        network.server(SCRIPT.format(directive="", statements=f"$x = {select};"))


# -- bounds --------------------------------------------------------------------------------------------------


def test_ranges_against_a_set_of_bytes() -> None:
    dice = random.Random(3)
    for _ in range(300):
        ranges, taken = Ranges(), set[int]()
        for _ in range(12):
            start = dice.randrange(40)
            end = start + 1 + dice.randrange(6)
            assert ranges.overlap(start, end) == bool(taken & set(range(start, end)))
            covered = set(range(start, end)) <= taken
            assert ranges.cover(start, end) == covered
            if dice.random() < 0.6:
                ranges.add(start, end)
                taken |= set(range(start, end))


def test_a_message_full_of_matches_is_cheap(network: Network) -> None:
    """attacks.md P5, P6: linear in the message, whatever the expression."""
    got = relayed(
        network,
        'replace_all("a", "b"); search("(x+x+)+y"); remove_hf_value("Foo[*]");',
        headers=["Subject: " + "a" * 20_000, "X: " + "x" * 20_000, "Foo: " + ",".join("v" * 5_000)],
    )
    assert got.header("Subject") == "b" * 20_000
    assert not got.has_header("Foo")


# -- edits that meet -----------------------------------------------------------------------------------------

TWICE = [
    ('replace("Hello", "Bye"); if (replace("Hello", "Hi"))', "false"),
    ('replace("Hello", "Bye"); if (subst("/ello W/x/"))', "false"),
    ('remove_hf("Subject"); if (replace("Hello", "Hi"))', "false"),
    ('remove_hf("Subject"); if (remove_hf("Subject"))', "true"),
    ('replace("Hello", "Bye"); if (replace("World", "Earth"))', "true"),
]


@pytest.mark.parametrize(("statements", "result"), TWICE)
def test_bytes_are_edited_once(network: Network, statements: str, result: str) -> None:
    """The first edit of the same bytes stands; SER would have written the texts of both."""
    got = relayed(network, f"{statements} {{ {TRUE} }} else {{ {FALSE} }}", headers=["Subject: Hello World"])
    assert got.header("X-Result") == result
    assert got.header("Subject") in (None, "Bye World", "Bye Earth")


def test_fields_that_another_module_replaces_are_gone_for_textops(network: Network) -> None:
    network.server(
        """
        loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "avp"
        route {
            $s = "new"; replace_attr_hf("Subject", "$s");
            if (replace("Hello", "x")) { append_hf("X-Result: true\\r\\n"); }
            rewritehostport("192.0.2.50:5060"); t_relay();
        }
        """
    )
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    peer.post(peer.request("MESSAGE", headers=["s: Hello World"]))
    network.run_until(lambda: bool(phone.messages), within=5)
    assert phone.messages[0].headers("Subject") == ["new"]
    assert not phone.messages[0].has_header("X-Result")


LATER = """
loadmodule "sl" loadmodule "tm" loadmodule "textops"
route {
    replace("Subject: a", "Subject: changed");
    include_hf_value("Supported", "path");
    t_on_reply("1"); t_on_branch("1"); t_on_failure("1");
    rewritehostport("192.0.2.50:5060"); t_relay();
}
branch_route[1] { if (assign_hf_value("Subject", "x")) { append_hf("X-Branch: twice\\r\\n"); } }
onreply_route[1] {
    replace("Subject: ab", "Subject: reply"); replace("reason", "cause");
    include_hf_value("Supported", "path");
}
failure_route[1] { if (replace("Subject: a", "x")) { t_reply("500", "twice"); } }
"""


def test_each_message_of_a_transaction_has_edits_of_its_own(network: Network) -> None:
    """What was edited in the request says nothing about its replies; branches and failure routes know it."""
    network.server(LATER)
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    peer.post(peer.request("MESSAGE", headers=["Subject: ab"]))
    network.run_until(lambda: bool(phone.messages), within=5)
    request = phone.messages[0]
    assert request.header("Subject") == "changedb"
    assert not request.has_header("X-Branch")
    echoed = [f"{name}: {value}" for name, value in request.all_headers() if name in ECHOED]
    lines = ["SIP/2.0 486 Busy", *echoed, "Subject: ab", "X-Why: reason", "Content-Length: 0", "", ""]
    phone.post("\n".join(lines))
    network.run_until(lambda: bool(peer.messages), within=5)
    reply = peer.messages[0]
    assert (reply.status, reply.header("Subject"), reply.header("X-Why")) == (486, "reply", "cause")
    assert reply.header("Supported") == "path"


ECHOED = ("Via", "From", "To", "Call-ID", "CSeq")
