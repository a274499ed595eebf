"""nathelper's pings: who gets which, and when."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from sipyard._native.core import Message
from sipyard.errors import ConfigError
from sipyard.testing import Network, SipServer
from sipyard.testing.node import Node
from sipyard.testing.trace import Address

SCRIPT = """
#!SER {ser}
loadmodule "sl" loadmodule "tm" loadmodule "usrloc" loadmodule "registrar" loadmodule "nathelper"
modparam("nathelper", "natping_interval", 30)
{parameters}
route {{
    if (method == "REGISTER") {{
        if (nat_uac_test("1")) {{ fix_nated_register(); setflag(4); }}
        save("location");
        break;
    }}
    {statements}
}}
"""


class Pinged(Node):
    """A host that keeps what it is sent, with the second of its arrival."""

    def __init__(self, network: Network, address: str = "192.0.2.9:5060") -> None:
        super().__init__(network, "pinged", address)
        self.arrived: list[tuple[float, bytes]] = []
        network.attach(self, self.address)

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        self.arrived.append((round(self.network.now, 1), data))

    def register(self, *contacts: str, ser: str = "2.0", headers: tuple[str, ...] = ()) -> None:
        """Register contacts of one user, and forget the answer."""
        lines = [
            "REGISTER sip:example.org SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address};branch=z9hG4bK1",
            "Max-Forwards: 70",
            "From: <sip:bob@example.org>;tag=a",
            "To: <sip:bob@example.org>",
            "Call-ID: c1",
            "CSeq: 1 REGISTER",
            *(f"Contact: {contact}" for contact in contacts),
            *headers,
            "Content-Length: 0",
        ]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode(), Address("10.0.0.1", 5060))
        self.network.run(0.1)
        assert self.arrived.pop()[1].startswith(b"SIP/2.0 200")


def started(network: Network, parameters: str = "", statements: str = "", ser: str = "2.0") -> SipServer:
    return network.server(SCRIPT.format(ser=ser, parameters=parameters, statements=statements))


PUBLIC, NATED = "<sip:bob@192.0.2.9;x=y>", "<sip:bob@10.1.2.3:5062>"


@pytest.mark.parametrize("ser", ["0.9", "2.0"])
def test_zeros_go_to_everybody_once_an_interval(network: Network, ser: str) -> None:
    started(network, ser=ser)
    host = Pinged(network)
    host.register(PUBLIC, ser=ser)
    network.run(100)
    assert host.arrived == [(30.0, b"\0\0\0\0"), (60.0, b"\0\0\0\0"), (90.0, b"\0\0\0\0")]


def test_nothing_goes_to_who_has_gone(network: Network) -> None:
    started(network)
    host = Pinged(network)
    host.register(PUBLIC + ";expires=70")
    network.run(200)
    assert [moment for moment, _ in host.arrived] == [30.0, 60.0]


@pytest.mark.parametrize(("contact", "pings"), [(PUBLIC, 0), (NATED, 1)])
def test_only_those_behind_nat_if_so_wanted(network: Network, contact: str, pings: int) -> None:
    """They are pinged where they came from, not where they say they are."""
    started(network, 'modparam("nathelper", "ping_nated_only", 1)')
    host = Pinged(network)
    host.register(contact)
    network.run(31)
    assert len(host.arrived) == pings


UNPINGED = ["<sip:bob@phone.example.org>", "<sip:bob@192.0.2.9;transport=tcp>", "<tel:+420123>"]


@pytest.mark.parametrize("contact", UNPINGED)
def test_who_cannot_be_pinged_is_passed_over(network: Network, contact: str) -> None:
    started(network)
    host = Pinged(network)
    host.register(contact, PUBLIC)
    network.run(31)
    assert len(host.arrived) == 1


def test_who_is_behind_a_proxy_is_left_to_it(network: Network) -> None:
    started(network)
    host = Pinged(network)
    host.register(PUBLIC, headers=("Path: <sip:192.0.2.9;lr>", "Supported: path"))
    network.run(31)
    assert host.arrived == []


def test_pings_are_spread_over_the_interval(network: Network) -> None:
    started(network, 'modparam("registrar", "max_contacts", 0)')
    host = Pinged(network)
    host.register(*(f"<sip:bob@192.0.2.9;n={number}>" for number in range(120)))
    network.run(59)
    assert [moment for moment, _ in host.arrived] == [30.0] * 50 + [42.5] * 50 + [55.0] * 20


def test_requests_may_ping(network: Network) -> None:
    server = started(network, 'modparam("nathelper", "natping_method", "OPTIONS")')
    host = Pinged(network)
    host.register(NATED + ";q=0.5")
    network.run(31)
    ping = Message.parse(host.arrived[0][1])
    ping.check()
    assert (ping.method, ping.request_uri) == ("OPTIONS", "sip:bob@10.1.2.3:5062")
    assert (ping.from_uri, ping.to_uri) == ("sip:10.0.0.1", "sip:bob@10.1.2.3:5062")
    network.run(300)
    assert server.live["clients"] <= 2  # nobody answers; each is given up after half a minute


def test_pings_leave_by_the_socket_that_is_forced(network: Network) -> None:
    script = SCRIPT.format(
        ser="2.0", parameters='modparam("nathelper", "force_socket", "udp:10.0.0.1:5070")', statements=""
    )
    network.server(script, listen=["10.0.0.1:5070"])
    host = Pinged(network)
    host.register(PUBLIC)
    network.run(31)
    assert network.trace[-1].source_address.port == 5070


ASKED = [('ping_contact("sip:192.0.2.9")', "true", 1), ('ping_contact("@msg.subject")', "false", 0)]


@pytest.mark.parametrize(("call", "result", "pings"), ASKED)
def test_a_script_may_ping(network: Network, call: str, result: str, pings: int) -> None:
    started(
        network, statements=f'if ({call}) {{ sl_reply("200", "true"); }} else {{ sl_reply("400", "false"); }}'
    )
    host, peer = Pinged(network), WirePeer(network, address="192.0.2.8:5060")
    assert peer.ask(peer.request("MESSAGE", headers=["Subject: no uri"])).reason == result
    network.run(1)
    assert [data for _, data in host.arrived] == [b"\0\0\0\0"] * pings


MISTAKES = [
    ('modparam("nathelper", "natping_method", "INVITE")', "is not a method to ping with"),
    ('modparam("nathelper", "natping_method", "a b")', "is not a method to ping with"),
    ('modparam("nathelper", "force_socket", "udp:192.0.2.77")', "not listening on"),
]


@pytest.mark.parametrize(("parameters", "problem"), MISTAKES)
def test_parameters_are_checked(network: Network, parameters: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        started(network, parameters)


def test_who_is_to_be_pinged_must_be_known(network: Network) -> None:
    script = 'loadmodule "nathelper"\nmodparam("nathelper", "natping_interval", 5)\nroute { drop; }\n'
    with pytest.raises(ConfigError, match="natping_interval needs usrloc"):
        network.server(script)
