"""Conditions, selects and xl formats on a received message, on the real core and engine."""

from __future__ import annotations

import logging

import pytest

from sipyard._native.core import OfflineEndpoint
from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.context import Context
from sipyard.engine import Engine
from sipyard.formats import Format, TextFormat
from sipyard.module import Module, function
from sipyard.registry import Modules
from sipyard.script import load_text
from sipyard.script.check import read_text

from .probe import Probe

INVITE = (
    b"INVITE sip:bob:pw@example.com:5070;transport=udp;x-y=1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.1.2.3:5062;branch=z9hG4bKone;rport\r\n"
    b"Via: SIP/2.0/TCP edge.example.org;branch=z9hG4bKtwo;received=10.9.9.9\r\n"
    b'From: "Alice A" <sip:alice@atlanta.example;p=q>;tag=f1;isub=2\r\n'
    b"To: <sip:Bob@biloxi.example>\r\n"
    b"Call-ID: call-1@host\r\n"
    b"CSeq: 42 INVITE\r\n"
    b"Max-Forwards: 70\r\n"
    b'Contact: "Al" <sip:alice@10.1.2.3:5062;ob>;q=0.7;expires=300\r\n'
    b"Record-Route: <sip:edge.example.org;lr;ftag=1>\r\n"
    b"User-Agent: probe/1\r\n"
    b"Event: presence\r\n"
    b"P-Two: one\r\n"
    b"P-Two: <sip:two@example.net>;w=2\r\n"
    b"Refer-To: <sip:r@example.net>\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"body"
)


class Shower(Module):
    """shower: keeps what a format gives."""

    name = "shower"

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    @function("RFOBS")
    def show(self, msg: Context, text: Format) -> None:
        """Keep the text."""
        self.texts.append(text.text(msg))


def offer(body: str, data: bytes = INVITE, declared: str = "") -> tuple[list[object], list[str]]:
    """Run a route's body on a received request: what the probe recorded, what formats gave."""
    modules, probe, shower = Modules(), Probe(), Shower()
    modules.add(probe)
    modules.add(shower)
    script = load_text(f"{declared}\nroute {{ {body} }}", "t.cfg", Generation.SER_2_0, modules)
    endpoint = OfflineEndpoint()
    endpoint.listen("udp", "192.0.2.1", 5060)
    endpoint.core.configure(aliases=[("example.com", 0, None)])
    engine = Engine(endpoint.core, script, script.modules)
    endpoint.receive(1.0, data, 0, "10.1.2.3", 5062)
    assert engine.poll() == 1
    return probe.calls, shower.texts


TRUE = [
    'method == INVITE && method == "INVITE" && method == "invite"',
    'method =~ "^inv" && method != BYE && !method == "ACK"',
    'uri == "sip:bob:pw@EXAMPLE.com:5070;transport=udp;x-y=1"',
    'uri =~ "bob.*@example\\.com" && uri != "sip:x@y"',
    "uri == myself && myself == uri",
    'from_uri =~ "alice" && to_uri == "sip:bob@biloxi.example"',
    "src_ip == 10.1.2.3 && src_ip != 10.1.2.4 && src_ip == 10.0.0.0/8 && src_ip == 10.0.0.0/255.0.0.0",
    'src_ip == "10.1.2.3" && !(src_ip == 192.168.0.0/16) && src_ip =~ "^10\\."',
    "dst_ip == 192.0.2.1 && dst_ip == myself && src_ip != myself",
    "src_port == 5062 && dst_port == 5060 && src_port > 5000 && src_port <= 5062 && src_port != 1",
    "proto == UDP && proto != TCP && af == inet && af != INET6",
    "msg:len > 100 && msg:len < max_len && msg:len >= 3 && !(msg:len >= 65535)",
    '@from.uri.host == "ATLANTA.example" && @to.tag != "x" && @from.tag',
    '@src.ip == "10.1.2.3" && @cseq.num == 42 && @cseq.num > 41',
    "@ruri.host == @ruri.host && @from.uri.host != @to.uri.host",
    '@to.uri.user =~ "^b.b$"',
]
FALSE = [
    "method == BYE",
    '@to.tag == ""',
    "@to.tag",
    'uri == "sip:bob@example.com"',
    "src_ip == 10.1.2.33",
]


@pytest.mark.parametrize("condition", TRUE)
def test_true_conditions(condition: str) -> None:
    assert offer(f'if ({condition}) say("y");')[0] == ["y"]


@pytest.mark.parametrize("condition", FALSE)
def test_false_conditions(condition: str) -> None:
    assert offer(f'if ({condition}) say("y"); else say("n");')[0] == ["n"]


def test_uri_is_the_rewritten_one() -> None:
    body = """rewritehost("other.example"); if (uri == myself) say("no"); if (uri =~ "other") say("y");
    $h = @ruri.host; say("$h"); revert_uri(); if (uri == myself) say("back");"""
    assert offer(body)[0] == ["y", "other.example", "back"]


def test_core_statements_rewrite_the_request_uri() -> None:
    body = 'setuser("1234"); strip(1); strip_tail(1); prefix("9"); say("@ruri.user");'
    assert offer(body)[0] == ["923"]
    body = 'setport("5080"); say("@ruri.port"); sethostport("h.example:99"); say("@ruri.hostport");'
    assert offer(body)[0] == ["5080", "h.example:99"]
    assert offer('seturi("sip:a@b"); say("@ruri"); append_branch("sip:c@d");')[0] == ["sip:a@b"]


def test_log_is_printed_up_to_the_debug_level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "sipyard.script")
    offer('log(0, "printed\\n"); log(1, "not printed"); log("nor this");')
    assert [record.message for record in caplog.records if record.name == "sipyard.script"] == ["printed"]


SELECTS = [
    ("@method", "INVITE"),
    ("@ruri", "sip:bob:pw@example.com:5070;transport=udp;x-y=1"),
    ("@ruri.type", "sip"),
    ("@ruri.user", "bob"),
    ("@ruri.pwd", "pw"),
    ("@ruri.port", "5070"),
    ("@ruri.hostport", "example.com:5070"),
    ("@ruri.params", "transport=udp;x-y=1"),
    ("@ruri.params.transport", "udp"),
    ("@ruri.params.x_y", "1"),
    ('@ruri.params["x-y"]', "1"),
    ("@next_hop.host", "example.com"),
    ("@dst_uri", None),
    ("@from", '"Alice A" <sip:alice@atlanta.example;p=q>;tag=f1;isub=2'),
    ("@f.uri", "sip:alice@atlanta.example;p=q"),
    ("@from.uri.params.p", "q"),
    ("@from.name", "Alice A"),
    ("@from.tag", "f1"),
    ("@from.params.isub", "2"),
    ("@to.uri.hostport", "biloxi.example:5060"),
    ("@to.tag", None),
    ("@contact.uri.user", "alice"),
    ("@m.q", "0.7"),
    ("@contact.expires", "300"),
    ("@contact.params.received", None),
    ("@via.host", "10.1.2.3"),
    ("@v[1].transport", "UDP"),
    ("@via[2].transport", "TCP"),
    ("@via[-1].received", "10.9.9.9"),
    ("@via[2].params.branch", "z9hG4bKtwo"),
    ("@via[3].host", None),
    ("@record_route.uri.host", "edge.example.org"),
    ("@rr.uri.params.ftag", "1"),
    ("@cseq", "42 INVITE"),
    ("@cseq.num", "42"),
    ("@cseq.method", "INVITE"),
    ("@event", "presence"),
    ("@msg.user_agent", "probe/1"),
    ('@msg["P-Two"]', "one"),
    ("@msg.p_two[1]", "one"),
    ("@msg.p_two[2].nameaddr.uri.user", "two"),
    ("@msg.p_two[-1].params.w", "2"),
    ("@msg.nothing", None),
    ("@src.ip_port", "10.1.2.3:5062"),
    ("@dst.port", "5060"),
    ("@received.proto_ip_port", "udp:192.0.2.1:5060"),
]


@pytest.mark.parametrize(("select", "expected"), SELECTS)
def test_selects(select: str, expected: str | None) -> None:
    quoted = select.replace('"', '\\"')
    assert offer(f'optional("{quoted}");')[0] == [expected]


FORMATS = [
    ("100%% sure", "100% sure"),
    ("%rm %ru", "INVITE sip:bob:pw@example.com:5070;transport=udp;x-y=1"),
    ("%fu|%ft|%tu|%tt", "sip:alice@atlanta.example;p=q|f1|sip:Bob@biloxi.example|<null>"),
    ("%ci %cs", "call-1@host 42"),
    ("%ct", '"Al" <sip:alice@10.1.2.3:5062;ob>;q=0.7;expires=300'),
    ("%si:%sp %is %Ri:%Rp", "10.1.2.3:5062 10.1.2.3 192.0.2.1:5060"),
    ("%ml %ua %rt", f"{len(INVITE)} probe/1 <sip:r@example.net>"),
    (
        "%{P-Two} %{p-two[1]} %{p-two[-1]} %{P-Two[*]}",
        "one <sip:two@example.net>;w=2 <sip:two@example.net>;w=2 one,<sip:two@example.net>;w=2",
    ),
    ("%{Nope}", "<null>"),
    ("%$x% y %$nope|", "vy <null>|"),
    ("%$x%|y", "vy"),
    ("%@from.uri.user%|s", "alices"),
    ("%<s:x> %<x>", "v v"),
    ("%nh", "sip:bob:pw@example.com:5070;transport=udp;x-y=1"),
    ("%ds", "Contact: <sip:bob:pw@example.com:5070;transport=udp;x-y=1>, <sip:b@c>;q=0.5"),
    ("%br %bR", "sip:b@c sip:b@c"),
    ("%mf %rs", "8 <null>"),
    ("%CrxHi%Cxx", "\x1b[31mHi\x1b[0m"),
    ("%CGb", "\x1b[1;32;44m"),
    ("%zz", "<null>"),
    ("", ""),
]


@pytest.mark.parametrize(("text", "expected"), FORMATS)
def test_formats(text: str, expected: str) -> None:
    body = f'$x = "v"; setflag(3); append_branch("sip:b@c", "0.5"); show("{text}");'
    assert offer(body)[1] == [expected]


def test_formats_that_change_with_time() -> None:
    _, texts = offer(
        'show("%Ts %Tx %pp %px"); show("%uq"); show("%uq"); show("%Tf"); show("%mi %mx"); show("%Hn");'
    )
    now, hexadecimal, pid, pid_hex = texts[0].split()
    assert abs(int(now) - int(hexadecimal, 16)) <= 1
    assert int(pid) == int(pid_hex, 16)
    assert texts[1] != texts[2]


BAD_FORMATS = ["%{", "%{a b}", "%<", "%Cz", "%C", "%$", "%$1", "%@", "%@nothing.at.all"]


@pytest.mark.parametrize("text", BAD_FORMATS)
def test_malformed_formats_are_refused_at_load(text: str) -> None:
    modules = Modules()
    modules.add(Shower())
    report = read_text(f'route {{ show("{text}"); }}', "t.cfg", Generation.SER_2_0, modules).report
    assert len(report.errors) == 1
    assert "argument 1 of show" in report.errors[0].message


def test_text_of_textops_is_plain_in_0_9() -> None:
    from sipyard.arguments import kind_of

    kind = kind_of(TextFormat)
    plain = kind.convert("100% %rm", Loading(Generation.SER_0_9))
    assert isinstance(plain, Format)
    assert plain.constant == "100% %rm"
    with pytest.raises(ArgumentError):
        kind.convert("%{", Loading(Generation.SER_2_0))


def test_onsend_route_sees_where_the_request_goes() -> None:
    modules, probe = Modules(), Probe()
    modules.add(probe)
    text = """route { forward(198.51.100.7, 5090); }
    onsend_route {
        if (to_ip == 198.51.100.7 && to_port == 5090 && snd_ip == 192.0.2.1 && snd_port == 5060) say("y");
        if (snd_proto == UDP && snd_af == inet && to_ip != 198.51.100.0/30) say("y");
        drop;
    }"""
    script = load_text(text, "t.cfg", Generation.SER_2_0, modules)
    endpoint = OfflineEndpoint()
    endpoint.listen("udp", "192.0.2.1", 5060)
    engine = Engine(endpoint.core, script, script.modules)
    endpoint.receive(1.0, INVITE, 0, "10.1.2.3", 5062)
    engine.poll()
    assert probe.calls == ["y", "y"]
    assert endpoint.poll_transmits() == []
