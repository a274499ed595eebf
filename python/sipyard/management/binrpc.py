"""binrpc, what SER's ctl and sercmd (and Kamailio's kamcmd) speak: packets of tagged values, big-endian.

A packet is a byte 0xA1 (magic and version), a byte of type and sizes (`type << 4 | (length - 1) << 2 |
(cookie - 1)`), the length of what follows the header, the cookie that its answer repeats, then values. A
value is a byte `size << 4 | type` and so many bytes; with the high bit set, `size` is that of a length that
follows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sipyard.management.registry import Commands, RpcFault

REQUEST, REPLY, FAULT = 0, 1, 3
LARGEST: Final = 65_536
"""Bytes of a request."""
_FIRST: Final = 0xA1
_INT, _STRING, _DOUBLE, _STRUCT, _ARRAY, _NAME, _BYTES = range(7)
_LONG: Final = 0x80
_DEPTH: Final = 16


class BadPacket(ValueError):
    """What came is no binrpc."""


@dataclass(frozen=True)
class Packet:
    """A packet without its header."""

    kind: int
    cookie: bytes
    payload: bytes


def take_packet(data: bytes) -> tuple[Packet, int] | None:
    """The first packet of some bytes and how many it takes; None: more bytes are needed.

    :raises BadPacket: it is none, or too long.
    """
    if len(data) < 2:
        return None
    if data[0] != _FIRST:
        raise BadPacket(f"a packet begins with 0xA1, not with 0x{data[0]:02X}")
    kind, length_size, cookie_size = data[1] >> 4, (data[1] >> 2 & 3) + 1, (data[1] & 3) + 1
    header = 2 + length_size + cookie_size
    if len(data) < header:
        return None
    length = int.from_bytes(data[2 : 2 + length_size], "big")
    if length > LARGEST:
        raise BadPacket(f"a packet of {length} bytes")
    if len(data) < header + length:
        return None
    cookie = data[2 + length_size : header]
    return Packet(kind, cookie, data[header : header + length]), header + length


def packet(kind: int, cookie: bytes, payload: bytes) -> bytes:
    """A packet's bytes. The cookie has 1 to 4 bytes."""
    size = max(_bytes_of(len(payload)), 1)
    head = bytes([_FIRST, kind << 4 | (size - 1) << 2 | (len(cookie) - 1)])
    return head + len(payload).to_bytes(size, "big") + cookie + payload


# -- values --------------------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """A value: None is an empty string, a sequence an array, a mapping a struct."""
    if value is None:
        return _tagged(_STRING, b"\0")
    if isinstance(value, bool | int):
        return _number(_INT, int(value))
    if isinstance(value, float):
        return _number(_DOUBLE, round(value * 1000)) if math.isfinite(value) else encode(str(value))
    if isinstance(value, Mapping):
        inside = b"".join(_tagged(_NAME, _text(name)) + encode(each) for name, each in value.items())
        return bytes([_STRUCT]) + inside + bytes([_LONG | _STRUCT])
    if isinstance(value, list | tuple):
        return bytes([_ARRAY]) + b"".join(map(encode, value)) + bytes([_LONG | _ARRAY])
    if isinstance(value, bytes):
        return _tagged(_BYTES, value)
    return _tagged(_STRING, _text(value))


def _text(value: object) -> bytes:
    return str(value).encode("utf-8", "surrogateescape").replace(b"\0", b"") + b"\0"


def _number(kind: int, value: int) -> bytes:
    """Minimal bytes; a negative number has four. What four do not hold goes as text."""
    if not -(1 << 31) <= value < 1 << 32:
        return _tagged(_STRING, _text(value / 1000 if kind == _DOUBLE else value))
    return _tagged(kind, (value & 0xFFFFFFFF).to_bytes(_bytes_of(value) if value >= 0 else 4, "big"))


def _bytes_of(value: int) -> int:
    return (value.bit_length() + 7) // 8


def _tagged(kind: int, data: bytes) -> bytes:
    if len(data) < 8:
        return bytes([len(data) << 4 | kind]) + data
    size = _bytes_of(len(data))
    return bytes([_LONG | size << 4 | kind]) + len(data).to_bytes(size, "big") + data


def decode(payload: bytes) -> list[Any]:
    """The values of a payload.

    :raises BadPacket: a length leads beyond the end, or something is not closed.
    """
    return _Reader(payload).values(None, 0)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def _take(self, count: int) -> bytes:
        end = self._place + count
        if end > len(self._data):
            raise BadPacket("a value is cut off")
        found, self._place = self._data[self._place : end], end
        return found

    def _tag(self) -> tuple[int, int | None]:
        """Type and size; no size: the end of an array or struct."""
        tag = self._take(1)[0]
        kind, size = tag & 0xF, tag >> 4 & 7
        if not tag & _LONG:
            return kind, size
        if size == 0:
            return kind, None
        return kind, int.from_bytes(self._take(size), "big")

    def values(self, until: int | None, depth: int) -> list[Any]:
        found: list[Any] = []
        while self._place < len(self._data):
            kind, size = self._tag()
            if size is None:
                if kind != until:
                    raise BadPacket("the end of what was not begun")
                return found
            found.append(self._value(kind, size, depth))
        if until is not None:
            raise BadPacket("an array or a struct has no end")
        return found

    def _value(self, kind: int, size: int, depth: int) -> Any:
        if depth > _DEPTH:
            raise BadPacket("too deep")
        if kind == _STRUCT:
            return self._struct(depth)
        if kind == _ARRAY:
            return self.values(_ARRAY, depth + 1)
        data = self._take(size)
        if kind in (_INT, _DOUBLE):
            if size > 4:
                raise BadPacket("a number of more than four bytes")
            number = int.from_bytes(data, "big", signed=size == 4)
            return number if kind == _INT else number / 1000
        if kind in (_STRING, _NAME):
            return data.removesuffix(b"\0").decode("utf-8", "surrogateescape")
        if kind == _BYTES:
            return data
        raise BadPacket(f"type {kind} is unknown")

    def _struct(self, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while True:
            kind, size = self._tag()
            if size is None and kind == _STRUCT:
                return found
            if size is None or kind != _NAME:
                raise BadPacket("a struct wants names")
            name = self._value(kind, size, depth)
            kind, size = self._tag()
            if size is None:
                raise BadPacket(f"{name} has no value")
            found[name] = self._value(kind, size, depth + 1)


# -- commands ------------------------------------------------------------------------------------------------


async def answer(commands: Commands, asked: Packet, by: str) -> bytes:
    """The packet that answers a packet; b"" when it is no request. Never raises for what was asked."""
    if asked.kind != REQUEST:
        return b""
    try:
        values = decode(asked.payload)
        if not values or not isinstance(values[0], str):
            raise BadPacket("a request begins with the name of a command")
        result = await commands.serve(values[0], values[1:], by)
    except BadPacket as error:
        return fault(asked.cookie, 400, str(error))
    except RpcFault as refused:
        return fault(asked.cookie, refused.code, refused.reason)
    shown: Sequence[Any] = [] if result is None else result if isinstance(result, list) else [result]
    return packet(REPLY, asked.cookie, b"".join(map(encode, shown)))


def fault(cookie: bytes, code: int, reason: str) -> bytes:
    """A packet that refuses."""
    return packet(FAULT, cookie, encode(code) + encode(reason))
