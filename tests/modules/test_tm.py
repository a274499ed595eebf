"""tm: what scripts say about transactions (ser-semantics §6, §7)."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from sipyard.management.registry import RpcFault
from sipyard.testing import CallFlow, Network, SipServer, UserAgent

HEAD = """
#!SER 2.0
loadmodule "sl"
loadmodule "tm"
loadmodule "textops"
"""


def proxied(network: Network, script: str, parameters: str = "") -> tuple[SipServer, UserAgent, UserAgent]:
    """A server with these blocks, Alice behind it and Bob at 192.0.2.77."""
    proxy = network.server(f"{HEAD}{parameters}\n{script}\n")
    bob = network.user_agent("bob", "192.0.2.77:5060")
    return proxy, network.user_agent("alice", "192.0.2.1:5060", proxy=proxy), bob


def reasons(network: Network, status: int) -> int:
    """How many different answers of this status the proxy sent to Alice (copies count once)."""
    wanted = f"SIP/2.0 {status} ".encode()
    return len(
        {
            packet.data
            for packet in network.trace
            if packet.source == "proxy" and packet.destination == "alice" and packet.data.startswith(wanted)
        }
    )


class TestRelay:
    def test_call(self, network: Network) -> None:
        proxy, alice, bob = proxied(network, "route { t_relay(); }")
        bob.answers(after=1)
        call = alice.invite(bob.contact)
        network.run(3)
        assert call.is_answered
        assert reasons(network, 100) == 1
        call.hang_up()
        network.run(60)
        assert proxy.live["transactions"] == 0
        assert proxy.engine.states == {}

    def test_unresolvable_is_answered_by_the_transaction(self, network: Network) -> None:
        _, alice, _ = proxied(network, "route { t_relay(); }")
        call = alice.invite("sip:bob@nowhere.invalid")
        network.run(2)
        assert call.status == 478
        assert call.response is not None
        assert call.response.reason == "Unresolvable destination (478/TM)"

    def test_a_name_is_resolved_while_retransmissions_are_absorbed(self, network: Network) -> None:
        proxy, alice, bob = proxied(network, "route { t_relay(); }")
        network.name("biloxi.example.com", bob)
        call = alice.invite("sip:bob@biloxi.example.com")
        network.run(2)
        assert call.status == 180
        assert len(bob.calls) == 1
        assert proxy.engine.is_idle

    @pytest.mark.parametrize(
        "relay",
        [
            't_relay_to_udp("192.0.2.77", "5060")',
            't_relay_to("udp", "192.0.2.77:5060")',
            't_newtran(); t_forward_nonack("192.0.2.77", "5060")',
            't_newtran(); t_forward_nonack_udp("192.0.2.77", "5060")',
            't_newtran(); t_forward_nonack_to("udp", "192.0.2.77")',
            'rewritehostport("192.0.2.77:5060"); t_newtran(); t_forward_nonack_uri()',
            'rewritehost("192.0.2.77"); t_relay()',
        ],
    )
    def test_fixed_destinations(self, network: Network, relay: str) -> None:
        _, alice, bob = proxied(network, f"route {{ {relay}; }}")
        outcome = alice.request("OPTIONS", "sip:bob@198.51.100.200")
        network.run(1)
        assert outcome.status == 200
        assert len(bob.requests) == 1

    def test_forwarding_without_a_transaction_does_nothing(self, network: Network) -> None:
        script = 'route { if (!t_forward_nonack_uri()) { sl_reply("500", "No transaction"); } }'
        _, alice, bob = proxied(network, script)
        outcome = alice.request("OPTIONS", bob.contact)
        network.run(1)
        assert outcome.status == 500
        assert bob.requests == []

    def test_replication_absorbs_the_answers(self, network: Network) -> None:
        script = 'route { sl_reply("200", "Saved"); t_replicate("192.0.2.77", "5060"); }'
        proxy, alice, bob = proxied(network, script)
        outcome = alice.register()
        network.run(2)
        assert outcome.status == 200
        assert [request.method for request in bob.requests] == ["REGISTER"]
        assert bob.requests[0].header("Contact") == f"<{alice.contact}>"
        assert len(outcome.responses) == 1
        network.run(60)
        assert proxy.live["clients"] == 0

    def test_ack_of_a_2xx_is_forwarded_and_of_a_refusal_absorbed(self, network: Network) -> None:
        _, alice, bob = proxied(network, "route { t_relay(); }")
        bob.rejects(486)
        flow = CallFlow(network, alice, network.nodes["proxy"], bob)
        alice.invite(bob.contact)
        flow.expect("""
            alice -> proxy  INVITE
            {
              proxy -> alice  100
              proxy -> bob    INVITE
            }
            bob -> proxy    486
            {
              proxy -> bob    ACK
              proxy -> alice  486
            }
            alice -> proxy  ACK
        """)
        flow.expect_nothing(1)


class TestFork:
    SCRIPT = """
    route {
        seturi("sip:bob@192.0.2.77");
        append_branch("sip:carol@192.0.2.78", "0.5");
        t_relay();
    }
    """

    def test_first_2xx_wins_and_the_others_are_cancelled(self, network: Network) -> None:
        _, alice, bob = proxied(network, self.SCRIPT)
        carol = network.user_agent("carol", "192.0.2.78:5060")
        carol.answers(after=1)
        call = alice.invite("sip:x@10.0.0.1")
        network.run(3)
        assert call.is_answered
        assert bob.call.is_over
        assert sum(dialog.is_confirmed for dialog in call.dialogs) == 1

    def test_best_refusal_wins(self, network: Network) -> None:
        _, alice, bob = proxied(network, self.SCRIPT)
        carol = network.user_agent("carol", "192.0.2.78:5060")
        bob.rejects(486)
        carol.rejects(603)
        call = alice.invite("sip:x@10.0.0.1")
        network.run(3)
        assert call.status == 603

    def test_more_than_twelve_branches_are_refused(self, network: Network) -> None:
        more = "".join(f'append_branch("sip:b{n}@192.0.2.77");' for n in range(14))
        script = f'route {{ {more} if (!append_branch("sip:z@192.0.2.77")) {{ sl_reply_error(); }} }}'
        _, alice, _ = proxied(network, script)
        call = alice.invite("sip:x@10.0.0.1")
        network.run(1)
        assert call.response is not None
        assert call.response.reason == "Forking capacity exceeded (12/SL)"


class TestFailureRoute:
    def test_serial_forking_with_rearming(self, network: Network) -> None:
        script = """
        route { t_on_failure("FIRST"); t_relay(); }
        failure_route[FIRST] {
            if (t_check_status("486|480")) {
                t_on_failure("SECOND");
                append_branch("sip:carol@192.0.2.78");
                t_relay();
            }
        }
        failure_route[SECOND] {
            if (t_check_status("603")) { t_reply("404", "Nobody"); }
        }
        """
        proxy, alice, bob = proxied(network, script)
        carol = network.user_agent("carol", "192.0.2.78:5060")
        bob.rejects(486)
        carol.rejects(603)
        call = alice.invite(bob.contact)
        network.run(3)
        assert len(carol.calls) == 1
        assert call.status == 404
        network.run(60)
        assert proxy.engine.states == {}

    def test_the_picked_reply_goes_up_when_the_route_does_nothing(self, network: Network) -> None:
        script = 'route { t_on_failure("F"); t_relay(); } failure_route[F] { log(4, "nothing"); }'
        _, alice, bob = proxied(network, script)
        bob.rejects(486)
        call = alice.invite(bob.contact)
        network.run(2)
        assert call.status == 486

    def test_relay_without_a_new_branch_fails(self, network: Network) -> None:
        script = 'route { t_on_failure("F"); t_relay(); } failure_route[F] { t_relay(); }'
        _, alice, bob = proxied(network, script)
        bob.rejects(486)
        call = alice.invite(bob.contact)
        network.run(2)
        assert call.status == 486
        assert len(bob.calls) == 1

    def test_it_sees_the_stored_request(self, network: Network) -> None:
        """Flags and edits of the request route are there; the Request-URI is the one relayed to."""
        script = """
        route {
            setflag(3);
            append_hf("P-Mark: main\\r\\n");
            rewriteuser("robert");
            t_on_failure("F");
            t_relay();
        }
        failure_route[F] {
            if (isflagset(3) && uri =~ "sip:robert@") {
                prefix("again-");
                rewritehost("192.0.2.78");
                append_branch();
                append_hf("P-Mark: failure\\r\\n");
                t_relay();
            }
        }
        """
        _, alice, bob = proxied(network, script)
        bob.rejects(486)
        carol = network.user_agent("carol", "192.0.2.78:5060")
        alice.invite(bob.contact)
        network.run(3)
        seen = [(call.invite.request_uri, call.invite.headers("P-Mark")) for call in (bob.call, carol.call)]
        assert seen == [
            ("sip:robert@192.0.2.77", ["main"]),
            ("sip:again-robert@192.0.2.78", ["main", "failure"]),
        ]

    def test_facts_about_a_timeout(self, network: Network) -> None:
        script = """
        route { t_set_fr("0", "2000"); t_on_failure("F"); t_relay(); }
        failure_route[F] {
            if (t_branch_timeout() && t_any_timeout() && !t_branch_replied() && !t_any_replied()
                && t_check_status("408") && !t_is_canceled()) {
                t_reply("404", "Silent");
            }
        }
        """
        _, alice, bob = proxied(network, script)
        bob.ignores()
        call = alice.invite(bob.contact)
        network.run(1.5)
        assert call.status == 100
        network.run(1.5)
        assert call.status == 404


class TestOtherRoutes:
    def test_named_onreply_route_changes_every_reply(self, network: Network) -> None:
        script = """
        route { t_on_reply("R"); t_relay(); }
        onreply_route[R] {
            if (status =~ "(180)|(200)") { append_hf("P-Seen: yes\\r\\n"); }
        }
        """
        _, alice, bob = proxied(network, script)
        bob.answers(after=1)
        call = alice.invite(bob.contact)
        network.run(2)
        assert call.response is not None
        assert call.response.header("P-Seen") == "yes"

    def test_unnamed_onreply_route_can_drop(self, network: Network) -> None:
        script = """
        route { t_relay(); }
        onreply_route { if (status == "180") { drop; } }
        """
        _, alice, bob = proxied(network, script)
        bob.answers(after=1)
        call = alice.invite(bob.contact)
        network.run(0.5)
        assert call.status == 100
        network.run(2)
        assert call.is_answered
        assert reasons(network, 180) == 0

    def test_branch_route_edits_its_own_branch(self, network: Network) -> None:
        script = """
        route {
            seturi("sip:bob@192.0.2.77");
            append_branch("sip:carol@192.0.2.78");
            t_on_branch("B");
            t_relay();
        }
        branch_route[B] {
            if (uri =~ "carol") { append_hf("P-Branch: carol\\r\\n"); }
        }
        """
        _, alice, bob = proxied(network, script)
        carol = network.user_agent("carol", "192.0.2.78:5060")
        alice.invite("sip:x@10.0.0.1")
        network.run(1)
        assert carol.call.invite.header("P-Branch") == "carol"
        assert bob.call.invite.header("P-Branch") is None

    def test_onsend_route_refuses_a_destination(self, network: Network) -> None:
        script = """
        route { t_relay(); }
        onsend_route { if (to_ip == 192.0.2.77) { drop; } }
        """
        _, alice, bob = proxied(network, script)
        call = alice.invite(bob.contact)
        network.run(1)
        assert call.status == 477
        assert bob.calls == []


class TestCancel:
    def test_while_ringing(self, network: Network) -> None:
        proxy, alice, bob = proxied(network, "route { t_relay(); }")
        call = alice.invite(bob.contact)
        call.cancel(after=1)
        network.run(3)
        assert call.status == 487
        assert bob.call.is_over
        network.run(60)
        assert proxy.live["transactions"] == 0

    def test_lookup(self, network: Network) -> None:
        script = """
        route {
            if (method == "CANCEL" && !t_lookup_cancel()) {
                sl_reply("481", "No such call");
                drop;
            }
            t_relay();
        }
        """
        _, alice, bob = proxied(network, script)
        cancel = alice.compose("INVITE", bob.contact).cancel()
        alice.send(cancel.to_bytes(), network.nodes["proxy"].address)
        network.run(1)
        assert [stray.status for stray in alice.strays] == [481]


class TestTransaction:
    def test_reply(self, network: Network) -> None:
        script = 'route { t_newtran(); t_reply("404", "Gone fishing"); }'
        proxy, alice, _ = proxied(network, script)
        call = alice.invite("sip:x@10.0.0.1")
        network.run(1)
        assert call.status == 404
        network.run(60)
        assert proxy.live["transactions"] == 0

    def test_one_that_nobody_used_is_released(
        self, network: Network, caplog: pytest.LogCaptureFixture
    ) -> None:
        proxy, alice, _ = proxied(network, "route { t_newtran(); }")
        alice.request("OPTIONS", "sip:x@10.0.0.1")
        network.run(0.1)
        assert "script writer didn't release transaction" in caplog.text
        assert proxy.live["transactions"] == 0

    def test_released_by_the_script(self, network: Network, caplog: pytest.LogCaptureFixture) -> None:
        proxy, alice, _ = proxied(network, "route { t_newtran(); t_release(); }")
        alice.request("OPTIONS", "sip:x@10.0.0.1")
        network.run(0.1)
        assert "release" not in caplog.text
        assert proxy.live["transactions"] == 0

    def test_reply_needs_a_transaction(self, network: Network) -> None:
        script = 'route { if (!t_reply("404", "x")) { sl_reply("500", "No transaction"); } }'
        _, alice, _ = proxied(network, script)
        outcome = alice.request("OPTIONS", "sip:x@10.0.0.1")
        network.run(1)
        assert outcome.status == 500

    def test_lookup_request(self, network: Network) -> None:
        script = """
        route {
            if (t_lookup_request()) { sl_reply("500", "Early"); drop; }
            t_newtran();
            if (t_lookup_request()) { t_reply("200", "There"); }
        }
        """
        _, alice, _ = proxied(network, script)
        outcome = alice.request("OPTIONS", "sip:x@10.0.0.1")
        network.run(1)
        assert outcome.status == 200


class TestTimers:
    def test_attribute_in_seconds(self, network: Network) -> None:
        script = "route { $t.patience = 3; t_relay(); }"
        _, alice, bob = proxied(network, script, 'modparam("tm", "fr_inv_timer_avp", "patience")')
        call = alice.invite(bob.contact)
        network.run(2)
        assert call.status == 180
        network.run(2)
        assert call.status == 408

    @pytest.mark.parametrize("parameter", ['modparam("tm", "fr_inv_timer", 4000)'])
    def test_parameter(self, network: Network, parameter: str) -> None:
        _, alice, bob = proxied(network, "route { t_relay(); }", parameter)
        call = alice.invite(bob.contact)
        network.run(3)
        assert call.status == 180
        network.run(2)
        assert call.status == 408


class TestExternalApplication:
    def test_unix_socket_and_reply(self, network: Network, tmp_path: Path) -> None:
        path = str(tmp_path / "app")
        parameters = 'modparam("tm", "tw_append", "more:ua=hdr[P-Kind];msg[body]")'
        script = f'route {{ t_newtran(); if (!t_write_unix("{path}", "vm/more")) {{ sl_reply_error(); }} }}'
        proxy, alice, _ = proxied(network, script, parameters)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as reader:
            reader.bind(path)
            reader.setblocking(False)
            call = alice.invite("sip:bob@10.0.0.1", headers=("P-Kind: test",))
            network.run(1)
            lines = reader.recv(65536).decode().split("\n")
        assert lines[:5] == ["0.3", "sip_request.vm", "INVITE", "bob", "10.0.0.1"]
        assert lines[7:9] == ["sip:bob@10.0.0.1", alice.contact]
        assert lines[15].endswith(":0")
        assert lines[18:21] == ["P-MsgFlags: 0", "ua: test", "."]
        proxy.rpc("tm.reply", 404, "Nobody", lines[15], "apptag", "P-From: app", "")
        network.run(1)
        assert call.status == 404
        assert call.response is not None
        assert call.response.to_tag == "apptag"
        assert call.response.header("P-From") == "app"

    def test_silent_application(self, network: Network, tmp_path: Path) -> None:
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo)
        assert stat.S_ISFIFO(fifo.stat().st_mode)
        script = f'route {{ t_newtran(); t_write_req("{fifo}", "vm"); }}'
        _, alice, _ = proxied(network, script, 'modparam("tm", "fr_timer", 5000)')
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        try:
            call = alice.invite("sip:bob@10.0.0.1")
            network.run(6)
            assert os.read(reader, 65536).startswith(b"0.3\nsip_request.vm\nINVITE\n")
        finally:
            os.close(reader)
        assert call.status == 408

    def test_nobody_reads(self, network: Network, tmp_path: Path) -> None:
        script = (
            f'route {{ t_newtran(); if (!t_write_unix("{tmp_path}/no", "vm")) {{ t_reply("503", "x"); }} }}'
        )
        _, alice, _ = proxied(network, script)
        call = alice.invite("sip:bob@10.0.0.1")
        network.run(1)
        assert call.status == 503


class TestCommands:
    def test_cancel(self, network: Network) -> None:
        proxy, alice, bob = proxied(network, "route { t_relay(); }")
        call = alice.invite(bob.contact)
        network.run(1)
        invite = bob.call.invite
        text = proxy.rpc("tm.cancel", invite.call_id, str(invite.cseq_number))
        assert text == "1 branches remaining (waiting for timeout)"
        network.run(1)
        assert call.status == 487

    def test_cancel_of_nothing(self, network: Network) -> None:
        proxy, _, _ = proxied(network, "route { t_relay(); }")
        with pytest.raises(RpcFault, match="400"):
            proxy.rpc("tm.cancel", "none@such", "1")

    def test_stats(self, network: Network) -> None:
        proxy, alice, bob = proxied(network, "route { t_relay(); }")
        bob.rejects(486)
        alice.invite(bob.contact)
        network.run(1)
        stats = proxy.rpc("tm.stats")
        assert stats["current"] == 1
        assert stats["total"] == 1
        assert stats["4xx"] == 1

    def test_originating_a_request(self, network: Network) -> None:
        proxy, _, bob = proxied(network, "route { t_relay(); }")
        lines = proxy.rpc("t_uac_dlg", "OPTIONS", bob.contact, ".", "From: <sip:me@10.0.0.1>\r\n", "")
        assert lines[0].startswith("200 ")
        assert [request.method for request in bob.requests] == ["OPTIONS"]

    def test_originating_a_call(self, network: Network) -> None:
        """The 2xx is acknowledged: nobody else would do it."""
        proxy, _, bob = proxied(network, "route { t_relay(); }")
        bob.answers()
        headers = "From: <sip:me@10.0.0.1>\r\nContact: <sip:me@10.0.0.1>\r\n"
        assert proxy.rpc("t_uac_dlg", "INVITE", bob.contact, ".", headers, "")[0].startswith("200 ")
        network.run(3)
        acks = [packet for packet in network.trace if packet.data.startswith(b"ACK ")]
        assert [packet.destination for packet in acks] == ["bob"]
        assert bob.call.is_answered
