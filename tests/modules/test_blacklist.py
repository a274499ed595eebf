"""Destinations that do not answer are remembered (use_dst_blacklist, tm's blst_methods_*)."""

from __future__ import annotations

import pytest

from sipyard.testing import Call, Network, SipServer

HEAD = """
#!SER 2.0
use_dst_blacklist=yes
dst_blacklist_expire=40
loadmodule "sl"
loadmodule "tm"
modparam("tm", "fr_timer", 2000)
"""
NOBODY = "sip:bob@192.0.2.77:5060"


def calls(network: Network, parameters: str = "") -> tuple[SipServer, list[Call]]:
    """A call to nobody that runs into fr_timer, and a second one at once."""
    server = network.server(f"{HEAD}{parameters}\nroute {{ t_relay(); }}")
    alice = network.user_agent("alice", "192.0.2.1:5060", proxy=server)
    made = [alice.invite(NOBODY)]
    network.run(3)
    made.append(alice.invite(NOBODY))
    network.run(1)
    return server, made


def test_who_was_silent_is_not_asked_again_for_a_while(network: Network) -> None:
    server, (first, second) = calls(network)
    assert (first.status, second.status) == (408, 477)
    (entry,) = server.rpc("dst_blacklist.debug")
    assert (entry["proto"], entry["ip"], entry["port"]) == ("udp", "192.0.2.77", 5060)
    assert 35 <= entry["expires"] <= 40
    assert server.rpc("dst_blacklist.mem_info") == [64, 250 * 1024]

    network.run(40)
    bob = network.user_agent("bob", "192.0.2.77:5060")
    bob.answers(after=1)
    again = network.user_agent("carol", "192.0.2.3:5060", proxy=server).invite(NOBODY)
    network.run(3)
    assert again.is_answered


def test_an_operator_can_forget(network: Network) -> None:
    server, _ = calls(network)
    assert server.rpc("dst_blacklist.delete_all") == 1
    assert server.rpc("dst_blacklist.debug") == []


@pytest.mark.parametrize(
    "parameters",
    [
        "use_dst_blacklist=no",
        'modparam("tm", "blst_methods_add", 0)',
        'modparam("tm", "blst_methods_lookup", 8)',
    ],
    ids=["off", "nothing is added", "INVITE does not look"],
)
def test_who_does_not_ask_for_it_waits_each_time(network: Network, parameters: str) -> None:
    _, (first, second) = calls(network, parameters)
    assert first.status == 408
    assert second.status in (0, 100)
