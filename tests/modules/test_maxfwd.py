"""maxfwd: every request that passes has a Max-Forwards that counts down (RFC 3261 §16.3, §16.6)."""

from __future__ import annotations

import pytest

from sipyard.testing import Network

RELAY = """
#!SER 2.0
loadmodule "sl"
loadmodule "tm"
loadmodule "maxfwd"
route {
    if (!%s) {
        sl_reply("483", "Too Many Hops");
        drop;
    }
    t_relay();
}
"""


@pytest.mark.parametrize(
    ("check", "sent", "arrives"),
    [
        ('mf_process_maxfwd_header("10")', 8, 7),
        ('mf_process_maxfwd_header("10")', 1, 0),
        ('mf_process_maxfwd_header("10")', 0, None),
        ('mf_process_maxfwd_header("10")', 70, 15),
        ('process_maxfwd("10")', 5, 4),
        ('mf_lowlimit("5")', 5, 5),
        ('mf_lowlimit("5")', 4, None),
    ],
)
def test_what_leaves(network: Network, check: str, sent: int, arrives: int | None) -> None:
    proxy = network.server(RELAY % check)
    bob = network.user_agent("bob")
    alice = network.user_agent("alice", proxy=proxy)
    outcome = alice.request("OPTIONS", bob.contact, max_forwards=sent)
    network.run(1)
    if arrives is None:
        assert outcome.status == 483
        assert bob.requests == []
    else:
        assert outcome.status == 200
        assert [request.max_forwards for request in bob.requests] == [arrives]


def test_it_is_added_when_missing(network: Network) -> None:
    proxy = network.server(RELAY % 'mf_process_maxfwd_header("10")')
    bob = network.user_agent("bob")
    alice = network.user_agent("alice", proxy=proxy)
    request = alice.compose("OPTIONS", bob.contact).to_bytes().replace(b"Max-Forwards: 70\r\n", b"")
    alice.send(request, proxy.address)
    network.run(1)
    assert [request.max_forwards for request in bob.requests] == [10]


def test_an_unreadable_one_is_refused(network: Network) -> None:
    proxy = network.server(RELAY % 'mf_lowlimit("0")' + "\n")
    bob = network.user_agent("bob")
    alice = network.user_agent("alice", proxy=proxy)
    request = alice.compose("OPTIONS", bob.contact).to_bytes().replace(b"Forwards: 70", b"Forwards: many")
    alice.send(request, proxy.address)
    network.run(1)
    assert bob.requests == []
