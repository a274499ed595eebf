"""auth: digest challenges, and what the modules that know passwords (auth_db, auth_radius) share.

What is checked and in which order is SER's: credentials for this realm, well-formed, of a nonce made here;
the response; then the nonce's age. A correct answer to an old nonce gets ``stale=true``, a wrong one does
not. ACK, CANCEL and PRACK pass, since they cannot be challenged (RFC 3261 §22.1).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Generation, Loading
from sipyard.attributes import Assigned, Name
from sipyard.edited import edited
from sipyard.errors import PeerError
from sipyard.module import Deed, Module, Parameter, function, rpc, select
from sipyard.modules.auth.credential_selects import reader_of_credentials
from sipyard.modules.auth.guesses import Guesses
from sipyard.modules.auth.nonces import Freshness, Nonces
from sipyard.sip.digest import (
    ALGORITHMS,
    Credentials,
    challenge,
    is_digest,
    is_right,
    parse_credentials,
    realm_of,
)
from sipyard.sip.field_text import HeaderLine, one_line

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine
    from sipyard.selects import Reader, SelectPath

_OLD: Final = Generation.SER_0_9
_NEW: Final = Generation.SER_2_0
_FREE: Final = frozenset(("ACK", "CANCEL", "PRACK"))
_RPID: Final = Name("rpid")
_E164: Final = re.compile(r"\+[0-9]{1,15}")

PROVEN, FAILED, NO_DATABASE, BAD_REQUEST = 1, -1, -2, -3
"""What the functions that check credentials return (semantics §9)."""


@dataclass(frozen=True, slots=True)
class Side:
    """Who asks: a server for itself (www) or for passing on (proxy)."""

    is_proxy: bool

    @property
    def credentials(self) -> str:
        """The field that a client answers in."""
        return "Proxy-Authorization" if self.is_proxy else "Authorization"


WWW: Final = Side(False)
PROXY: Final = Side(True)


class _AlgorithmsKind:
    says = "algorithms of RFC 8760 by comma, the best first: " + ", ".join(ALGORITHMS)

    def convert(self, value: str | int, loading: Loading) -> tuple[str, ...]:
        names = tuple(name.strip().upper() for name in str(value).split(",") if name.strip())
        for name in names:
            if name not in ALGORITHMS:
                raise ArgumentError(f"algorithm {name} is not known", f"there are {', '.join(ALGORITHMS)}")
        return names

    def convert_strict(self, value: object, loading: Loading) -> tuple[str, ...]:
        return self.convert(str(value), loading)


Algorithms = Annotated[tuple[str, ...], _AlgorithmsKind()]


class Authentication(Module):
    """auth: digest authentication (RFC 3261 §22, RFC 8760)."""

    name = "auth"
    requires = ("sl",)
    live_parameters = ("challenge_attr", "qop", "check_uri", "require_qop", "rpid_prefix", "rpid_suffix")

    secret = Parameter(
        str, "", "Key of the nonces; servers that share it accept each other's. Random if empty."
    )
    nonce_expire = Parameter(int, 300, "Seconds for which a nonce may be used.")
    protect_contacts = Parameter(
        int, 0, "1: the nonce of a REGISTER is good for the same Contacts only.", generations=_NEW
    )
    challenge_attr: Parameter[Name] = Parameter(
        Assigned, "$digest_challenge", "Where a challenge is put, for append_to_reply.", generations=_NEW
    )
    proxy_challenge_header = Parameter(
        str, "Proxy-Authenticate", "Header of a proxy's challenge.", generations=_NEW
    )
    www_challenge_header = Parameter(
        str, "WWW-Authenticate", "Header of a server's challenge.", generations=_NEW
    )
    qop = Parameter(str, "auth", "Quality of protection that is offered; empty for none.", generations=_NEW)
    rpid_prefix = Parameter(str, "", "What stands before the URI in Remote-Party-ID.", generations=_OLD)
    rpid_suffix = Parameter(
        str,
        ";party=calling;id-type=subscriber;screen=yes",
        "What stands behind the URI in Remote-Party-ID.",
        generations=_OLD,
    )
    realm_prefix = Parameter(
        str,
        "",
        "What is taken off a host that serves as realm because the script gave none.",
        generations=_OLD,
    )
    algorithms: Parameter[tuple[str, ...]] = Parameter(
        Algorithms,
        "",
        "Algorithms that are offered, a challenge each, the best first. Empty: MD5 without saying so, as SER "
        "does. Others than these are refused. (Not in SER.)",
    )
    nonce_count = Parameter(
        bool,
        False,
        "Refuse a nonce count that was used before: a replay. (Not in SER.)",
        names=("nc_enabled",),
    )
    one_time_nonce = Parameter(
        bool, False, "Refuse a nonce that was used before. (Not in SER.)", names=("otn_enabled",)
    )
    check_uri = Parameter(bool, False, "Refuse credentials whose uri is not the Request-URI. (Not in SER.)")
    require_qop = Parameter(
        bool, False, "Refuse credentials without qop although it was offered. (Not in SER.)"
    )
    guess_limit = Parameter(
        int,
        0,
        "Failures a minute of an address, or for a user, from which on tries have to wait for their turn; "
        "0: no limit. Addresses that have proven to know the password do not wait for others. (Not in SER.)",
    )
    guess_delay = Parameter(int, 1000, "Milliseconds between two such turns. (Not in SER.)")
    failure_delay = Parameter(
        int,
        0,
        "A wrong password or an unknown user is answered after a random time of up to so many milliseconds: "
        "the two cannot be told apart by the time that they take. (Not in SER.)",
    )

    def __init__(self) -> None:
        super().__init__()
        self._nonces = Nonces(b"", 300, lambda: 0.0)
        self._guesses = Guesses(0, 0.0)
        self._stale_total = 0

    async def start(self, engine: Engine) -> None:
        """Choose the secret. Age of nonces is counted by the core's clock, which does not jump."""
        self._random_bytes = engine.random_bytes
        core, ahead = engine.core, engine.wall() - engine.core.now
        secret = self.secret.encode() if self.secret else engine.random_bytes(32)
        first = int.from_bytes(engine.random_bytes(4), "big")
        self._nonces = Nonces(secret, self.nonce_expire, lambda: core.now + ahead, first)
        self._guesses = Guesses(self.guess_limit, self.guess_delay / 1000)

    # -- for modules that know passwords ---------------------------------------------------------------------

    def begin(self, msg: Context, realm: str, side: Side) -> Credentials | int:
        """The credentials of a request for a realm, if they are worth looking up; else the function's result,
        with a challenge made."""
        message = msg.message
        if message.method in _FREE:
            return PROVEN
        try:
            credentials = _credentials_for(realm, side.credentials, message.headers(side.credentials))
        except PeerError:
            return self.refuse(msg, realm, side, BAD_REQUEST)
        if credentials is None:
            return self.refuse(msg, realm, side)
        if not self._is_acceptable(msg, credentials):
            return self.refuse(msg, realm, side)
        if self._nonces.judge(credentials.nonce, realm, self._bound(msg)) is Freshness.FOREIGN:
            return self.refuse(msg, realm, side)
        return credentials

    def _is_acceptable(self, msg: Context, credentials: Credentials) -> bool:
        if credentials.algorithm not in (self.algorithms or ALGORITHMS[:1]):
            msg.engine.log_incident(
                f"auth: {credentials.algorithm} from {msg.message.source_ip}: not offered", logging.WARNING
            )
            return False
        if not credentials.qop and self.require_qop and self.qop:
            msg.engine.log_incident(
                f"auth: no qop from {msg.message.source_ip}: it was offered", logging.WARNING
            )
            return False
        return not self.check_uri or _is_same(credentials.uri, msg.message.request_uri)

    def _bound(self, msg: Context) -> str:
        if not self.protect_contacts or msg.message.method != "REGISTER":
            return ""
        contacts = "\0".join(msg.message.values("Contact")).encode("utf-8", "surrogateescape")
        return hashlib.sha256(contacts).hexdigest()

    async def wait_for_turn(self, msg: Context, credentials: Credentials) -> bool:
        """Have a try wait when there were many wrong ones; False: it is refused."""
        if not self.guess_limit:
            return True
        wait = self._guesses.turn(credentials.username, msg.message.source_ip, msg.core.now)
        if wait:
            await asyncio.sleep(wait)
        return wait is not None

    async def conceal(self) -> None:
        """Before a failure is answered: let nobody read off the time why it is one."""
        if self.failure_delay:
            await asyncio.sleep(
                int.from_bytes(self._random_bytes(4), "big") / 2**32 * self.failure_delay / 1000
            )

    def settle(self, msg: Context, credentials: Credentials, ha1: str | None, side: Side) -> int:
        """Judge credentials by what is stored of the password, H(username:realm:password); None when there is
        no such user, which takes the same time and looks the same."""
        message = msg.message
        body = message.body if credentials.qop == "auth-int" else b""
        proves = is_right(credentials, ha1 or "", message.method, body)
        return self.conclude(msg, credentials, proves and bool(ha1), side)

    def conclude(self, msg: Context, credentials: Credentials, is_proven: bool, side: Side) -> int:
        """What follows when somebody (here, or a RADIUS server) has judged the response."""
        message, realm = msg.message, credentials.realm
        if not is_proven:
            self._guesses.failed(credentials.username, message.source_ip, msg.core.now)
            return self.refuse(msg, realm, side)
        self._guesses.succeeded(credentials.username, message.source_ip, msg.core.now)
        if not self._nonces.is_fresh(credentials.nonce) or not self._may_use(msg, credentials):
            self._stale_total += 1
            return self.refuse(msg, realm, side, stale=True)
        msg.verified = credentials.verified()
        return PROVEN

    def _may_use(self, msg: Context, credentials: Credentials) -> bool:
        if not (self.nonce_count or self.one_time_nonce):
            return True
        via = msg.message.via()
        branch = None if via is None else via.branch
        proof = (credentials.response, branch, msg.message.source_ip, msg.message.source_port)
        only_once = self.one_time_nonce or not credentials.qop
        return self._nonces.use(credentials.nonce, credentials.nc, proof, only_once=only_once)

    def refuse(
        self, msg: Context, realm: str, side: Side, result: int = FAILED, *, stale: bool = False
    ) -> int:
        """Make a challenge for the script to send, and return `result`."""
        if self.generation is _OLD:
            msg.notes["auth.stale"] = stale
        else:
            lines = self.challenge_lines(msg, realm, side, self.qop, stale=stale)
            msg.attributes.assign(self.challenge_attr, HeaderLine(lines))
        return result

    def challenge_lines(self, msg: Context, realm: str, side: Side, qop: str, *, stale: bool = False) -> str:
        """Header lines that ask for credentials, one for each algorithm (RFC 8760 §2.4)."""
        if self.generation is _OLD:
            header = "Proxy-Authenticate" if side.is_proxy else "WWW-Authenticate"
        else:
            header = self.proxy_challenge_header if side.is_proxy else self.www_challenge_header
        nonce = self._nonces.make(realm, self._bound(msg))
        return "".join(
            f"{header}: {challenge(realm, nonce, qop=qop, algorithm=algorithm, stale=stale)}\r\n"
            for algorithm in self.algorithms or (None,)
        )

    def realm(self, msg: Context, written: str) -> str:
        """The realm that a script gave; for SER 0.9 the host of To (REGISTER) or From when it gave none."""
        if written or self.generation is not _OLD:
            return written
        message = msg.message
        try:
            host = Uri((message.to_uri if message.method == "REGISTER" else message.from_uri) or "").host
        except ParseError:
            return ""
        return host.removeprefix(self.realm_prefix)

    # -- for scripts -----------------------------------------------------------------------------------------

    @function("R")
    def consume_credentials(self, msg: Context) -> int:
        """Remove the credentials that were verified, so that they do not travel on. 1, or -1 when there are
        none."""
        verified = msg.verified
        if verified is None:
            return 1 if msg.message.method in _FREE else -1
        wanted = verified.header.lower()
        for name, value, start, end in msg.message.fields():
            if name.lower() == wanted and value == verified.value:
                return 1 if edited(msg).remove(msg.message, start, end) else -1
        return -1

    @function("R", generations=_OLD, does=Deed.ANSWERS)
    def www_challenge(self, msg: Context, realm: str, with_qop: int) -> int:
        """Answer 401 with a challenge; `with_qop` 1 offers qop "auth". Returns 0: the script ends."""
        return self._challenge(msg, realm, with_qop, WWW, 401, "Unauthorized")

    @function("R", generations=_OLD, does=Deed.ANSWERS)
    def proxy_challenge(self, msg: Context, realm: str, with_qop: int) -> int:
        """Answer 407 with a challenge; `with_qop` 1 offers qop "auth". Returns 0: the script ends."""
        return self._challenge(msg, realm, with_qop, PROXY, 407, "Proxy Authentication Required")

    def _challenge(self, msg: Context, realm: str, qop: int, side: Side, status: int, reason: str) -> int:
        if msg.message.method == "ACK":
            return 0
        is_stale = msg.note("auth.stale") is True
        lines = self.challenge_lines(msg, self.realm(msg, realm), side, "auth" if qop else "", stale=is_stale)
        sl: Any = self.need("sl")
        sl.send(msg, status, reason, lines)
        return 0

    @function("R", generations=_OLD)
    def is_rpid_user_e164(self, msg: Context) -> int:
        """1 when the user of the attribute `rpid` is "+" and up to 15 digits, else -1."""
        rpid = msg.attributes.value(_RPID)
        if rpid is None:
            return -1
        text = str(rpid)
        if "<" in text:
            text = text.partition("<")[2].partition(">")[0]
        try:
            user = Uri(text).user or ""
        except ParseError:
            user = text
        return 1 if _E164.fullmatch(user) else -1

    @function("R", generations=_OLD)
    def append_rpid_hf(self, msg: Context, prefix: str | None = None, suffix: str | None = None) -> int:
        """Add Remote-Party-ID: prefix, the attribute `rpid`, suffix (the parameters' unless given). 1, or -1
        without that attribute."""
        rpid = msg.attributes.value(_RPID)
        if rpid is None:
            return -1
        before = self.rpid_prefix if prefix is None else prefix
        after = self.rpid_suffix if suffix is None else suffix
        msg.message.append_header(f"Remote-Party-ID: {before}{one_line(str(rpid))}{after}\r\n")
        return 1

    @select("authorization")
    def authorization(self, path: SelectPath) -> Reader:
        """`@authorization["realm"].PART`: what the client claims to a server, checked or not. PART is
        username (with .user and .domain), realm, nonce, uri, cnonce, nc, response, opaque, algorithm, qop."""
        return reader_of_credentials(WWW.credentials, path)

    @select("proxy_authorization")
    def proxy_authorization(self, path: SelectPath) -> Reader:
        """`@proxy_authorization["realm"].PART`: the same of what it claims to a proxy."""
        return reader_of_credentials(PROXY.credentials, path)

    @rpc("auth.stats")
    def stats(self) -> dict[str, int]:
        """Nonces whose use is remembered, challenges for age or reuse, tries refused for guessing (not in
        SER)."""
        return {
            "remembered_nonces": self._nonces.remembered,
            "stale": self._stale_total,
            "refused_guesses": self._guesses.refused,
        }


def _credentials_for(realm: str, header: str, values: Sequence[str]) -> Credentials | None:
    """The digest response for a realm among the values of a header, None when there is none.

    :raises PeerError: it is malformed. One for another realm may be what it likes.
    """
    for value in values:
        if not is_digest(value):
            continue
        try:
            credentials = parse_credentials(header, value)
        except PeerError:
            if realm_of(value) == realm:
                raise
            continue
        if credentials.realm == realm:
            return credentials
    return None


def _is_same(written: str, request_uri: str) -> bool:
    """Whether credentials are for this Request-URI; parameters are left out, as phones differ there."""
    if written == request_uri:
        return True
    try:
        one, other = Uri(written), Uri(request_uri)
    except ParseError:
        return False
    return (one.user, one.host.lower(), one.port or 5060) == (
        other.user,
        other.host.lower(),
        other.port or 5060,
    )
