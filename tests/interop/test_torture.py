"""All 61 messages of RFC 4475 and RFC 5118 over real UDP, held to the manifest's column for a proxy."""

from __future__ import annotations

import csv
import os
import select
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from interop.processes import HERE, Router, sipyard

TORTURE = HERE.parent / "torture"
with (TORTURE / "manifest.tsv").open(encoding="utf-8") as manifest:
    ROWS = list(csv.DictReader(manifest, delimiter="\t", quoting=csv.QUOTE_NONE))
SENDER = f"127.0.{os.getpid() % 250 + 1}.9"
"""Answers go to the source address and the port in Via (RFC 3261 §18.2.2), so the sender has an address of
its own."""
VIA_PORTS = (5060, 5070, 5050, 6050, 19823)


def bound(ip: str, port: int) -> socket.socket:
    """A UDP socket."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((ip, port))
    return made


@dataclass
class Scene:
    """The proxy, who sends to it, and where it relays to."""

    router: Router
    sender: list[socket.socket]
    sink: socket.socket

    def verdict(self, data: bytes, seconds: float) -> tuple[str, bytes]:
        """What the proxy does with a message, in the manifest's words, and the bytes that show it."""
        self.sender[0].sendto(data, ("127.0.0.1", self.router.port))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            for ready in select.select([*self.sender, self.sink], [], [], left)[0]:
                answer = ready.recv(65535)
                if ready is self.sink:
                    return "relay", answer
                if not answer.startswith(b"SIP/2.0 1"):
                    return answer[8:11].decode(), answer
        return "drop", b""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A proxy for each message: some messages share a branch, so one would be the other's retransmission."""
    sink = bound("127.0.0.1", 0)
    router = sipyard(HERE / "scripts" / "torture.cfg", tmp_path, SINK=str(sink.getsockname()[1]))
    sender = [bound(SENDER, port) for port in VIA_PORTS]
    yield Scene(router, sender, sink)
    for each in (*sender, sink):
        each.close()
    assert router.stop() == 0
    assert "Traceback" not in router.text()


@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_message(scene: Scene, row: dict[str, str]) -> None:
    data = (TORTURE / row["file"]).read_bytes()
    allowed = row["ok_proxy"].split("|")
    verdict, answer = scene.verdict(data, 0.4 if "drop" in allowed else 3.0)
    assert verdict in allowed, f"{verdict}, but allowed is {row['ok_proxy']}: {row['expected']}\n{answer!r}"
    if verdict == "relay":
        method, _, rest = answer.partition(b"\r\n")[0].partition(b" ")
        assert method.decode() == row["method"].removeprefix(" ")
        assert rest.endswith(b" SIP/2.0")
        assert b"<" not in rest
    scene.router.ping()
