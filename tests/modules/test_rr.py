"""rr: staying in the path, following it (RFC 3261 §16.4, §16.12; SER's five cases)."""

from __future__ import annotations

import base64

import pytest

from sipyard.attributes import Scope, Track
from sipyard.modules.rr.cookie import CookieJar, Stored
from sipyard.modules.rr.routing import after_loose, after_strict, is_double, is_loose
from sipyard.testing import Network, SipServer, UserAgent

PROXY = """
#!SER 2.0
loadmodule "sl"
loadmodule "tm"
loadmodule "rr"
loadmodule "textops"
%s
route {
    if (loose_route()) {
        append_hf("P-Loose: yes\\r\\n");
    } else {
        append_hf("P-Loose: no\\r\\n");
        %s;
    }
    t_relay();
}
"""


def proxied(
    network: Network, parameters: str = "", record: str = "record_route()", **options: object
) -> SipServer:
    """A proxy that record-routes and notes what loose_route said."""
    return network.server(PROXY % (parameters, record), **options)


class TestRecordRoute:
    def test_dialog_stays_in_the_path(self, network: Network) -> None:
        proxy = proxied(network)
        bob = network.user_agent("bob")
        bob.answers()
        alice = network.user_agent("alice", proxy=proxy)
        call = alice.invite(bob.contact)
        network.run(1)
        assert call.is_answered
        tag = bob.call.invite.from_tag
        assert bob.call.invite.headers("Record-Route") == [f"<sip:10.0.0.1;ftag={tag};lr>"]
        call.hang_up()
        network.run(1)
        bye = bob.requests[-1]
        assert bye.method == "BYE"
        assert bye.header("P-Loose") == "yes"
        assert bye.routes() == []

    @pytest.mark.parametrize(
        ("parameters", "value"),
        [
            ('modparam("rr", "append_fromtag", 0)', "<sip:10.0.0.1;lr>"),
            (
                'modparam("rr", "append_fromtag", 0) modparam("rr", "enable_full_lr", 1)',
                "<sip:10.0.0.1;lr=on>",
            ),
            (
                'modparam("rr", "append_fromtag", 0) modparam("rr", "add_username", "joe")',
                "<sip:joe@10.0.0.1;lr>",
            ),
        ],
    )
    def test_form(self, network: Network, parameters: str, value: str) -> None:
        proxy = proxied(network, parameters)
        bob = network.user_agent("bob")
        network.user_agent("alice", proxy=proxy).invite(bob.contact)
        network.run(1)
        assert bob.call.invite.headers("Record-Route") == [value]

    def test_preset(self, network: Network) -> None:
        proxy = proxied(
            network, 'modparam("rr", "append_fromtag", 0)', 'record_route_preset("192.0.2.9:5090")'
        )
        bob = network.user_agent("bob")
        network.user_agent("alice", proxy=proxy).invite(bob.contact)
        network.run(1)
        assert bob.call.invite.headers("Record-Route") == ["<sip:192.0.2.9:5090;lr>"]

    def test_taken_back(self, network: Network) -> None:
        proxy = proxied(network, "", "record_route(); remove_record_route()")
        bob = network.user_agent("bob")
        network.user_agent("alice", proxy=proxy).invite(bob.contact)
        network.run(1)
        assert bob.call.invite.headers("Record-Route") == []

    def test_two_sockets_two_record_routes(self, network: Network) -> None:
        """enable_double_rr: each side is told the socket that it can reach."""
        proxy = proxied(
            network,
            'modparam("rr", "append_fromtag", 0)',
            "record_route(); force_send_socket(udp:10.9.0.1:5060)",
            listen=["10.9.0.1:5060"],
        )
        bob = network.user_agent("bob")
        bob.answers()
        alice = network.user_agent("alice", proxy=proxy)
        call = alice.invite(bob.contact)
        network.run(1)
        assert bob.call.invite.values("Record-Route") == [
            "<sip:10.9.0.1;r2=on;lr>",
            "<sip:10.0.0.1;r2=on;lr>",
        ]
        call.hang_up()
        network.run(1)
        assert bob.requests[-1].method == "BYE"
        assert bob.requests[-1].routes() == []
        assert bob.requests[-1].source_ip in ("", "10.9.0.1")


class TestLooseRoute:
    def ask(
        self, network: Network, uri: str, routes: list[str], *, to_tag: bool = False
    ) -> tuple[UserAgent, UserAgent]:
        """Send one OPTIONS with these Routes through the proxy."""
        proxy = proxied(network, "", 'log(4, "not loose")')
        bob = network.user_agent("bob", "192.0.2.77:5060")
        alice = network.user_agent("alice", proxy=proxy)
        request = alice.compose("OPTIONS", uri, routes=routes).to_bytes()
        if to_tag:
            request = request.replace(f"To: <{uri}>".encode(), f"To: <{uri}>;tag=1".encode())
        alice.send(request, proxy.address)
        network.run(1)
        return alice, bob

    def test_last_hop(self, network: Network) -> None:
        _, bob = self.ask(network, "sip:bob@192.0.2.77", ["<sip:10.0.0.1;lr>"])
        assert bob.requests[0].header("P-Loose") == "yes"
        assert bob.requests[0].routes() == []

    def test_next_loose_hop(self, network: Network) -> None:
        _, bob = self.ask(network, "sip:carol@198.51.100.1", ["<sip:10.0.0.1;lr>", "<sip:192.0.2.77;lr>"])
        assert bob.requests[0].request_uri == "sip:carol@198.51.100.1"
        assert [route.uri for route in bob.requests[0].routes()] == ["sip:192.0.2.77;lr"]

    def test_next_strict_hop(self, network: Network) -> None:
        _, bob = self.ask(network, "sip:carol@198.51.100.1", ["<sip:10.0.0.1;lr>", "<sip:192.0.2.77>"])
        assert bob.requests[0].request_uri == "sip:192.0.2.77"
        assert [route.uri for route in bob.requests[0].routes()] == ["sip:carol@198.51.100.1"]

    def test_route_not_ours_is_left_alone(self, network: Network) -> None:
        _, bob = self.ask(network, "sip:bob@192.0.2.77", ["<sip:198.51.100.7;lr>"])
        assert bob.requests[0].header("P-Loose") == "no"
        assert [route.uri for route in bob.requests[0].routes()] == ["sip:198.51.100.7;lr"]

    def test_preloaded_route_to_us_with_more(self, network: Network) -> None:
        _, bob = self.ask(network, "sip:10.0.0.1", ["<sip:10.0.0.1;lr>", "<sip:192.0.2.77;lr>"])
        assert bob.requests[0].header("P-Loose") == "yes"

    def test_strict_router_before_us(self, network: Network) -> None:
        """RFC 3261 §16.4: the real target is the last Route."""
        _, bob = self.ask(network, "sip:10.0.0.1;lr", ["<sip:bob@192.0.2.77>"], to_tag=True)
        assert bob.requests[0].request_uri == "sip:bob@192.0.2.77"
        assert bob.requests[0].routes() == []

    def test_preloaded_strict_route_is_refused(self, network: Network) -> None:
        _, bob = self.ask(network, "sip:10.0.0.1;lr", ["<sip:bob@192.0.2.77>"])
        assert bob.requests == []


class TestDecisions:
    """The cases as a table, without a network."""

    def test_after_loose(self) -> None:
        ours, loose, strict = "sip:us;lr", "sip:next;lr", "sip:old"
        assert after_loose([ours], 1, "sip:bob", False) == (1, 1, None, None, None, 0)
        assert after_loose([ours], 1, "sip:us", True) == (-1, 1, None, None, None, 0)
        assert after_loose([ours, loose], 1, "sip:bob", False) == (1, 1, None, loose, None, 0)
        assert after_loose([ours, strict], 1, "sip:bob", False) == (1, 1, strict, None, ["sip:bob"], 0)
        assert after_loose([ours, ours, loose], 2, "sip:bob", False) == (1, 2, None, loose, None, 0)

    def test_after_strict(self) -> None:
        assert after_strict(["sip:n;lr", "sip:bob"], 0) == (1, 0, "sip:bob", "sip:n;lr", ["sip:n;lr"], -1)
        assert after_strict(["sip:old", "sip:bob"], 0) == (1, 0, "sip:old", None, ["sip:bob"], -1)
        assert after_strict(["sip:us;r2=on;lr", "sip:bob;lr"], 1) == (1, 0, "sip:bob;lr", None, [], -1)

    def test_marks(self) -> None:
        assert is_loose("sip:a;lr=on")
        assert not is_loose("sip:a")
        assert is_double("sip:a;r2=on;lr")
        assert not is_double("sip:a;lr")


class TestDialogCookie:
    SCRIPT = """
    #!SER 2.0
    loadmodule "sl"
    loadmodule "tm"
    loadmodule "rr"
    loadmodule "textops"
    loadmodule "xlog"
    avpflags dialog_cookie;
    modparam("rr", "cookie_filter", "(account)")
    modparam("rr", "cookie_secret", "hush")
    route {
        if (loose_route()) {
            if ($f.account) { append_hf("P-From: %$f.account\\r\\n"); }
            if ($t.account) { append_hf("P-To: %$t.account\\r\\n"); }
        } else {
            $f.account = "yes";
            $f.other = "no";
            setavpflag($f.account, "dialog_cookie");
            if (@rr.dialog_cookie) { record_route(); }
        }
        t_relay();
    }
    """

    def test_it_comes_back_in_both_directions(self, network: Network) -> None:
        proxy = network.server(self.SCRIPT)
        bob = network.user_agent("bob", "192.0.2.77:5060")
        bob.answers()
        alice = network.user_agent("alice", proxy=proxy)
        call = alice.invite(bob.contact)
        network.run(1)
        assert ";avp=" in bob.call.invite.headers("Record-Route")[0]
        call.request("INFO")
        bob.call.request("INFO")
        network.run(1)
        assert bob.requests[-1].header("P-From") == "yes"
        assert bob.requests[-1].header("P-To") is None
        assert alice.requests[-1].header("P-To") == "yes"
        assert alice.requests[-1].header("P-From") is None

    def test_a_forged_one_is_ignored(self, network: Network) -> None:
        proxy = network.server(self.SCRIPT)
        bob = network.user_agent("bob", "192.0.2.77:5060")
        alice = network.user_agent("alice", proxy=proxy)
        forged = CookieJar("guess").bake([Stored(Track.FROM, Scope.URI, "account", "yes")])
        alice.request("OPTIONS", bob.contact, routes=[f"<sip:10.0.0.1;avp={forged};lr>"])
        network.run(1)
        assert bob.requests[0].header("P-From") is None


class TestCookie:
    STORED = (
        Stored(Track.FROM, Scope.USER, "account", "yes"),
        Stored(Track.TO, Scope.URI, "count", 42),
    )

    def test_round_trip(self) -> None:
        jar = CookieJar("secret")
        assert jar.open(jar.bake(self.STORED)) == list(self.STORED)
        assert jar.bake(()) == ""

    def test_another_secret_opens_nothing(self) -> None:
        assert CookieJar("other").open(CookieJar("secret").bake(self.STORED)) == []

    def test_every_changed_byte_is_noticed(self) -> None:
        jar = CookieJar("secret")
        text = jar.bake(self.STORED)
        raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        for position in range(len(raw)):
            changed = raw.copy()
            changed[position] ^= 1
            assert jar.open(base64.urlsafe_b64encode(changed).decode().rstrip("=")) == []

    @pytest.mark.parametrize("text", ["", "A", "!!!!", "é", "A" * 5000, "AAAA"])
    def test_rubbish_is_ignored(self, text: str) -> None:
        assert CookieJar("secret").open(text) == []

    def test_too_much_makes_no_cookie(self) -> None:
        assert CookieJar("secret").bake([Stored(Track.FROM, Scope.URI, "x", "y" * 3000)]) == ""
