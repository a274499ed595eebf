"""Two network namespaces with a line between them that can be made bad, cut and mended."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

SERVER, PHONES = "10.99.73.1", "10.99.73.2"
_NEW_NET = 0x40000000
Result = TypeVar("Result")


def _do(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=20)


class Apart:
    """A server's namespace and the phones'; `close` takes both away."""

    def __init__(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root")
        if shutil.which("ip") is None or shutil.which("iptables") is None:
            pytest.skip("iproute2 and iptables are not installed")
        number = os.getpid()
        self.server, self.phones = f"sipyard-{number}-s", f"sipyard-{number}-p"
        self._ends = f"sy{number}s"[-15:], f"sy{number}p"[-15:]
        for name in (self.server, self.phones):
            _do("ip", "netns", "add", name)
        _do("ip", "link", "add", self._ends[0], "type", "veth", "peer", "name", self._ends[1])
        for name, end, address in zip((self.server, self.phones), self._ends, (SERVER, PHONES), strict=True):
            _do("ip", "link", "set", end, "netns", name)
            self.run(name, "ip", "addr", "add", f"{address}/24", "dev", end)
            self.run(name, "ip", "link", "set", end, "up")
            self.run(name, "ip", "link", "set", "lo", "up")

    def close(self) -> None:
        """Take both away, and the line with them."""
        for name in (self.server, self.phones):
            subprocess.run(["ip", "netns", "del", name], check=False, timeout=20)

    @staticmethod
    def command(name: str, *words: str) -> list[str]:
        """A command line that runs in a namespace."""
        return ["ip", "netns", "exec", name, *words]

    def run(self, name: str, *words: str) -> None:
        """Run something there to its end."""
        _do(*self.command(name, *words))

    def lose(self, share: float) -> None:
        """Lose this share of the packets in each direction."""
        for name in (self.server, self.phones):
            rule = ["-A", "INPUT", "-m", "statistic", "--mode", "random", "--probability", str(share)]
            self.run(name, "iptables", *rule, "-j", "DROP")

    def vanish(self) -> None:
        """From now on nothing reaches the phones or leaves them, and nobody is told."""
        for chain in ("INPUT", "OUTPUT"):
            self.run(self.phones, "iptables", "-A", chain, "-j", "DROP")

    def cut(self) -> None:
        """Pull the cable."""
        self.run(self.phones, "ip", "link", "set", self._ends[1], "down")

    def mend(self) -> None:
        """Put it back."""
        self.run(self.phones, "ip", "link", "set", self._ends[1], "up")

    @staticmethod
    def inside(name: str, make: Callable[[], Result]) -> Result:
        """What `make` gives when it is called in a namespace: a socket stays there."""
        libc = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/thread-self/ns/net").open() as own, Path(f"/run/netns/{name}").open() as there:
            if libc.setns(there.fileno(), _NEW_NET):
                raise OSError(ctypes.get_errno(), f"cannot enter {name}")
            try:
                return make()
            finally:
                if libc.setns(own.fileno(), _NEW_NET):
                    raise OSError(ctypes.get_errno(), "cannot come back")

    def connect(self) -> socket.socket:
        """A phone's connection to the server."""
        return self.inside(self.phones, lambda: socket.create_connection((SERVER, 5060), timeout=10))

    def datagrams(self, name: str) -> socket.socket:
        """A UDP socket in a namespace, connected to the server."""

        def make() -> socket.socket:
            one = socket.socket(type=socket.SOCK_DGRAM)
            one.connect((SERVER, 5060))
            one.settimeout(10)
            return one

        return self.inside(name, make)
