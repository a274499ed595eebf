"""Selects, formats, conditions, rewriting and attributes as SER has them, each on a real message."""

from __future__ import annotations

import pytest

from sipyard._native.core import Message
from sipyard.testing import Network
from sipyard.testing.node import Node
from sipyard.testing.trace import Address

REQUEST = """INVITE sip:bob:secret@example.com:5070;user=phone SIP/2.0
Via: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKone;rport;alias
Via: SIP/2.0/TCP gw.example.net:5080;branch=z9hG4bKtwo;received=198.51.100.4
Max-Forwards: 70
From: "Alice A" <sip:alice:pw@example.org:5062;x=1>;tag=a7;y=2
To: Bob <sip:bob@example.com>;z
Call-ID: call-1@192.0.2.9
CSeq: 314 INVITE
Contact: "C" <sip:alice@192.0.2.9:5066;transport=udp>;q=0.5;expires=60;methods="INVITE"
Subject: first
Subject: second
P-Charge: <sip:+420@gw>;npi=ISDN
Authorization: Digest username="u@d", realm="r1", nonce="n1", uri="sip:x", response="0a", algorithm=MD5
Authorization: Digest username="v", realm="r2", nonce="n2", uri="sip:y", response="0b",
 qop=auth, nc=00000001, cnonce="c"
Record-Route: <sip:10.9.9.9;lr;ftag=q>
Event: presence
User-Agent: phone 1.0
Content-Length: 0

"""


class Peer(Node):
    def __init__(self, network: Network) -> None:
        super().__init__(network, "peer", "192.0.2.9:5060")
        self.answers: list[Message] = []
        network.attach(self, self.address)

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        self.answers.append(Message.parse(data))


def answer(network: Network, statements: str, *, old: bool = False, listen: str = "10.0.0.1:5060") -> Message:
    """What a script answers to the request."""
    modules = "sl tm textops xlog avp auth" if not old else "sl tm textops"
    loads = " ".join(f'loadmodule "{name}"' for name in modules.split())
    directive = "#!SER 0.9" if old else "#!SER 2.0"
    network.server(
        f'{directive}\n{loads}\nalias="example.com:5070"\nroute {{ {statements} }}\n', address=listen
    )
    peer = Peer(network)
    peer.send(REQUEST.replace("\n", "\r\n").encode(), Address.parse(listen))
    network.run_until(lambda: bool(peer.answers), within=5)
    return peer.answers[0]


# -- A.9 -----------------------------------------------------------------------------------------------------

SELECTS = {
    "@method": "INVITE",
    "@ruri": "sip:bob:secret@example.com:5070;user=phone",
    "@ruri.type": "sip",
    "@ruri.user": "bob",
    "@ruri.pwd": "secret",
    "@ruri.host": "example.com",
    "@ruri.port": "5070",
    "@ruri.hostport": "example.com:5070",
    "@ruri.params": "user=phone",
    "@ruri.params.user": "phone",
    "@ruri.params.nothing": None,
    "@dst_uri": None,
    "@next_hop": "sip:bob:secret@example.com:5070;user=phone",
    "@next_hop.host": "example.com",
    "@from": '"Alice A" <sip:alice:pw@example.org:5062;x=1>;tag=a7;y=2',
    "@from.uri": "sip:alice:pw@example.org:5062;x=1",
    "@f.uri.user": "alice",
    "@from.uri.pwd": "pw",
    "@from.uri.hostport": "example.org:5062",
    "@from.uri.params.x": "1",
    "@from.tag": "a7",
    "@from.name": "Alice A",
    "@from.params.y": "2",
    "@to.uri.host": "example.com",
    "@t.name": "Bob",
    "@to.tag": None,
    "@contact.uri": "sip:alice@192.0.2.9:5066;transport=udp",
    "@contact.uri.port": "5066",
    "@m.name": "C",
    "@contact.q": "0.5",
    "@contact.expires": "60",
    "@contact.received": None,
    "@contact.params.q": "0.5",
    "@contact.uri.params.transport": "udp",
    "@via.host": "192.0.2.9",
    "@via[1].port": "5060",
    "@via[1].branch": "z9hG4bKone",
    "@via[2].host": "gw.example.net",
    "@v[2].transport": "TCP",
    "@via[2].received": "198.51.100.4",
    "@via[-1].branch": "z9hG4bKtwo",
    "@via[3].host": None,
    "@via[1].name": "SIP",
    "@via[1].version": "2.0",
    "@record_route.uri": "sip:10.9.9.9;lr;ftag=q",
    "@rr.uri.params.ftag": "q",
    "@cseq": "314 INVITE",
    "@cseq.num": "314",
    "@cseq.method": "INVITE",
    "@event": "presence",
    "@msg.subject": "first",
    "@msg.Subject[2]": "second",
    "@msg.subject[-1]": "second",
    "@msg.subject[3]": None,
    '@msg["Subject"]': "first",
    '@msg["P-Charge"].nameaddr.uri': "sip:+420@gw",
    "@msg.p_charge.nameaddr.uri.host": "gw",
    "@msg.p_charge.nameaddr.params.npi": "ISDN",
    "@msg.nothing": None,
    '@authorization["r1"].username': "u@d",
    '@authorization["r1"].username.user': "u",
    '@authorization["r1"].username.domain': "d",
    '@authorization["r2"].nonce': "n2",
    '@authorization["r2"].qop': "auth",
    '@authorization["r2"].nc': "00000001",
    '@authorization["r2"].cnonce': "c",
    '@authorization["r1"].response': "0a",
    '@authorization["r1"].algorithm': "MD5",
    '@authorization["r3"].nonce': None,
    "@authorization.uri": "sip:x",
    '@proxy_authorization["r1"].nonce': None,
    "@src.ip": "192.0.2.9",
    "@src.port": "5060",
    "@src.ip_port": "192.0.2.9:5060",
    "@dst.ip": "10.0.0.1",
    "@received.proto": "udp",
    "@received.ip": "10.0.0.1",
    "@received.port": "5060",
    "@received.ip_port": "10.0.0.1:5060",
    "@received.proto_ip_port": "udp:10.0.0.1:5060",
}


def test_selects(network: Network) -> None:
    lines = "".join(
        f'$f.v = {path}; append_to_reply("X-{n}: %$f.v\\r\\n"); '
        f'if (!{path}) append_to_reply("Y-{n}: gone\\r\\n"); '
        for n, path in enumerate(SELECTS)
    )
    found = answer(network, lines + 'sl_reply("200", "OK");')
    assert found.status == 200
    read = {
        path: None if found.has_header(f"Y-{n}") else found.header(f"X-{n}") for n, path in enumerate(SELECTS)
    }
    assert read == SELECTS


# -- A.10 ----------------------------------------------------------------------------------------------------

FORMATS = {
    "%%": "%",
    "%ci": "call-1@192.0.2.9",
    "%cs": "314",
    "%ct": '"C" <sip:alice@192.0.2.9:5066;transport=udp>;q=0.5;expires=60;methods="INVITE"',
    "%fu %ft": "sip:alice:pw@example.org:5062;x=1 a7",
    "%tu %tt": "sip:bob@example.com <null>",
    "%rm %ru": "INVITE sip:bob:secret@example.com:5070;user=phone",
    "%nh": "sip:bob:secret@example.com:5070;user=phone",
    "%Ri %Rp": "10.0.0.1 5060",
    "%si %sp": "192.0.2.9 5060",
    "%ua": "phone 1.0",
    "%{Subject}": "first",
    "%{Subject[1]}": "second",
    "%{subject[-1]}": "second",
    "%{Nothing}": "<null>",
    "%mf": "4",
    "%ml": str(len(REQUEST.replace("\n", "\r\n"))),
    "%$f.a": "one",
    "%$f.a%|two": "onetwo",
    "%$f.none": "<null>",
    "%@from.uri.user": "alice",
    "%@from.uri.user%|@x": "alice@x",
    "%rs": "<null>",
    "%br": "<null>",
    "%zz": "<null>",
}


def test_formats(network: Network) -> None:
    lines = 'setflag(2); $f.a = "one"; '
    lines += "".join(
        f'xlset_attr("$f.v", "{form}"); append_to_reply("X-{n}: [%$f.v]\\r\\n"); '
        for n, form in enumerate(FORMATS)
    )
    found = answer(network, lines + 'sl_reply("200", "OK");')
    read = {form: (found.header(f"X-{n}") or "")[1:-1] for n, form in enumerate(FORMATS)}
    assert read == FORMATS


# -- A.6 -----------------------------------------------------------------------------------------------------

CONDITIONS = [
    # condition, true in 2.0, true in 0.9 (None: not of that language)
    ("method==INVITE", True, True),
    ('method=="invite"', True, True),
    ('method=~"INVITE|BYE"', True, True),
    ('!method=="BYE"', True, True),
    ('not method=="INVITE"', False, False),
    ("uri==myself", True, True),
    ('uri=~"^sip:bob"', True, True),
    ('!uri=~"^sip:carol"', True, True),
    ('from_uri=~"alice"', True, True),
    ('to_uri=="sip:BOB@example.com"', True, True),
    ("src_ip==192.0.2.9", True, True),
    ("src_ip==192.0.2.0/24", True, True),
    ("src_ip==192.0.2.0/255.255.255.0", True, True),
    ("src_ip!=192.0.3.0/24", True, True),
    ('src_ip=="192.0.2.9"', True, True),
    ("dst_ip==10.0.0.1", True, True),
    ("dst_ip==myself", True, True),
    ("src_port==5060", True, True),
    ("dst_port!=5060", False, False),
    ("proto==UDP", True, True),
    ("proto==TCP", False, False),
    ("af==inet", True, True),
    ("af==inet6", False, False),
    ("msg:len<max_len", True, True),
    ("msg:len>=100", True, True),
    ("msg:len<=10", False, False),
    ('method=="INVITE" && src_port==5060', True, True),
    ('method=="BYE" || src_port==5060', True, True),
    ('method=="BYE" or src_port==5060', True, True),
    ('method=="INVITE" and src_port==1', False, False),
    ('!(method=="BYE")', True, True),
    ('!method=="BYE" && !method=="ACK"', True, True),
    ("1", True, True),
    ("0", False, False),
    ("isflagset(1)", False, False),
    ('@from.uri.user=="ALICE"', True, None),
    ('@from.uri.user=~"^AL"', True, None),
    ("@to.tag", False, None),
    ('@to.tag==""', False, None),
    ('@to.tag!="x"', True, None),
    ("$f.none", False, None),
    ('$f.none=="x"', False, None),
    ('$f.none!="x"', True, None),
    ('$f.none=~"x"', False, None),
    ("$f.text", True, None),
    ("$f.empty", False, None),
    ("$f.zero", False, None),
    ("$f.number", True, None),
    ("$f.number==7", True, None),
    ('$f.number=="7"', True, None),
    ("$f.digits==12", True, None),
    ("$f.text==12", False, None),
    ("$f.number & 4", True, None),
    ("$f.number & 8", False, None),
    ("$f.number > 6", True, None),
    ("$f.text==$f.same", True, None),
    ('$f.text=="TEXT"', True, None),
    ('! $f.text=="other"', True, None),
    ("@src.ip==$f.ip", True, None),
    ('$f.many=="b"', False, None),
    ('$f.many[1]=="a"', True, None),
    ('$f.many[-1]=="b"', True, None),
    ('$f.many[2]=="b"', True, None),
    ('$f.many[3]=="b"', False, None),
    ('$TEXT=="text"', True, None),
    ('$f.shadow=="uri"', True, None),
    ('$fu.shadow=="user"', True, None),
    ('$t.text=="text"', False, None),
]
SET = (
    '$f.text = "text"; $f.same = "TEXT"; $f.empty = ""; $f.zero = 0; $f.number = 7; $f.digits = "12"; '
    '$f.ip = "192.0.2.9"; $f.many = "a"; $f.many[] = "b"; $fu.shadow = "user"; $fr.shadow[] = "uri"; '
)


@pytest.mark.parametrize("old", [False, True])
def test_conditions(network: Network, old: bool) -> None:
    rows = [(n, *row) for n, row in enumerate(CONDITIONS) if not (old and row[2] is None)]
    end = ";" if old else ""
    lines = "" if old else SET
    lines += " ".join(
        f'if ({condition}) {{ append_to_reply("X-{n}: yes\\r\\n"); }}{end}' for n, condition, *_ in rows
    )
    found = answer(network, lines + ' sl_send_reply("200", "OK");', old=old)
    read = {condition: found.has_header(f"X-{n}") for n, condition, *_ in rows}
    assert read == {condition: was_old if old else is_new for _, condition, is_new, was_old in rows}


# -- A.5, §5 -------------------------------------------------------------------------------------------------

REWRITES = [
    ('rewritehost("h")', "sip:bob:secret@h:5070;user=phone"),
    ('sethost("h")', "sip:bob:secret@h:5070;user=phone"),
    ('rewritehostport("h:1")', "sip:bob:secret@h:1;user=phone"),
    ('sethp("h")', "sip:bob:secret@h;user=phone"),
    ('rewriteuser("x")', "sip:x:secret@example.com:5070;user=phone"),
    ('setu("x")', "sip:x:secret@example.com:5070;user=phone"),
    ('rewriteuserpass("x:y")', "sip:x:y@example.com:5070;user=phone"),
    ('setup("x")', "sip:x@example.com:5070;user=phone"),
    ('rewriteport("99")', "sip:bob:secret@example.com:99;user=phone"),
    ('setp("99")', "sip:bob:secret@example.com:99;user=phone"),
    ('rewriteuri("sip:new@h")', "sip:new@h"),
    ('seturi("sip:new@h"); revert_uri()', "sip:bob:secret@example.com:5070;user=phone"),
    ('prefix("00")', "sip:00bob:secret@example.com:5070;user=phone"),
    ("strip(1)", "sip:ob:secret@example.com:5070;user=phone"),
    ("strip_tail(2)", "sip:b:secret@example.com:5070;user=phone"),
    ("strip(9)", "sip:example.com:5070;user=phone"),
    ('rewriteuser("x"); rewritehost("h"); prefix("+")', "sip:+x:secret@h:5070;user=phone"),
]


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize(("statements", "uri"), REWRITES)
def test_rewriting(network: Network, statements: str, uri: str, old: bool) -> None:
    found = answer(network, f'{statements}; sl_send_reply("302", "Moved");', old=old)
    wanted = [] if "revert_uri" in statements else [f"<{uri}>"]
    assert found.values("Contact") == wanted


# -- §3 ------------------------------------------------------------------------------------------------------

ASSIGNMENTS = [
    # statements, names, values
    ('$x = "1"; $x[] = "2"; $x = "3";', "$x[]", "3"),
    ('$x = "1"; $x[] = "2"; $y = "0"; $y[] = "9"; $y = $x[];', "$y[]", "1,2"),
    ('$fu.x = "user"; $x = "new";', "$fu.x", "<null>"),
    ('$fu.x = "user"; $x = "new";', "$fr.x", "new"),
    ('$fu.x = "user"; $fr.x[] = "uri";', "$x", "uri"),
    ('$x = "1"; $x = $none;', "$x", "<null>"),
    ("$x = @to.tag;", "$x", ""),
    ('$x = "a"; $x = $x;', "$x", "<null>"),
    ("$x = is_present_hf(\"Subject\");", "$x", "1"),
    ("$x = is_present_hf(\"Nothing\");", "$x", "-1"),
    ("$x = (method == \"INVITE\");", "$x", "1"),
    ("$x = (method == \"BYE\");", "$x", "0"),
    ('$t.x = "t"; $x = "f";', "$t.x", "t"),
    ('$x = "b"; $X[] = "c";', "$x[]", "b,c"),
    ("$x = 5;", "$x", "5"),
    ('$x = "v"; del_attr("$x");', "$x", "<null>"),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "name", "value"), ASSIGNMENTS)
def test_assignments(network: Network, statements: str, name: str, value: str) -> None:
    found = answer(network, f'{statements} append_to_reply("X-V: [%{name}]\\r\\n"); sl_reply("200", "OK");')
    assert found.header("X-V") == f"[{value}]"
