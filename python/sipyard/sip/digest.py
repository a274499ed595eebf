"""Digest access authentication (RFC 3261 §22, RFC 7616, RFC 8760): credentials, challenges and hashes."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from sipyard.errors import PeerError

_MD5: Final = "MD5"
_HASHES: Final[dict[str, Callable[[bytes], str]]] = {
    _MD5: lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
}
ALGORITHMS: Final = tuple(_HASHES)
"""Names of RFC 8760 §2.3; SER knew the first."""
# RFC 7235 §2.1: auth-param: whole, its name, its value with or without quotes. A quoted value may hold
# commas.
_PARAMETER: Final = re.compile(
    r'(\s*([A-Za-z0-9_-]+)\s*=\s*(?:"([^"\\]*(?:\\.[^"\\]*)*)"|([^\s,"]*))\s*(?:,|\Z))', re.DOTALL
)
_NEEDED: Final = ("username", "realm", "nonce", "uri", "response")
_COUNT: Final = re.compile(r"[0-9A-Fa-f]{8}")
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")


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


class Credentials(NamedTuple):
    """What a client answered to a challenge. Texts are without their quotes; escapes are as they came.

    :ivar algorithm: one of `ALGORITHMS`.
    :ivar is_session: the algorithm's ``-sess`` form.
    :ivar qop: ``auth``, ``auth-int`` or "" for the form of RFC 2069.
    :ivar nc: nonce count, 0 without qop.
    """

    username: str
    realm: str
    nonce: str
    uri: str
    response: str
    algorithm: str
    is_session: bool
    qop: str
    nc: int
    nc_text: str
    cnonce: str
    header: str
    value: str

    @property
    def user(self) -> str:
        """The user name before ``@domain``."""
        return self.username.partition("@")[0]

    def verified(self) -> Verified:
        """To be called by who has checked them."""
        return Verified(self.username, self.realm, self.header, self.value)


def is_digest(value: str) -> bool:
    """Whether a value of Authorization or Proxy-Authorization is of this scheme (in any case)."""
    return value[:6].lower() == "digest" and value[6:7] in (" ", "\t")


def realm_of(value: str) -> str | None:
    """The realm of credentials, as far as it can be read."""
    found = re.search(r'[ \t,]realm\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))', value, re.IGNORECASE)
    return None if found is None else found[1] if found[1] is not None else found[2]


def parse_credentials(header: str, value: str) -> Credentials:
    """Read the value of an Authorization or Proxy-Authorization field (RFC 3261 §25.1).

    :raises PeerError: 400: it is no digest response, lacks something or says something twice.
    """
    found = parameters_of(header, value)
    for name in _NEEDED:
        if not found.get(name):
            raise _bad(header, f"no {name}")
    algorithm, is_session = _MD5, False
    if "algorithm" in found:
        algorithm, is_session = _algorithm(header, found["algorithm"])
    qop = found.get("qop", "").lower()
    nc, cnonce = found.get("nc", ""), found.get("cnonce", "")
    if qop:
        if qop not in ("auth", "auth-int"):
            raise _bad(header, f"qop {qop} is not known")
        if _COUNT.fullmatch(nc) is None or not cnonce:
            raise _bad(header, "qop without nc and cnonce")
    return Credentials(
        found["username"],
        found["realm"],
        found["nonce"],
        found["uri"],
        found["response"].lower(),
        algorithm,
        is_session,
        qop,
        int(nc, 16) if qop else 0,
        nc,
        cnonce,
        header,
        value,
    )


def parameters_of(header: str, value: str) -> dict[str, str]:
    """What stands behind the scheme ``Digest``, by names in lower case; texts without their quotes.

    :raises PeerError: 400: it cannot be read, or says something twice.
    """
    read = _PARAMETER.findall(value, 7)
    if sum([len(one[0]) for one in read]) != len(value) - 7:
        raise _bad(header, "unreadable parameters")
    found = {one[1].lower(): one[2] or one[3] for one in read}
    if len(found) != len(read):
        raise _bad(header, "a parameter twice")
    return found


def _algorithm(header: str, text: str) -> tuple[str, bool]:
    name = text.upper()
    is_session = name.endswith("-SESS")
    if is_session:
        name = name[:-5]
    if name not in _HASHES:
        raise _bad(header, f"algorithm {text} is not known")
    return name, is_session


def _bad(header: str, text: str) -> PeerError:
    return PeerError(f"{header}: {text}", 400, "Bad Request", header=header)


def ha1_of(algorithm: str, username: str, realm: str, password: str) -> str:
    """H(username:realm:password), in hexadecimal (RFC 7616 §3.4.2)."""
    return _HASHES[algorithm](f"{username}:{realm}:{password}".encode("utf-8", "surrogateescape"))


def response_of(credentials: Credentials, ha1: str, method: str, body: bytes = b"") -> str:
    """The response that somebody who knows the password sends (RFC 7616 §3.4.1, RFC 2069 without qop).

    :param ha1: H(username:realm:password) by the credentials' algorithm, in lower-case hexadecimal.
    :param body: of the request; it matters for ``auth-int``.
    """
    hashed = _HASHES[credentials.algorithm]
    if credentials.is_session:
        ha1 = hashed(_bytes(f"{ha1}:{credentials.nonce}:{credentials.cnonce}"))
    second = f"{method}:{credentials.uri}"
    if credentials.qop == "auth-int":
        second = f"{second}:{hashed(body)}"
    ha2 = hashed(_bytes(second))
    if not credentials.qop:
        return hashed(_bytes(f"{ha1}:{credentials.nonce}:{ha2}"))
    middle = f"{credentials.nonce}:{credentials.nc_text}:{credentials.cnonce}:{credentials.qop}"
    return hashed(_bytes(f"{ha1}:{middle}:{ha2}"))


def is_right(credentials: Credentials, ha1: str, method: str, body: bytes = b"") -> bool:
    """Whether the response proves that password, compared in constant time."""
    expected = response_of(credentials, ha1.lower(), method, body)
    return hmac.compare_digest(expected.encode(), _bytes(credentials.response))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def quoted(text: str) -> str:
    """A quoted-string (RFC 3261 §25.1); control characters go."""
    inner = _CONTROLS.sub("", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inner}"'


def challenge(
    realm: str, nonce: str, *, qop: str = "auth", algorithm: str | None = None, stale: bool = False
) -> str:
    """The value of a WWW-Authenticate or Proxy-Authenticate field (RFC 3261 §20.44).

    :param qop: "" offers none.
    :param algorithm: None says none, which means MD5.
    """
    text = f'Digest realm={quoted(realm)}, nonce="{nonce}"'
    if qop:
        text += f', qop="{qop}"'
    if algorithm is not None:
        text += f", algorithm={algorithm}"
    return f"{text}, stale=true" if stale else text


class Challenge(NamedTuple):
    """What a server asks for. `qops` are those that it offers; `algorithm` is one of `ALGORITHMS`."""

    realm: str
    nonce: str
    qops: tuple[str, ...]
    algorithm: str
    is_session: bool
    is_stale: bool
    opaque: str
    header: str


def parse_challenge(header: str, value: str) -> Challenge:
    """Read the value of a WWW-Authenticate or Proxy-Authenticate field.

    :raises PeerError: 400: it is no digest challenge, or of an algorithm that is not known.
    """
    if not is_digest(value):
        raise _bad(header, "not a digest challenge")
    found = parameters_of(header, value)
    if "realm" not in found or not found.get("nonce"):
        raise _bad(header, "no realm or nonce")
    algorithm, is_session = _algorithm(header, found.get("algorithm", _MD5))
    return Challenge(
        found["realm"],
        found["nonce"],
        tuple(each.strip().lower() for each in found.get("qop", "").split(",") if each.strip()),
        algorithm,
        is_session,
        found.get("stale", "").lower() == "true",
        found.get("opaque", ""),
        header,
    )


def answer_challenge(
    asked: Challenge, method: str, uri: str, username: str, password: str, *, cnonce: str, count: int = 1
) -> Credentials:
    """Credentials for a challenge, with qop ``auth`` when it is offered (RFC 3261 §22.2); `value` is the
    field's value."""
    qop = "auth" if "auth" in asked.qops else ""
    count_text = f"{count:08x}"
    header = "Authorization" if asked.header.lower() == "www-authenticate" else "Proxy-Authorization"
    session, algorithm = asked.is_session, asked.algorithm
    asking = (username, asked.realm, asked.nonce, uri, "", algorithm, session)
    bare = Credentials(*asking, qop, count, count_text, cnonce, header, "")
    response = response_of(bare, ha1_of(algorithm, username, asked.realm, password), method)
    name = f"{algorithm}-sess" if session else algorithm
    value = (
        f'Digest username={quoted(username)}, realm="{asked.realm}", nonce="{asked.nonce}", uri="{uri}", '
        f'response="{response}", algorithm={name}'
    )
    if asked.is_session and not qop:
        value += f', cnonce="{cnonce}"'
    if qop:
        value += f', qop={qop}, nc={count_text}, cnonce="{cnonce}"'
    if asked.opaque:
        value += f', opaque="{asked.opaque}"'
    return bare._replace(response=response, value=value)
