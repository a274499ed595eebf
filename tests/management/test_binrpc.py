"""binrpc: packets and values byte by byte, and whatever else comes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sipyard.management import binrpc
from sipyard.management.binrpc_doors import Address
from sipyard.management.registry import Commands

KNOWN = {
    "10 07": 7,
    "00": 0,
    "20 01 00": 256,
    "40 ff ff ff ff": -1,
    "41 61 62 63 00": "abc",
    "91 08 31 32 33 34 35 36 37 00": "1234567",
    "04 10 01 10 02 84": [1, 2],
    "03 25 78 00 10 03 83": {"x": 3},
    "22 05 dc": 1.5,
}


@pytest.mark.parametrize(("text", "value"), KNOWN.items(), ids=list(KNOWN))
def test_values(text: str, value: Any) -> None:
    assert binrpc.encode(value).hex(" ") == text
    assert binrpc.decode(bytes.fromhex(text)) == [value]


text = some.text(some.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=300)
numbers = some.integers(-(1 << 31), (1 << 31) - 1)
values = some.recursive(
    numbers | text,
    lambda inner: some.lists(inner) | some.dictionaries(text, inner, max_size=5),
    max_leaves=20,
)


@given(some.lists(values), some.binary(min_size=1, max_size=4), some.binary())
def test_there_and_back(wanted: list[Any], cookie: bytes, more: bytes) -> None:
    payload = b"".join(map(binrpc.encode, wanted))
    data = binrpc.packet(binrpc.REQUEST, cookie, payload)
    assert binrpc.take_packet(data + more) == (binrpc.Packet(binrpc.REQUEST, cookie, payload), len(data))
    assert binrpc.decode(payload) == wanted
    assert all(binrpc.take_packet(data[:size]) is None for size in range(len(data)))


@given(some.binary())
def test_noise(data: bytes) -> None:
    """It is read or refused, and the answer to it is a packet."""
    answered = asyncio.run(binrpc.answer(Commands(), binrpc.Packet(binrpc.REQUEST, b"c", data), "noise"))
    found = binrpc.take_packet(answered)
    assert found is not None
    assert found[0].cookie == b"c"
    try:
        binrpc.decode(data)
    except binrpc.BadPacket:
        assert found[0].kind == binrpc.FAULT


EVIL = {
    "another protocol": b"OPTIONS sip:a SIP/2.0",
    "a giant": bytes.fromhex("a1 0c ff ff ff ff 01"),
}


@pytest.mark.parametrize("data", EVIL.values(), ids=list(EVIL))
def test_packets_that_are_none(data: bytes) -> None:
    with pytest.raises(binrpc.BadPacket):
        binrpc.take_packet(data)


UNFINISHED = ["41 61", "04 10 01", "03 25 78 00", "03 10 01 83", "84", "0f", "f1 ff", "50 01 02 03 04 05"]


@pytest.mark.parametrize("text", UNFINISHED)
def test_payloads_that_are_none(text: str) -> None:
    with pytest.raises(binrpc.BadPacket):
        binrpc.decode(bytes.fromhex(text))


def test_depth_is_bounded() -> None:
    with pytest.raises(binrpc.BadPacket, match="too deep"):
        binrpc.decode(b"\x04" * 60_000)


def test_what_has_no_type_goes_as_text() -> None:
    assert binrpc.decode(binrpc.encode(1 << 40)) == [str(1 << 40)]
    assert binrpc.decode(binrpc.encode(None)) == [""]
    assert binrpc.decode(binrpc.encode(float("inf"))) == ["inf"]


PLACES = {
    "unixs:/tmp/ser_ctl": Address("unixs", "/tmp/ser_ctl"),
    "unix:/a": Address("unixs", "/a"),
    "unixd:/a": Address("unixd", "/a"),
    "/a/b": Address("unixs", "/a/b"),
    "tcp:127.0.0.1:2050": Address("tcp", "127.0.0.1", 2050),
    "udp:[::1]:7": Address("udp", "::1", 7),
    "tcp:[::1]": Address("tcp", "::1", 2049),
    "localhost": Address("udp", "localhost", 2049),
}


@pytest.mark.parametrize(("text", "address"), PLACES.items(), ids=list(PLACES))
def test_places(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("text", ["tcp:a:b", "unixs:"])
def test_places_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Address.parse(text)
