"""The real server on loopback: sockets, loop, signals, command line."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SCRIPT = """
listen=udp:127.0.0.1:%d
loadmodule "sl"
loadmodule "tm"
route {
    if (method == "MESSAGE") { exec("sleep 0.3"); }
    sl_reply("200", "OK");
}
"""
OPTIONS = (
    "{method} sip:127.0.0.1 SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{branch}\r\n"
    "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\n"
    "Call-ID: {branch}@127.0.0.1\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def running(*arguments: str, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """`sipyard run` until the block ends; it has said that it listens when the block begins."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sipyard.cli", "run", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                break
        else:
            pytest.fail("it did not start:\n" + "".join(lines))
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Phone:
    """A socket that asks and waits for the answer."""

    def __init__(self, port: int) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.server = ("127.0.0.1", port)

    def __enter__(self) -> Phone:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()

    def send(self, method: str, branch: str) -> None:
        text = OPTIONS.format(method=method, port=self.socket.getsockname()[1], branch=branch)
        self.socket.sendto(text.encode(), self.server)

    def receive(self) -> str:
        return self.socket.recv(65536).decode()


@pytest.mark.parametrize("threads", ["0", "1"])
def test_it_serves_and_stops(tmp_path: Path, threads: str) -> None:
    port = free_port()
    (tmp_path / "ser.cfg").write_text(SCRIPT % port)
    with running("ser.cfg", "--threads", threads, directory=tmp_path) as process, Phone(port) as phone:
        phone.send("MESSAGE", "slow")
        started = time.monotonic()
        phone.send("OPTIONS", "quick")
        assert "quick@" in phone.receive()
        assert time.monotonic() - started < 0.25
        assert "slow@" in phone.receive()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_the_command_line_beats_the_script(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "ser.cfg").write_text(SCRIPT % 1)
    arguments = ("ser.cfg", "-l", f"udp:127.0.0.1:{port}", "--pid-file", "pid")
    with running(*arguments, directory=tmp_path) as process, Phone(port) as phone:
        phone.send("OPTIONS", "x")
        assert phone.receive().startswith("SIP/2.0 200 OK\r\n")
        assert int((tmp_path / "pid").read_text()) == process.pid
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert not (tmp_path / "pid").exists()


def command(*arguments: str, directory: Path) -> tuple[int, str]:
    """Run `sipyard …` to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "sipyard.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=directory,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "ser.cfg").write_text(SCRIPT % port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        status, text = command("run", "ser.cfg", directory=tmp_path)
    assert status == 1
    assert f"cannot listen on udp:127.0.0.1:{port}" in text
    assert "Traceback" not in text


def test_check(tmp_path: Path) -> None:
    (tmp_path / "good.cfg").write_text(SCRIPT % 5060)
    (tmp_path / "bad.cfg").write_text("route {\n\tt_rely();\n}\n")
    (tmp_path / "bad.py").write_text("x = 1\n")
    assert command("check", "good.cfg", directory=tmp_path)[0] == 0
    status, text = command("check", "bad.cfg", directory=tmp_path)
    assert status == 1
    assert "bad.cfg:2" in text
    assert command("check", "bad.py", directory=tmp_path)[0] == 1
    status, text = command("run", "bad.cfg", directory=tmp_path)
    assert status == 1
    assert "bad.cfg:2" in text
    assert "Traceback" not in text


def test_what_has_no_meaning_here_is_said_at_the_start(tmp_path: Path) -> None:
    script = tmp_path / "ser.cfg"
    script.write_text('children=4\nloadmodule "sl"\nroute { sl_send_reply("200", "OK"); }\n')
    command = [sys.executable, "-m", "sipyard.cli", "run", "--ser", "2.0", str(script), "-l"]
    process = subprocess.Popen(
        [*command, f"127.0.0.1:{free_port()}"], stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stdout is not None
    lines = []
    with process:
        for line in process.stdout:
            lines.append(line)
            if "Ctrl-C" in line:
                process.terminate()
    assert any("ser.cfg:1:1: note: children has no effect (" in line for line in lines), lines


BLOCKING = """
import time
from sipyard.registry import Modules
from sipyard.routes import request_route

modules = Modules()
sl = modules.load("sl")
settings = {"listen": ["udp:127.0.0.1:PORT"], "stall_limit": 100, "debug": 3}

def compute():
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        pass

@request_route
async def main(msg):
    if msg.message.method == "MESSAGE":
        time.sleep(0.6)
    if msg.message.method == "INFO":
        compute()
    sl.sl_reply(msg, 200, "OK")
"""


@pytest.mark.parametrize("threads", ["0", "1"])
def test_a_route_that_holds_everybody_up_is_named(tmp_path: Path, threads: str) -> None:
    """By file and line, in the log and to `sipyard ctl`; idling and a route that waits are none of it."""
    port = free_port()
    (tmp_path / "routes.py").write_text(BLOCKING.replace("PORT", str(port)))
    with running("routes.py", "--threads", threads, directory=tmp_path) as process, Phone(port) as phone:
        for method in ("MESSAGE", "OPTIONS", "INFO"):
            phone.send(method, method)
            assert f"{method}@" in phone.receive()
        status, text = command("ctl", "--json", "core.watchdog", directory=tmp_path)
        assert status == 0, text
        found = json.loads(text)
        assert found["stalls"] == 2
        assert any(place.startswith("routes.py:18 (main)") for place in found["places"])
        assert any(re.match(r"routes\.py:1[123] \(compute\)", place) for place in found["places"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert process.stdout is not None
        log = process.stdout.read()
    assert "routes.py:18 (main) has kept everybody waiting" in log
    assert "routes.py:18 (main): done after about 0." in log


def test_ctl(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "ser.cfg").write_text(SCRIPT % port)
    assert command("ctl", "core.version", directory=tmp_path)[0] == 2
    with running("ser.cfg", directory=tmp_path) as process:
        socket_file = tmp_path / "sipyard.ctl"
        assert stat.S_IMODE(socket_file.stat().st_mode) == 0o600
        assert command("ctl", "core.prints", "-1", directory=tmp_path) == (0, "-1\n")
        assert command("ctl", "core.prints", directory=tmp_path) == (
            1,
            "core.prints: usage: core.prints text\n",
        )
        assert command("ctl", "nonsense", directory=tmp_path) == (1, "nonsense: command nonsense not found\n")
        status, text = command("ctl", "help", directory=tmp_path)
        assert status == 0
        assert re.search(r"^core.reload +Read the script again", text, re.MULTILINE)
        assert command("ctl", "help", "tm.cancel", directory=tmp_path)[1].startswith("tm.cancel call_id cseq")
        other = free_port()
        with running("ser.cfg", "-l", f"udp:127.0.0.1:{other}", directory=tmp_path) as second:
            second.kill()  # it had to do without the socket, and must not have taken it
        status, text = command("ctl", "core.ps", directory=tmp_path)
        assert text.split() == [str(process.pid), "sipyard"]
        process.kill()
        process.wait()
    assert socket_file.is_socket()
    with running("ser.cfg", "--ctl", "sipyard.ctl", directory=tmp_path) as process:  # a stale one is replaced
        assert command("ctl", "core.ps", directory=tmp_path)[1].split()[0] == str(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert not socket_file.exists()


def test_a_broken_routes_file_is_not_reloaded(tmp_path: Path) -> None:
    """It is tried in another process first, so one that ends its process ends nothing here."""
    port = free_port()
    text = BLOCKING.replace("PORT", str(port))
    (tmp_path / "routes.py").write_text(text)
    with running("routes.py", directory=tmp_path), Phone(port) as phone:
        (tmp_path / "routes.py").write_text("raise SystemExit(3)\n")
        status, answer = command("ctl", "reload", directory=tmp_path)
        assert status == 1
        assert "it is not good (exit status 3)" in answer
        (tmp_path / "routes.py").write_text(text.replace('200, "OK"', '202, "Changed"'))
        assert command("ctl", "reload", directory=tmp_path)[0] == 0
        phone.send("OPTIONS", "x")
        assert phone.receive().startswith("SIP/2.0 202 Changed\r\n")
