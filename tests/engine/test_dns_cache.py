"""What is kept of answers, and what an operator sees of it."""

from __future__ import annotations

import pytest
from dns_zone import resolved, started

from sipyard.management.registry import RpcFault
from sipyard.testing import Network


def test_answers_are_kept_as_long_as_they_hold(network: Network) -> None:
    server, dns_server = started(network, zone="short.com. 20 A 192.0.2.1\n")
    for wait, questions in ((0, 2), (19, 2), (2, 3)):
        network.run(wait)
        assert resolved(server, "sip:short.com") == ["192.0.2.1:5060"]
        assert len(dns_server.questions) == questions  # the absent SRV is known for 60 s


TTLS = [
    ("dns_cache_min_ttl=60\n", 5, 50, 0),
    ("dns_cache_max_ttl=10\n", 3600, 11, 1),
    ("", 3600, 11, 0),
    ("use_dns_cache=no\n", 3600, 1, 1),
    ("", 0, 0.1, 1),
]


@pytest.mark.parametrize(("parameters", "ttl", "later", "asked"), TTLS)
def test_the_script_bounds_the_time(
    network: Network, parameters: str, ttl: int, later: float, asked: int
) -> None:
    server, dns_server = started(network, parameters, f"n.com. {ttl} A 192.0.2.1\n")
    resolved(server, "sip:n.com:5060")
    before = len(dns_server.questions)
    network.run(later)
    resolved(server, "sip:n.com:5060")
    assert len(dns_server.questions) - before == asked


@pytest.mark.parametrize(
    ("parameters", "soa", "later", "asked"),
    [
        ("", None, 50, 0),
        ("", None, 61, 1),
        ("", 5, 6, 1),
        ("dns_cache_negative_ttl=0\n", None, 1, 1),
        ("dns_cache_negative_ttl=10\n", 3600, 11, 1),
    ],
)
def test_what_there_is_not_is_known_for_a_while(
    network: Network, parameters: str, soa: int | None, later: float, asked: int
) -> None:
    server, dns_server = started(network, parameters, "here.com. A 192.0.2.1\n")
    dns_server.absence_ttl = soa
    for _ in range(2):
        before = len(dns_server.questions)
        with pytest.raises(RpcFault, match="has no address"):
            server.rpc("dns.resolve", "sip:gone.com:5060")
        network.run(later)
    assert len(dns_server.questions) - before == asked


OLD, NEW = ["192.0.2.1:5060"], ["192.0.2.2:5060"]


def test_calls_go_on_through_an_outage(network: Network) -> None:
    """RFC 8767: what was true serves for an hour while nobody says what is; then what is new."""
    server, dns_server = started(network, zone="peer.com. 60 A 192.0.2.1\n")
    assert resolved(server, "sip:peer.com") == OLD
    network.run(100)
    dns_server.is_silent = True
    begun = network.now
    assert resolved(server, "sip:peer.com") == OLD
    assert round(network.now - begun, 3) == 3.6  # 1.8 s for SRV and for A
    begun = network.now
    assert resolved(server, "sip:peer.com") == OLD
    assert network.now == begun
    assert server.rpc("dns.lookup", "A", "peer.com")["stale"]
    network.run(3000)
    assert resolved(server, "sip:peer.com") == OLD

    dns_server.is_silent = False
    dns_server.clear()
    dns_server.add("peer.com. 60 A 192.0.2.2")
    network.run(40)
    assert resolved(server, "sip:peer.com") == NEW
    assert not server.rpc("dns.lookup", "A", "peer.com")["stale"]


@pytest.mark.parametrize(("parameters", "later"), [("", 3700), ("dns_cache_stale=0\n", 70)])
def test_an_old_answer_serves_only_so_long(network: Network, parameters: str, later: float) -> None:
    server, dns_server = started(network, parameters, "peer.com. 60 A 192.0.2.1\n")
    assert resolved(server, "sip:peer.com:5060") == OLD
    dns_server.is_silent = True
    network.run(later)
    with pytest.raises(RpcFault):
        resolved(server, "sip:peer.com:5060")


def test_a_name_that_is_gone_is_gone(network: Network) -> None:
    """An old answer does not beat a new one that says no."""
    server, dns_server = started(network, zone="peer.com. 60 A 192.0.2.1\n")
    assert resolved(server, "sip:peer.com:5060") == OLD
    network.run(61)
    dns_server.clear()
    with pytest.raises(RpcFault, match="has no address"):
        resolved(server, "sip:peer.com:5060")


def test_a_reload_changes_the_settings(network: Network) -> None:
    script = '#!SER 2.0\n%s\nloadmodule "sl"\nroute { drop; }\n'
    dns_server = network.name_server("n.com. 300 A 192.0.2.1\nn.com. 300 AAAA 2001:db8::1\n")
    server = network.server(script % "")
    assert resolved(server, "sip:n.com:5060") == OLD
    assert server.reload(script % "dns_cache_max_ttl=10\ndns_try_naptr=yes") == [
        "dns_cache_max_ttl",
        "dns_try_naptr",
    ]
    server.rpc("dns.delete_all")
    assert resolved(server, "sip:n.com") == OLD
    assert "NAPTR n.com" in dns_server.questions
    assert server.rpc("dns.lookup", "A", "n.com")["expires"] == 10


def test_an_address_in_a_condition(network: Network) -> None:
    """`src_ip == "name"` asks for the name's addresses, without SRV."""
    dns_server = network.name_server("gw.com. A 192.0.2.9\n_sip._udp.gw.com. SRV 1 1 5060 other.com.\n")
    server = network.server(
        '#!SER 2.0\nloadmodule "sl"\n'
        'route { if (src_ip == "gw.com") sl_reply("200", "OK"); else sl_reply("403", "No"); }\n'
    )
    for ip, status in (("192.0.2.9", 200), ("192.0.2.8", 403)):
        phone = network.user_agent(f"phone{status}", f"{ip}:5060", proxy=server)
        outcome = phone.request("OPTIONS", "sip:10.0.0.1")
        network.run(1)
        assert outcome.status == status
    assert dns_server.questions == ["A gw.com"]


def test_the_cache_has_a_bound_and_the_least_used_go(network: Network) -> None:
    zone = "".join(f"n{number}.com. A 192.0.2.1\n" for number in range(50))
    server, dns_server = started(network, "dns_cache_mem=6", zone)
    for number in range(50):
        resolved(server, "sip:n0.com:1")
        resolved(server, f"sip:n{number}.com:1")
    used, most = server.rpc("dns.mem_info")
    assert most == 6 * 1024
    assert most * 0.8 < used <= most
    assert dns_server.questions.count("A n0.com") == 1
    names = [each["name"] for each in server.rpc("dns.debug")]
    assert names[-1] == "n49.com"
    assert "n1.com" not in names


def test_a_flood_of_names_that_are_not_stays_within_the_bound(network: Network) -> None:
    server, _ = started(network, "dns_cache_mem=20")
    for number in range(400):
        with pytest.raises(RpcFault):
            server.rpc("dns.resolve", f"sip:x{number}.invalid:1")
    used, most = server.rpc("dns.mem_info")
    assert used <= most


def test_what_an_operator_sees_and_does(network: Network) -> None:
    server, dns_server = started(network)
    resolved(server, "sip:example.com")
    found = server.rpc("dns.lookup", "srv", "_sip._udp.example.com")
    assert (found["type"], found["expires"]) == ("SRV", 300)
    assert {"priority": 20, "weight": 1, "port": 5070, "host": "b.example.com"} in found["records"]
    assert {each["name"] for each in server.rpc("dns.view")} >= {"a.example.com", "b.example.com"}
    assert server.rpc("dns.delete", "a.example.com") == 1
    with pytest.raises(RpcFault, match="not in the cache"):
        server.rpc("dns.lookup", "A", "a.example.com")
    with pytest.raises(RpcFault, match="type must be one of"):
        server.rpc("dns.lookup", "MX", "a.example.com")
    assert server.rpc("dns.delete_all") == 2
    assert server.rpc("dns.debug_all") == []
    asked = len(dns_server.questions)
    resolved(server, "sip:example.com")
    assert len(dns_server.questions) == asked + 3
    for uri in ("mailto:x@example.com", "sip:nowhere.invalid", "nonsense"):
        with pytest.raises(RpcFault):
            server.rpc("dns.resolve", uri)
