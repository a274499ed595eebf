"""auth_identity: says who calls, signed, and checks what others say (RFC 8224), under the names that SER's
module for RFC 4474 had.

A script that signs: `auth_date_proc() && auth_add_identity()`. One that checks: `vrfy_check_date() &&
vrfy_get_certificate() && vrfy_check_certificate() && vrfy_check_msgvalidity() && vrfy_check_callid()`; the
attributes of `code_attr` and `reason_attr` say what to answer when one is false.
"""

from __future__ import annotations

from collections import OrderedDict
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sipyard.attributes import Assigned, Name
from sipyard.errors import ConfigError, PeerError
from sipyard.module import Module, Parameter, function
from sipyard.modules.auth_identity.certificates import Certificates, Chain
from sipyard.sip.passport import Claims, Identity, party_of, sign, verify

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_NOTE: Final = "auth_identity"


class SignedIdentity(Module):
    """auth_identity: signed identities of callers."""

    name = "auth_identity"

    privatekey_path = Parameter(str, "", "File with the key to sign with (PEM, P-256).")
    certificate_path = Parameter(str, "", "File with its certificate (PEM); it is checked against the key.")
    certificate_url = Parameter(str, "", "Where others find that certificate (https).")
    auth_validity_time = Parameter(int, 60, "Seconds by which Date may differ when a request is signed.")
    msg_timeout = Parameter(int, 60, "Seconds by which Date and `iat` may differ when they are checked.")
    cainfo_path = Parameter(str, "", "File with the authorities that certificates must lead to (PEM).")
    https_cainfo_path = Parameter(str, "", "File to check web servers by; empty: the system's.")
    certificate_cache_limit = Parameter(int, 4096, "Certificates that are kept.")
    callid_cache_limit = Parameter(int, 32768, "Calls that are remembered, to know a replay.")
    allow_private = Parameter(bool, False, "Fetch certificates from addresses that are not public, too.")
    code_attr: Parameter[Name] = Parameter(Assigned, "$f.identity_code", "Status to answer with.")
    reason_attr: Parameter[Name] = Parameter(Assigned, "$f.identity_reason", "Reason phrase to answer with.")

    def __init__(self) -> None:
        super().__init__()
        self._key: ec.EllipticCurvePrivateKey | None = None
        self._seen: OrderedDict[tuple[str, int, str], float] = OrderedDict()

    async def start(self, engine: Engine) -> None:
        """Read key and authorities.

        :raises ConfigError: a file cannot be used.
        """
        self._engine = engine
        try:
            if self.privatekey_path:
                self._key = self._read_key()
            cainfo, https = (
                Path(each) if each else None for each in (self.cainfo_path, self.https_cainfo_path)
            )
            self._certificates = Certificates(
                cainfo,
                self.certificate_cache_limit,
                allow_private=self.allow_private,
                https_authorities=https,
            )
        except (OSError, ValueError) as error:
            raise ConfigError(f"auth_identity: {error}") from error

    def _read_key(self) -> ec.EllipticCurvePrivateKey:
        key = load_pem_private_key(Path(self.privatekey_path).read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError(f"{self.privatekey_path} is no key on P-256")
        if not self.certificate_url.startswith("https://"):
            raise ValueError("certificate_url must be an https URL")
        if self.certificate_path:
            from cryptography import x509

            certificate = x509.load_pem_x509_certificate(Path(self.certificate_path).read_bytes())
            if certificate.public_key() != key.public_key():
                raise ValueError(f"{self.certificate_path} is not the certificate of the key")
        return key

    # -- signing ---------------------------------------------------------------------------------------------

    @function("R")
    def auth_date_proc(self, msg: Context) -> int:
        """Add Date when there is none; -1 when there is one that is too far from now, or none at all."""
        now = self._engine.wall()
        if not msg.message.has_header("Date"):
            msg.message.append_header(f"Date: {formatdate(now, usegmt=True)}\r\n")
            msg.notes[_NOTE] = {"date": int(now)}
            return 1
        date = _moment(msg.message.header("Date"))
        if date is None or abs(date - now) > self.auth_validity_time:
            return self._refused(msg, 403, "Stale Date")
        msg.notes[_NOTE] = {"date": date}
        return 1

    @function("R")
    def auth_add_identity(self, msg: Context) -> int:
        """Sign caller (From), callee (To) and Date, and add Identity. 1, or -1 when that cannot be done."""
        note: dict[str, Any] | None = msg.note(_NOTE)
        if self._key is None or note is None:
            msg.engine.log_incident("auth_identity: no key, or auth_date_proc was not called")
            return -1
        try:
            claims = self._claims(msg, note["date"])
        except PeerError as error:
            return self._refused(msg, error.status, error.reason)
        msg.message.append_header(f"Identity: {sign(claims, self._key, self.certificate_url)}\r\n")
        return 1

    @staticmethod
    def _claims(msg: Context, issued: int) -> Claims:
        message = msg.message
        return Claims(party_of(message.from_uri or ""), party_of(message.to_uri or ""), issued)

    # -- checking --------------------------------------------------------------------------------------------

    @function("R")
    def vrfy_check_date(self, msg: Context) -> int:
        """1 when there are Date and Identity and Date is near enough to now, else -1 (RFC 8224 §6.2.3,
        §6.2.4)."""
        date = _moment(msg.message.header("Date"))
        value = msg.message.header("Identity")
        if value is None:
            return self._refused(msg, 428, "Use Identity Header")
        if date is None or abs(date - self._engine.wall()) > self.msg_timeout:
            return self._refused(msg, 403, "Stale Date")
        try:
            msg.notes[_NOTE] = {"date": date, "identity": Identity.parse(value)}
        except PeerError as error:
            return self._refused(msg, error.status, error.reason)
        return 1

    @function("R")
    async def vrfy_get_certificate(self, msg: Context) -> int:
        """Fetch the certificate that Identity names, or have it from before. 1, or -1."""
        note: dict[str, Any] | None = msg.note(_NOTE)
        if note is None or "identity" not in note:
            return -1
        try:
            note["chain"] = await self._certificates.get(note["identity"].info)
        except PeerError as error:
            msg.engine.log_incident(f"auth_identity: {error.message}")
            return self._refused(msg, error.status, error.reason)
        return 1

    @function("R")
    def vrfy_check_certificate(self, msg: Context) -> int:
        """1 when the certificate is valid, leads to an authority and, for a caller who is a URI, is for that
        domain; else -1."""
        note: dict[str, Any] | None = msg.note(_NOTE)
        chain: Chain | None = None if note is None else note.get("chain")
        if chain is None or note is None:
            return -1
        try:
            self._certificates.judge(chain)
            caller = self._claims(msg, note["date"]).caller
            if caller.kind == "uri" and caller.value.rpartition("@")[2] not in chain.names():
                raise PeerError("the certificate is for another domain", 437, "Unsupported Credential")
        except PeerError as error:
            msg.engine.log_incident(f"auth_identity: {error.message}")
            return self._refused(msg, error.status, error.reason)
        return 1

    @function("R")
    def vrfy_check_msgvalidity(self, msg: Context) -> int:
        """1 when the signature is the certificate's, over this caller and callee and a moment near Date; else
        -1."""
        note: dict[str, Any] | None = msg.note(_NOTE)
        if note is None or "chain" not in note:
            return -1
        try:
            expected = self._claims(msg, note["date"])
            found = verify(note["identity"], note["chain"].key, expected)
            if (found.caller, found.callee) != (expected.caller, expected.callee):
                raise PeerError("another caller or callee is signed", 438, "Invalid Identity Header")
            if abs(found.issued - note["date"]) > self.msg_timeout:
                raise PeerError("what is signed is too old", 403, "Stale Date")
        except PeerError as error:
            msg.engine.log_incident(f"auth_identity: {error.message}")
            return self._refused(msg, error.status, error.reason)
        return 1

    @function("R")
    def vrfy_check_callid(self, msg: Context) -> int:
        """1 the first time that a request of this Call-ID, CSeq and From tag is seen, else -1: it is a
        replay."""
        message, now = msg.message, self._engine.core.now
        key = (message.call_id, message.cseq_number, message.from_tag or "")
        while self._seen and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        if key in self._seen or len(self._seen) >= self.callid_cache_limit:
            return self._refused(msg, 403, "Replayed Request")
        self._seen[key] = now + 2 * self.msg_timeout
        return 1

    def _refused(self, msg: Context, status: int, reason: str) -> int:
        msg.attributes.assign(self.code_attr, status)
        msg.attributes.assign(self.reason_attr, reason)
        return -1


def _moment(text: str | None) -> int | None:
    """Seconds since 1970 of a Date header (RFC 3261 §20.17), None when it is none."""
    try:
        return int(parsedate_to_datetime(text or "").timestamp())
    except (ValueError, OverflowError):
        return None
