"""Row N7: malformed datagrams as fast as they can be sent, beside real calls (attack checklist)."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.sharedctypes
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, free_port, status
from interop.sipp import Sipp

RUBBISH = [
    b"INVITE sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n\r\n",
    b"INVITE sip:bob@127.0.0.1 SIP/2.0\r\nContent-Length: -1\r\nTo: <sip:a@b>\r\nTo: <sip:c@d>\r\n\r\n",
    b"OPTIONS  sip:x  SIP/2.0\r\n" + b"X-Pad: " + b"a" * 600 + b"\r\n\r\n",
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bKnobody\r\n\r\n",
    b"\x80\x00" + bytes(170),
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(300),
    b"REGISTER sip:a SIP/2.0\r\n" + b"Contact: <sip:a@b>\r\n" * 40 + b"\r\n",
]
RATE = 20_000
"""Datagrams a second that are tried."""


def shower(port: int, counter: multiprocessing.sharedctypes.Synchronized[int]) -> None:
    """Send rubbish at the rate, until it is ended."""
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.connect(("127.0.0.1", port))
        one.setblocking(False)
        began, sent = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) * RATE)
            while sent < due:
                with contextlib.suppress(OSError):  # the buffer is full, or nobody was there for a moment
                    one.send(RUBBISH[sent % len(RUBBISH)])
                sent += 1
            counter.value = sent
            time.sleep(0.001)


@contextmanager
def flood(port: int) -> Iterator[Callable[[], int]]:
    """The rubbish, by a process of its own; gives how many were sent."""
    counter = multiprocessing.Value("q", 0)
    process = multiprocessing.get_context("fork").Process(target=shower, args=(port, counter), daemon=True)
    process.start()
    try:
        yield lambda: int(counter.value)
    finally:
        process.kill()
        process.join()


def waits(port: int, count: int = 200) -> list[float]:
    """Seconds until OPTIONS are answered, one after the other."""
    found = []
    with Exchange(port) as phone:
        for _ in range(count):
            began = time.monotonic()
            if status(phone.ask("OPTIONS", f"sip:127.0.0.1:{port}", seconds=1)):
                found.append(time.monotonic() - began)
            time.sleep(0.01)
    return found


@pytest.mark.timeout(120)
def test_n7_calls_beside_a_flood_of_rubbish(
    start_router: Callable[..., Router], sipp: Callable[..., Sipp], tmp_path: Path
) -> None:
    router, callee = start_router("router"), free_port()
    with Exchange(router.port) as phone:
        contact = f"Contact: <sip:bob@127.0.0.1:{callee}>"
        assert status(phone.ask("REGISTER", "sip:bob@127.0.0.1", contact)) == 200
    quiet = waits(router.port)
    answering = sipp("uas_answer", router.port, callee, count=400)
    with flood(router.port) as sent:
        calling = sipp("uac_call", router.port, free_port(), count=400, rate=50, users="bob;alice;")
        noisy = waits(router.port)
        calling.finish()
        total = sent()
    answering.finish()
    assert total > 50_000
    assert calling.counts()["succeeded"] == 400
    assert len(noisy) == len(quiet) == 200
    p99 = [statistics.quantiles(each, n=100)[98] for each in (quiet, noisy)]
    assert p99[1] < max(3 * p99[0], 0.02), p99
