"""uri: the answers about URIs, and the Request-URI that leaves."""

from __future__ import annotations

import pytest
from wire_peer import SERVER, WirePeer

from sipyard._native.core import Message
from sipyard.testing import Network

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "uri"
route {{
    if ({call}) append_hf("X-Result: true\\r\\n");
    t_relay_to_udp("192.0.2.50", "5060");
}}
"""


def relayed(network: Network, call: str, uri: str, *, to_tag: str = "", old: bool = False) -> Message:
    directive = "#!SER 0.9" if old else "#!SER 2.0"
    network.server(SCRIPT.format(directive=directive, call=call))
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    text = peer.request("MESSAGE", uri, to="sip:bob@example.org")
    peer.post(text.replace("To: <sip:bob@example.org>", f"To: <sip:bob@example.org>{to_tag}"), SERVER)
    network.run_until(lambda: bool(phone.messages), within=5)
    return phone.messages[0]


PLAIN = "sip:bob@10.0.0.1"
CHECKS = [
    ("has_totag()", PLAIN, ";tag=x", True),
    ("has_totag()", PLAIN, "", False),
    ('uri_param("user")', "sip:bob@h;user", "", True),
    ('uri_param("user")', "sip:bob@h;user=phone", "", False),
    ('uri_param("USER", "phone")', "sip:bob@h;user=phone", "", True),
    ('uri_param("user", "PHONE")', "sip:bob@h;user=phone", "", False),
    ('uri_param("user")', PLAIN, "", False),
]


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(("call", "uri", "to_tag", "result"), CHECKS)
def test_checks(network: Network, call: str, uri: str, to_tag: str, result: bool, old: bool) -> None:
    assert relayed(network, call, uri, to_tag=to_tag, old=old).has_header("X-Result") is result


CHANGES = [
    ('add_uri_param("user=phone")', PLAIN, f"{PLAIN};user=phone", True),
    ('add_uri_param("b")', "sip:bob@h;a=1", "sip:bob@h;a=1;b", True),
    ('add_uri_param("")', PLAIN, PLAIN, True),
    ("tel2sip()", "tel:+420123;ext=4", "sip:+420123;ext=4@example.org;user=phone", True),
    ("tel2sip()", PLAIN, PLAIN, True),
]


@pytest.mark.parametrize(("call", "uri", "leaves", "result"), CHANGES)
def test_changes(network: Network, call: str, uri: str, leaves: str, result: bool) -> None:
    got = relayed(network, call, uri)
    assert (got.request_uri, got.has_header("X-Result")) == (leaves, result)
