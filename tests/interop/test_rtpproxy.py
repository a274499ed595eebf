"""Media through the real RTPProxy: sessions begin, packets flow, sessions end; relays that are away."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, free_port, status
from interop.rtpproxy import RtpProxy
from interop.sipp import Sipp

SESSION = """v=0\r
o=- 1 1 IN IP4 127.0.0.1\r
s=-\r
c=IN IP4 127.0.0.1\r
t=0 0\r
m=audio {audio} RTP/AVP 0\r
a=rtcp:{rtcp}\r
m=image 0 udptl t38\r
m=video {video} RTP/AVP 31\r
c=IN IP4 127.0.0.1\r
"""


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[RtpProxy]:
    started = RtpProxy(tmp_path)
    yield started
    started.stop()


class Media:
    """A phone's RTP port."""

    def __init__(self) -> None:
        self.socket = socket.socket(type=socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port = self.socket.getsockname()[1]

    def say(self, number: int, port: int) -> None:
        """One packet of RTP with a number in it."""
        head = bytes([0x80, 0]) + number.to_bytes(2, "big") + (160 * number).to_bytes(4, "big")
        self.socket.sendto(head + self.port.to_bytes(4, "big") + bytes(160), ("127.0.0.1", port))

    def heard(self) -> int | None:
        """The number in the next packet; None: nothing comes."""
        try:
            return int.from_bytes(self.socket.recv(2048)[2:4], "big")
        except TimeoutError:
            return None

    def __enter__(self) -> Media:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


def ports(message: bytes) -> list[int]:
    return [int(port) for port in re.findall(rb"^m=\w+ (\d+)", message, re.MULTILINE)]


def session(audio: Media, video: Media) -> str:
    return SESSION.format(audio=audio.port, rtcp=audio.port + 1, video=video.port)


def reply_to(request: bytes, line: str, body: str = "") -> bytes:
    names = (b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Record-Route")
    lines = [
        each for each in request.split(b"\r\n\r\n")[0].split(b"\r\n")[1:] if each.split(b":")[0] in names
    ]
    lines = [each + (b";tag=c" if each.startswith(b"To:") and b"tag=" not in each else b"") for each in lines]
    content = [b"Content-Type: application/sdp"] if body else []
    head = [f"SIP/2.0 {line}".encode(), *lines, *content, f"Content-Length: {len(body)}".encode()]
    return b"\r\n".join(head) + b"\r\n\r\n" + body.encode()


def exchange_packets(caller: Media, callee: Media, towards_callee: int, towards_caller: int) -> None:
    """Both speak until both have heard the other: the relay learns where they are from their packets."""
    end, heard = time.monotonic() + 5, [False, False]
    number = 0
    while not all(heard) and time.monotonic() < end:
        number += 1
        caller.say(number, towards_caller)
        callee.say(number, towards_callee)
        heard[0] |= caller.heard() is not None
        heard[1] |= callee.heard() is not None
    assert heard == [True, True]


class Call:
    """Signalling by hand, so that every byte of the descriptions is seen."""

    def __init__(self, router: Router, caller: Exchange, callee: Exchange) -> None:
        self.caller, self.callee, self.router = caller, callee, router
        self.name = f"call{time.monotonic_ns()}"

    def invite(self, body: str, *lines: str) -> bytes:
        """What the callee gets."""
        content = ["Content-Type: application/sdp", *lines] if body else list(lines)
        uri = f"sip:bob@127.0.0.1:{self.router.port}"
        self.caller.send(self.caller.request("INVITE", uri, *content, body=body, name=self.name))
        found = self.callee.receive(10)
        assert found is not None
        return found

    def answer(self, invite: bytes, body: str, line: str = "200 OK") -> bytes:
        """What the caller gets."""
        self.callee.send(reply_to(invite, line, body))
        while status(found := self.caller.receive(5)) < 180:
            assert found is not None
        assert found is not None
        return found


@pytest.fixture
def ends(start_router: Callable[..., Router]) -> Iterator[Callable[..., Call]]:
    opened: list[Exchange] = []

    def start(relays: str, flags: str = "r") -> Call:
        port = free_port()
        callee = Exchange(port)
        router = start_router("relay", RELAYS=relays, FLAGS=flags, PHONE=str(callee.port))
        caller = Exchange(router.port)
        callee.server = caller.server
        opened.extend([caller, callee])
        return Call(router, caller, callee)

    yield start
    for each in opened:
        each.socket.close()


@pytest.mark.parametrize("kind", ["udp", "unix"])
def test_packets_of_every_stream_go_both_ways(tmp_path: Path, ends: Callable[..., Call], kind: str) -> None:
    relay = RtpProxy(tmp_path, kind)
    try:
        call = ends(relay.address)
        with Media() as a1, Media() as a2, Media() as b1, Media() as b2:
            invite = call.invite(session(a1, a2))
            offered = ports(invite)
            assert offered[1] == 0
            assert offered[0] not in (a1.port, 0)
            assert offered[2] not in (a2.port, 0)
            assert f"a=rtcp:{offered[0] + 1}\r\n".encode() in invite
            assert invite.endswith(b"a=nortpproxy:yes\r\n")
            answered = ports(call.answer(invite, session(b1, b2)))
            exchange_packets(a1, b1, offered[0], answered[0])
            exchange_packets(a2, b2, offered[2], answered[2])
            assert relay.sessions() > 0
            call.caller.send(
                call.caller.request("BYE", f"sip:bob@127.0.0.1:{call.router.port}", name=call.name).replace(
                    b";branch=z9hG4bK", b";branch=z9hG4bKbye"
                )
            )
            assert (call.callee.receive(5) or b"").startswith(b"BYE ")
            assert relay.sessions() == 0
    finally:
        relay.stop()


def test_who_stands_behind_nat_is_reached_at_his_source(relay: RtpProxy, ends: Callable[..., Call]) -> None:
    """Without r the description's address is not believed."""
    call = ends(relay.address, flags="")
    with Media() as a1, Media() as a2, Media() as b1, Media() as b2:
        invite = call.invite(session(a1, a2).replace("IN IP4 127.0.0.1", "IN IP4 10.1.2.3"))
        assert b"10.1.2.3" in invite.split(b"\r\ns=")[0]  # who made the session is left alone
        assert b"c=IN IP4 127.0.0.1" in invite
        assert b"c=IN IP4 10.1.2.3" not in invite
        answered = call.answer(invite, session(b1, b2))
        exchange_packets(a1, b1, ports(invite)[0], ports(answered)[0])


def test_calls_of_real_phones(
    relay: RtpProxy, start_router: Callable[..., Router], sipp: Callable[..., Sipp]
) -> None:
    callee = free_port()
    router = start_router("relay", RELAYS=relay.address, FLAGS="", PHONE=str(callee))
    phone = sipp("uas_answer", router.port, callee, count=20)
    sipp("uac_call", router.port, free_port(), count=20, rate=20, users="bob;alice;").finish()
    phone.finish()
    assert int(relay.ask("G nsess_created")) == 20
    assert relay.sessions() == 0


UNTOUCHED = {
    "no description": "",
    "none that can be read": "v=0\r\nm=audio\r\n",
    "another relay is in use": SESSION.format(audio=1, rtcp=2, video=3) + "a=nortpproxy:yes\r\n",
    "no stream": "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n",
    "a stream without an address": "v=0\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
    "an address that is a command": "v=0\r\nc=IN IP4 1.2.3.4\x0b5\r\nm=audio 4000 RTP/AVP 0\r\n",
}


@pytest.mark.parametrize("body", UNTOUCHED.values(), ids=list(UNTOUCHED))
def test_what_stays_as_it_is(relay: RtpProxy, ends: Callable[..., Call], body: str) -> None:
    invite = ends(relay.address).invite(body)
    assert b"X-Relayed: no\r\n" in invite
    assert invite.endswith(b"\r\n\r\n" + body.encode())
    assert relay.sessions() == 0


def test_words_that_would_be_a_command_never_reach_the_relay(
    relay: RtpProxy, ends: Callable[..., Call]
) -> None:
    call = ends(relay.address)
    data = call.caller.request(
        "INVITE",
        f"sip:bob@127.0.0.1:{call.router.port}",
        "Content-Type: application/sdp",
        body=SESSION.format(audio=4000, rtcp=4001, video=4002),
        name="evil",
    )
    call.caller.send(data.replace(b"Call-ID: evil", b"Call-ID: evil 127.0.0.1 1 x;1"))
    received = call.callee.receive(3)
    assert received is None or b"X-Relayed: no\r\n" in received
    assert relay.sessions() == 0


def test_a_call_on_hold_stays_on_hold(relay: RtpProxy, ends: Callable[..., Call]) -> None:
    with Media() as audio, Media() as video:
        body = session(audio, video).replace("c=IN IP4 127.0.0.1", "c=IN IP4 0.0.0.0")
        invite = ends(relay.address).invite(body)
        assert invite.count(b"c=IN IP4 0.0.0.0\r\n") == 2
        assert ports(invite)[0] != audio.port


# -- relays that are away ------------------------------------------------------------------------------------


def test_the_second_relay_takes_the_calls_of_one_that_is_away(
    relay: RtpProxy, ends: Callable[..., Call]
) -> None:
    silent = socket.socket(type=socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    with silent:
        gone = f"udp:127.0.0.1:{silent.getsockname()[1]}"
        call = ends(f"{gone}=100000 {relay.address}")
        with Media() as audio, Media() as video:
            begun = time.monotonic()
            assert ports(call.invite(session(audio, video)))[0] != audio.port
            assert time.monotonic() - begun > 1.5  # two tries of a second
            call.name += "b"
            begun = time.monotonic()
            assert ports(call.invite(session(audio, video)))[0] != audio.port
            assert time.monotonic() - begun < 1


def test_without_a_relay_calls_go_on_and_nobody_waits(ends: Callable[..., Call]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as silent, Media() as audio, Media() as video:
        silent.bind(("127.0.0.1", 0))
        call = ends(f"udp:127.0.0.1:{silent.getsockname()[1]}")
        uri = f"sip:bob@127.0.0.1:{call.router.port}"
        body = session(audio, video)
        call.caller.send(call.caller.request("INVITE", uri, "Content-Type: application/sdp", body=body))
        assert call.router.ping() < 0.5
        invite = call.callee.receive(10)
        assert invite is not None
        assert b"X-Relayed: no\r\n" in invite
        assert ports(invite)[0] == audio.port
    assert "does not answer" in call.router.text()
