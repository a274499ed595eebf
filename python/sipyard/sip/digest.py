"""Digest access authentication (RFC 3261 §22, RFC 8760): what was proven of a request's sender."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verified:
    """Credentials of a request that a module has checked and found right (`Context.verified`).

    :ivar username: as the client sent it, without quotes; may hold ``@domain``.
    :ivar realm: the realm that they are for.
    :ivar header: the field they came in, ``Authorization`` or ``Proxy-Authorization``.
    :ivar value: that field's value, by which `consume_credentials` finds it.
    """

    username: str
    realm: str
    header: str
    value: str
