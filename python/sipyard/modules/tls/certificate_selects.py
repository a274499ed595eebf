"""`@tls.peer.subject.cn` and its kin: what the certificates of a message's connection say."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from sipyard.arguments import ArgumentError, near

if TYPE_CHECKING:
    from sipyard._native.core import TlsFacts
    from sipyard.context import Context
    from sipyard.selects import Reader, SelectPath

Facts = Callable[["Context"], "TlsFacts | None"]
_SIDES: Final = {"peer": True, "my": False, "me": False, "myself": False}
_NAMES: Final = {
    ("cn", "commonname"): NameOID.COMMON_NAME,
    ("name",): NameOID.COMMON_NAME,
    ("l", "locality", "localityname"): NameOID.LOCALITY_NAME,
    ("c", "country", "countryname"): NameOID.COUNTRY_NAME,
    ("st", "state", "stateorprovincename"): NameOID.STATE_OR_PROVINCE_NAME,
    ("o", "organization", "organizationname"): NameOID.ORGANIZATION_NAME,
    ("ou", "unit", "organizationalunitname"): NameOID.ORGANIZATIONAL_UNIT_NAME,
}
_PARTS: Final = {name: oid for names, oid in _NAMES.items() for name in names}
_ALTERNATIVES: Final[dict[str, type[x509.GeneralName]]] = {
    "email": x509.RFC822Name,
    **dict.fromkeys(("host", "hostname", "dns"), x509.DNSName),
    **dict.fromkeys(("uri", "url", "urn"), x509.UniformResourceIdentifier),
    **dict.fromkeys(("ip", "ipaddress"), x509.IPAddress),
}


def _yes(is_so: bool) -> str:
    return "1" if is_so else "0"


def _is_expired(certificate: x509.Certificate) -> bool:
    now = datetime.datetime.now(datetime.UTC)
    return not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


_FIELDS: Final[dict[str, Callable[[x509.Certificate], str]]] = {
    "expired": lambda one: _yes(_is_expired(one)),
    "self_signed": lambda one: _yes(one.issuer == one.subject),
    "version": lambda one: str(one.version.value + 1),
    "sn": lambda one: str(one.serial_number),
    "serialnumber": lambda one: str(one.serial_number),
    "notbefore": lambda one: one.not_valid_before_utc.isoformat(),
    "notafter": lambda one: one.not_valid_after_utc.isoformat(),
}


def reader_of_tls(path: SelectPath, facts: Facts) -> Reader:
    """The reader of a `@tls` select; missing for a message that did not come over TLS.

    :raises ArgumentError: there is no such part.
    """
    names = [step.name.lower() for step in path[1:]]
    if names[:1] == ["cipher"] or names in (["version"], ["desc"], ["description"]):
        return _of_connection(names, facts)
    if not names or names[0] not in _SIDES:
        known = ("version", "description", "cipher", *_SIDES)
        raise ArgumentError(f"@tls has the parts {', '.join(known)}", near(names[0] if names else "", known))
    return _of_certificate(_SIDES[names[0]], names[1:], facts)


def _of_connection(names: list[str], facts: Facts) -> Reader:
    def read(msg: Context) -> str | None:
        found = facts(msg)
        if found is None:
            return None
        bits = "128" if "AES_128" in found.cipher else "256"
        if names[0] == "version":
            return found.version
        if names[0] == "cipher":
            return bits if names[1:] == ["bits"] else found.cipher
        return f"{found.version} {found.cipher} ({bits} bits)"

    if names[1:] not in ([], ["bits"]):
        raise ArgumentError("@tls.cipher has the part bits only")
    return read


def _of_certificate(is_peer: bool, names: list[str], facts: Facts) -> Reader:
    if names in (["verified"], ["revoked"]):
        # A handshake with a certificate that was checked and is bad does not come to its end.
        return lambda msg: None if (found := facts(msg)) is None else _verdict(found, names[0], is_peer)
    value = _value(names)

    def read(msg: Context) -> str | None:
        found = facts(msg)
        if found is None:
            return None
        encoded = (found.peer[0] if found.peer else None) if is_peer else found.own
        return None if encoded is None else value(x509.load_der_x509_certificate(encoded))

    return read


def _verdict(found: TlsFacts, name: str, is_peer: bool) -> str:
    return _yes(name == "verified" and is_peer and found.is_verified)


def _value(names: list[str]) -> Callable[[x509.Certificate], str | None]:
    first = names[0] if names else ""
    if first in _FIELDS and len(names) == 1:
        return _FIELDS[first]
    if first in _ALTERNATIVES and len(names) == 1:
        return lambda one: _alternative(one, _ALTERNATIVES[first])
    if first in ("subject", "subj", "issuer") and len(names) <= 2:
        part = names[1] if len(names) == 2 else ""
        if part and part not in _PARTS:
            raise ArgumentError(f"a {first} has no part {part}", near(part, _PARTS))
        return lambda one: _named(one.issuer if first == "issuer" else one.subject, part)
    known = ("verified", "revoked", "subject", "issuer", *_FIELDS, *_ALTERNATIVES)
    raise ArgumentError(f"a certificate has no part {'.'.join(names)}", near(first, known))


def _named(name: x509.Name, part: str) -> str | None:
    if not part:
        return name.rfc4514_string()
    found = name.get_attributes_for_oid(_PARTS[part])
    return str(found[0].value) if found else None


def _alternative(certificate: x509.Certificate, kind: type[x509.GeneralName]) -> str | None:
    try:
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except x509.ExtensionNotFound:
        return None
    assert isinstance(names, x509.SubjectAlternativeName)
    return next((str(name.value) for name in names if isinstance(name, kind)), None)
