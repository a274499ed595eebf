"""Name servers that are dead, late, wrong or forged, and messages that wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import dns.flags
import dns.message
import dns.rrset
import pytest
from dns_zone import SCRIPT, ZONE, resolved, started

from sipyard.management.registry import RpcFault
from sipyard.sip.dns_servers import NameServers
from sipyard.sip.dns_settings import DnsSettings
from sipyard.sip.resolver import ResolutionError
from sipyard.testing import Network


def timed(network: Network, ask: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives and the virtual seconds that it takes; an RpcFault's text when it is refused."""
    begun = network.now
    try:
        found = ask()
    except RpcFault as fault:
        found = str(fault)
    return found, round(network.now - begun, 3)


def test_a_dead_server_costs_one_wait_and_then_nothing(network: Network) -> None:
    dead = network.name_server(ZONE, address="10.0.0.51:53")
    network.name_server(ZONE, address="10.0.0.52:53")
    dead.is_silent = True
    server = network.server(SCRIPT.format(parameters="dns_retr_time=2"))
    found, seconds = timed(network, lambda: resolved(server, "sip:example.com"))
    assert (found, seconds) == (["192.0.2.10:5060", "192.0.2.20:5070"], 2.04)
    assert len(dead.questions) == 1
    _, seconds = timed(network, lambda: resolved(server, "sip:www.example.com"))
    assert seconds == 0.04


def test_all_servers_dead(network: Network) -> None:
    """The message waits as long as its budget, whatever it asks; afterwards the failure is known for 5 s."""
    server, dns_server = started(network, "dns_deadline=3")
    dns_server.is_silent = True
    found, seconds = timed(network, lambda: resolved(server, "sip:example.com"))
    assert seconds == 3
    assert "no answer within the time" in found
    network.run(30)
    assert server.engine.resolver.lookup.under_way == 0  # type: ignore[attr-defined]
    dns_server.is_silent = False
    assert len(resolved(server, "sip:example.com")) == 2


def test_no_server_at_all(network: Network) -> None:
    server, dns_server = started(network)
    network.detach(dns_server)
    found, seconds = timed(network, lambda: resolved(server, "sip:example.com"))
    assert "connection refused" in found
    assert seconds < 0.1
    network.attach(dns_server)
    assert "connection refused" in timed(network, lambda: resolved(server, "sip:example.com"))[0]
    network.run(6)
    assert len(resolved(server, "sip:example.com")) == 2


@pytest.mark.parametrize("rcode", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
def test_a_server_that_refuses_is_passed_over(network: Network, rcode: str) -> None:
    network.name_server("", address="10.0.0.51:53").rcode = rcode
    network.name_server(ZONE, address="10.0.0.52:53")
    server = network.server(SCRIPT.format(parameters=""))
    found, seconds = timed(network, lambda: resolved(server, "sip:www.example.com"))
    assert found == ["192.0.2.30:5060"]
    assert seconds < 0.2


def test_a_late_answer_is_not_looked_at(network: Network) -> None:
    late = network.name_server("late.com. A 192.0.2.66\n", address="10.0.0.51:53")
    network.name_server("late.com. A 192.0.2.1\n", address="10.0.0.52:53")
    late.delay = 1.5
    server = network.server(SCRIPT.format(parameters="dns_retr_time=1"))
    assert resolved(server, "sip:late.com:5060") == ["192.0.2.1:5060"]
    network.run(5)
    assert resolved(server, "sip:late.com:5060") == ["192.0.2.1:5060"]


def test_lost_questions_are_asked_again(network: Network) -> None:
    server, dns_server = started(network, "dns_retr_time=1\ndns_retr_no=10\ndns_deadline=20")
    network.link("proxy dns", dns_server, loss=0.3)
    for number in range(10):
        dns_server.add(f"l{number}.com. A 192.0.2.1")
        assert resolved(server, f"sip:l{number}.com:5060") == ["192.0.2.1:5060"]
    assert any(one.fate == "lost" for one in network.trace)


def wrong_number(reply: dns.message.Message) -> list[bytes]:
    true, reply.id = reply.to_wire(), reply.id ^ 1
    reply.answer = [dns.rrset.from_text(reply.question[0].name, 99, "IN", "A", "192.0.2.66")]
    return [reply.to_wire(), true]


def wrong_question(reply: dns.message.Message) -> list[bytes]:
    false = dns.message.make_response(dns.message.make_query("other.com", "A"))
    false.id = reply.id
    false.answer = [dns.rrset.from_text("other.com.", 99, "IN", "A", "192.0.2.66")]
    return [false.to_wire(), reply.to_wire()]


def no_reply_at_all(reply: dns.message.Message) -> list[bytes]:
    true = reply.to_wire()
    reply.flags &= ~dns.flags.QR
    return [reply.to_wire(), b"", b"\0" * 12, true[:-3], true[:20], true]


def other_owner(reply: dns.message.Message) -> list[bytes]:
    reply.answer.insert(0, dns.rrset.from_text("other.com.", 99, "IN", "A", "192.0.2.66"))
    return [reply.to_wire()]


@pytest.mark.parametrize("forge", [wrong_number, wrong_question, no_reply_at_all, other_owner])
def test_what_is_no_answer_to_our_question_is_dropped(
    network: Network, forge: Callable[[dns.message.Message], list[bytes]]
) -> None:
    server, dns_server = started(network)
    dns_server.forge = forge
    assert resolved(server, "sip:plain.example.com:5060") == ["192.0.2.30:5060"]
    assert [each["name"] for each in server.rpc("dns.debug")] == ["plain.example.com"]


def test_what_comes_from_elsewhere_is_dropped(network: Network) -> None:
    """Even with the right number and port (RFC 5452 §9.1)."""
    server, dns_server = started(network)

    def forge(reply: dns.message.Message) -> list[bytes]:
        false = dns.message.from_wire(reply.to_wire())
        false.answer = [dns.rrset.from_text(reply.question[0].name, 99, "IN", "A", "192.0.2.66")]
        asker = network.trace[-1].source_address
        for source in (("10.0.0.66", 53), ("10.0.0.53", 54)):
            network.send(type(asker)(*source), asker, false.to_wire())
        return [reply.to_wire()]

    dns_server.forge = forge
    dns_server.delay = 0.1
    assert resolved(server, "sip:plain.example.com:5060") == ["192.0.2.30:5060"]


def test_an_answer_that_is_cut_off_is_fetched_by_tcp(network: Network) -> None:
    zone = "".join(f"many.com. A 192.0.2.{number}\n" for number in range(1, 121))
    server, dns_server = started(network, zone=zone)
    found, seconds = timed(network, lambda: resolved(server, "sip:many.com:5060"))
    assert (len(found), seconds) == (12, 0.06)
    assert dns_server.questions == ["A many.com"] * 2

    server.rpc("dns.delete_all")
    dns_server.takes_tcp = False
    found, _ = timed(network, lambda: resolved(server, "sip:many.com:5060"))
    assert "connection refused" in found


def test_an_old_server_that_knows_no_edns(network: Network) -> None:
    server, dns_server = started(network)

    def forge(reply: dns.message.Message) -> list[bytes]:
        if reply.edns >= 0:
            return [reply.to_wire()[:2] + b"\x81\x81" + b"\0" * 8]  # a bare header that says FORMERR
        return [reply.to_wire()]

    dns_server.forge = forge
    assert resolved(server, "sip:plain.example.com:5060") == ["192.0.2.30:5060"]


CIRCLES = """
c1.com. CNAME c2.com.
c2.com. CNAME c1.com.
self.com. CNAME self.com.
"""
LONG = (
    "".join(f"l{number}.com. CNAME l{number + 1}.com.\n" for number in range(15)) + "l15.com. A 192.0.2.1\n"
)


@pytest.mark.parametrize("name", ["c1.com", "self.com", "l0.com", "l6.com"])
def test_aliases_that_never_end(network: Network, name: str) -> None:
    server, dns_server = started(network, zone=CIRCLES + LONG)
    found, seconds = timed(network, lambda: resolved(server, f"sip:{name}:5060"))
    assert "aliases" in found
    assert seconds < 0.3
    assert len(dns_server.questions) <= 10


def test_as_many_aliases_as_are_allowed(network: Network) -> None:
    server, _ = started(network, zone=LONG)
    assert resolved(server, "sip:l7.com:5060") == ["192.0.2.1:5060"]


def test_aliases_that_lead_out_of_the_servers_zone(network: Network) -> None:
    """A server that does not ask others answers with the alias alone; we ask on."""
    server, dns_server = started(network, zone="alias.com. 30 CNAME true.org.\ntrue.org. 300 A 192.0.2.1\n")

    def forge(reply: dns.message.Message) -> list[bytes]:
        reply.answer = reply.answer[:1]
        return [reply.to_wire()]

    dns_server.forge = forge
    assert resolved(server, "sip:alias.com:5060") == ["192.0.2.1:5060"]
    assert server.rpc("dns.lookup", "A", "alias.com")["expires"] == 30
    assert dns_server.questions == ["A alias.com", "A true.org"]


def test_a_thousand_srv_records(network: Network) -> None:
    """Bounded work: some of them are drawn from, and only a dozen hosts are asked for."""
    zone = "".join(
        f"_sip._udp.big.com. SRV {number % 3} {number % 7} 5060 h{number}.big.com.\n"
        f"h{number}.big.com. A 10.9.{number // 250}.{number % 250 + 1}\n"
        for number in range(1000)
    )
    server, dns_server = started(network, "dns_cache_mem=5000", zone)
    assert len(resolved(server, "sip:big.com")) == 12
    assert len(dns_server.questions) <= 2 + 12
    nobody = "".join(f"_sip._udp.void.com. SRV 1 1 5060 h{number}.void.com.\n" for number in range(1000))
    dns_server.add(nobody)
    before = len(dns_server.questions)
    found, seconds = timed(network, lambda: resolved(server, "sip:void.com"))
    assert "has no address" in found
    assert len(dns_server.questions) - before <= 2 + 12 + 1
    assert seconds < 0.3


# -- messages that wait --------------------------------------------------------------------------------------


def test_one_question_for_all_who_wait(network: Network) -> None:
    server, dns_server = started(network, zone="busy.com. A 192.0.2.9\n")
    phone = network.user_agent("phone", "192.0.2.9:5060")
    alice = network.user_agent("alice", proxy=server)
    dns_server.delay = 0.3
    sent = [alice.request("OPTIONS", "sip:bob@busy.com") for _ in range(50)]
    network.run(2)
    assert [one.status for one in sent] == [200] * 50
    assert len(phone.requests) == 50
    assert dns_server.questions == ["SRV _sip._udp.busy.com", "A busy.com"]


def test_what_is_counted(network: Network) -> None:
    server, dns_server = started(network, "dns_deadline=3", "busy.com. A 192.0.2.9\n")
    network.user_agent("phone", "192.0.2.9:5060")
    alice = network.user_agent("alice", proxy=server)
    for _ in range(3):
        alice.request("OPTIONS", "sip:bob@busy.com:5060")
    network.run(1)
    alice.request("OPTIONS", "sip:bob@busy.com:5060")
    network.run(1)
    dns_server.is_silent = True
    alice.request("OPTIONS", "sip:bob@other.com:5060")
    network.run(1)
    counted = {"known": 1, "joined": 2, "asked": 2, "failed": 0, "too_late": 0, "stale": 0, "refused": 0}
    assert server.rpc("dns.stats") == {**counted, "under_way": 1}
    network.run(20)
    assert server.rpc("dns.stats") == {**counted, "failed": 1, "too_late": 1, "under_way": 0}


def test_without_a_deadline_a_message_waits_for_the_last_try(network: Network) -> None:
    server, dns_server = started(network, "dns_deadline=0\ndns_retr_time=4\ndns_retr_no=4")
    dns_server.is_silent = True
    _, seconds = timed(network, lambda: resolved(server, "sip:example.com:5060"))
    assert seconds == 16


def test_others_go_on_while_one_waits_for_a_dead_server(network: Network) -> None:
    server, dns_server = started(network, "dns_deadline=3")
    network.user_agent("bob", "192.0.2.77:5060")
    alice = network.user_agent("alice", proxy=server)
    dns_server.is_silent = True
    slow = [alice.request("OPTIONS", f"sip:x@n{number}.com") for number in range(20)]
    network.run(0.1)
    quick = alice.request("OPTIONS", "sip:bob@192.0.2.77")
    network.run(0.1)
    assert quick.status == 200
    network.run(3)
    assert {one.status for one in slow} == {478}


def test_all_branches_together_have_one_budget(network: Network) -> None:
    dns_server = network.name_server("")
    dns_server.is_silent = True
    branches = "".join(f'append_branch("sip:x@b{number}.com");' for number in range(8))
    server = network.server(
        f'#!SER 2.0\ndns_deadline=4\nloadmodule "sl"\nloadmodule "tm"\nroute {{ {branches} t_relay(); }}\n'
    )
    alice = network.user_agent("alice", proxy=server)
    call = alice.invite("sip:bob@a.com")
    network.run(3.9)
    assert call.status == 100
    network.run(0.3)
    assert call.status == 478


def test_odd_names_by_the_thousand_are_refused(network: Network) -> None:
    server, dns_server = started(network)
    dns_server.is_silent = True

    async def flood() -> list[object]:
        lookup = server.engine.resolver.lookup
        names = (f"x{number}.com" for number in range(700))
        return await asyncio.gather(
            *(lookup.addresses(name, False) for name in names), return_exceptions=True
        )

    results = network.complete(flood())
    assert all(isinstance(one, ResolutionError) for one in results)
    assert sum("too many" in str(one) for one in results) == 200


# -- what the system says ------------------------------------------------------------------------------------

RESOLV = """
# a comment
; another
nameserver 192.0.2.53
nameserver 2001:db8::53
nameserver not-an-address
search corp.example.com example.org.
options timeout:2 attempts:3 ndots:2 rotate
"""


def test_resolv_conf() -> None:
    found = NameServers.read(RESOLV)
    assert [server.ip for server in found.servers] == ["192.0.2.53", "2001:db8::53"]
    assert (found.search, found.ndots) == (("corp.example.com", "example.org"), 2)
    assert (found.timeout, found.attempts) == (2.0, 3)
    assert [server.ip for server in NameServers.read("").servers] == ["127.0.0.1"]


SETTINGS = [
    ({}, ["192.0.2.53", "2001:db8::53"], 2.0, 3, 2),
    ({"servers": 1}, ["192.0.2.53"], 2.0, 3, 2),
    ({"retry_time": 1, "retries": 1}, ["192.0.2.53", "2001:db8::53"], 1.0, 1, 2),
    ({"use_search_list": 0}, ["192.0.2.53", "2001:db8::53"], 2.0, 3, 0),
]


@pytest.mark.parametrize(("said", "servers", "timeout", "attempts", "domains"), SETTINGS)
def test_the_script_beats_resolv_conf(
    said: dict[str, int], servers: list[str], timeout: float, attempts: int, domains: int
) -> None:
    found = NameServers.read(RESOLV).as_set(DnsSettings(**said))  # type: ignore[arg-type]
    assert [server.ip for server in found.servers] == servers
    assert (found.timeout, found.attempts, len(found.search)) == (timeout, attempts, domains)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("proxy", ["proxy.corp.example.com.", "proxy.example.org.", "proxy."]),
        (
            "_sip._udp.proxy",
            ["_sip._udp.proxy.corp.example.com.", "_sip._udp.proxy.example.org.", "_sip._udp.proxy."],
        ),
        ("a.b.c", ["a.b.c."]),
        ("proxy.", ["proxy."]),
    ],
)
def test_the_search_list_is_for_short_names(name: str, asked: list[str]) -> None:
    assert list(NameServers.read(RESOLV).candidates(name)) == asked
