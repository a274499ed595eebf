"""PASSporT by the example of RFC 8225, and what is no proof."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from sipyard.errors import PeerError
from sipyard.sip.passport import Claims, Identity, Party, party_of, sign, verify

# RFC 8225 appendix A.
PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH
78YTU8qLS8I5HLHSSmlATLcslQMhNC/OhlWBYC626nIlo7XeebYS7Sb37g==
-----END PUBLIC KEY-----
"""
PRIVATE = b"""-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIFeZ1R208QCvcu5GuYyMfG4W7sH4m99/7eHSDLpdYllFoAoGCCqGSM49
AwEHoUQDQgAE8HNbQd/TmvCKwPKHkMF9fScavGeH78YTU8qLS8I5HLHSSmlATLcs
lQMhNC/OhlWBYC626nIlo7XeebYS7Sb37g==
-----END EC PRIVATE KEY-----
"""
SIGNED = (
    "eyJhbGciOiJFUzI1NiIsInR5cCI6InBhc3Nwb3J0IiwieDV1IjoiaHR0cHM6Ly9j"
    "ZXJ0LmV4YW1wbGUub3JnL3Bhc3Nwb3J0LmNlciJ9.eyJkZXN0Ijp7InVyaSI6WyJ"
    "zaXA6YWxpY2VAZXhhbXBsZS5jb20iXX0sImlhdCI6MTQ3MTM3NTQxOCwib3JpZyI"
    "6eyJ0biI6IjEyMTU1NTUxMjEyIn19"
)
URL = "https://cert.example.org/passport.cer"
CLAIMS = Claims(Party("tn", "12155551212"), Party("uri", "sip:alice@example.com"), 1471375418)


def public() -> ec.EllipticCurvePublicKey:
    key = load_pem_public_key(PUBLIC)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def private() -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(PRIVATE, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


TOKEN = sign(CLAIMS, private(), URL).token


def test_what_is_signed_is_what_the_rfc_signs() -> None:
    """The signature is another each time; the rest is letter by letter that of the RFC, as is the key."""
    made = sign(CLAIMS, private(), URL)
    assert made.token.rpartition(".")[0] == SIGNED
    assert verify(Identity.parse(str(made)), public(), CLAIMS) == CLAIMS
    compact = Identity.parse(f"..{made.token.rpartition('.')[2]};info=<{URL}>;alg=ES256")
    assert verify(compact, public(), CLAIMS) == CLAIMS


HEAD, PAYLOAD, SIGNATURE = TOKEN.split(".")
FORGED = [
    f"{HEAD}.{PAYLOAD}.{SIGNATURE[:-4]}AAAA",
    f"{HEAD}.{PAYLOAD[:-4]}fX0.{SIGNATURE}",
    f"{HEAD}.{PAYLOAD}.",
    f"{HEAD}.{PAYLOAD}.!!!!",
    f"{HEAD}.{PAYLOAD}.AAAA",
    f"..{SIGNATURE[:-4]}AAAA",
]


@pytest.mark.parametrize("token", FORGED)
def test_what_is_not_signed_so(token: str) -> None:
    identity = Identity.parse(f"{token};info=<{URL}>;alg=ES256")
    with pytest.raises(PeerError) as refused:
        verify(identity, public(), CLAIMS)
    assert refused.value.status == 438


def test_no_other_algorithm() -> None:
    with pytest.raises(PeerError):
        verify(Identity.parse(f"{TOKEN};info=<{URL}>;alg=none"), public(), CLAIMS)


@pytest.mark.parametrize("value", ["", "abc", f"{TOKEN}", f"{TOKEN};alg=ES256", "a.b;info=<x>", "x" * 9000])
def test_what_is_no_identity(value: str) -> None:
    with pytest.raises(PeerError):
        Identity.parse(value)


PARTIES = [
    ("sip:+1-215-555-1212@example.com;user=phone", Party("tn", "12155551212")),
    ("tel:+1(215)555.1212;ext=4", Party("tn", "12155551212")),
    ("sip:Alice@EXAMPLE.com:5070;transport=tcp", Party("uri", "sip:Alice@example.com")),
    ("sips:example.com", Party("uri", "sip:example.com")),
]


@pytest.mark.parametrize(("uri", "party"), PARTIES)
def test_who_a_uri_is(uri: str, party: Party) -> None:
    assert party_of(uri) == party
