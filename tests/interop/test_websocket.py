"""SIP over WebSocket (RFC 7118): registration, calls with phones on UDP, keep-alives, and what must be
refused (attack N4)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from certificates import Authority
from interop.processes import Exchange, Router, free_port, status
from interop.sipp import Sipp
from interop.websocket import BINARY, CLOSE, PING, PONG, TEXT, WebSocketClient

ORIGIN = "https://phone.example.com"
SESSION = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
)
Serve = Callable[..., "Served"]


class Served:
    """The server with its ports."""

    def __init__(self, start: Callable[..., Router], folder: Path, **words: str) -> None:
        self.clients: list[WebSocketClient] = []
        authority = Authority(folder)
        certificate = authority.issue("server.pem", "localhost", "localhost")
        config = folder / "tls.cfg"
        config.write_text(f'[server:default]\ncertificate="{certificate}"\nprivate_key="{certificate}"\n')
        self.ws, self.wss = free_port(), free_port()
        defaults = {"IDLE": "120", "ORIGINS": "", "CTL": str(folder / "ctl"), "CONFIG": str(config)}
        self.router = start("browser", WS=str(self.ws), WSS=str(self.wss), **{**defaults, **words})

    def client(self, *, secure: bool = False, **options: Any) -> WebSocketClient:
        port = self.wss if secure else self.ws
        self.clients.append(WebSocketClient(port, secure=secure, **options))
        return self.clients[-1]


@pytest.fixture
def serve(start_router: Callable[..., Router], tmp_path: Path) -> Iterator[Serve]:
    started: list[Served] = []

    def start(**words: str) -> Served:
        started.append(Served(start_router, tmp_path, **words))
        return started[-1]

    yield start
    for one in started:
        for client in one.clients:
            client.close()


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve()


def request(method: str, uri: str, *lines: str, number: int = 1, transport: str = "WS") -> bytes:
    text = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/{transport} df7jal23ls0d.invalid;branch=z9hG4bK{method}{number}",
        "Max-Forwards: 70",
        "From: <sip:bob@127.0.0.1>;tag=b",
        "To: <sip:bob@127.0.0.1>",
        f"Call-ID: {number}@browser",
        f"CSeq: {number} {method}",
        *lines,
        "Content-Length: 0",
    ]
    return ("\r\n".join(text) + "\r\n\r\n").encode()


def register(client: WebSocketClient) -> None:
    contact = "Contact: <sip:bob@df7jal23ls0d.invalid;transport=ws>"
    client.send(request("REGISTER", "sip:127.0.0.1", contact))
    answer = client.receive()
    assert answer is not None
    assert status(answer[1]) == 200


def header_lines(message: bytes, *names: bytes) -> list[bytes]:
    lines = message.split(b"\r\n\r\n")[0].split(b"\r\n")
    return [line for line in lines if line.split(b":")[0].lower() in names]


class Phone(threading.Thread):
    """A phone in a browser: answers a call, and waits for its end or ends it itself."""

    def __init__(self, client: WebSocketClient, *, hangs_up: bool = False) -> None:
        super().__init__(daemon=True)
        self.client, self.hangs_up = client, hangs_up
        self.seen: list[str] = []

    def run(self) -> None:
        while (found := self.client.receive(10)) is not None:
            message = found[1]
            self.seen.append(message.split()[0].decode())
            if message.startswith(b"INVITE"):
                self._reply(message, b"180 Ringing")
                self._reply(message, b"200 OK", SESSION)
            elif message.startswith(b"BYE"):
                self._reply(message, b"200 OK")
                return
            elif message.startswith(b"SIP/2.0 200"):
                return
            elif message.startswith(b"ACK") and self.hangs_up:
                self._bye()

    def _reply(self, message: bytes, line: bytes, body: bytes = b"") -> None:
        lines = header_lines(message, b"via", b"from", b"call-id", b"cseq", b"record-route")
        to = header_lines(message, b"to")[0]
        to += b"" if b";tag=" in to else b";tag=browser"
        if message.startswith(b"INVITE"):
            self.invite, self.to = message, to
        content = [b"Content-Type: application/sdp"] if body else []
        contact = b"Contact: <sip:bob@df7jal23ls0d.invalid;transport=ws>"
        head = [b"SIP/2.0 " + line, *lines, to, contact, *content, b"Content-Length: %d" % len(body)]
        self.client.send(b"\r\n".join(head) + b"\r\n\r\n" + body)

    def _bye(self) -> None:
        uri = header_lines(self.invite, b"contact")[0].partition(b"<")[2].partition(b">")[0]
        routes = [
            line.replace(b"Record-Route", b"Route") for line in header_lines(self.invite, b"record-route")
        ]
        head = [
            b"BYE " + uri + b" SIP/2.0",
            b"Via: SIP/2.0/WS df7jal23ls0d.invalid;branch=z9hG4bKbye",
            b"Max-Forwards: 70",
            *routes,
            b"From" + self.to[2:],
            b"To" + header_lines(self.invite, b"from")[0][4:],
            header_lines(self.invite, b"call-id")[0],
            b"CSeq: 7 BYE",
            b"Content-Length: 0",
        ]
        self.client.send(b"\r\n".join(head) + b"\r\n\r\n")


@pytest.mark.parametrize("secure", [False, True])
def test_the_handshake_and_a_request(served: Served, secure: bool) -> None:
    client = served.client(secure=secure, protocol="chat, SIP")
    assert client.status == 101
    assert b"sec-websocket-protocol: sip" in client.answer.lower()
    client.send(request("OPTIONS", f"sip:127.0.0.1:{served.ws}", transport="WSS" if secure else "WS"))
    answer = client.receive()
    assert answer is not None
    assert answer[0] == TEXT
    assert status(answer[1]) == 200
    assert (b"x-proto: wss\r\n" if secure else b"x-proto: ws\r\n") in answer[1].lower()


def test_a_call_over_ipv6(served: Served, sipp: Callable[..., Sipp]) -> None:
    client = served.client(host="::1")
    register(client)
    phone = Phone(client)
    phone.start()
    sipp("uac_call", served.router.port, free_port(), count=1, users="bob;alice;").finish()
    phone.join(10)
    assert phone.seen == ["INVITE", "ACK", "BYE"]


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    ("hangs_up", "caller"), [(False, "uac_call"), (True, "uac_waits_for_bye")], ids=["it is ended", "it ends"]
)
def test_calls_from_a_phone_on_udp(
    served: Served, sipp: Callable[..., Sipp], secure: bool, hangs_up: bool, caller: str
) -> None:
    client = served.client(secure=secure)
    register(client)
    phone = Phone(client, hangs_up=hangs_up)
    phone.start()
    sipp(caller, served.router.port, free_port(), count=1, users="bob;alice;").finish()
    phone.join(10)
    assert phone.seen == ["INVITE", "ACK", "SIP/2.0" if hangs_up else "BYE"]


def test_a_binding_ends_with_its_connection(served: Served) -> None:
    client = served.client()
    register(client)
    with Exchange(served.router.port) as other:
        client.close()
        for _ in range(50):
            if status(other.ask("MESSAGE", "sip:bob@127.0.0.1", seconds=1)) == 404:
                return
    raise AssertionError("the binding is still there")


def test_a_body_that_is_no_text_goes_as_bytes(served: Served) -> None:
    client = served.client()
    register(client)
    for body, opcode in ((b"\xff\xfe", BINARY), (b"hello", TEXT)):
        with Exchange(served.router.port) as other:
            text = body.decode(errors="surrogateescape")
            other.send(other.request("MESSAGE", "sip:bob@127.0.0.1", body=text))
            found = client.receive()
        assert found is not None
        assert found[0] == opcode
        assert found[1].endswith(b"\r\n\r\n" + body)


def test_keep_alives_of_either_kind(served: Served) -> None:
    client = served.client()
    client.send(b"\r\n\r\n")
    assert client.receive() == (TEXT, b"\r\n")
    client.send(b"there?", PING)
    assert client.receive() == (PONG, b"there?")


def test_who_answers_pings_stays_and_others_go(serve: Serve) -> None:
    served = serve(IDLE="1")
    lively, dead = served.client(), served.client()
    register(lively)
    dead.send(request("OPTIONS", f"sip:127.0.0.1:{served.ws}"))
    assert dead.receive() is not None
    for _ in range(3):
        found = lively.receive(5)
        assert found is not None
        assert found[0] == PING
        lively.send(found[1], PONG)
    assert dead.is_closed(12)
    lively.send(b"\r\n\r\n")
    assert lively.receive() is not None


def test_a_message_in_fragments_with_a_ping_between(served: Served) -> None:
    client = served.client()
    data = request("OPTIONS", f"sip:127.0.0.1:{served.ws}")
    client.socket.sendall(
        client.frame(data[:30], is_last=False) + client.frame(b"", PING) + client.frame(data[30:], 0)
    )
    found = [client.receive(), client.receive()]
    assert sorted(one[0] for one in found if one is not None) == [TEXT, PONG]


def test_a_goodbye_is_answered(served: Served) -> None:
    client = served.client()
    client.send(b"\x03\xe8", CLOSE)
    found = client.receive()
    assert found is not None
    assert found[0] == CLOSE
    assert client.is_closed()


REFUSED = {
    "no protocol": ({"protocol": ""}, 400),
    "another protocol": ({"protocol": "mqtt"}, 400),
    "another page": ({"origin": "https://evil.example"}, 403),
    "a page whose name begins alike": ({"origin": ORIGIN + ".evil.example"}, 403),
}


@pytest.mark.parametrize(("options", "expected"), REFUSED.values(), ids=REFUSED.keys())
def test_handshakes_that_are_refused(serve: Serve, options: dict[str, str], expected: int) -> None:
    served = serve(ORIGINS=f"{ORIGIN}, https://other.example")
    client = served.client(**options)
    assert client.status == expected
    assert client.is_closed()
    assert served.client().status == 101
    assert served.client(origin="").status == 101


def evil(client: WebSocketClient) -> dict[str, bytes]:
    options = request("OPTIONS", "sip:127.0.0.1")
    return {
        "unmasked": client.frame(options, is_masked=False),
        "a giant length": b"\x81\xff" + b"\x7f" + b"\xff" * 7 + bytes(4),
        "compressed though nobody agreed": client.frame(options, rsv=4),
        "an opcode nobody knows": client.frame(options, 3),
        "a fragment that continues nothing": client.frame(options, 0),
        "a ping in fragments": client.frame(b"", PING, is_last=False),
        "a ping too long": client.frame(b"x" * 200, PING),
        "text that is none": client.frame(b"\xff\xfe", TEXT),
        "no SIP": client.frame(b"{}"),
    }


def test_frames_that_end_the_connection_and_nothing_else(served: Served) -> None:
    good = served.client()
    register(good)
    for name, data in evil(good).items():
        client = served.client()
        client.socket.sendall(data)
        assert client.is_closed(5), name
    good.send(request("OPTIONS", f"sip:127.0.0.1:{served.ws}", number=2))
    assert good.receive() is not None


def test_who_pings_without_reading_is_cut(served: Served) -> None:
    client = served.client()
    client.socket.settimeout(20)
    pings = client.frame(bytes(125), PING) * 1_000
    with pytest.raises(ConnectionError):
        client.socket.sendall(pings * 800)  # 100 MB, far more than the buffers of both hold
    assert served.router.ping() < 1


def test_who_never_sends_a_whole_message_is_cut(served: Served) -> None:
    silent, endless = served.client(), served.client()
    endless.socket.sendall(b"\x81\xfe\x10\x00")  # a frame's head, and never its body
    assert silent.is_closed(15)
    assert endless.is_closed(15)
    assert served.router.ping() < 1
