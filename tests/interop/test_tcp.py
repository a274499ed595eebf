"""Calls over TCP, and between TCP and UDP, with sipp and baresip; a phone that is switched off."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from interop.baresip import Baresip
from interop.processes import HERE, Exchange, Router, free_port, status
from interop.sipp import Sipp

Start = Callable[..., Sipp]
ONE, EACH = "t1", "tn"
"""sipp's one connection for all calls, and one for each."""


def register(router: Router, user: str, contact: str) -> None:
    aor, domain = f"sip:{user}@127.0.0.1:{router.port}", f"sip:127.0.0.1:{router.port}"
    with Exchange(router.port) as own:
        text = own.request("REGISTER", aor, f"Contact: <{contact}>;expires=600")
        own.send(text.replace(f"REGISTER {aor}".encode(), f"REGISTER {domain}".encode()))
        assert status(own.receive(2)) == 200


@pytest.mark.parametrize(("caller", "callee"), [(ONE, ONE), (EACH, ONE), (ONE, "u1"), ("u1", ONE)])
def test_calls(router: Router, sipp: Start, caller: str, callee: str) -> None:
    port = free_port()
    parameter = "" if callee == "u1" else ";transport=tcp"
    register(router, "u0", f"sip:u0@127.0.0.1:{port}{parameter}")
    answering = sipp("uas_answer", router.port, port, count=50, transport=callee)
    calling = sipp(
        "uac_call", router.port, free_port(), count=50, rate=50, users="u0;caller0;", transport=caller
    )
    calling.finish()
    answering.finish()


def test_a_callee_who_is_not_there_costs_no_time(router: Router) -> None:
    register(router, "u0", f"sip:u0@127.0.0.1:{free_port()};transport=tcp")
    with Exchange(router.port) as own:
        own.send(own.request("OPTIONS", f"sip:u0@127.0.0.1:{router.port}"))
        assert status(own.receive(2)) == 503


def test_phones(router: Router, phone: Callable[..., Baresip]) -> None:
    """Their contacts name ports where they listen, their connections come from others."""
    alice, bob = (phone(name, router.port, transport="tcp") for name in ("alice", "bob"))
    alice.registered()
    bob.registered()
    alice.tell("dial", f"sip:bob@127.0.0.1:{router.port}")
    bob.wait_for("CALL_INCOMING")
    bob.tell("accept")
    alice.wait_for("CALL_ESTABLISHED")
    bob.wait_for("CALL_ESTABLISHED")
    bob.tell("hangup")
    alice.wait_for("CALL_CLOSED")


def test_a_reply_finds_a_caller_whose_connection_broke(router: Router) -> None:
    """RFC 3261 §18.2.2: to the port of the Via, by a new connection."""
    with socket.create_server(("127.0.0.1", 0)) as own, socket.create_server(("127.0.0.1", 0)) as callee:
        register(router, "u0", f"sip:u0@127.0.0.1:{callee.getsockname()[1]};transport=tcp")
        own.settimeout(10)
        callee.settimeout(10)
        request = (
            f"OPTIONS sip:u0@127.0.0.1:{router.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/TCP 127.0.0.1:{own.getsockname()[1]};branch=z9hG4bKbroken\r\n"
            "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:u0@127.0.0.1>\r\nCall-ID: broken\r\n"
            "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", router.port)) as breaking:
            breaking.sendall(request.encode())
            server_side, _ = callee.accept()
            relayed = server_side.recv(65536).decode()
        head = [
            line
            for line in relayed.split("\r\n")
            if line.startswith(("Via", "From", "To", "Call-ID", "CSeq"))
        ]
        answer = "\r\n".join(["SIP/2.0 200 OK", *head, "Content-Length: 0", "", ""])
        server_side.sendall(answer.encode())
        again, _ = own.accept()
        with again, server_side:
            assert again.recv(65536).startswith(b"SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 127.0.0.1")


@pytest.mark.parametrize("listens", [True, False])
def test_large_requests_go_by_tcp_and_by_udp_if_nobody_listens(
    start_router: Callable[..., Router], tmp_path: Path, listens: bool
) -> None:
    text = (HERE / "scripts" / "router.cfg").read_text()
    script = tmp_path / "large.cfg"
    script.write_text(text.replace("debug=2", "debug=2\nudp_mtu=1300"))
    router = start_router(str(script.with_suffix("")))
    with Exchange(router.port) as caller, Exchange(router.port) as callee, contextlib.ExitStack() as stack:
        register(router, "u0", f"sip:u0@127.0.0.1:{callee.port}")
        if listens:
            server = stack.enter_context(socket.create_server(("127.0.0.1", callee.port)))
            server.settimeout(5)
        for size, is_stream in ((100, False), (1400, listens)):
            caller.send(
                caller.request("OPTIONS", f"sip:u0@127.0.0.1:{router.port}", "Subject: " + "x" * size)
            )
            if is_stream:
                accepted = stack.enter_context(server.accept()[0])
                assert b"\r\nVia: SIP/2.0/TCP 127.0.0.1" in accepted.recv(65536)
            else:
                assert b"\r\nVia: SIP/2.0/UDP 127.0.0.1" in (callee.receive(5) or b"")


class Line:
    """A phone's connection by hand."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)

    def ask(self, method: str, uri: str, *lines: str, cseq: int) -> bytes:
        """The answer to a request."""
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/TCP 192.0.2.200:5060;branch=z9hG4bKline{cseq};rport",
            "From: <sip:bob@127.0.0.1>;tag=1",
            "To: <sip:bob@127.0.0.1>",
            f"Call-ID: line{cseq}",
            f"CSeq: {cseq} {method}",
            "Max-Forwards: 70",
            *lines,
            "Content-Length: 0",
        ]
        self.socket.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
        return self.socket.recv(65536)

    def answer(self) -> bytes:
        """Answer the next request with 200; the request."""
        request = self.socket.recv(65536)
        names = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
        kept = [line for line in request.split(b"\r\n") if line.split(b":")[0] in names]
        self.socket.sendall(b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""]))
        return request


def test_a_phone_with_two_flows(router: Router) -> None:
    """RFC 5626: calls take the flow that was bound last, and the other one when that is cut."""
    instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-000A95A0E128>"'
    lines = [Line(router.port), Line(router.port)]
    for number, line in enumerate(lines, 1):
        contact = f"Contact: <sip:line1@192.0.2.200;transport=tcp>;reg-id={number};{instance}"
        answer = line.ask(
            "REGISTER",
            "sip:127.0.0.1",
            contact,
            f"Expires: {600 + number}",
            "Supported: outbound",
            cseq=number,
        )
        assert status(answer) == 200
        assert b"\r\nRequire: outbound\r\n" in answer
    uri = f"sip:bob@127.0.0.1:{router.port}"
    with Exchange(router.port) as caller:
        for line in reversed(lines):
            caller.send(caller.request("MESSAGE", uri, name=f"call{line.socket.fileno()}"))
            assert line.answer().startswith(b"MESSAGE sip:line1@192.0.2.200;transport=tcp SIP/2.0")
            assert status(caller.receive(3)) == 200
            line.socket.close()
            assert router.ping() < 1
        for _ in range(20):
            answer = caller.ask("MESSAGE", uri, seconds=1)
            if status(answer) == 404:
                return
    raise AssertionError("the bindings are still there")
