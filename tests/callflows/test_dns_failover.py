"""RFC 3263 §4.3: along the hosts that SRV records name, a dead one costs one timeout, or none when its host
says at once that nobody is there; never the call."""

from __future__ import annotations

import pytest

from sipyard.testing import Network, OutgoingCall, SipServer, UserAgent

ZONE = """
_sip._udp.pbx.com. SRV 10 1 5060 one.pbx.com.
_sip._udp.pbx.com. SRV 20 1 5080 two.pbx.com.
_sip._udp.pbx.com. SRV 30 1 5060 three.pbx.com.
one.pbx.com.       A   192.0.2.11
two.pbx.com.       A   192.0.2.12
three.pbx.com.     A   192.0.2.13
"""
SCRIPT = """
#!SER 2.0
%s
loadmodule "sl"
loadmodule "tm"
modparam("tm", "fr_timer", 2000)
modparam("tm", "fr_inv_timer", 60000)
route { t_relay(); }
"""
ONE, TWO, THREE = "192.0.2.11", "192.0.2.12", "192.0.2.13"


def started(network: Network, parameters: str = "") -> tuple[SipServer, UserAgent]:
    network.name_server(ZONE)
    server = network.server(SCRIPT % parameters)
    return server, network.user_agent("alice", "192.0.2.1:5060", proxy=server)


def phone(network: Network, name: str, address: str) -> UserAgent:
    made = network.user_agent(name, address)
    made.answers(after=0.5)
    return made


def waited(network: Network, call: OutgoingCall) -> float:
    """Seconds until the call was answered, or refused."""
    begun = network.now
    network.run_until(lambda: call.status >= 200, within=60)
    return network.now - begun


def tried(network: Network) -> list[str]:
    """Where the INVITE was sent, each place once, in order."""
    sent = [
        packet.destination_address.ip
        for packet in network.trace
        if packet.source == "proxy" and packet.is_request and packet.method == "INVITE"
    ]
    return list(dict.fromkeys(sent))


def test_a_dead_host_costs_one_timeout(network: Network) -> None:
    _, alice = started(network)
    two = phone(network, "two", f"{TWO}:5080")
    call = alice.invite("sip:bob@pbx.com")
    assert 2.5 <= waited(network, call) < 2.8
    assert call.is_answered
    assert (tried(network), len(two.requests)) == ([ONE, TWO], 1)


def test_two_dead_hosts_cost_two(network: Network) -> None:
    _, alice = started(network)
    phone(network, "three", f"{THREE}:5060")
    call = alice.invite("sip:bob@pbx.com")
    assert 4.5 <= waited(network, call) < 4.8
    assert tried(network) == [ONE, TWO, THREE]


def test_a_host_that_says_so_costs_none(network: Network) -> None:
    """ICMP port unreachable."""
    _, alice = started(network)
    network.user_agent("something else", f"{ONE}:9999")
    phone(network, "two", f"{TWO}:5080")
    call = alice.invite("sip:bob@pbx.com")
    assert waited(network, call) < 0.8
    assert call.is_answered
    assert tried(network) == [ONE, TWO]


def test_a_host_that_is_overloaded_is_passed_over(network: Network) -> None:
    _, alice = started(network)
    phone(network, "one", f"{ONE}:5060").rejects(503)
    phone(network, "two", f"{TWO}:5080")
    call = alice.invite("sip:bob@pbx.com")
    assert waited(network, call) < 0.8
    assert call.is_answered


def test_a_host_that_answers_is_the_last(network: Network) -> None:
    """486 is an answer."""
    _, alice = started(network)
    phone(network, "one", f"{ONE}:5060").rejects(486)
    two = phone(network, "two", f"{TWO}:5080")
    call = alice.invite("sip:bob@pbx.com")
    waited(network, call)
    assert (call.status, two.requests) == (486, [])


def test_a_host_that_rings_is_waited_for(network: Network) -> None:
    _, alice = started(network)
    phone(network, "one", f"{ONE}:5060").answers(after=20)
    call = alice.invite("sip:bob@pbx.com")
    assert 20 <= waited(network, call) < 20.2
    assert tried(network) == [ONE]


def test_nobody_is_alive(network: Network) -> None:
    _, alice = started(network)
    call = alice.invite("sip:bob@pbx.com")
    assert 6 <= waited(network, call) < 6.5
    assert call.status == 408
    assert tried(network) == [ONE, TWO, THREE]


def test_without_failover_the_first_is_the_only_one(network: Network) -> None:
    _, alice = started(network, "use_dns_failover=no")
    phone(network, "two", f"{TWO}:5080")
    call = alice.invite("sip:bob@pbx.com")
    assert 2 <= waited(network, call) < 2.3
    assert (call.status, tried(network)) == (408, [ONE])


def test_the_next_call_does_not_wait_for_who_was_dead(network: Network) -> None:
    _, alice = started(network, "use_dst_blacklist=yes")
    phone(network, "two", f"{TWO}:5080")
    for seconds in (2.5, 0.5):
        call = alice.invite("sip:bob@pbx.com")
        assert seconds <= waited(network, call) < seconds + 0.3
        call.hang_up()
        network.run(1)


def test_who_hangs_up_meanwhile_ends_it(network: Network) -> None:
    _, alice = started(network)
    two = phone(network, "two", f"{TWO}:5080")
    call = alice.invite("sip:bob@pbx.com")
    call.cancel(after=1)
    network.run(10)
    assert call.status == 487
    assert (tried(network), two.requests) == ([ONE], [])


@pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE", "BYE"])
def test_other_requests(network: Network, method: str) -> None:
    _, alice = started(network)
    network.user_agent("something else", f"{ONE}:9999")
    two = phone(network, "two", f"{TWO}:5080")
    outcome = alice.request(method, "sip:bob@pbx.com")
    network.run(1)
    assert len(two.requests) == 1
    assert outcome.status in (200, 481)


def test_addresses_of_one_name(network: Network) -> None:
    name_server = network.name_server("")
    name_server.add(f"pbx.com. A {ONE}\npbx.com. A {TWO}")
    server = network.server(SCRIPT % "")
    alice = network.user_agent("alice", "192.0.2.1:5060", proxy=server)
    phone(network, "two", f"{TWO}:5060")
    call = alice.invite("sip:bob@pbx.com")
    assert 2.5 <= waited(network, call) < 2.8
    assert tried(network) == [ONE, TWO]
