"""registrar: REGISTER as SER answers it and as RFC 3261 §10 wants it, and lookup."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer, contacts_of, rows_of

from sipyard.testing import Network, SipServer

SCRIPT = """
loadmodule "sl"
loadmodule "tm"
loadmodule "usrloc"
loadmodule "registrar"
{parameters}
route {{
    if (method == "REGISTER") {{
        {register}
        drop;
    }}
    if (!lookup_contacts("location")) {{
        sl_reply("404", "Not Found");
        drop;
    }}
    {route}
    t_relay();
}}
"""


def start(
    network: Network, *parameters: str, register: str = 'save_contacts("location");', route: str = ""
) -> tuple[SipServer, WirePeer]:
    """A server with these modparam lines ("name, value"; usrloc's with a prefix), and a peer."""
    lines = []
    for parameter in parameters:
        module, _, rest = parameter.rpartition(":")
        lines.append(f'modparam("{module or "registrar"}", {rest})')
    text = SCRIPT.format(parameters="\n".join(lines), register=register, route=route)
    return network.server(text), WirePeer(network)


def test_a_registration_is_listed_with_what_is_left_of_it(network: Network) -> None:
    _, peer = start(network)
    answer = peer.register("<sip:bob@192.0.2.1>;q=0.7;expires=600")
    assert (answer.status, answer.reason) == (200, "OK")
    assert contacts_of(answer) == ["<sip:bob@192.0.2.1>;q=0.7;expires=600"]
    network.run(100)
    assert contacts_of(peer.register(cseq=2)) == ["<sip:bob@192.0.2.1>;q=0.7;expires=500"]


EXPIRES = [
    # Contact, Expires header, granted (None: no binding)
    ("<sip:b@192.0.2.1>", None, 3600),
    ("<sip:b@192.0.2.1>", "1800", 1800),
    ("<sip:b@192.0.2.1>", "nonsense", 3600),
    ("<sip:b@192.0.2.1>;expires=900", "1800", 900),
    ("<sip:b@192.0.2.1>;expires=nonsense", "1800", 3600),
    ("<sip:b@192.0.2.1>;expires=30", None, 60),
    ("<sip:b@192.0.2.1>;expires=99999", None, 7200),
    ("<sip:b@192.0.2.1>;expires=99999999999999999999", None, 7200),
    ("<sip:b@192.0.2.1>;expires=0", "1800", None),
    ("<sip:b@192.0.2.1>", "0", None),
]


@pytest.mark.parametrize(("contact", "header", "granted"), EXPIRES)
def test_expires(network: Network, contact: str, header: str | None, granted: int | None) -> None:
    _, peer = start(network, '"max_expires", 7200')
    answer = peer.register(contact, headers=[] if header is None else [f"Expires: {header}"])
    assert answer.status == 200
    assert contacts_of(answer) == ([] if granted is None else [f"<sip:b@192.0.2.1>;expires={granted}"])


def test_423_only_when_the_script_asks_for_it(network: Network) -> None:
    _, peer = start(network, '"reject_too_brief", yes')
    answer = peer.register("<sip:b@192.0.2.1>;expires=30")
    assert (answer.status, answer.reason, answer.header("Min-Expires")) == (423, "Interval Too Brief", "60")
    assert peer.register("<sip:b@192.0.2.1>;expires=0", cseq=2).status == 200


REFUSED = [
    (["*"], [], 400),
    (["*"], ["Expires: 60"], 400),
    (["*;expires=0"], [], 400),
    (["*", "<sip:b@192.0.2.1>"], ["Expires: 0"], 400),
    (["<sip:b@192.0.2.1>;q=2"], [], 400),
    (["<sip:b@192.0.2.1>;q=0.1234"], [], 400),
    (["<b@192.0.2.1>"], [], 400),
    (["<sip:b@192.0.2.1", "<sip:c@192.0.2.1>"], [], 400),
    (['<sip:b@192.0.2.1>;received="not a uri"'], [], 400),
    (["<sip:b@192.0.2.1>"], ["Require: telepathy"], 420),
    ([f"<sip:{'b' * 2000}@192.0.2.1>"], [], 400),
    ([", ".join(f"<sip:b{n}@192.0.2.1>" for n in range(200))], [], 503),
]


@pytest.mark.parametrize(("contacts", "headers", "status"), REFUSED)
def test_a_refused_request_changes_nothing(
    network: Network, contacts: list[str], headers: list[str], status: int
) -> None:
    server, peer = start(network)
    peer.register("<sip:old@192.0.2.1>")
    answer = peer.register("<sip:new@192.0.2.1>", *contacts, cseq=2, headers=headers)
    assert answer.status == status
    assert rows_of(server) == ["sip:old@192.0.2.1"]


def test_what_is_wrong_is_said(network: Network) -> None:
    _, peer = start(network)
    assert peer.register("*").header("P-Registrar-Error") == "Contact * needs Expires: 0"
    refused = peer.register("<sip:b@192.0.2.1>", headers=["Require: path, telepathy"])
    assert refused.header("Unsupported") == "telepathy"


def test_star_removes_everything(network: Network) -> None:
    server, peer = start(network)
    peer.register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>")
    answer = peer.register("*", cseq=2, headers=["Expires: 0"])
    assert answer.status == 200
    assert contacts_of(answer) == []
    assert rows_of(server) == []


def test_order_is_by_q_then_by_arrival(network: Network) -> None:
    server, peer = start(network)
    for number, q in enumerate(["0.5", "", "0.9", "0.5"]):
        peer.register(f"<sip:{number}@192.0.2.1>" + (f";q={q}" if q else ""), cseq=number + 1)
    assert rows_of(server) == [f"sip:{n}@192.0.2.1" for n in (2, 0, 3, 1)]
    peer.register("<sip:1@192.0.2.1>;q=1", cseq=9)
    assert rows_of(server)[0] == "sip:1@192.0.2.1"


def test_newest_first(network: Network) -> None:
    server, peer = start(network, 'usrloc:"desc_time_order", 1')
    for cseq, name in enumerate("abca", 1):
        peer.register(f"<sip:{name}@192.0.2.1>;q=0.{cseq}", cseq=cseq)
    assert rows_of(server) == [f"sip:{name}@192.0.2.1" for name in "acb"]


ORDER = [
    # Call-ID and CSeq of the second request, its status, the expires that then holds
    ("c1", 9, 400, 1000),  # late
    ("c1", 10, 200, 1000),  # the same again
    ("c1", 11, 200, 2000),
    ("c2", 1, 200, 2000),  # another Call-ID: the phone restarted
]


@pytest.mark.parametrize(("call_id", "cseq", "status", "expires"), ORDER)
def test_an_old_request_never_overwrites(
    network: Network, call_id: str, cseq: int, status: int, expires: int
) -> None:
    server, peer = start(network)
    peer.register("<sip:b@192.0.2.1>;expires=1000", cseq=10)
    answer = peer.register("<sip:b@192.0.2.1>;expires=2000", call_id=call_id, cseq=cseq)
    assert answer.status == status
    shown = server.rpc("usrloc.show_contacts", "location", "bob")
    assert shown[0]["expires"] == pytest.approx(expires, abs=2)


def test_a_late_star_removes_nothing(network: Network) -> None:
    server, peer = start(network)
    peer.register("<sip:b@192.0.2.1>", cseq=10)
    assert peer.register("*", cseq=9, headers=["Expires: 0"]).status == 400
    assert rows_of(server) == ["sip:b@192.0.2.1"]


SAME = [
    # registered, registered again, URIs that are then there
    ("<sip:b@192.0.2.1>", "<sip:b@192.0.2.1>", ["sip:b@192.0.2.1"]),
    ("<sip:b@HOST.example>", "<sip:b@host.EXAMPLE>", ["sip:b@host.EXAMPLE"]),
    ("<sip:%62@192.0.2.1>", "<sip:b@192.0.2.1>", ["sip:b@192.0.2.1"]),
    ("<sip:b@192.0.2.1;lr;foo=1>", "<sip:b@192.0.2.1;foo=1;lr>", ["sip:b@192.0.2.1;foo=1;lr"]),
    ("<sip:b@192.0.2.1>", "<sip:b@192.0.2.1:5060>", ["sip:b@192.0.2.1", "sip:b@192.0.2.1:5060"]),
    ("<sip:b@192.0.2.1>", "<sip:B@192.0.2.1>", ["sip:b@192.0.2.1", "sip:B@192.0.2.1"]),
    ("<sip:b@192.0.2.1>", "<sips:b@192.0.2.1>", ["sip:b@192.0.2.1", "sips:b@192.0.2.1"]),
    ("<sip:b%00@192.0.2.1>", "<sip:b@192.0.2.1>", ["sip:b%00@192.0.2.1", "sip:b@192.0.2.1"]),
    (
        '<sip:a@192.0.2.1>;+sip.instance="<urn:x>"',
        '<sip:b@192.0.2.2>;+sip.instance="<urn:x>"',
        ["sip:b@192.0.2.2"],
    ),
    (
        '<sip:a@192.0.2.1>;+sip.instance="<urn:x>"',
        '<sip:b@192.0.2.2>;+sip.instance="<urn:y>"',
        ["sip:a@192.0.2.1", "sip:b@192.0.2.2"],
    ),
    (
        '<sip:a@192.0.2.1>;+sip.instance="<urn:x>";reg-id=1',
        '<sip:b@192.0.2.2>;+sip.instance="<urn:x>";reg-id=2',
        ["sip:a@192.0.2.1", "sip:b@192.0.2.2"],
    ),
]


@pytest.mark.parametrize(("first", "second", "then"), SAME)
def test_which_contacts_are_the_same(network: Network, first: str, second: str, then: list[str]) -> None:
    server, peer = start(network)
    peer.register(first)
    assert peer.register(second, cseq=2).status == 200
    assert rows_of(server) == then


def test_instance_and_uri_of_two_bindings_make_one(network: Network) -> None:
    server, peer = start(network)
    peer.register('<sip:a@192.0.2.1>;+sip.instance="<urn:x>"', "<sip:b@192.0.2.1>", "<sip:c@192.0.2.1>")
    peer.register('<sip:b@192.0.2.1>;+sip.instance="<urn:x>"', cseq=2)
    assert rows_of(server) == ["sip:b@192.0.2.1", "sip:c@192.0.2.1"]


def test_the_same_contact_twice_in_one_request(network: Network) -> None:
    server, peer = start(network)
    answer = peer.register("<sip:a@192.0.2.1>;expires=100", "<sip:a@192.0.2.1>;expires=200")
    assert contacts_of(answer) == ["<sip:a@192.0.2.1>;expires=200"]
    answer = peer.register("<sip:a@192.0.2.1>;expires=100", "<sip:a@192.0.2.1>;expires=0", cseq=2)
    assert rows_of(server) == []


def test_users_with_an_escaped_nul_are_users_of_their_own(network: Network) -> None:
    server, peer = start(network)
    for name in ("null", "null-%00-null", "%00", "%00%00"):
        peer.register(f"<sip:{name}@192.0.2.1>", user=name)
    assert {name: rows_of(server, name) for name in ("null", "null-%00-null", "%00", "%00%00")} == {
        name: [f"sip:{name}@192.0.2.1"] for name in ("null", "null-%00-null", "%00", "%00%00")
    }


@pytest.mark.parametrize("written", ["Bob", "BOB", "%62ob", "%42OB"])
def test_spellings_of_one_user(network: Network, written: str) -> None:
    server, peer = start(network)
    peer.register("<sip:x@192.0.2.1>", user=written)
    assert rows_of(server, "bob") == ["sip:x@192.0.2.1"]


def test_too_many_contacts(network: Network) -> None:
    server, peer = start(network, '"max_contacts", 2')
    peer.register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>")
    refused = peer.register("<sip:c@192.0.2.1>", cseq=2)
    assert (refused.status, refused.header("P-Registrar-Error")) == (503, "Too many registered contacts")
    assert peer.register("<sip:a@192.0.2.1>", cseq=3).status == 200
    assert peer.register("<sip:c@192.0.2.1>", "<sip:b@192.0.2.1>;expires=0", cseq=4).status == 200
    assert rows_of(server) == ["sip:a@192.0.2.1", "sip:c@192.0.2.1"]


def test_memory_is_bounded(network: Network) -> None:
    """attacks.md S1: beyond the limit 503 and Retry-After; refreshes work; expiry makes room."""
    _, peer = start(network, 'usrloc:"max_bindings", 3')
    for name in "abc":
        assert peer.register("<sip:x@192.0.2.1>;expires=60", user=name).status == 200
    refused = peer.register("<sip:x@192.0.2.1>", user="d")
    assert (refused.status, refused.header("Retry-After")) == (503, "30")
    assert peer.register("<sip:x@192.0.2.1>;expires=60", user="a", cseq=2).status == 200
    network.run(65)
    assert peer.register("<sip:x@192.0.2.1>", user="d", cseq=2).status == 200


def test_many_contacts_cost_little(network: Network) -> None:
    """attacks.md P5: 64 kB of contacts, and a full record against a full request."""
    _, peer = start(network)
    huge = ",".join(f"<sip:{n}@h>" for n in range(4500))
    assert peer.register(huge).status == 503
    most = ", ".join(f"<sip:b@192.0.2.1;x={n}>" for n in range(128))
    assert peer.register(most).status == 200
    assert peer.register(most.replace("x=", "x=1"), cseq=2).status in (200, 503)


# -- Path ----------------------------------------------------------------------------------------------------

PATHS = ["Path: <sip:edge1.example;lr>", "Path: <sip:192.0.2.77;lr>, <sip:inner.example;lr>"]


def test_path_is_kept_answered_and_used(network: Network) -> None:
    """RFC 3327 §5: requests go along the Path, as Route values, to the first of it."""
    _, peer = start(network)
    path = "<sip:192.0.2.77;lr>, <sip:inner.example;lr>"
    answer = peer.register("<sip:b@198.51.100.1>", headers=[f"Path: {path}", "Supported: path"])
    assert answer.values("Path") == path.split(", ")
    assert answer.header("Supported") == "path"
    edge = WirePeer(network, "edge", "192.0.2.77:5060")
    peer.post(peer.request("MESSAGE", "sip:bob@10.0.0.1"))
    network.run_until(lambda: bool(edge.messages))
    assert edge.messages[0].request_uri == "sip:b@198.51.100.1"
    assert edge.messages[0].values("Route") == path.split(", ")


MODES = [
    # path_mode, Supported sent, status, Path in the answer
    (0, True, 200, False),
    (1, True, 200, True),
    (1, False, 200, False),
    (2, True, 200, True),
    (2, False, 420, False),
]


@pytest.mark.parametrize(("mode", "supported", "status", "echoed"), MODES)
def test_path_modes(network: Network, mode: int, supported: bool, status: int, echoed: bool) -> None:
    _, peer = start(network, f'"path_mode", {mode}')
    headers = ["Path: <sip:192.0.2.77;lr>", *(["Supported: path"] if supported else [])]
    answer = peer.register("<sip:b@192.0.2.1>", headers=headers)
    assert answer.status == status
    assert answer.has_header("Path") is echoed


def test_require_path_is_understood(network: Network) -> None:
    _, peer = start(network)
    assert peer.register("<sip:b@192.0.2.1>", headers=["Require: path"]).status == 200


# -- lookup --------------------------------------------------------------------------------------------------


def branches_reached(network: Network, peer: WirePeer, *names: str) -> dict[str, str]:
    """Send a MESSAGE for bob; which of the peers got it, with which Request-URI."""
    phones = {name: WirePeer(network, name, f"192.0.2.{100 + ord(name)}:5060") for name in names}
    peer.post(peer.request("MESSAGE", "sip:bob@10.0.0.1"))
    network.run(0.3)
    return {name: phone.messages[0].request_uri for name, phone in phones.items() if phone.messages}


def at(name: str, **parameters: str) -> str:
    """A Contact value at the peer of that name."""
    return f"<sip:{name}@192.0.2.{100 + ord(name)}>" + "".join(f";{k}={v}" for k, v in parameters.items())


@pytest.mark.parametrize(("append", "reached"), [(1, "abc"), (0, "b")])
def test_lookup_forks(network: Network, append: int, reached: str) -> None:
    _, peer = start(network, f'"append_branches", {append}')
    peer.register(at("a", q="0.1"), at("b", q="0.9"), at("c", q="0.5"))
    assert "".join(branches_reached(network, peer, *"abc")) == reached


def test_lookup_goes_to_received(network: Network) -> None:
    _, peer = start(network)
    peer.register(f'<sip:b@10.9.9.9>;received="sip:192.0.2.{100 + ord("a")}:5060"')
    assert branches_reached(network, peer, "a") == {"a": "sip:b@10.9.9.9"}


def test_lookup_of_nobody_and_of_the_ended(network: Network) -> None:
    server, peer = start(network)
    assert peer.ask(peer.request("MESSAGE")).status == 404
    peer.register("<sip:b@192.0.2.1>;expires=60")
    network.run(61)
    assert peer.ask(peer.request("MESSAGE", cseq=2)).status == 404
    network.run(3)
    assert server.rpc("usrloc.stats")[0]["users"] == 0


def test_nat_flags(network: Network) -> None:
    """save_nat_flag makes a received URI of the source; load_nat_flag comes back with lookup."""
    _, peer = start(
        network,
        '"save_nat_flag", 5',
        '"load_nat_flag", 6',
        register='setflag(5); save("location");',
        route='if (isflagset(6)) { sl_reply("299", "NAT"); drop; }',
    )
    answer = peer.register("<sip:b@10.9.9.9>")
    assert contacts_of(answer) == ['<sip:b@10.9.9.9>;expires=3600;received="sip:192.0.2.9:5060"']
    assert peer.ask(peer.request("MESSAGE")).status == 299


def test_received_to_uri(network: Network) -> None:
    _, peer = start(network, '"received_to_uri", 1', route='sl_reply("302", "Moved"); drop;')
    peer.register('<sip:b@10.9.9.9>;received="sip:192.0.2.1:5060;transport=tcp"')
    answer = peer.ask(peer.request("MESSAGE"))
    assert contacts_of(answer) == ["<sip:b@10.9.9.9;received=sip:192.0.2.1:5060%3Btransport=tcp>"]


def test_registered(network: Network) -> None:
    text = """
    loadmodule "sl" loadmodule "usrloc" loadmodule "registrar"
    route {
        if (method == "REGISTER") { save("location"); drop; }
        if (registered("location")) { sl_reply("200", "yes"); } else { sl_reply("404", "no"); }
    }
    """
    network.server(text)
    peer = WirePeer(network)
    assert peer.ask(peer.request("MESSAGE")).status == 404
    peer.register("<sip:b@192.0.2.1>;expires=60")
    assert peer.ask(peer.request("MESSAGE", cseq=2)).status == 200
    network.run(60.5)
    assert peer.ask(peer.request("MESSAGE", cseq=3)).status == 404


def test_aor_filter(network: Network) -> None:
    _, peer = start(network, register='save("location", "sip:bob@example.org");')
    other = peer.request(
        "REGISTER", "sip:example.org", to="sip:bob@other.example", headers=["Contact: <sip:o@192.0.2.1>"]
    )
    assert contacts_of(peer.ask(other)) == []
    answer = peer.register("<sip:b@192.0.2.1>", call_id="c2")
    assert contacts_of(answer) == ["<sip:b@192.0.2.1>;expires=3600"]


# -- without answering ---------------------------------------------------------------------------------------

NOREPLY = """
    if ({function}("location")) {{ append_to_reply("X-Contact: %$contact\\r\\n"); }}
    append_to_reply("X-Result: %$code %$reason %$aor\\r\\n");
    sl_reply("299", "told");
"""


@pytest.mark.parametrize("function", ["save_noreply", "save_contacts_noreply", "save_mem_nr"])
def test_results_as_attributes(network: Network, function: str) -> None:
    text = SCRIPT.replace('loadmodule "sl"', 'loadmodule "sl" loadmodule "textops"')
    network.server(text.format(parameters="", register=NOREPLY.format(function=function), route=""))
    peer = WirePeer(network)
    answer = peer.register("<sip:b@192.0.2.1>")
    assert answer.status == 299
    assert answer.header("X-Contact") == "<sip:b@192.0.2.1>;expires=3600"
    assert answer.header("X-Result") == "200 OK sip:bob@example.org"
    refused = peer.register("*", cseq=2)
    assert refused.header("X-Contact") is None
    assert refused.header("X-Result") == "400 Bad Request sip:bob@example.org"


# -- SER 0.9 -------------------------------------------------------------------------------------------------

OLD = """
loadmodule "sl.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
{parameters}
route {{
    if (method=="REGISTER") {{
        save("location");
        break;
    }};
    if (!lookup("location")) {{
        sl_send_reply("404", "Not Found");
        break;
    }};
    sl_send_reply("302", "Moved");
}}
"""

NAMES = [
    # registrar's parameters of 0.9, key of bob@Example.ORG's record
    ("", "bob"),
    ('modparam("registrar", "use_domain", 1)', "bob@example.org"),
    ('modparam("registrar", "case_sensitive", 1)', "Bob"),
    (
        'modparam("registrar", "use_domain", 1) modparam("registrar", "realm_prefix", "sip.")',
        "bob@example.org",
    ),
]


@pytest.mark.parametrize(("parameters", "key"), NAMES)
def test_keys_of_0_9(network: Network, parameters: str, key: str) -> None:
    server = network.server("#!SER 0.9\n" + OLD.format(parameters=parameters))
    peer = WirePeer(network)
    domain = "sip.Example.ORG" if "realm_prefix" in parameters else "Example.ORG"
    text = peer.request(
        "REGISTER", "sip:example.org", to=f"sip:Bob@{domain}", headers=["Contact: <sip:b@192.0.2.1>"]
    )
    assert peer.ask(text).status == 200
    assert rows_of(server, key) == ["sip:b@192.0.2.1"]


def test_retry_after_of_0_9(network: Network) -> None:
    parameters = 'modparam("registrar", "max_contacts", 1) modparam("registrar", "retry_after", 77)'
    network.server("#!SER 0.9\n" + OLD.format(parameters=parameters))
    refused = WirePeer(network).register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>")
    assert (refused.status, refused.header("Retry-After")) == (503, "77")
