"""diversion: the Diversion headers that the next hop gets."""

from __future__ import annotations

from wire_peer import WirePeer

from sipyard.testing import Network

SCRIPT = """
#!SER 0.9
loadmodule "sl" loadmodule "tm" loadmodule "diversion"
modparam("diversion", "suffix", ";privacy=full")
route {
    rewriteuri("sip:mailbox@192.0.2.50:5060");
    add_diversion("user-busy");
    t_relay();
}
"""


def diversions(network: Network, headers: list[str]) -> list[str]:
    network.server(SCRIPT)
    peer, phone = WirePeer(network), WirePeer(network, "phone", "192.0.2.50:5060")
    peer.post(peer.request("MESSAGE", "sip:bob@10.0.0.1", headers=headers))
    network.run_until(lambda: bool(phone.messages), within=5)
    return phone.messages[0].headers("Diversion")


NEW = "<sip:bob@10.0.0.1>;reason=user-busy;privacy=full"


def test_the_uri_as_received_diverted(network: Network) -> None:
    assert diversions(network, []) == [NEW]


def test_the_latest_diversion_stands_on_top(network: Network) -> None:
    earlier = "<sip:eva@example.org>;reason=no-answer"
    assert diversions(network, [f"Diversion: {earlier}"]) == [NEW, earlier]
