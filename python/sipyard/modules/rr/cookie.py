"""Attributes that travel in our Record-Route and come back in the Route of later requests of the dialog.

A cookie is base64url(tag + attributes): the tag is a keyed HMAC, so what the other side changed, or
another server made, is ignored. The layout is ours; SER's guards it with a CRC, which keeps nobody out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Iterable
from typing import Final, NamedTuple

from sipyard.attributes import Scope, Track, Value

TAG_SIZE: Final = 12
MAX_SIZE: Final = 1024
_HEAD: Final = struct.Struct(">BBBH")  # track and scope, type, length of name, length of value


class Stored(NamedTuple):
    """One attribute in a cookie."""

    track: Track
    scope: Scope
    name: str
    value: Value


class CookieJar:
    """Makes and opens cookies under one secret.

    :param secret: what the tag is keyed with; cookies live as long as dialogs do, so it must survive a
    restart.
    """

    def __init__(self, secret: str) -> None:
        self._key = hashlib.sha256(
            b"sipyard rr cookie\0" + secret.encode("utf-8", "surrogateescape")
        ).digest()

    def _tag(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")[:TAG_SIZE]

    def bake(self, attributes: Iterable[Stored]) -> str:
        """The parameter's value; "" when there is nothing to store or it would not fit into a URI."""
        parts = []
        for one in attributes:
            is_text = isinstance(one.value, str)
            name, value = (str(text).encode("utf-8", "surrogateescape") for text in (one.name, one.value))
            if len(name) > 255 or len(value) > 65535:
                continue
            parts.append(
                _HEAD.pack(one.track << 4 | one.scope, is_text, len(name), len(value)) + name + value
            )
        content = b"".join(parts)
        if not content or len(content) > MAX_SIZE:
            return ""
        return base64.urlsafe_b64encode(self._tag(content) + content).rstrip(b"=").decode("ascii")

    def open(self, text: str) -> list[Stored]:
        """What `bake` was given; [] for anything that we did not make."""
        if len(text) > 2 * MAX_SIZE:
            return []
        try:
            data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except (binascii.Error, ValueError):
            return []
        tag, content = data[:TAG_SIZE], data[TAG_SIZE:]
        if not content or not hmac.compare_digest(tag, self._tag(content)):
            return []
        return list(_unpack(content))


def _unpack(content: bytes) -> Iterable[Stored]:
    """Content that carries our tag, so its layout can be relied on."""
    position = 0
    while position < len(content):
        place, is_text, name_size, value_size = _HEAD.unpack_from(content, position)
        position += _HEAD.size
        name = content[position : position + name_size].decode("utf-8", "surrogateescape")
        position += name_size
        value = content[position : position + value_size].decode("utf-8", "surrogateescape")
        position += value_size
        yield Stored(Track(place >> 4), Scope(place & 15), name, value if is_text else int(value))
