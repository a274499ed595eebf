"""A server on a virtual network with a DNS of its own, for tests of what it asks."""

from __future__ import annotations

from sipyard.testing import Network, SipServer, VirtualNameServer

ZONE = """
example.com.               A     192.0.2.1
_sip._udp.example.com.     SRV   20 1 5070 b.example.com.
_sip._udp.example.com.     SRV   10 1 5060 a.example.com.
a.example.com.             A     192.0.2.10
a.example.com.             AAAA  2001:db8::10
b.example.com.             A     192.0.2.20
www.example.com.           CNAME plain.example.com.
plain.example.com.         A     192.0.2.30
v6.example.com.            AAAA  2001:db8::30
_sip._udp.closed.com.      SRV   0 0 0 .
closed.com.                A     192.0.2.40
_sip._udp.lame.com.        SRV   1 1 5060 nowhere.example.com.
_sip._udp.lame.com.        SRV   2 1 5060 b.example.com.
_sip._udp.broken.com.      SRV   1 1 5060 nowhere.example.com.
broken.com.                A     192.0.2.50
_sip._udp.numeric.com.     SRV   1 1 5066 192.0.2.60.
_sip._tcp.any.com.         SRV   1 1 5062 b.example.com.
_sips._tcp.any.com.        SRV   1 1 5063 b.example.com.
naptr.com.                 NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.any.com.
naptr.com.                 NAPTR 20 10 "s" "SIP+D2T" "" _sip._tcp.any.com.
naptr.com.                 NAPTR 30 10 "s" "SIP+D2U" "" _sip._udp.example.com.
naptr.com.                 NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:x@y!" .
circle.com.                NAPTR 1 1 "" "SIP+D2U" "" circle.com.
circle.com.                A     192.0.2.70
sctp.com.                  NAPTR 1 1 "s" "SIP+D2S" "" _sip._sctp.sctp.com.
sctp.com.                  A     192.0.2.80
"""
SCRIPT = '#!SER 2.0\n{parameters}\nloadmodule "sl"\nloadmodule "tm"\nroute {{ t_relay(); }}\n'


def started(network: Network, parameters: str = "", zone: str = ZONE) -> tuple[SipServer, VirtualNameServer]:
    dns_server = network.name_server(zone)
    return network.server(SCRIPT.format(parameters=parameters)), dns_server


def resolved(server: SipServer, uri: str) -> list[str]:
    return [f"{one['ip']}:{one['port']}" for one in server.rpc("dns.resolve", uri)]
