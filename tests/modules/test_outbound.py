"""registrar: flows of phones (RFC 5626)."""

from __future__ import annotations

import pytest
from wire_peer import SERVER, WirePeer, contacts_of, rows_of

from sipyard.testing import Network, SipServer

SCRIPT = """
loadmodule "sl" loadmodule "tm" loadmodule "usrloc" loadmodule "registrar"
{parameters}
route {{
    if (method == "REGISTER") {{ save_contacts("location"); drop; }}
    if (!lookup_contacts("location")) {{ sl_reply("404", "Not Found"); drop; }}
    t_relay();
}}
"""
INSTANCE = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
URI = "sip:line1@192.0.2.200"
SUPPORTED = "Supported: path, outbound"


def start(network: Network, parameters: str = "") -> SipServer:
    return network.server(SCRIPT.format(parameters=parameters))


def flow(number: int, uri: str = URI, instance: str = INSTANCE) -> str:
    return f"<{uri}>;reg-id={number};{instance}"


def called(network: Network, *phones: WirePeer) -> list[int]:
    """How many requests each phone got when somebody asked for bob."""
    name = f"call{network.timeline.now}"
    caller = WirePeer(network, name.replace(".", ""), "192.0.2.222:5060")
    caller.post(caller.request("MESSAGE", "sip:bob@example.org", call_id=name))
    network.run(0.3)
    network.detach(caller)
    return [sum(one.call_id == name for one in phone.messages) for phone in phones]


def test_a_flow_is_accepted_and_used(network: Network) -> None:
    """The contact's own address leads nowhere: requests go where the REGISTER came from."""
    start(network)
    phone = WirePeer(network)
    answer = phone.register(flow(1), headers=[SUPPORTED])
    assert answer.status == 200
    assert answer.header("Require") == "outbound"
    (contact,) = contacts_of(answer)
    assert contact.endswith(f";{INSTANCE};reg-id=1")
    assert called(network, phone) == [1]
    assert phone.messages[-1].request_uri == URI


def test_flows_of_an_instance_are_bindings_of_their_own_and_one_is_used(network: Network) -> None:
    """RFC 5626 §4.2.1 and §6: the same URI with another reg-id; the one bound last gets the request."""
    server = start(network)
    first = WirePeer(network, "first", "192.0.2.10:5060")
    second = WirePeer(network, "second", "192.0.2.11:5060")
    first.register(flow(1), headers=[SUPPORTED])
    network.run(1)
    answer = second.register(flow(2), headers=[SUPPORTED], call_id="c2")
    assert len(contacts_of(answer)) == 2
    assert rows_of(server) == [URI, URI]
    assert called(network, first, second) == [0, 1]
    network.run(1)
    first.register(flow(1), headers=[SUPPORTED], cseq=2)
    assert rows_of(server) == [URI, URI]
    assert called(network, first, second) == [1, 0]
    # The flow that is left takes over.
    first.register(f"{flow(1)};expires=0", headers=[SUPPORTED], cseq=3)
    assert called(network, first, second) == [0, 1]


def test_a_flow_replaces_the_same_flow_whatever_its_uri(network: Network) -> None:
    server = start(network)
    phone = WirePeer(network)
    phone.register(flow(1), headers=[SUPPORTED])
    phone.register(flow(1, "sip:line1@192.0.2.201"), headers=[SUPPORTED], cseq=2)
    assert rows_of(server) == ["sip:line1@192.0.2.201"]


def test_other_instances_are_called_as_well(network: Network) -> None:
    start(network)
    first = WirePeer(network, "first", "192.0.2.10:5060")
    second = WirePeer(network, "second", "192.0.2.11:5060")
    first.register(flow(1), headers=[SUPPORTED])
    second.register(flow(1, instance='+sip.instance="<urn:uuid:other>"'), headers=[SUPPORTED], call_id="c2")
    assert called(network, first, second) == [1, 1]


PATHS = {
    "the first hop keeps the flow": (["Path: <sip:token@192.0.2.50;lr;ob>"], 200),
    "a later one does": (["Path: <sip:other@192.0.2.51;lr>, <sip:token@192.0.2.50;lr;ob>"], 200),
    "the first hop does not": (["Path: <sip:192.0.2.50;lr;ob>, <sip:192.0.2.51;lr>"], 439),
    "it says nothing": (["Via: SIP/2.0/UDP 192.0.2.51;branch=z9hG4bKother"], 439),
}


@pytest.mark.parametrize(("headers", "status"), PATHS.values(), ids=list(PATHS))
def test_proxies_between(network: Network, headers: list[str], status: int) -> None:
    server = start(network)
    answer = WirePeer(network).register(flow(1), headers=[SUPPORTED, *headers])
    assert answer.status == status
    assert len(rows_of(server)) == (status == 200)


NOT_BOUND = {
    "no reg-id": (f"<{URI}>;{INSTANCE}", [SUPPORTED], ""),
    "no instance": (f"<{URI}>;reg-id=1", [SUPPORTED], ""),
    "not supported": (flow(1), [], ""),
    "a reg-id that is none": (flow(1).replace("reg-id=1", "reg-id=x"), [SUPPORTED], ""),
    "switched off": (flow(1), [SUPPORTED], 'modparam("registrar", "outbound", 0)'),
}


@pytest.mark.parametrize(("contact", "headers", "parameters"), NOT_BOUND.values(), ids=list(NOT_BOUND))
def test_what_binds_no_flow(network: Network, contact: str, headers: list[str], parameters: str) -> None:
    start(network, parameters)
    phone = WirePeer(network)
    answer = phone.register(contact, headers=headers)
    assert (answer.status, answer.header("Require")) == (200, None)
    assert called(network, phone) == [0]


@pytest.mark.parametrize(("parameters", "status"), [("", 200), ('modparam("registrar", "outbound", 0)', 420)])
def test_outbound_may_be_required(network: Network, parameters: str, status: int) -> None:
    start(network, parameters)
    answer = WirePeer(network).register(flow(1), headers=[SUPPORTED, "Require: outbound"])
    assert answer.status == status


def test_a_phone_asks_by_stun_whether_its_flow_is_there(network: Network) -> None:
    start(network)
    phone = WirePeer(network)
    heard: list[bytes] = []
    phone.receive = lambda data, source, destination: heard.append(data)  # type: ignore[method-assign]
    phone.post(b"\x00\x01\x00\x00\x21\x12\xa4\x42aaaaaaaaaaaa", SERVER)
    network.run(0.1)
    assert [data[:2] for data in heard] == [b"\x01\x01"]
