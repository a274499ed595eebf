"""RADIUS with a real FreeRADIUS: passwords, attributes, accounting; servers that are away, dead or forged."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pyrad.packet import AccessAccept, AuthPacket

from interop.freeradius import FreeRadius, silent_port
from interop.processes import Exchange, Router, status
from sipyard.radius import dictionary
from sipyard.sip.digest import answer_challenge, parse_challenge

URI = "sip:example.org"


@pytest.fixture
def radius(tmp_path: Path) -> Iterator[FreeRadius]:
    server = FreeRadius(tmp_path)
    yield server
    server.stop()


def configure(folder: Path, *servers: tuple[int, int], secret: str = "testing123", **more: object) -> str:
    """A radiusclient.conf with its file of secrets; its name."""
    lines = [f"authserver 127.0.0.1:{auth}\nacctserver 127.0.0.1:{acct}" for auth, acct in servers]
    settings = {"radius_timeout": 1, "radius_retries": 1, "radius_deadtime": 30, **more}
    lines += [f"{name} {value}" for name, value in settings.items()]
    (folder / "radiusclient.conf").write_text("\n".join([*lines, "servers secrets", ""]))
    (folder / "secrets").write_text(f"127.0.0.1 {secret}\n")
    return "radiusclient.conf"


def register(
    router: Router, password: str = "zanzibar", user: str = "bob", method: str = "REGISTER"
) -> bytes:
    """A request, and again with credentials; the second answer."""
    header = "WWW-Authenticate" if method == "REGISTER" else "Proxy-Authenticate"
    with Exchange(router.port) as phone:
        first = phone.ask(method, URI)
        assert status(first) == (401 if method == "REGISTER" else 407)
        assert first is not None
        value = first.partition(f"{header}: ".encode())[2].partition(b"\r\n")[0].decode()
        asked = parse_challenge(header, value)
        proof = answer_challenge(asked, method, URI, user, password, cnonce="c")
        answer = phone.ask(method, URI, f"{proof.header}: {proof.value}", seconds=12)
        assert answer is not None
        return answer


# -- authentication ------------------------------------------------------------------------------------------


def test_passwords_and_attributes(
    radius: FreeRadius, start_router: Callable[..., Router], tmp_path: Path
) -> None:
    router = start_router("radius", CONFIG=configure(tmp_path, (radius.auth, radius.acct)))
    answer = register(router)
    assert (status(answer), b"X-Attrs: bob-of-radius 7" in answer) == (200, True)
    assert status(register(router, "wrong")) == 401
    assert status(register(router, user="nobody")) == 401
    with Exchange(router.port) as phone:
        assert status(phone.ask("MESSAGE", "sip:alice@example.org")) == 200
        assert status(phone.ask("MESSAGE", "sip:nobody@example.org")) == 404
        assert b"X-Attrs: gold" in (phone.ask("SUBSCRIBE", URI) or b"")


def test_the_functions_of_ser_0_9(
    radius: FreeRadius, start_router: Callable[..., Router], tmp_path: Path
) -> None:
    router = start_router("radius_0_9", CONFIG=configure(tmp_path, (radius.auth, radius.acct)))
    assert register(router).startswith(b"SIP/2.0 200 May call far\r\n")
    assert status(register(router, "wrong")) == 401
    assert status(register(router, method="SUBSCRIBE")) == 200
    assert status(register(router, "wrong", method="SUBSCRIBE")) == 407
    with Exchange(router.port) as phone:
        assert status(phone.ask("MESSAGE", "sip:bob@example.org")) == 200
        assert status(phone.ask("MESSAGE", "sip:alice@example.org")) == 403
        assert status(phone.ask("INFO", "sip:bob@example.org")) == 200
        assert status(phone.ask("INFO", "sip:alice@example.org")) == 404
    call(router)
    assert [each["Acct-Status-Type"] for each in told(radius, 3)] == ["Start", "Interim-Update", "Stop"]


def test_no_server_is_a_database_error(start_router: Callable[..., Router], tmp_path: Path) -> None:
    silent, port = silent_port()
    with silent:
        router = start_router("radius", CONFIG=configure(tmp_path, (port, port), radius_retries=0))
        begun = time.monotonic()
        assert status(register(router)) == 500
        assert time.monotonic() - begun < 3
        assert router.ping() < 1


def test_the_second_server_answers_and_the_dead_one_is_asked_last(
    radius: FreeRadius, start_router: Callable[..., Router], tmp_path: Path
) -> None:
    silent, port = silent_port()
    with silent:
        config = configure(tmp_path, (port, port), (radius.auth, radius.acct))
        router = start_router("radius", CONFIG=config)
        begun = time.monotonic()
        assert status(register(router)) == 200
        first = time.monotonic() - begun
        begun = time.monotonic()
        assert status(register(router)) == 200
        assert first > 1.9
        assert time.monotonic() - begun < 1


def test_a_wrong_secret(radius: FreeRadius, start_router: Callable[..., Router], tmp_path: Path) -> None:
    """The server drops what it cannot verify; nobody gets in."""
    config = configure(tmp_path, (radius.auth, radius.acct), secret="guess", radius_retries=0)
    assert status(register(start_router("radius", CONFIG=config))) == 500


# -- answers that must not be believed -----------------------------------------------------------------------


def impostor(kind: str) -> tuple[socket.socket, int]:
    """Somebody on the way who lets everybody in, as far as he can make it look so."""
    one, port = silent_port()

    def serve() -> None:
        while True:
            try:
                data, peer = one.recvfrom(4096)
            except OSError:
                return  # closed: the test is over
            request = AuthPacket(secret=b"testing123", dict=dictionary(), packet=data)
            answer = request.CreateReply()
            answer.code = AccessAccept
            if kind == "forged":
                answer.secret = b"guess"
                answer.add_message_authenticator()
                text = answer.ReplyPacket()
            elif kind == "bare":  # CVE-2024-3596: right by MD5 alone
                head = bytes((AccessAccept, data[1])) + (20).to_bytes(2, "big")
                text = head + hashlib.md5(head + data[4:20] + b"testing123").digest()
            else:
                text = b"\x02\x00nonsense"
            one.sendto(text, peer)

    threading.Thread(target=serve, daemon=True).start()
    return one, port


@pytest.mark.parametrize("kind", ["forged", "bare", "nonsense"])
def test_answers_of_somebody_else(start_router: Callable[..., Router], tmp_path: Path, kind: str) -> None:
    one, port = impostor(kind)
    with one:
        config = configure(tmp_path, (port, port), radius_retries=0)
        assert status(register(start_router("radius", CONFIG=config))) == 500


def test_an_old_server_can_be_trusted_on_purpose(start_router: Callable[..., Router], tmp_path: Path) -> None:
    one, port = impostor("bare")
    with one:
        config = configure(tmp_path, (port, port), require_message_authenticator="no")
        assert status(register(start_router("radius", CONFIG=config))) == 200


# -- accounting ----------------------------------------------------------------------------------------------


def call(router: Router, status_line: str = "200 OK") -> None:
    """A call from one socket to another; when it is answered, a re-INVITE and a BYE."""
    with Exchange(router.port) as caller, Exchange(router.port) as callee:
        caller.send(caller.request("INVITE", f"sip:x@127.0.0.1:{callee.port}", name="call"))
        routes = ""
        answers = []
        for method in ("INVITE", "INVITE", "BYE") if status_line.startswith("200") else ("INVITE",):
            request = callee.receive(3)
            assert request is not None
            assert request.startswith(method.encode())
            lines = request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
            kept = [
                line + (b";tag=c" if line.startswith(b"To:") and b"tag=" not in line else b"")
                for line in lines
                if line.split(b":")[0] in (b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Record-Route")
            ]
            head = b"\r\n".join([b"SIP/2.0 " + status_line.encode(), *kept, b"Content-Length: 0"])
            callee.send(head + b"\r\n\r\n")
            while status(answer := caller.receive(3)) < 200:
                assert answer is not None
            assert answer is not None
            answers.append(answer)
            routes = routes or answer.partition(b"Record-Route: ")[2].partition(b"\r\n")[0].decode()
            following = {1: "INVITE", 2: "BYE"}.get(len(answers))
            if following and status_line.startswith("200"):
                text = caller.request(
                    following, f"sip:x@127.0.0.1:{callee.port}", f"Route: {routes}", name="call"
                )
                text = text.replace(b"z9hG4bKcall", b"z9hG4bKcall%d" % len(answers))
                text = text.replace(b"CSeq: 1 ", b"CSeq: %d " % (len(answers) + 1))
                text = text.replace(f"To: <sip:x@127.0.0.1:{callee.port}>".encode(), b"To: <sip:x@h>;tag=c")
                caller.send(text)


def told(radius: FreeRadius, count: int, seconds: float = 10.0) -> list[dict[str, str]]:
    """What it was told, when there is that much."""
    end = time.monotonic() + seconds
    while len(radius.detail()) < count and time.monotonic() < end:
        time.sleep(0.05)  # another program writes it
    return radius.detail()


def test_start_interim_and_stop(
    radius: FreeRadius, start_router: Callable[..., Router], tmp_path: Path
) -> None:
    router = start_router("radius", CONFIG=configure(tmp_path, (radius.auth, radius.acct)))
    call(router)
    records = told(radius, 3)
    kinds = [each["Acct-Status-Type"] for each in records]
    assert kinds == ["Start", "Interim-Update", "Stop"]
    assert {each["Acct-Session-Id"] for each in records} == {"call"}
    assert records[0]["Calling-Station-Id"] == "sip:tester@127.0.0.1"
    assert records[0]["SIP-AVP"] == "plan:gold"


def test_a_refused_call(radius: FreeRadius, start_router: Callable[..., Router], tmp_path: Path) -> None:
    router = start_router("radius", CONFIG=configure(tmp_path, (radius.auth, radius.acct)))
    call(router, "486 Busy Here")
    assert [each["Acct-Status-Type"] for each in told(radius, 1)] == ["Failed"]


def test_records_wait_for_the_server(
    radius: FreeRadius, start_router: Callable[..., Router], tmp_path: Path
) -> None:
    radius.stop()
    config = configure(tmp_path, (radius.auth, radius.acct), radius_retries=0, radius_deadtime=1)
    router = start_router("radius", CONFIG=config)
    call(router)
    assert radius.detail() == []
    radius.process = radius.start()
    records = told(radius, 3, 40)
    assert sorted(each["Acct-Status-Type"] for each in records) == ["Interim-Update", "Start", "Stop"]
    assert len(told(radius, 4, 1)) == 3
