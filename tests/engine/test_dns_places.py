"""RFC 3263 and RFC 2782: from a URI to places in order."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from dns_zone import resolved, started

from sipyard._native.core import Uri
from sipyard.sip.resolver import ResolutionError, Service, drawn
from sipyard.testing import Network

BOTH = {"udp": (False, True), "tcp": (False, True), "tls": (False, True)}


def places(network: Network, parameters: str, uri: str, sockets: dict[str, tuple[bool, ...]]) -> list[str]:
    """Where a URI leads a server that has these sockets."""
    server, _ = started(network, parameters)
    resolver = server.engine.resolver
    wanted = {
        protocol: tuple(one for one in resolver.settings.families if one in families)
        for protocol, families in sockets.items()
    }
    try:
        found = network.complete(resolver.places(Uri(uri), wanted))
    except (ResolutionError, ValueError) as error:
        return [type(error).__name__]
    return [f"{protocol} {ip} {port}" for protocol, ip, port in found]


A, A6, B = "192.0.2.10", "2001:db8::10", "192.0.2.20"
UDP = {"udp": (False,)}
NAPTR = "dns_try_naptr=yes\n"
WHERE = [
    ("", "sip:bob@example.com", UDP, [f"udp {A} 5060", f"udp {B} 5070"]),
    ("", "sip:bob@EXAMPLE.com.", UDP, [f"udp {A} 5060", f"udp {B} 5070"]),
    ("", "sip:bob@example.com:5080", UDP, ["udp 192.0.2.1 5080"]),
    ("", "sip:www.example.com", UDP, ["udp 192.0.2.30 5060"]),
    ("", "sip:x@elsewhere.invalid;maddr=plain.example.com", UDP, ["udp 192.0.2.30 5060"]),
    ("", "sip:closed.com", UDP, ["NoServiceError"]),
    ("", "sip:lame.com", UDP, [f"udp {B} 5060"]),
    ("", "sip:broken.com", UDP, ["udp 192.0.2.50 5060"]),
    ("", "sip:numeric.com", UDP, ["udp 192.0.2.60 5066"]),
    ("", "sip:nowhere.invalid", UDP, ["ResolutionError"]),
    ("", f"sip:{'x' * 64}.com", UDP, ["ResolutionError"]),
    ("", "sip:localhost:5099", UDP, ["udp 127.0.0.1 5099"]),
    # families
    ("", "sip:example.com", BOTH, [f"udp {A} 5060", f"udp {A6} 5060", f"udp {B} 5070"]),
    ("dns_cache_flags=1\n", "sip:example.com", BOTH, [f"udp {A} 5060", f"udp {B} 5070"]),
    ("dns_cache_flags=2\n", "sip:example.com", BOTH, [f"udp {A6} 5060"]),
    ("dns_cache_flags=4\n", "sip:example.com", BOTH, [f"udp {A6} 5060", f"udp {A} 5060", f"udp {B} 5070"]),
    ("dns_try_ipv6=no\n", "sip:example.com", BOTH, [f"udp {A} 5060", f"udp {B} 5070"]),
    ("", "sip:v6.example.com", UDP, ["ResolutionError"]),
    ("", "sip:v6.example.com", BOTH, ["udp 2001:db8::30 5060"]),
    # transports without NAPTR: the URI's, else UDP; TLS for sips
    ("", "sip:any.com;transport=tcp", BOTH, [f"tcp {B} 5062"]),
    ("", "sips:any.com", BOTH, [f"tls {B} 5063"]),
    ("", "sips:example.com:5081", BOTH, ["tls 192.0.2.1 5081"]),
    ("", "sips:example.com", BOTH, ["tls 192.0.2.1 5061"]),
    ("", "sip:any.com;transport=tcp", UDP, ["ValueError"]),
    ("", "sips:any.com", UDP, ["ValueError"]),
    ("", "sip:any.com;transport=pigeon", BOTH, ["ResolutionError"]),
    ("", "sip:naptr.com", BOTH, ["ResolutionError"]),
    # with NAPTR: our preferences, theirs, only what we have
    (NAPTR, "sip:naptr.com", UDP, [f"udp {A} 5060", f"udp {B} 5070"]),
    (
        NAPTR + "dns_cache_flags=1\n",
        "sip:naptr.com",
        BOTH,
        [f"udp {A} 5060", f"udp {B} 5070", f"tcp {B} 5062", f"tls {B} 5063"],
    ),
    (
        NAPTR + "dns_cache_flags=1\ndns_naptr_ignore_rfc=no\n",
        "sip:naptr.com",
        BOTH,
        [f"tls {B} 5063", f"tcp {B} 5062", f"udp {A} 5060", f"udp {B} 5070"],
    ),
    (
        NAPTR + "dns_cache_flags=1\ndns_tcp_pref=40\ndns_udp_pref=-1\n",
        "sip:naptr.com",
        BOTH,
        [f"tcp {B} 5062", f"tls {B} 5063"],
    ),
    (NAPTR, "sips:naptr.com", BOTH, [f"tls {B} 5063"]),
    (NAPTR, "sip:any.com", BOTH, [f"tcp {B} 5062"]),
    (NAPTR, "sip:plain.example.com", BOTH, ["udp 192.0.2.30 5060"]),
    (NAPTR, "sip:circle.com", BOTH, ["udp 192.0.2.70 5060"]),
    (NAPTR, "sip:sctp.com", BOTH, ["udp 192.0.2.80 5060"]),
    (NAPTR, "sip:closed.com", BOTH, ["NoServiceError"]),
    (NAPTR, "sip:naptr.com;transport=udp", BOTH, ["ResolutionError"]),
    (NAPTR, "sip:example.com:5060", BOTH, ["udp 192.0.2.1 5060"]),
]


@pytest.mark.parametrize(("parameters", "uri", "sockets", "leads_to"), WHERE)
def test_where_a_uri_leads(
    network: Network, parameters: str, uri: str, sockets: dict[str, tuple[bool, ...]], leads_to: list[str]
) -> None:
    assert places(network, parameters, uri, sockets) == leads_to


# -- SRV weights ---------------------------------------------------------------------------------------------

WEIGHTS = [
    ((1, 3), (0.25, 0.75)),
    ((10, 20, 70), (0.1, 0.2, 0.7)),
    ((0, 0, 0, 0), (0.25, 0.25, 0.25, 0.25)),
    ((0, 99), (0.01, 0.99)),
    ((0, 0, 8), (1 / 18, 1 / 18, 8 / 9)),
    ((65535, 65535), (0.5, 0.5)),
]


@pytest.mark.parametrize(("weights", "chances"), WEIGHTS)
def test_first_place_goes_by_weight(weights: tuple[int, ...], chances: tuple[float, ...]) -> None:
    """A chi-square test at 1 in 1000: whoever is drawn first is drawn in proportion to weight (RFC 2782)."""
    dice, draws = random.Random(7), 6000
    group = [Service(1, weight, 5060, str(number)) for number, weight in enumerate(weights)]
    firsts = Counter(drawn(group, dice)[0].host for _ in range(draws))
    distance = sum(
        (firsts[str(number)] - draws * chance) ** 2 / (draws * chance)
        for number, chance in enumerate(chances)
    )
    limits = {1: 10.83, 2: 13.82, 3: 16.27}
    assert distance < limits[len(weights) - 1], firsts


def test_the_second_place_is_drawn_among_the_rest() -> None:
    dice = random.Random(7)
    group = [Service(1, weight, 5060, str(weight)) for weight in (10, 30, 60)]
    orders = [tuple(one.weight for one in drawn(group, dice)) for _ in range(6000)]
    after_60 = Counter(order[1] for order in orders if order[0] == 60)
    assert 0.70 < after_60[30] / after_60.total() < 0.80
    assert all(sorted(order) == [10, 30, 60] for order in orders)


def test_without_balancing_the_heaviest_comes_first(network: Network) -> None:
    zone = """
    _sip._udp.w.com. SRV 1 1 5061 a.w.com.
    _sip._udp.w.com. SRV 1 9 5069 a.w.com.
    a.w.com. A 192.0.2.1
    """
    server, _ = started(network, "dns_srv_lb=no", zone)
    for _ in range(20):
        assert resolved(server, "sip:w.com") == ["192.0.2.1:5069", "192.0.2.1:5061"]


def test_who_keeps_no_state_draws_the_same_again(network: Network) -> None:
    """A retransmission goes where the request went (RFC 3263 §4.3)."""
    zone = "".join(f"_sip._udp.w.com. SRV 1 1 {5000 + number} a.w.com.\n" for number in range(12))
    network.name_server(zone + "a.w.com. A 192.0.2.1")
    server = network.server('#!SER 2.0\nloadmodule "sl"\nroute { forward(uri:host, uri:port); }\n')
    alice = network.user_agent("alice", proxy=server)
    ports = set()
    for _ in range(5):
        request = alice.compose("OPTIONS", "sip:bob@w.com").to_bytes()
        seen = len(network.trace)
        for _ in range(4):
            alice.send(request, server.address)
            network.run(0.2)
        sent = [
            one
            for one in network.trace[seen:]
            if one.destination_address.ip == "192.0.2.1" and one.is_request
        ]
        hops = {one.destination_address.port for one in sent if one.source == "proxy"}
        assert len(hops) == 1
        ports |= hops
    assert len(ports) > 1
