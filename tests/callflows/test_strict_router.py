"""RFC 3261 §16.12.1: a hop that knows only strict routing, before and after us, and preloaded routes."""

from __future__ import annotations

from sipyard.testing import CallFlow, Network, Node
from sipyard.testing.trace import Address

from .conftest import Cast


class Sink(Node):
    """Receives and keeps silent."""

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """Nothing is answered."""


def _dialog_request(uri: str, *routes: str) -> bytes:
    lines = [
        f"OPTIONS {uri} SIP/2.0",
        "Via: SIP/2.0/UDP 10.9.0.1;branch=z9hG4bKstrict",
        "Max-Forwards: 70",
        *(f"Route: {route}" for route in routes),
        "From: <sip:carol@example.net>;tag=1",
        "To: <sip:bob@biloxi.example.com>;tag=2",
        "Call-ID: strict@example.net",
        "CSeq: 1 OPTIONS",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_the_previous_hop_is_a_strict_router(cast: Cast) -> None:
    """Our own URI stands in the Request-URI and the target last in Route: both are put right (§16.4)."""
    network, bob = cast.network, cast.bob
    strict = Sink(network, "strict", "10.9.0.1")
    network.attach(strict)
    flow = CallFlow(network, strict, cast.ss2, bob)
    strict.send(_dialog_request("sip:10.2.0.1;lr", "<sip:bob@192.0.2.201>"), cast.ss2.address)
    flow.expect("""
        strict -> ss2  OPTIONS sip:10.2.0.1;lr
        ss2 -> bob     OPTIONS sip:bob@192.0.2.201
            !Route
        ...
        ss2 -> strict  481
    """)


def test_the_next_hop_is_a_strict_router(cast: Cast) -> None:
    """The next Route has no lr: it becomes the Request-URI, which goes to the end of Route (§16.6 step 6)."""
    network = cast.network
    caller, strict = Sink(network, "caller", "10.9.0.1"), Sink(network, "strict", "10.9.0.2")
    network.attach(caller)
    network.attach(strict)
    flow = CallFlow(network, caller, cast.ss2, strict)
    data = _dialog_request("sip:bob@192.0.2.201", "<sip:10.2.0.1;lr>", "<sip:10.9.0.2>")
    caller.send(data, cast.ss2.address)
    flow.expect("""
        caller -> ss2  OPTIONS sip:bob@192.0.2.201
        ss2 -> strict  OPTIONS sip:10.9.0.2
            Route: <sip:bob@192.0.2.201>
    """)


def test_preloaded_routes_are_followed(network: Network, cast: Cast) -> None:
    """An initial INVITE with both proxies in Route (RFC 3665's Alice does this) takes them in order."""
    routes = ["<sip:10.1.0.1;lr>", "<sip:10.2.0.1;lr>"]
    carol = network.user_agent("carol", "192.0.2.150", proxy=cast.ss1, routes=routes)
    cast.bob.rejects(486)
    flow = CallFlow(network, carol, cast.ss1, cast.ss2, cast.bob)
    carol.invite("sip:bob@192.0.2.201")
    flow.expect("""
        carol -> ss1  INVITE sip:bob@192.0.2.201
            Route: <sip:10.2.0.1;lr>
        {
          ss1 -> carol  100
          ss1 -> ss2    INVITE sip:bob@192.0.2.201
        }
        {
          ss2 -> ss1    100
          ss2 -> bob    INVITE sip:bob@192.0.2.201
            !Route
        }
        ...
        ss1 -> carol  486
    """)
