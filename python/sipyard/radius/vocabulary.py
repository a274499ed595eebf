"""Attributes: the dictionary, and how a digest response travels in them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from pyrad.dictionary import Dictionary

from sipyard.sip.digest import Credentials

LONGEST: Final = 251
"""Bytes of a sub-attribute's value."""


@cache
def dictionary() -> Dictionary:
    """The attributes in this package's file."""
    return Dictionary(str(Path(__file__).with_name("dictionary")))


def digest_attributes(credentials: Credentials, method: str) -> list[tuple[str, str | bytes]]:
    """A digest response as attributes of draft-sterman-aaa-sip §3, which FreeRADIUS and SER's users know.

    :raises ValueError: something is longer than an attribute can hold.
    """
    parts = [(1, credentials.realm), (2, credentials.nonce), (3, method), (4, credentials.uri)]
    parts.append((10, credentials.username))
    if credentials.qop:
        parts += [(5, credentials.qop), (8, credentials.cnonce), (9, credentials.nc_text)]
    if credentials.algorithm != "MD5" or credentials.is_session:
        parts.append((6, f"{credentials.algorithm}{'-sess' if credentials.is_session else ''}"))
    found: list[tuple[str, str | bytes]] = [("Digest-Response", credentials.response)]
    for number, text in parts:
        value = text.encode("utf-8", "surrogateescape")
        if len(value) > LONGEST:
            raise ValueError(f"digest attribute {number} is too long for RADIUS")
        found.append(("Digest-Attributes", bytes((number, len(value) + 2)) + value))
    return found
