"""Rows N1 and N2 over real TCP, beside what Kamailio 5.6.3 was measured to do (the bars of the checklist)."""

from __future__ import annotations

import contextlib
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.processes import Router, sipyard, status

SCRIPT = Path(__file__).with_name("connections.cfg")
REQUEST = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP {ip}:5060;branch=z9hG4bK{n};rport\r\n"
    "From: <sip:a@{ip}>;tag={n}\r\nTo: <sip:127.0.0.1>\r\nCall-ID: {n}\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 70\r\nContent-Length: {length}\r\n\r\n"
)
HONEST = 100


@pytest.fixture(autouse=True)
def many_descriptors() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    started = sipyard(SCRIPT, tmp_path)
    yield started
    assert started.stop() == 0
    assert "Traceback" not in started.text(), started.text()[-3000:]


@contextlib.contextmanager
def crowd(port: int, count: int, say: bytes = b"") -> Iterator[list[socket.socket]]:
    """So many connections from one address, each having said something."""
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            if say:
                with contextlib.suppress(ConnectionError):  # it may have been hung up on already
                    one.sendall(say)
            held.append(one)
        yield held


def served(port: int) -> tuple[int, float]:
    """How many honest clients of other addresses got an answer, and the longest wait in seconds."""
    answered, longest = 0, 0.0
    for number in range(HONEST):
        ip = f"127.0.{1 + number // 200}.{1 + number % 200}"
        began = time.monotonic()
        with socket.socket() as one:
            one.settimeout(5)
            one.bind((ip, 0))
            one.connect(("127.0.0.1", port))
            one.sendall(REQUEST.format(ip=ip, n=number, length=0).encode())
            answered += status(one.recv(65536)) == 200
        longest = max(longest, time.monotonic() - began)
    return answered, longest


def is_hung_up_on(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


def test_n1_idle_connections(router: Router) -> None:
    """Kamailio with 2300 idle connections: no honest client over TCP is served."""
    with crowd(router.port, 2300):
        answered, longest = served(router.port)
        assert answered > 0.99 * HONEST
        assert longest < 1
        assert router.ping() < 0.1


@pytest.mark.parametrize(
    "say", [b"", b"OPTIONS sip:x SIP/2.0\r\nVia: ", REQUEST.format(ip="h", n=1, length=9999).encode()]
)
def test_n1_messages_that_never_end_are_cut(router: Router, say: bytes) -> None:
    """Kamailio: neither who sends a byte a second nor who announces a body and sends none is ever cut."""
    with crowd(router.port, 100, say) as held:
        answered, longest = served(router.port)
        assert (answered, longest < 1) == (HONEST, True)
        end = time.monotonic() + 15
        while time.monotonic() < end and not all(is_hung_up_on(one) for one in held):
            for one in held:  # a byte a second keeps nobody
                with contextlib.suppress(OSError):
                    one.send(b"x" if say else b"")
            time.sleep(1)
        assert all(is_hung_up_on(one) for one in held)


CROWD = 10_000


@pytest.mark.timeout(180)
def test_ten_thousand_connections_that_are_silent(tmp_path: Path) -> None:
    """Each has been served once and says nothing more: the next client is served as soon as before."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert hard >= CROWD + 500, f"this system allows {hard} descriptors: raise its limit (ulimit -Hn)"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    router = sipyard(Path(__file__).with_name("many.cfg"), tmp_path)
    try:
        before = memory_of(router)
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(socket.socket()) for _ in range(CROWD)]
            for number, one in enumerate(held):
                ip = f"127.1.{number // 200}.{1 + number % 200}"
                one.settimeout(10)
                one.bind((ip, 0))
                one.connect(("127.0.0.1", router.port))
                one.sendall(REQUEST.format(ip=ip, n=number, length=0).encode())
                assert status(one.recv(65536)) == 200
            assert (memory_of(router) - before) / CROWD < 8_000
            assert served(router.port)[0] == HONEST
            assert router.ping() < 0.1
            used = router.cpu()
            time.sleep(2)
            assert router.cpu() - used < 0.2  # silence costs nothing
            last = held[-1]
            last.sendall(REQUEST.format(ip="127.0.0.1", n=CROWD, length=0).encode())
            assert status(last.recv(65536)) == 200
        time.sleep(1)  # all have hung up
        assert len(list(Path(f"/proc/{router.process.pid}/fd").iterdir())) < 100
        assert (memory_of(router) - before) / CROWD < 8_000
    finally:
        router.stop()


def memory_of(router: Router) -> int:
    """Bytes that are the process's own."""
    text = Path(f"/proc/{router.process.pid}/smaps_rollup").read_text()
    return 1024 * sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private_"))


def test_n2_out_of_descriptors(router: Router) -> None:
    """Kamailio: a busy loop that writes 2.9 million lines, and no new connection."""
    pid = router.process.pid
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 30, before[1]))
    with crowd(router.port, 200):
        began, worked = time.monotonic(), _work(pid)
        time.sleep(2)
        assert router.ping() < 0.2
        assert _work(pid) - worked < 0.5 * (time.monotonic() - began)
        lines = [line for line in router.text().splitlines() if "descriptors" in line]
        assert 1 <= len(lines) <= 4
    time.sleep(1)
    answered, _ = served(router.port)
    assert answered == HONEST


def _work(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
