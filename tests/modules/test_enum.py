"""enum: numbers that become URIs by what the DNS says (RFC 6116)."""

from __future__ import annotations

import re
import time

import pytest
from wire_peer import WirePeer

from sipyard.errors import ConfigError
from sipyard.modules.enum import MAX_RULES
from sipyard.site import Site
from sipyard.testing import Network, VirtualNameServer

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "enum"
{parameters}
route {{
    if ({call}) {{ {reply}("302", "Found"); }}
    else {reply}("404", "Not Found");
}}
"""
NUMBER = "8.4.1.0.6.4.9.7.0.2.4.4.e164.arpa."
PHONE = "sip:+442079460148@10.0.0.1"
SIP = f'{NUMBER} NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!" .\n'


class Caller:
    """Sends one request through a script and tells what came of it."""

    def __init__(self, network: Network, zone: str) -> None:
        self.network = network
        self.dns: VirtualNameServer = network.name_server(zone)

    def ask(
        self,
        uri: str = PHONE,
        call: str = "enum_query()",
        parameters: str = "",
        *,
        old: bool = False,
        sender: str = "sip:alice@example.org",
    ) -> list[str]:
        """The URIs that the request could go to, each with its q; [] when the function is false."""
        reply, directive = ("sl_send_reply", "#!SER 0.9") if old else ("sl_reply", "#!SER 2.0")
        text = SCRIPT.format(directive=directive, parameters=parameters, call=call, reply=reply)
        self.network.server(text)
        peer = WirePeer(self.network)
        answer = peer.ask(peer.request("INVITE", uri).replace("sip:alice@example.org", sender))
        if answer.status == 404:
            return []
        assert answer.status == 302
        return [
            f"{uri} {q or '1'}"
            for value in answer.headers("Contact")
            for uri, q in re.findall(r"<([^>]*)>(?:;q=([0-9.]+))?", value)
        ]


def naptr(
    regexp: str,
    order: int = 1,
    preference: int = 1,
    flags: str = "u",
    service: str = "E2U+sip",
    end: str = ".",
) -> str:
    escaped = regexp.replace("\\", "\\\\").replace('"', '\\"')
    return f'{NUMBER} NAPTR {order} {preference} "{flags}" "{service}" "{escaped}" {end}\n'


ALL = "!^.*$!sip:x@example.com!"
FOUND = [
    # what an expression makes of +442079460148
    (naptr("!^.*$!sip:info@example.com!"), ["sip:info@example.com 0.99"]),
    (naptr(r"!^\+44(.*)$!sip:\1@uk.example.com!"), ["sip:2079460148@uk.example.com 0.99"]),
    (naptr(r"!^\+(44)(20)(.*)$!sip:\3@\2.\1.example.com!"), ["sip:79460148@20.44.example.com 0.99"]),
    (naptr(r"/^(.*)$/sips:\1@example.com;user=phone/"), ["sips:+442079460148@example.com;user=phone 0.99"]),
    (naptr("!^.*$!SIP:X@EXAMPLE.com!i"), ["SIP:X@EXAMPLE.com 0.99"]),
    (naptr(r"!^\+44[0-9]{10}$!sip:ten@example.com!"), ["sip:ten@example.com 0.99"]),
    (naptr(r"!^\+49(.*)$!sip:\1@de.example.com!"), []),
    # order, then preference; equal ones have equal q
    (
        naptr("!^.*$!sip:c@x.com!", 20, 1)
        + naptr("!^.*$!sip:b@x.com!", 10, 9)
        + naptr("!^.*$!sip:a@x.com!", 10, 1),
        ["sip:a@x.com 0.99", "sip:b@x.com 0.98", "sip:c@x.com 0.97"],
    ),
    (
        naptr("!^.*$!sip:a@x.com!", 1, 1)
        + naptr("!^.*$!sip:b@x.com!", 1, 1)
        + naptr("!^.*$!sip:c@x.com!", 2, 1),
        ["sip:a@x.com 0.99", "sip:b@x.com 0.99", "sip:c@x.com 0.98"],
    ),
    # other services and flags
    (naptr(ALL, service="E2U+mailto"), []),
    (naptr(ALL, service="e2u+SIP", flags="U"), ["sip:x@example.com 0.99"]),
    (naptr(ALL, service="E2U+sip+h323"), ["sip:x@example.com 0.99"]),
    (naptr(ALL, service="E2U+voice:sip"), []),
    (naptr(ALL, service="SIP+D2U"), []),
    (naptr(ALL, flags="s"), []),
    # what is no URI that can be called is passed over
    (naptr("!^.*$!mailto:info@example.com!") + naptr(ALL, 2), ["sip:x@example.com 0.99"]),
    (naptr("!^.*$!http://example.com/!"), []),
    (naptr("!^.*$!nonsense!"), []),
    (naptr("!^.*$!sip:x@example.com>;q=1,<sip:evil@example.com!"), []),
    (naptr(r"!^.*$!sip:x@example.com\r\nX-Evil: 1!"), []),
    (naptr("!^.*$!sip:x@example.com SIP/2.0!"), []),
    (naptr("!(((!sip:x@example.com!") + naptr(ALL, 2), ["sip:x@example.com 0.99"]),
    (naptr(r"!^(.*)$!sip:\7@example.com!"), []),
    (naptr("!^.*$"), []),
    (naptr(""), []),
    (naptr(r"!^(.)\1!sip:x@example.com!"), []),
    ("", []),
]


@pytest.mark.parametrize("old", [True, False], ids=["0.9", "2.0"])
@pytest.mark.parametrize(("zone", "uris"), FOUND)
def test_what_records_make_of_a_number(network: Network, zone: str, uris: list[str], old: bool) -> None:
    assert Caller(network, zone).ask(old=old) == uris


OTHER = SIP.replace("e164.arpa", "e164.example.net").replace("info@", "other@")
VOICE = f'{NUMBER} NAPTR 2 1 "u" "E2U+voice:sip" "!^.*$!sip:voice@example.com!" .\n'
VIDEO = f'{NUMBER} NAPTR 3 1 "u" "E2U+video:sip+voice:sip" "!^.*$!sip:video@example.com!" .\n'
TEL = f'{NUMBER} NAPTR 4 1 "u" "E2U+pstn:tel" "!^(.*)$!tel:\\\\1!" .\n'
OTHERS = "sip:other@example.com 0.99"
VOICES = "sip:voice@example.com 0.99"
ASKED = [
    ('enum_query("e164.example.net.")', "", [OTHERS]),
    ('enum_query("e164.example.net")', "", [OTHERS]),
    ("enum_query()", 'modparam("enum", "domain_suffix", "e164.example.net.")', [OTHERS]),
    ('enum_query("e164.arpa.", "voice")', "", [VOICES, "sip:video@example.com 0.98"]),
    ('enum_query("e164.arpa.", "+video:sip")', "", ["sip:video@example.com 0.99"]),
    (
        'enum_query("e164.arpa.", "+voice:sip+sip")',
        "",
        [VOICES, "sip:video@example.com 0.98", "sip:info@example.com 0.97"],
    ),
    ('enum_query("e164.arpa.", "+pstn:tel")', "", ["tel:+442079460148 0.99"]),
    (
        'enum_query("e164.arpa.", "+pstn:tel")',
        'modparam("enum", "tel_uri_params", ";npdi")',
        ["tel:+442079460148;npdi 0.99"],
    ),
    ("enum_query()", 'modparam("enum", "tel_uri_params", ";npdi")', ["sip:info@example.com;npdi 0.99"]),
    ("enum_query()", 'modparam("enum", "tel_uri_params", "npdi")', ["sip:info@example.com;npdi 0.99"]),
    ('enum_query("e164.invalid.")', "", []),
]


@pytest.mark.parametrize(("call", "parameters", "uris"), ASKED)
@pytest.mark.parametrize("old", [True, False], ids=["0.9", "2.0"])
def test_what_a_script_asks_for(
    network: Network, call: str, parameters: str, uris: list[str], old: bool
) -> None:
    assert (
        Caller(network, SIP + OTHER + VOICE + VIDEO + TEL).ask(call=call, parameters=parameters, old=old)
        == uris
    )


def test_the_service_that_is_meant_when_none_is_named(network: Network) -> None:
    caller = Caller(network, SIP + VOICE)
    assert caller.ask(parameters='modparam("enum", "default_service", "voice")') == [VOICES]


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        (PHONE, True),
        ("tel:+442079460148", True),
        ("tel:+44-20-7946-0148", True),
        ("sip:442079460148@10.0.0.1", False),
        ("sip:+1@10.0.0.1", False),
        (f"sip:+{'1' * 16}@10.0.0.1", False),
        ("sip:+44x079460148@10.0.0.1", False),
        ("sip:bob@10.0.0.1", False),
        ("sip:10.0.0.1", False),
    ],
)
def test_only_numbers_are_asked_for(network: Network, uri: str, asked: bool) -> None:
    caller = Caller(network, SIP)
    assert bool(caller.ask(uri)) is asked
    assert caller.dns.questions == ([f"NAPTR {NUMBER.rstrip('.')}"] if asked else [])


def test_the_call_goes_where_the_record_says(network: Network) -> None:
    """Two records of one rank are rung at once; the DNS is asked for their hosts as well."""
    zone = naptr("!^.*$!sip:bob@b.example.com!") + naptr("!^.*$!sip:carol@c.example.com!")
    network.name_server(zone + "b.example.com. A 192.0.2.11\nc.example.com. A 192.0.2.12\n")
    server = network.server('#!SER 2.0\nloadmodule "sl" loadmodule "tm" loadmodule "enum"\n'
                            "route { enum_query(); t_relay(); }\n")  # fmt: skip
    bob, carol = network.user_agent("bob", "192.0.2.11:5060"), network.user_agent("carol", "192.0.2.12:5060")
    alice = network.user_agent("alice", proxy=server)
    carol.answers(after=1)
    bob.answers(after=5)
    call = alice.invite("sip:+442079460148@10.0.0.1")
    network.run(3)
    assert call.is_answered
    assert [one.request_uri for one in (*bob.requests[:1], *carol.requests[:1])] == [
        "sip:bob@b.example.com",
        "sip:carol@c.example.com",
    ]


# -- records that point elsewhere ----------------------------------------------------------------------------


def pointer(name: str, target: str, order: int = 1) -> str:
    return f'{name} NAPTR {order} 1 "" "" "" {target}\n'


def final(name: str, user: str, order: int = 1) -> str:
    return f'{name} NAPTR {order} 1 "u" "E2U+sip" "!^.*$!sip:{user}@example.com!" .\n'


def test_what_is_found_elsewhere_stands_where_the_pointer_stood(network: Network) -> None:
    zone = final(NUMBER, "first", 1) + pointer(NUMBER, "more.example.com.", 2) + final(NUMBER, "last", 3)
    zone += final("more.example.com.", "m1", 7) + final("more.example.com.", "m2", 9)
    assert Caller(network, zone).ask() == [
        "sip:first@example.com 0.99",
        "sip:m1@example.com 0.98",
        "sip:m2@example.com 0.98",
        "sip:last@example.com 0.97",
    ]


def test_pointers_in_a_circle(network: Network) -> None:
    zone = (
        pointer(NUMBER, "a.com.")
        + pointer("a.com.", "b.com.")
        + pointer("b.com.", NUMBER)
        + final("b.com.", "x", 2)
    )
    caller = Caller(network, zone)
    assert caller.ask() == ["sip:x@example.com 0.99"]
    assert len(caller.dns.questions) == 3


@pytest.mark.parametrize(("length", "found"), [(5, True), (6, False), (50, False)])
def test_pointers_go_only_so_far(network: Network, length: int, found: bool) -> None:
    zone = pointer(NUMBER, "p1.com.") + "".join(
        pointer(f"p{n}.com.", f"p{n + 1}.com.") for n in range(1, length)
    )
    caller = Caller(network, zone + final(f"p{length}.com.", "end"))
    assert bool(caller.ask()) is found
    assert len(caller.dns.questions) <= 6


def test_pointers_everywhere(network: Network) -> None:
    """A tree in which each record points to twenty others."""
    zone = "".join(pointer(NUMBER, f"t{n}.com.") for n in range(20))
    zone += "".join(pointer(f"t{n}.com.", f"t{n}x{m}.com.") for n in range(20) for m in range(20))
    caller = Caller(network, zone)
    assert caller.ask() == []
    assert len(caller.dns.questions) <= 14


def test_no_more_branches_than_a_request_may_have(network: Network) -> None:
    zone = "".join(naptr(f"!^.*$!sip:u{number}@example.com!", number) for number in range(30))
    assert len(Caller(network, zone).ask()) == 12


HARD = [
    "^(([0-9+]+)*)*x$",
    "[^a]{1,1000}" * 18,
    "(a?){1000}" * 20,
    "(.*){1,999}",
    "((a{10}){10}){10}" * 12,
]


@pytest.mark.parametrize("pattern", HARD)
def test_an_expression_that_is_hard_to_match_or_to_compile(network: Network, pattern: str) -> None:
    """As many of them as are applied to a number hold the deciding thread up for milliseconds."""
    zone = "".join(naptr(f"!{pattern}!sip:x@example.com!", number) for number in range(MAX_RULES))
    caller = Caller(network, zone)
    begun = time.process_time()
    assert caller.ask() == []
    assert time.process_time() - begun < 0.5


def test_a_dead_name_server_costs_the_message_its_budget(network: Network) -> None:
    caller = Caller(network, SIP)
    caller.dns.is_silent = True
    assert caller.ask(parameters="dns_deadline=2") == []
    assert 2 <= network.now < 2.2


# -- other functions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "result"),
    [("+442079460148", True), ("+12", True), ("+1", False), ("442079", False), ("+12a", False), ("", False)],
)
def test_is_e164(network: Network, text: str, result: bool) -> None:
    check = 'if (is_e164("@msg.x_number")) sl_reply("200", "Yes"); else sl_reply("404", "No");'
    network.server(f'#!SER 2.0\nloadmodule "sl" loadmodule "enum"\nroute {{ {check} }}\n')
    peer = WirePeer(network)
    assert peer.ask(peer.request(headers=[f"X-Number: {text}"])).status == (200 if result else 404)


@pytest.mark.parametrize(("user", "result"), [("+442079460148", True), ("alice", False), ("+1x", False)])
def test_who_calls_from_a_number(network: Network, user: str, result: bool) -> None:
    script = SCRIPT.format(
        directive="#!SER 0.9", parameters="", call="is_from_user_e164()", reply="sl_send_reply"
    )
    network.server(script)
    peer = WirePeer(network)
    answer = peer.ask(peer.request("INVITE").replace("sip:alice@example.org", f"sip:{user}@example.org"))
    assert answer.status == (302 if result else 404)


def test_is_from_user_enum(network: Network) -> None:
    network.name_server(SIP)
    network.server(
        SCRIPT.format(directive="#!SER 2.0", parameters="", call="is_from_user_enum()", reply="sl_reply")
    )
    peer = WirePeer(network)
    for user, status in (("+442079460148", 302), ("+442079460149", 404), ("bob", 404)):
        request = peer.request("INVITE", call_id=user).replace("sip:alice@", f"sip:{user}@")
        assert peer.ask(request).status == status


@pytest.mark.parametrize(
    ("number", "domain"),
    [
        ("+431234", "4.3.2.1.i.3.4.e164.arpa"),
        ("+12025550123", "3.2.1.0.5.5.5.2.0.2.i.1.e164.arpa"),
        ("+79991234567", "7.6.5.4.3.2.1.9.9.9.i.7.e164.arpa"),
        ("+4202345", "5.4.3.2.i.0.2.4.e164.arpa"),
    ],
)
def test_the_tree_of_carriers(network: Network, number: str, domain: str) -> None:
    caller = Caller(network, f'{domain}. NAPTR 1 1 "u" "E2U+sip" "!^(.*)$!sip:\\\\1@carrier.example.com!" .')
    assert caller.ask(f"sip:{number}@10.0.0.1", call="i_enum_query()") == [
        f"sip:{number}@carrier.example.com 0.99"
    ]


def test_other_algorithms_are_refused() -> None:
    with pytest.raises(ConfigError, match="cc"):
        Site.of_text(
            '#!SER 2.0\nloadmodule "enum"\nmodparam("enum", "bl_algorithm", "ebl")\nroute { drop; }\n'
        )
