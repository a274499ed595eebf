"""options: OPTIONS for the server itself."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from sipyard.testing import Network

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "options"
{parameters}
route {{ if (!options_reply()) {{ sl_send_reply("404", "Not for me"); }} }}
"""

CASES = [
    ("OPTIONS", "sip:10.0.0.1", 200),
    ("OPTIONS", "sip:10.0.0.1:5060;transport=udp", 200),
    ("OPTIONS", "sip:bob@10.0.0.1", 404),
    ("MESSAGE", "sip:10.0.0.1", 404),
]


@pytest.mark.parametrize(("method", "uri", "status"), CASES)
def test_which_requests_are_answered(network: Network, method: str, uri: str, status: int) -> None:
    network.server(SCRIPT.format(directive="", parameters=""))
    peer = WirePeer(network)
    assert peer.ask(peer.request(method, uri)).status == status


CAPABILITIES = [
    ("#!SER 2.0", "", ["*/*", "", "en", ""]),
    (
        "#!SER 2.0",
        'modparam("options", "accept", "application/sdp") modparam("options", "accept_encoding", "gzip")'
        ' modparam("options", "accept_language", "cs") modparam("options", "supported", "path")',
        ["application/sdp", "gzip", "cs", "path"],
    ),
    ("#!SER 0.9", 'modparam("options", "support", "100rel")', ["*/*", "", "en", "100rel"]),
]


@pytest.mark.parametrize(("directive", "parameters", "values"), CAPABILITIES)
def test_what_is_answered(network: Network, directive: str, parameters: str, values: list[str]) -> None:
    network.server(SCRIPT.format(directive=directive, parameters=parameters))
    peer = WirePeer(network)
    answer = peer.ask(peer.request("OPTIONS", "sip:10.0.0.1"))
    names = ("Accept", "Accept-Encoding", "Accept-Language", "Supported")
    assert [answer.header(name) for name in names] == values
