"""P1, P8 and N5: mutated messages, what is not SIP at all, and how much a stranger gets for a datagram."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from interop.processes import HERE, Exchange, Router, status

TORTURE = sorted((HERE.parent / "torture").glob("rfc*/*.dat"))


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A message with a few things changed that parsers have tripped over."""
    made = bytearray(data)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(7):
            case 0:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del made[at : at + chance.randrange(1, 20)]
            case 2:
                made[at:at] = made[chance.randrange(len(made) + 1) :][: chance.randrange(1, 60)]
            case 3:
                made[at:at] = chance.choice(
                    [b"\r\n", b"\n", b"\r", b"\0", b'"', b"<", b">", b";", b",", b"\\"]
                )
            case 4:
                made[at:at] = chance.choice([b"-1", b"4294967296", b"%00", b"%s%n", b"\xff\xfe", b" \t "])
            case 5:
                made[at:at] = bytes([chance.randrange(32, 127)]) * chance.randrange(1, 3000)
            case _:
                del made[at:]
    return bytes(made[:65000])


@pytest.mark.timeout(120)
def test_p1_mutated_messages(target: Router, attacker: Exchange) -> None:
    """5000 mutated INVITEs and torture messages from a seed; the server lives and answers within 100 ms."""
    chance = random.Random(4475)
    uri = f"sip:nobody@127.0.0.1:{target.port}"
    # Addressed to this server only: a mutated message that relayed elsewhere would leave this machine.
    corpus = [
        attacker.request(method, uri, "Contact: <sip:a@127.0.0.1:9>") for method in ("INVITE", "REGISTER")
    ]
    corpus += [data for data in (path.read_bytes() for path in TORTURE) if not data.startswith(b"SIP/")]
    worst = 0.0
    for number in range(5000):
        attacker.send(mutate(chance.choice(corpus), chance))
        if number % 50 == 49:
            worst = max(worst, target.ping())
    assert worst < 0.1, f"{worst * 1e3:.0f} ms"
    assert target.process.poll() is None


NOISE = {
    "nothing": b"",
    "a byte": b"\x00",
    "keep-alive": b"\r\n\r\n",
    "half a keep-alive": b"\r\n",
    "an answer of STUN": bytes.fromhex("010100002112a442") + bytes(12),
    "STUN that demands": bytes.fromhex("000100082112a442") + bytes(12) + bytes.fromhex("0006000475736572"),
    "RTP": bytes.fromhex("800000010000000a12345678") + bytes(160),
    "RTCP": bytes.fromhex("80c80006") + bytes(24),
    "HTTP": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS hello": bytes.fromhex("1603010200010001fc0303") + bytes(509),
    "NULs": bytes(1400),
    "DNS": bytes.fromhex("000001000001000000000000") + b"\x07version\x04bind\x00\x00\x10\x00\x03",
    "text": b"hello\n",
    "SIP of the future": b"INVITE sip:a SIP/9.9\r\n\r\n",
    "a status line alone": b"SIP/2.0 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE.keys())
def test_p8_noise_gets_no_answer(target: Router, attacker: Exchange, noise: bytes) -> None:
    before = len(target.text().splitlines())
    for _ in range(200):
        attacker.send(noise)
    target.ping()
    answers = [data for data in attacker.everything(0.05) if data.strip(b"\r\n\x00")]
    assert not answers
    assert len(target.text().splitlines()) - before <= 5, "a log line a minute, not one a datagram"


def test_p8_noise_does_not_stop_calls(target: Router, attacker: Exchange) -> None:
    """Twenty thousand datagrams of noise; honest requests between them are answered at once."""
    chance, worst = random.Random(8), 0.0
    kinds = list(NOISE.values())
    for number in range(20_000):
        attacker.send(chance.choice(kinds))
        if number % 200 == 0:
            worst = max(worst, target.ping())
    assert worst < 0.1, f"{worst * 1e3:.0f} ms"


@pytest.mark.parametrize("method", ["OPTIONS", "REGISTER", "INVITE", "MESSAGE", "SUBSCRIBE", "BYE", "FOO"])
def test_n5_no_amplification(target: Router, attacker: Exchange, method: str) -> None:
    """A stranger gets back at most one and a half times what was sent, retransmissions included."""
    request = attacker.request(
        method, f"sip:stranger-{method}@127.0.0.1:{target.port}", "Contact: <sip:a@127.0.0.1:9>"
    )
    attacker.send(request)
    answers = attacker.everything(1.2)
    assert answers
    assert sum(map(len, answers)) <= 1.5 * len(request)


def test_malformed_requests_are_answered_at_a_bounded_rate(target: Router, attacker: Exchange) -> None:
    """A flood of malformed requests is not a flood of answers: each source has its share."""
    broken = attacker.request("OPTIONS", f"sip:127.0.0.1:{target.port}").replace(b"CSeq: 1", b"CSeq: x")
    start = time.monotonic()
    answers = 0
    for _ in range(50):
        for _ in range(100):
            attacker.send(broken)
        answers += len(attacker.everything(0.02))
    elapsed = time.monotonic() - start
    assert answers < 2500, f"{answers} answers to 5000 broken requests in {elapsed:.1f} s"
    with Exchange(target.port) as honest:
        assert status(honest.ask("OPTIONS", f"sip:127.0.0.1:{target.port}")) == 200


def test_the_log_stays_readable(target: Router, tmp_path: Path) -> None:
    """After all that: no line that a terminal would obey, and not a megabyte of it."""
    log = target.log.read_bytes()
    assert len(log) < 1_000_000
    assert b"\x1b" not in log
    assert b"\x00" not in log
