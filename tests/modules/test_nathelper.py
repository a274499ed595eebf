"""nathelper: which requests look like NAT, and the addresses that are written instead."""

from __future__ import annotations

import pytest
from wire_peer import SERVER, WirePeer

from sipyard._native.core import Message
from sipyard.testing import Network

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "nathelper"
{modules}
route {{
    {statements}
    rewritehostport("192.0.2.50:5060");
    t_relay();
}}
"""
SDP = "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nc=IN IP4 {0}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
PUBLIC = {"via": "192.0.2.9:5060", "contact": "<sip:alice@192.0.2.9>", "media": "192.0.2.9"}


def relayed(network: Network, statements: str, *, old: bool = False, **message: str) -> Message:
    """What the next hop gets of a request from 192.0.2.9:5060."""
    directive = "#!SER 0.9" if old else "#!SER 2.0"
    network.server(SCRIPT.format(directive=directive, modules="", statements=statements))
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    parts = PUBLIC | message
    headers = [f"Contact: {parts['contact']}", "Content-Type: application/sdp"]
    text = peer.request("MESSAGE", headers=headers, body=SDP.format(parts["media"]))
    peer.post(text.replace("UDP 192.0.2.9:5060", f"UDP {parts['via']}"), SERVER)
    network.run_until(lambda: bool(phone.messages), within=5)
    return phone.messages[0]


TESTS = [
    ("31", {}, False),
    ("1", {"contact": "<sip:a@10.1.2.3:5062>"}, True),
    ("1", {"contact": '"x <sip:a@192.168.0.1>" <sip:a@192.0.2.9>'}, False),
    ("1", {"contact": "sip:172.31.0.1"}, True),
    ("1", {"contact": "<sip:a@172.32.0.1>"}, False),
    ("1", {"contact": "<sip:a@10.example.org>"}, False),
    ("30", {"contact": "<sip:a@10.1.2.3>"}, False),
    ("2", {"via": "198.51.100.1:5060"}, True),
    ("2", {"via": "phone.example.org"}, True),
    ("4", {"via": "198.51.100.1:5060"}, False),
    ("4", {"via": "192.168.1.4"}, True),
    ("16", {"via": "192.0.2.9:5070"}, True),
    ("16", {"via": "192.0.2.9"}, False),
    ("8", {"media": "10.0.0.9"}, True),
    ("23", {"media": "10.0.0.9"}, False),
    ("19", {"contact": "<sip:a@10.1.2.3>"}, True),
]


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(("mask", "message", "result"), TESTS)
def test_signs_of_nat(network: Network, mask: str, message: dict[str, str], result: bool, old: bool) -> None:
    statements = f'force_rport(); if (nat_uac_test("{mask}")) append_hf("X-Nat: yes\\r\\n");'
    assert (relayed(network, statements, old=old, **message).header("X-Nat") == "yes") is result


CONTACTS = [
    ("<sip:a@10.1.2.3:5062;ob>;q=0.5", "<sip:a@192.0.2.9:5060;ob>;q=0.5"),
    ('"A <sip:a@10.1.2.3>" <sips:a:pw@10.1.2.3>', '"A <sip:a@10.1.2.3>" <sips:a:pw@192.0.2.9:5060>'),
    ("sip:10.1.2.3;expires=5", "sip:192.0.2.9:5060;expires=5"),
    ("<sip:a@[2001:db8::1]:7>", "<sip:a@192.0.2.9:5060>"),
    ("<sip:a@10.1.2.3>, <sip:b@10.1.2.4>", "<sip:a@192.0.2.9:5060>, <sip:b@10.1.2.4>"),
    ("<tel:+420123>", "<tel:+420123>"),
]


@pytest.mark.parametrize(("sent", "arrives"), CONTACTS)
def test_the_first_contact_gets_the_source(network: Network, sent: str, arrives: str) -> None:
    got = relayed(network, "force_rport(); fix_nated_contact(); fix_nated_contact();", contact=sent)
    assert got.header("Contact") == arrives


@pytest.mark.parametrize(("call", "old"), [("add_rcv_param", True), ("fix_nated_register", False)])
def test_contacts_tell_another_registrar_the_source(network: Network, call: str, old: bool) -> None:
    got = relayed(network, f"{call}(); fix_nated_contact();", old=old, contact="<sip:a@10.1.2.3>, sip:b@h")
    received = ';received="sip:192.0.2.9:5060"'
    assert got.header("Contact") == f"<sip:a@192.0.2.9:5060>{received}, sip:b@h{received}"


def test_the_session_description_gets_the_source(network: Network) -> None:
    got = relayed(network, 'fix_nated_sdp("7"); fix_nated_sdp("2");', media="10.0.0.9")
    changed = SDP.format("10.0.0.9").replace("c=IN IP4 10.0.0.9", "c=IN IP4 192.0.2.9")
    assert got.body.decode() == changed + "a=direction:active\r\na=nortpproxy:yes\r\n"
    assert got.header("Content-Length") == str(len(got.body))


BOTH_WAYS = """
loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "nathelper"
route {
    replace("o=- 1", "o=- 7");
    fix_nated_contact(); fix_nated_sdp("3");
    t_on_reply("1"); rewritehostport("192.0.2.50:5060"); t_relay();
}
onreply_route[1] { fix_nated_contact(); fix_nated_sdp("3"); }
"""


def test_request_and_replies_are_fixed_each(network: Network) -> None:
    """SER's nathelper.cfg: what was changed in the request says nothing about its replies."""
    network.server(BOTH_WAYS)
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    headers = ["Contact: <sip:a@10.1.2.3>", "Content-Type: application/sdp"]
    peer.post(peer.request("MESSAGE", headers=headers, body=SDP.format("10.1.2.3").replace("\r", "")))
    network.run_until(lambda: bool(phone.messages), within=5)
    request = phone.messages[0]
    assert request.header("Contact") == "<sip:a@192.0.2.9:5060>"
    assert b"o=- 7" in request.body
    assert b"c=IN IP4 192.0.2.9" in request.body
    kept = ("Via", "From", "To", "Call-ID", "CSeq")
    echoed = [f"{name}: {value}" for name, value in request.all_headers() if name in kept]
    body = SDP.format("10.9.9.9").replace("\r", "")
    for status in ("183 Progress", "200 OK"):
        lines = [f"SIP/2.0 {status}", *echoed, "Contact: <sip:b@10.9.9.9:7>", "Content-Type: application/sdp"]
        phone.post("\n".join([*lines, f"Content-Length: {len(body) + body.count(chr(10))}", "", body]))
    network.run_until(lambda: len(peer.messages) == 2, within=5)
    for reply in peer.messages:
        assert reply.header("Contact") == "<sip:b@192.0.2.50:5060>"
        assert b"c=IN IP4 192.0.2.50" in reply.body
        assert reply.body.count(b"a=direction:active") == 1


def test_the_rewritten_contact_can_be_read(network: Network) -> None:
    statements = 'if (@nathelper.rewrite_contact[2].nameaddr.uri == "sip:b@192.0.2.9:5060") '
    statements += 'append_hf("X-Same: yes\\r\\n");'
    got = relayed(network, statements, contact="<sip:a@10.1.2.3>, <sip:b@10.1.2.4:9>")
    assert got.header("X-Same") == "yes"


def test_save_of_ser_0_9_keeps_the_received_uri(network: Network) -> None:
    server = network.server(
        """
        #!SER 0.9
        loadmodule "sl" loadmodule "usrloc" loadmodule "registrar" loadmodule "nathelper"
        modparam("nathelper", "received_avp", 43)
        modparam("registrar", "received_avp", 43)
        route { if (nat_uac_test("1")) { fix_nated_register(); } save("location"); }
        """
    )
    WirePeer(network).register("<sip:bob@10.1.2.3:5062>")
    (contact,) = server.engine.modules["usrloc"].table("location").contacts("bob")
    assert (contact.uri, contact.received) == ("sip:bob@10.1.2.3:5062", "sip:192.0.2.9:5060")
