"""Certificates of those who sign: fetched from where they say, within limits, and judged."""

from __future__ import annotations

import asyncio
import http.client
import ipaddress
import socket
import ssl
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtensionOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from sipyard.errors import PeerError

LARGEST: Final = 65_536
"""Bytes of an answer."""
PATIENCE: Final = 5.0
"""Seconds for one fetch."""
KEPT: Final = 3600.0
"""Seconds for which a certificate is not fetched again."""


@dataclass(frozen=True, slots=True)
class Chain:
    """A certificate and what came with it, the signer's first."""

    certificates: tuple[x509.Certificate, ...]

    @property
    def leaf(self) -> x509.Certificate:
        """The signer's own."""
        return self.certificates[0]

    @property
    def key(self) -> ec.EllipticCurvePublicKey:
        """Its key; PeerError 437 when it is none for ES256."""
        key = self.leaf.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise PeerError("the certificate's key is not on P-256", 437, "Unsupported Credential")
        return key

    def names(self) -> list[str]:
        """DNS names and SIP URIs that it is for, in lower case."""
        try:
            found = self.leaf.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        except x509.ExtensionNotFound:
            return []
        assert isinstance(found, x509.SubjectAlternativeName)
        names = found.get_values_for_type(x509.DNSName)
        names += [uri.partition(":")[2] for uri in found.get_values_for_type(x509.UniformResourceIdentifier)]
        return [name.lower() for name in names]


class Certificates:
    """Fetches chains and keeps them for a while.

    :param authorities: file with the certificates that chains must lead to.
    :param limit: chains that are kept.
    :param allow_private: fetch from addresses that are not global, too.
    :param https_authorities: file to check web servers by; None: the system's.
    """

    def __init__(
        self, authorities: Path | None, limit: int, *, allow_private: bool, https_authorities: Path | None
    ) -> None:
        self._roots = x509.load_pem_x509_certificates(authorities.read_bytes()) if authorities else []
        self._limit = limit
        self._allow_private = allow_private
        self._context = ssl.create_default_context(
            cafile=str(https_authorities) if https_authorities else None
        )
        self._kept: OrderedDict[str, tuple[float, Chain]] = OrderedDict()
        self._fetching: dict[str, asyncio.Future[Chain]] = {}

    async def get(self, url: str) -> Chain:
        """The chain at an https URL.

        :raises PeerError: 436: it cannot be had; 437: it is none.
        """
        found = self._kept.get(url)
        if found is not None and found[0] > time.monotonic():
            return found[1]
        fetching = self._fetching.get(url)
        if fetching is None:
            loop = asyncio.get_running_loop()
            fetching = self._fetching[url] = loop.run_in_executor(None, self._fetch, url)
            fetching.add_done_callback(lambda _: self._fetching.pop(url, None))
        chain = await asyncio.shield(fetching)
        while len(self._kept) >= self._limit:
            self._kept.popitem(last=False)
        self._kept[url] = (time.monotonic() + KEPT, chain)
        return chain

    def _fetch(self, url: str) -> Chain:
        try:
            data = self._download(url)
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise PeerError(f"certificate {url}: {error}", 436, "Bad Identity Info") from error
        try:
            if data.startswith(b"-----BEGIN"):
                return Chain(tuple(x509.load_pem_x509_certificates(data)))
            return Chain((x509.load_der_x509_certificate(data),))
        except ValueError as error:
            raise PeerError(f"certificate {url}: {error}", 437, "Unsupported Credential") from error

    def _download(self, url: str) -> bytes:
        """GET without redirects, from the address that was looked at (and not from one that a second
        question to the DNS would give)."""
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise ValueError("only https URLs are followed")
        port = parts.port or 443
        address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0][4][0]
        if not self._allow_private and not ipaddress.ip_address(address).is_global:
            raise ValueError(f"{address} is not a public address")
        connection = _Connection(parts.hostname, port, str(address), self._context)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(
                "GET", path, headers={"Accept": "application/pkix-cert, application/x-pem-file"}
            )
            with connection.getresponse() as answer:
                if answer.status != 200:
                    raise ValueError(f"status {answer.status}")
                data = answer.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise ValueError(f"more than {LARGEST} bytes")
            return data
        finally:
            connection.close()

    def judge(self, chain: Chain) -> None:
        """Whether it leads to an authority and is valid now.

        :raises PeerError: 437: it does not, or is not.
        """
        if not self._roots:
            raise PeerError("no authorities are configured", 437, "Unsupported Credential")
        try:
            policy = PolicyBuilder().store(Store(self._roots)).build_client_verifier()
            policy.verify(chain.leaf, list(chain.certificates[1:]))
        except VerificationError as error:
            raise PeerError(f"certificate: {error}", 437, "Unsupported Credential") from error


class _Connection(http.client.HTTPSConnection):
    """To one address, checked by the name."""

    def __init__(self, host: str, port: int, address: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=PATIENCE, context=context)
        self._address = address
        self._checks = context

    def connect(self) -> None:
        """Connect to the address that was chosen."""
        raw = socket.create_connection((self._address, self.port), PATIENCE)
        self.sock = self._checks.wrap_socket(raw, server_hostname=self.host)
