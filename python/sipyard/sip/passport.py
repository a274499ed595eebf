"""PASSporT (RFC 8225): who calls whom and when, signed; and the Identity header that carries it (RFC
8224)."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from sipyard._native.core import ParseError, Uri
from sipyard.errors import PeerError

_TELEPHONE: Final = re.compile(r"\+?[0-9*#().\- ]+")
_VISUAL: Final = re.compile(r"[().\- ]")
_PARAMETER: Final = re.compile(r';\s*([A-Za-z]+)\s*=\s*(?:<([^>]*)>|"([^"]*)"|([^;\s]+))')
_HALF: Final = 32
"""Bytes of each of the two numbers of an ES256 signature (RFC 7518 §3.4)."""
LONGEST: Final = 8192


class Party(NamedTuple):
    """Who takes part: a telephone number (digits only) or a URI (RFC 8225 §5.2.1)."""

    kind: str
    value: str


@dataclass(frozen=True, slots=True)
class Claims:
    """What is signed.

    :ivar issued: seconds since 1970 (`iat`).
    """

    caller: Party
    callee: Party
    issued: int


@dataclass(frozen=True, slots=True)
class Identity:
    """The value of an Identity header.

    :ivar token: ``header.payload.signature``, or ``..signature`` in compact form.
    :ivar info: URL of the certificate.
    """

    token: str
    info: str
    algorithm: str
    ppt: str

    @classmethod
    def parse(cls, value: str) -> Identity:
        """Read it (RFC 8224 §4); PeerError 400."""
        token, _, rest = value.strip().partition(";")
        found = {
            name.lower(): one or two or three for name, one, two, three in _PARAMETER.findall(f";{rest}")
        }
        if token.count(".") != 2 or not found.get("info") or len(value) > LONGEST:
            raise PeerError(
                "Identity: not a signed token with info", 428, "Use Identity Header", header="Identity"
            )
        return cls(token, found["info"], found.get("alg", "ES256"), found.get("ppt", ""))

    def __str__(self) -> str:
        return f"{self.token};info=<{self.info}>;alg={self.algorithm}"


def party_of(uri: str) -> Party:
    """Who a URI is (RFC 8224 §8.1, §8.3: numbers lose what only pleases the eye).

    :raises PeerError: it is no URI.
    """
    try:
        parsed = Uri(uri)
    except ParseError as error:
        raise PeerError(f"no URI: {error}") from error
    user = (uri.partition(":")[2] if parsed.scheme == "tel" else parsed.user) or ""
    user = user.partition(";")[0]
    if user and _TELEPHONE.fullmatch(user) and any(char.isdigit() for char in user):
        return Party("tn", _VISUAL.sub("", user).removeprefix("+"))
    return Party("uri", f"sip:{user}@{parsed.host.lower()}" if user else f"sip:{parsed.host.lower()}")


def sign(claims: Claims, key: ec.EllipticCurvePrivateKey, url: str) -> Identity:
    """The Identity header in full form, with ES256."""
    head = {"alg": "ES256", "typ": "passport", "x5u": url}
    text = f"{_encode(head)}.{_encode(_payload(claims))}"
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    signature = _base64(r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big"))
    return Identity(f"{text}.{signature}", url, "ES256", "")


def verify(identity: Identity, key: ec.EllipticCurvePublicKey, expected: Claims) -> Claims:
    """What is signed, if it is signed by that key. In compact form what is expected is what is signed.

    :raises PeerError: 438: the signature does not fit, or the token is malformed.
    """
    head, payload, signature = identity.token.split(".")
    if identity.algorithm != "ES256":
        raise PeerError(f"Identity: algorithm {identity.algorithm}", 438, "Invalid Identity Header")
    if not payload:
        fields = {"alg": "ES256", "typ": "passport", "x5u": identity.info}
        head, payload = _encode(fields), _encode(_payload(expected))
    try:
        raw = _decode(signature)
        if len(raw) != 2 * _HALF:
            raise ValueError("a signature has 64 bytes")
        numbers = (int.from_bytes(raw[:_HALF], "big"), int.from_bytes(raw[_HALF:], "big"))
        key.verify(encode_dss_signature(*numbers), f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA256()))
        fields = json.loads(_decode(head))
        if fields.get("typ") != "passport" or fields.get("alg") != "ES256":
            raise ValueError("not a PASSporT with ES256")
        return _claims(json.loads(_decode(payload)))
    except (InvalidSignature, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise PeerError(f"Identity: {error or 'wrong signature'}", 438, "Invalid Identity Header") from error


def _payload(claims: Claims) -> dict[str, Any]:
    return {
        "dest": {claims.callee.kind: [claims.callee.value]},
        "iat": claims.issued,
        "orig": {claims.caller.kind: claims.caller.value},
    }


def _claims(payload: dict[str, Any]) -> Claims:
    caller, callee = payload["orig"], payload["dest"]
    kind = "tn" if "tn" in caller else "uri"
    other = "tn" if "tn" in callee else "uri"
    return Claims(Party(kind, str(caller[kind])), Party(other, str(callee[other][0])), int(payload["iat"]))


def _encode(fields: dict[str, Any]) -> str:
    """Keys in order and no white space (RFC 8225 §9)."""
    return _base64(json.dumps(fields, separators=(",", ":"), sort_keys=True).encode())


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
