"""Connections of the virtual network: calls over TCP, and TCP to UDP; loss, pulled cables, refusals."""

from __future__ import annotations

import pytest

from sipyard.testing import Network, SipServer, UserAgent
from sipyard.testing.streams import messages_of

SCRIPT = """
loadmodule "sl" loadmodule "tm" loadmodule "rr" loadmodule "usrloc" loadmodule "registrar"
modparam("registrar", "save_nat_flag", 1)
tcp_connect_timeout=2
tcp_connection_lifetime=100
route {
    if (method == "REGISTER") { setflag(1); save_contacts("location"); drop; }
    if (loose_route()) { t_relay(); drop; }
    record_route();
    if (uri == myself) {
        if (!lookup_contacts("location")) { sl_reply("404", "Not Found"); drop; }
    }
    if (!t_relay()) { sl_reply_error(); }
}
"""


def server(network: Network) -> SipServer:
    return network.server(SCRIPT, listen=["tcp:10.0.0.1:5060"])


def pair(network: Network, caller: str, callee: str) -> tuple[SipServer, UserAgent, UserAgent]:
    proxy = server(network)
    alice = network.user_agent("alice", proxy=proxy, transport=caller)
    bob = network.user_agent("bob", proxy=proxy, transport=callee)
    for phone in (alice, bob):
        outcome = phone.register()
        network.run_until(lambda outcome=outcome: outcome.status == 200, within=60)
    return proxy, alice, bob


@pytest.mark.parametrize("caller", ["tcp", "udp"])
@pytest.mark.parametrize("callee", ["tcp", "udp"])
@pytest.mark.parametrize("hangs_up", ["caller", "callee"])
def test_calls(network: Network, caller: str, callee: str, hangs_up: str) -> None:
    proxy, alice, bob = pair(network, caller, callee)
    bob.answers(after=1)
    call = alice.invite(bob)
    network.run(3)
    assert call.is_answered
    other = bob.call
    (call if hangs_up == "caller" else other).hang_up()
    network.run(1)
    assert call.is_over
    assert other.is_over
    network.run(40)
    assert proxy.live["transactions"] == 0
    bridged = {b"SIP/2.0/TCP", b"SIP/2.0/UDP"} if caller != callee else {f"SIP/2.0/{caller.upper()}".encode()}
    invites = [packet.data for packet in network.trace if packet.data.startswith(b"INVITE ")]
    assert {data.split(b"Via: ")[1][:11] for data in invites} == bridged


def test_nothing_is_sent_twice_over_tcp(network: Network) -> None:
    network.every_link(latency=0.7)  # over UDP every request would be sent again
    _, alice, bob = pair(network, "tcp", "tcp")
    bob.answers(after=1)
    call = alice.invite(bob)
    network.run(8)
    assert call.is_answered
    methods = [packet.data.split()[0] for packet in network.trace if packet.source == "alice"]
    assert methods.count(b"REGISTER") == methods.count(b"INVITE") == 1
    assert sum(packet.data.startswith(b"INVITE ") for packet in network.trace) == 2


@pytest.mark.parametrize("seed", range(5))
def test_what_is_lost_comes_later_and_in_order(seed: int) -> None:
    with Network(seed=seed, loss=0.4, jitter=0.05) as network:
        _, alice, bob = pair(network, "tcp", "tcp")
        bob.answers(after=1)
        for _ in range(3):
            call = alice.invite(bob)
            network.run_until(lambda call=call: call.is_answered, within=60)
            call.hang_up()
            network.run_until(lambda call=call: call.is_over, within=60)
        said = [p for p in network.trace if (p.source, p.destination) == ("alice", "proxy")]
        arrived = [packet.arrived_us for packet in said if packet.fate == "delivered"]
        assert len(arrived) > 6
        assert arrived == sorted(arrived)


def test_a_cable_that_is_pulled_for_a_while(network: Network) -> None:
    """What was said meanwhile arrives when it is back: the call is ended by the BYE of then."""
    _, alice, bob = pair(network, "tcp", "tcp")
    bob.answers()
    call = alice.invite(bob)
    network.run(2)
    network.unplug(alice)
    call.hang_up()
    network.run(10)
    assert not bob.call.is_over
    network.plug(alice)
    network.run(5)
    assert bob.call.is_over
    assert call.is_over


def test_a_cable_that_stays_pulled(network: Network) -> None:
    """Who cannot get through for a minute gives up; the server ends the connection by its own clock."""
    proxy, alice, _ = pair(network, "tcp", "tcp")
    network.unplug(alice)
    outcome = alice.request("MESSAGE", "sip:bob@10.0.0.1")
    network.run(200)
    assert outcome.status in (408, 503)
    assert len(proxy.core.connections()) == 0


def test_a_phone_that_vanishes_takes_its_binding_along(network: Network) -> None:
    proxy, alice, bob = pair(network, "tcp", "tcp")
    network.detach(bob)
    network.run(1)
    outcome = alice.request("MESSAGE", bob.aor)
    network.run(1)
    assert outcome.status == 404
    assert [row["contact"] for row in proxy.rpc("usrloc.dump")] == [alice.contact]


def test_nobody_listens_there(network: Network) -> None:
    """A host says so at once (SER makes a 500 of the 503); one that is not there says nothing."""
    proxy = server(network)
    alice = network.user_agent("alice", proxy=proxy, transport="tcp")
    network.user_agent("udp", "192.0.2.77:5060")
    began = network.now
    outcome = alice.request("MESSAGE", "sip:x@192.0.2.77:5099;transport=tcp")
    network.run_until(lambda: outcome.status >= 200, within=10)
    assert outcome.status == 500
    assert network.now - began < 0.2
    outcome = alice.request("MESSAGE", "sip:x@192.0.2.99;transport=tcp")
    network.run_until(lambda: outcome.status >= 200, within=10)
    assert outcome.status == 500
    assert 1.5 < network.now - began < 3


def test_silence_ends_a_connection_and_a_call_makes_a_new_one(network: Network) -> None:
    proxy = server(network)
    bob = network.user_agent("bob", proxy=proxy, transport="tcp")
    alice = network.user_agent("alice", proxy=proxy, transport="tcp")
    bob.answers()
    call = alice.invite(bob.contact)
    network.run(2)
    assert len(proxy.core.connections()) == 2
    network.run(150)
    assert len(proxy.core.connections()) == 0
    call.hang_up()
    network.run(2)
    assert bob.call.is_over


def test_a_phone_without_a_proxy_calls_another(network: Network) -> None:
    alice = network.user_agent("alice", transport="tcp")
    bob = network.user_agent("bob", transport="tcp")
    bob.answers()
    call = alice.invite(bob.contact)
    network.run(2)
    assert call.is_answered


def test_two_cannot_listen_in_one_place(network: Network) -> None:
    network.user_agent("alice", "192.0.2.1:5060", transport="tcp")
    with pytest.raises(ValueError, match=r"192\.0\.2\.1:5060"):
        network.user_agent("bob", "192.0.2.1:5060", transport="tcp")


def test_bytes_become_messages_whatever_their_pieces() -> None:
    one = b"OPTIONS sip:a SIP/2.0\r\nl: 3\r\n\r\nabc"
    two = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
    data = b"\r\n\r\n" + one + b"\r\n" + two + one
    for size in range(1, len(data)):
        rest, found = bytearray(), []
        for start in range(0, len(data), size):
            rest += data[start : start + size]
            found += messages_of(rest)
        assert found == [one, two, one]
        assert rest == b""
