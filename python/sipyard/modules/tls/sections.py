"""SER's tls.cfg: sections by side and address, and what the native core is told of them."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from sipyard._native.core import TlsSection
from sipyard.errors import ConfigError, Place

_HEAD: Final = re.compile(
    r"\[\s*(server|srv|s|client|cli|c)\s*:\s*(?:(default|\*)|(\[[^\]]+\]|[0-9.]+)\s*:\s*(\d{1,5}))\s*\]", re.I
)
_LINE: Final = re.compile(r'([a-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|(.*?))', re.I)
_OPENSSL: Final = {
    f"ECDHE-{key}-{short}": f"TLS_ECDHE_{key}_WITH_{long}"
    for key in ("RSA", "ECDSA")
    for short, long in (
        ("AES128-GCM-SHA256", "AES_128_GCM_SHA256"),
        ("AES256-GCM-SHA384", "AES_256_GCM_SHA384"),
        ("CHACHA20-POLY1305", "CHACHA20_POLY1305_SHA256"),
    )
}


@dataclass(frozen=True, slots=True)
class Section:
    """How connections are secured on one side, at one address or at all others.

    :ivar address: ours for the server's side, the peer's for the client's; None: all that have no section.
    :ivar server_name: names, by space, for which its certificate is (not in SER); empty: for all.
    :ivar method: the oldest version, as SER and OpenSSL write it; nothing older than TLS 1.2 is spoken.
    :ivar private_key: its file; empty: the certificate's.
    :ivar crl: file of revoked certificates (not in SER).
    """

    is_client: bool
    address: tuple[str, int] | None = None
    method: str = ""
    verify_certificate: bool = False
    require_certificate: bool = False
    private_key: str = ""
    certificate: str = ""
    ca_list: str = ""
    crl: str = ""
    cipher_list: str = ""
    server_name: str = ""
    verify_depth: int = 9

    @property
    def name(self) -> str:
        """As its head in the file."""
        side = "client" if self.is_client else "server"
        if self.address is None:
            return f"[{side}:default]"
        ip, port = self.address
        return f"[{side}:[{ip}]:{port}]" if ":" in ip else f"[{side}:{ip}:{port}]"


_SPELLINGS: Final = {
    "tls_method": "method",
    "verify": "verify_certificate",
    "require": "require_certificate",
}
_KNOWN: Final = tuple(one for one in Section.__dataclass_fields__ if one not in ("is_client", "address"))


def parse_sections(text: str, file: str, server: Section, client: Section) -> list[Section]:
    """The sections of a tls.cfg; those that a file does not have are the defaults.

    :raises ConfigError: with the place of what is wrong.
    """
    found: list[Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        place = Place(file, number, 1)
        if stripped.startswith("["):
            found.append(_head(stripped, place, server, client))
        elif not found:
            raise ConfigError("a setting stands before the first section", place)
        else:
            found[-1] = _with(found[-1], stripped, place)
    for default in (server, client):
        if not any(one.is_client == default.is_client and one.address is None for one in found):
            found.append(default)
    return found


def _head(text: str, place: Place, server: Section, client: Section) -> Section:
    match = _HEAD.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text} is no section: write [server:default] or [client:192.0.2.1:5061]", place)
    side, _, host, port = match.groups()
    default = client if side.lower().startswith("c") else server
    if host is None:
        return default
    try:
        ip = str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        raise ConfigError(f"{host} is not an IP address", place) from None
    return replace(default, address=(ip, int(port)))


def _with(section: Section, text: str, place: Place) -> Section:
    match = _LINE.fullmatch(text)
    if match is None:
        raise ConfigError(f"{text} is not name = value", place)
    name, quoted, plain = match.groups()
    text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain.strip()
    name = _SPELLINGS.get(name.lower(), name.lower())
    if name not in _KNOWN:
        raise ConfigError(f"there is no setting {name}; there are {', '.join(_KNOWN)}", place)
    value: Any = text
    if name in ("verify_certificate", "require_certificate"):
        if text.lower() not in ("0", "1", "yes", "no", "on", "off"):
            raise ConfigError(f"{name} is yes or no, not {text}", place)
        value = text.lower() in ("1", "yes", "on")
    elif name == "verify_depth":
        if not text.isdecimal():
            raise ConfigError(f"{name} is a number, not {text}", place)
        value = int(text)
    return replace(section, **{name: value})


def system_authorities() -> str:
    """The file of the authorities that this system trusts; "" when it has none."""
    return ssl.get_default_verify_paths().cafile or ""


def native_sections(sections: list[Section], folder: Path) -> list[TlsSection]:
    """What the core is told; sections of one address become one with several certificates.

    :param folder: that file names start from.
    :raises ConfigError: a file cannot be read or is not what it should be; it says which.
    """
    groups: dict[tuple[bool, tuple[str, int] | None], list[Section]] = {}
    for section in sections:
        groups.setdefault((section.is_client, section.address), []).append(section)
    return [_native(group, folder) for group in groups.values()]


def _native(group: list[Section], folder: Path) -> TlsSection:
    first = group[0]

    def content(name: str) -> bytes:
        try:
            return (folder / name).read_bytes() if name else b""
        except OSError as error:
            raise ConfigError(f"tls: {first.name}: cannot read {folder / name}: {error.strerror}") from error

    def identity(one: Section) -> tuple[bytes, bytes, list[str]]:
        key = content(one.private_key or one.certificate)
        return content(one.certificate), key, one.server_name.lower().split()

    authorities = first.ca_list or (system_authorities() if first.verify_certificate else "")
    try:
        return TlsSection(
            is_client=first.is_client,
            address=first.address,
            identities=[identity(one) for one in group if one.certificate],
            authorities=content(authorities),
            revoked=content(first.crl),
            verify=first.verify_certificate or first.require_certificate,
            require=first.require_certificate,
            oldest=3 if "1.3" in first.method or "1_3" in first.method else 2,
            ciphers=_ciphers(first.cipher_list),
        )
    except ValueError as error:
        named = (first.certificate, first.private_key, first.ca_list, first.crl)
        files = ", ".join(one for one in named if one)
        raise ConfigError(f"tls: {first.name} ({files}): {error}") from error


def _ciphers(text: str) -> list[str]:
    """IANA's names for OpenSSL's; words that are no suite (HIGH, !aNULL) change nothing."""
    words = [word for word in re.split(r"[:,\s]+", text) if word]
    known = [_OPENSSL.get(word.upper(), word) for word in words]
    return [re.sub(r"^TLS_(?=AES|CHACHA)", "TLS13_", word) for word in known if "_" in word]
