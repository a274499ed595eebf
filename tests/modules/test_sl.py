"""sl: replies without state."""

from __future__ import annotations

import pytest

from sipyard.testing import Network, SipServer, UserAgent

ANSWER = """
#!SER 2.0
loadmodule "sl"
loadmodule "tm"
route {
    %s
}
"""


def served(network: Network, statements: str) -> tuple[SipServer, UserAgent]:
    """A server with these statements as its main route, and a phone behind it."""
    server = network.server(ANSWER % statements)
    return server, network.user_agent("alice", proxy=server)


@pytest.mark.parametrize("call", ['sl_send_reply("404", "Not Found")', 'sl_reply("404", "Not Found")'])
def test_reply(network: Network, call: str) -> None:
    server, alice = served(network, f"{call};")
    outcome = alice.request("OPTIONS", "sip:nobody@10.0.0.1")
    network.run(1)
    assert outcome.status == 404
    assert outcome.response is not None
    assert outcome.response.reason == "Not Found"
    assert outcome.response.to_tag
    assert server.live["transactions"] == 0


def test_the_ack_never_reaches_the_script(network: Network) -> None:
    server, alice = served(network, 'sl_reply("486", "Busy Here");')
    call = alice.invite("sip:nobody@10.0.0.1")
    network.run(1)
    assert call.status == 486
    assert server.rpc("sl.stats")["4xx"] == 1
    assert server.engine.incidents.script_failures == 0


def test_redirect_lists_request_uri_and_branches(network: Network) -> None:
    _, alice = served(
        network,
        'seturi("sip:one@192.0.2.50"); append_branch("sip:two@192.0.2.51", "0.5"); sl_reply("302", "Moved");',
    )
    call = alice.invite("sip:nobody@10.0.0.1")
    network.run(1)
    assert call.status == 302
    assert call.response is not None
    assert call.response.values("Contact") == ["<sip:one@192.0.2.50>", "<sip:two@192.0.2.51>;q=0.5"]


def test_redirect_without_rewriting_has_no_contact(network: Network) -> None:
    _, alice = served(network, 'sl_reply("302", "Moved");')
    call = alice.invite("sip:nobody@10.0.0.1")
    network.run(1)
    assert call.response is not None
    assert not call.response.has_header("Contact")


@pytest.mark.parametrize(
    ("action", "status", "reason"),
    [
        ("strip(0)", 500, "I'm terribly sorry, server error occurred (1/SL)"),
        ('forward("nowhere.invalid")', 478, "Unresolvable destination (478/SL)"),
        ('rewritehostport("host:port")', 479, "Regretfully, we were not able to process the URI (479/SL)"),
        ('t_relay_to("pigeon", "192.0.2.1")', 500, "I'm terribly sorry, server error occurred (1/SL)"),
    ],
)
def test_error_reply_names_the_fault(network: Network, action: str, status: int, reason: str) -> None:
    _, alice = served(network, f"{action}; sl_reply_error();")
    outcome = alice.request("OPTIONS", "sip:nobody@10.0.0.1")
    network.run(1)
    assert outcome.response is not None
    assert (outcome.status, outcome.response.reason) == (status, reason)


def test_a_request_answered_by_its_transaction_is_not_answered_again(network: Network) -> None:
    """SER sends the second one; the RFC allows one final response (semantics §2, fix)."""
    _, alice = served(network, 'seturi("sip:x@nowhere.invalid"); t_relay(); sl_reply_error();')
    call = alice.invite("sip:nobody@10.0.0.1")
    network.run(1)
    assert call.status == 478
    finals = [packet for packet in network.trace if packet.source == "proxy" and b" 478 " in packet.data[:20]]
    assert len(finals) == 1


def test_statistics_count_by_status(network: Network) -> None:
    server, alice = served(network, 'sl_reply("200", "OK");')
    alice.request("OPTIONS", "sip:a@10.0.0.1")
    alice.request("OPTIONS", "sip:b@10.0.0.1")
    network.run(1)
    stats = server.rpc("sl.stats")
    assert stats["200"] == 2
    assert sum(stats.values()) == 2
    assert server.rpc("sl_stats") == stats
