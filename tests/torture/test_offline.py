"""All 61 messages of RFC 4475 and RFC 5118, through the real core without sockets, held to the manifest."""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path

import pytest

from sipyard._native.core import Message
from sipyard.testing import Address, Network, Node, Packet

HERE = Path(__file__).parent
with (HERE / "manifest.tsv").open(encoding="utf-8") as _manifest:
    ROWS = list(csv.DictReader(_manifest, delimiter="\t", quoting=csv.QUOTE_NONE))
VALID = [row for row in ROWS if row["class"] == "valid" and row["kind"] == "request"]
SENDER = Address("198.51.100.7", 5060)
_HOST = re.compile(rb"@\[?([0-9A-Za-z.:-]+)|sips?:([0-9A-Za-z.-]+)")


class World(Node):
    """Everybody else: keeps what it gets and keeps silent."""

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """Nothing is answered."""


def drive(name: str) -> tuple[str, list[Packet]]:
    """Send one message through the proxy: the verdict in the manifest's words, and what the proxy sent."""
    data = (HERE / name).read_bytes()
    with Network() as network:
        world = World(network, "world", SENDER)
        network.attach(world)
        network.elsewhere = world
        for found in _HOST.finditer(data):
            host = (found[1] or found[2]).decode()
            if not host.replace(".", "").isdigit() and ":" not in host:
                network.name(host, "203.0.113.9:5060", "[2001:db8:ffff::9]:5060")
        proxy = network.server(
            HERE / "proxy.cfg", address="10.0.0.1:5060", listen=["[2001:db8:aaaa::1]:5060"]
        )
        world.send(data, proxy.address)
        network.run(3)
        sent = [packet for packet in network.trace if packet.source == "proxy"]
        network.run()
        assert not any(proxy.live.values()), proxy.live
    if any(packet.is_request for packet in sent):
        return "relay", sent
    finals = [packet.status for packet in sent if packet.status >= 200]
    if data.startswith(b"SIP/2.0 "):
        return ("relay" if sent else "drop"), sent
    return (str(finals[0]) if finals else "drop"), sent


def test_the_manifest_is_whole() -> None:
    """61 messages, each bit by bit the one that the manifest means."""
    assert len(ROWS) == 61
    for row in ROWS:
        data = (HERE / row["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"], row["file"]


@pytest.mark.parametrize("row", ROWS, ids=[row["file"] for row in ROWS])
def test_message(row: dict[str, str]) -> None:
    """What the proxy does is one of the things that the manifest allows, and what it passes on is well
    formed."""
    verdict, sent = drive(row["file"])
    allowed = row["ok_proxy"].split("|")
    assert verdict in allowed, f"{verdict}, but allowed is {row['ok_proxy']}: {row['expected']}"
    for packet in sent:
        message = Message.parse(packet.data)
        assert packet.destination_address.ip != "255.255.255.255"
        assert packet.start_line == packet.start_line.strip()
        if packet.is_request:
            message.check()  # an answer, though, echoes what was wrong
            method, uri, version = packet.start_line.split(" ")
            assert version == "SIP/2.0", packet.start_line
            assert "<" not in uri
            assert method == row["method"].removeprefix(" ")


@pytest.mark.parametrize("row", VALID, ids=[row["file"] for row in VALID])
def test_what_is_valid_passes_unchanged(row: dict[str, str]) -> None:
    """A valid request leaves with the body and every header field that it came with, as it was spelled."""
    verdict, sent = drive(row["file"])
    assert verdict == "relay", verdict
    before = Message.parse((HERE / row["file"]).read_bytes())
    after = Message.parse(next(packet.data for packet in sent if packet.is_request))
    changed = {"via", "v", "record-route", "route", "max-forwards", "content-length", "l"}
    assert after.body == before.body
    assert [field for field in after.all_headers() if field[0].lower() not in changed] == [
        field for field in before.all_headers() if field[0].lower() not in changed
    ]
