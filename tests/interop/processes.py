"""Programs as processes of one test: started on free ports, watched through output, ended by their id."""

from __future__ import annotations

import os
import random
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SBIN = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"


def program(name: str) -> str:
    """Path of a program; the test is skipped when it is not installed."""
    found = shutil.which(name, path=SBIN)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    """A port of the loopback address that nobody uses, for UDP and TCP.

    It has four digits, because sipsak cuts off the fifth.
    """
    while True:
        port = random.randrange(5100, 9999)
        if _is_free(port):
            return port


def free_pair() -> int:
    """A free port whose next one is free as well, which baresip takes for TLS."""
    while True:
        port = free_port()
        if _is_free(port + 1):
            return port


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        try:
            udp.bind(("127.0.0.1", port))
            tcp.bind(("127.0.0.1", port))
        except OSError:
            return False  # somebody's
    return True


def free_ports(count: int) -> list[int]:
    """Different free ports."""
    found: set[int] = set()
    while len(found) < count:
        found.add(free_port())
    return sorted(found)


class Exchange:
    """A UDP socket that sends requests and waits for answers, as a person with netcat would."""

    def __init__(self, port: int) -> None:
        self.server = ("127.0.0.1", port)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send a datagram to the server."""
        self.socket.sendto(data, self.server)

    def receive(self, seconds: float) -> bytes | None:
        """The next datagram, None when there is none in time."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            return self.socket.recv(65535)
        except TimeoutError:
            return None

    def everything(self, seconds: float) -> list[bytes]:
        """All datagrams that come in that time."""
        end, found = time.monotonic() + seconds, []
        while (left := end - time.monotonic()) > 0:
            data = self.receive(left)
            if data is not None:
                found.append(data)
        return found

    def request(self, method: str, uri: str, *extra: str, body: str = "", name: str = "") -> bytes:
        """A request that is good in every respect; `extra` are header lines, `name` makes it known again."""
        name = name or f"x{time.monotonic_ns()}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{name}",
            f"From: <sip:tester@127.0.0.1>;tag={name}",
            f"To: <{uri}>",
            f"Call-ID: {name}",
            f"CSeq: 1 {method}",
            "Max-Forwards: 70",
            *extra,
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("utf-8", "surrogateescape")

    def ask(self, method: str, uri: str, *extra: str, seconds: float = 2.0) -> bytes | None:
        """Send a request and wait for an answer to it."""
        name = f"x{time.monotonic_ns()}"
        self.send(self.request(method, uri, *extra, name=name))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            answer = self.receive(left)
            if answer is not None and name.encode() in answer:
                return answer
        return None


def status(answer: bytes | None) -> int:
    """Status code of an answer, 0 for none."""
    return int(answer[8:11]) if answer and answer.startswith(b"SIP/2.0 ") else 0


class Router:
    """A SIP server under test: Sipyard, or Kamailio to prove the test itself."""

    def __init__(self, command: list[str], port: int, folder: Path) -> None:
        self.port, self.folder = port, folder
        self.log = folder / f"log-{port}"
        self.command = command
        self.process = self._launch()

    def _launch(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        with Exchange(self.port) as probe:
            end = time.monotonic() + 50
            while process.poll() is None and time.monotonic() < end:
                if status(probe.ask("OPTIONS", f"sip:127.0.0.1:{self.port}", seconds=0.1)):
                    return process
        process.kill()
        process.wait()
        pytest.fail(f"{self.command} does not answer; its log:\n{self.text()[-3000:]}")

    def text(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    def ping(self, seconds: float = 2.0) -> float:
        """Seconds until it answers OPTIONS; fails the test when it does not."""
        with Exchange(self.port) as probe:
            start = time.monotonic()
            answer = probe.ask("OPTIONS", f"sip:127.0.0.1:{self.port}", seconds=seconds)
            assert status(answer), f"no answer to OPTIONS; the log:\n{self.text()[-3000:]}"
            return time.monotonic() - start

    def cpu(self) -> float:
        """CPU seconds of its first process so far: (~pid << 3) | 2 is Linux's name of another's CPU clock."""
        return time.clock_gettime_ns((~self.process.pid << 3) | 2) / 1e9

    def kill(self) -> None:
        """SIGKILL, as a power cut would."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again on the same port with the same script."""
        self.process = self._launch()

    def stop(self) -> int:
        """End it in good order; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode


def write_script(source: Path, folder: Path, port: int, words: dict[str, str]) -> Path:
    """A copy of a script with its port and other words put in; scripts mark them as @WORD@."""
    text = source.read_text()
    for word, value in {"PORT": str(port), "FOLDER": str(folder), **words}.items():
        text = text.replace(f"@{word}@", value)
    path = folder / f"{source.stem}-{port}.cfg"
    path.write_text(text)
    return path


def sipyard(source: Path, folder: Path, port: int = 0, **words: str) -> Router:
    """Sipyard with a script."""
    port = port or free_port()
    command = Path(sys.executable).with_name("sipyard")
    script = write_script(source, folder, port, words)
    # Whatever a test leaves unanswered is not waited for when it is over.
    return Router([str(command), "run", "--drain", "0", str(script)], port, folder)


def kamailio(source: Path, folder: Path, port: int = 0, **words: str) -> Router:
    """Kamailio with a script."""
    port = port or free_port()
    script = write_script(source, folder, port, words)
    place = folder / f"kamailio-{port}"
    place.mkdir()
    options = ["-DD", "-E", "-x", "fm", "-m", "64", "-w", str(place), "-Y", str(place)]
    return Router([program("kamailio"), "-f", str(script), *options], port, folder)


def lines_until(process: subprocess.Popen[bytes], wanted: Callable[[str], bool], seconds: float) -> list[str]:
    """Read a program's output until a line is `wanted`; fails the test when none comes in time."""
    assert process.stdout is not None
    end, data = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as waiting:
        waiting.register(process.stdout, selectors.EVENT_READ)
        while (left := end - time.monotonic()) > 0:
            if not waiting.select(left):
                break
            chunk = os.read(process.stdout.fileno(), 65536)
            data += chunk
            if any(wanted(line) for line in data.decode(errors="replace").splitlines()):
                return data.decode(errors="replace").splitlines()
            if not chunk:
                break
    pytest.fail(f"the line never came; the output:\n{data.decode(errors='replace')[-3000:]}")
