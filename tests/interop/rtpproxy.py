"""The real RTPProxy, as PyPI's rtp.io packs it, in a process of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from interop.processes import free_port

START = """
import sys, time
from rtp.io import rtpproxy
started = rtpproxy(extra_args=sys.argv[1:])
sys.stdin.read()
"""


class RtpProxy:
    """One relay on loopback. `address` is what `rtpproxy_sock` wants."""

    def __init__(self, folder: Path, kind: str = "udp") -> None:
        pytest.importorskip("rtp.io")
        port = free_port()
        self.control = folder / f"rtpproxy-{port}.sock"
        self.port = port
        place = f"127.0.0.1:{port}" if kind == "udp" else str(self.control)
        self.address = f"{kind}:{place}"
        command = [sys.executable, "-c", START, "-F", "-s", self.address, "-l", "127.0.0.1"]
        self.log = folder / f"rtpproxy-{port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder
            )
        end = time.monotonic() + 20
        while not self.is_there():
            assert time.monotonic() < end, self.log.read_text(errors="replace")
            time.sleep(0.1)  # another program gets ready

    def is_there(self) -> bool:
        """Whether it tells its version."""
        try:
            return self.ask("V") == "20040107"
        except OSError:
            return False

    def ask(self, command: str) -> str:
        """Its answer to a command."""
        if self.address.startswith("udp"):
            with socket.socket(type=socket.SOCK_DGRAM) as asker:
                asker.settimeout(1)
                asker.connect(("127.0.0.1", self.port))
                asker.send(f"c{time.monotonic_ns()} {command}\n".encode())
                return asker.recv(65536).decode().partition(" ")[2].strip()
        with socket.socket(socket.AF_UNIX) as asker:
            asker.settimeout(1)
            asker.connect(str(self.control))
            asker.sendall(f"{command}\n".encode())
            return asker.recv(65536).decode().strip()

    def sessions(self) -> int:
        """How many calls it has now."""
        created, destroyed = self.ask("G nsess_created nsess_destroyed").split()
        return int(created) - int(destroyed)

    def stop(self) -> None:
        """End it."""
        self.process.kill()
        self.process.communicate()
