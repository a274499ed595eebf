"""A certificate authority of one's own, for trying TLS: made once, then it issues certificates."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS: Final = 3650
CERTIFICATE_DAYS: Final = 365
_CLOCKS: Final = datetime.timedelta(hours=1)
"""Clocks of phones go wrong: certificates are valid from before now."""


class Authority:
    """Its certificate and key.

    :ivar certificate: self-signed.
    """

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str) -> Authority:
        """A new one on P-256."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key(), AUTHORITY_DAYS)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> Authority:
        """One that was saved.

        :raises OSError: a file cannot be read. ValueError: it is not what it should be.
        """
        found = serialization.load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(found, ec.EllipticCurvePrivateKey):
            raise ValueError(f"{key} is not a key on an elliptic curve")
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), found)

    def save(self, certificate: Path, key: Path) -> None:
        """Write both; nobody else may read the key. OSError."""
        certificate.write_bytes(_pem(self.certificate))
        write_secret(key, _pem_of_key(self._key))

    def issue(self, names: Sequence[str]) -> bytes:
        """A certificate for host names and IP addresses and its key, as PEM; for servers and clients.

        :raises ValueError: no names, or one of them is none.
        """
        if not names:
            raise ValueError("a certificate needs a name")
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = _builder(subject, self.certificate.subject, key.public_key(), CERTIFICATE_DAYS)
        usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=False)
            .add_extension(usages, critical=False)
        )
        return _pem(builder.sign(self._key, hashes.SHA256())) + _pem_of_key(key)


def write_secret(file: Path, content: bytes) -> None:
    """Write a file that only its owner may read, from the first byte on. OSError."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        os.fchmod(opened.fileno(), 0o600)  # it may have been there before
        opened.write(content)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCKS)
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _name(text: str) -> x509.GeneralName:
    if text.startswith("sip:"):  # a SIP domain (RFC 5922 §7.1)
        return x509.UniformResourceIdentifier(text)
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
