"""Whose registration it is: the key of a record, from the To of a REGISTER or the Request-URI of anything
else."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.attributes import Name

if TYPE_CHECKING:
    from sipyard.context import Context

LONGEST: Final = 255
"""Characters of a key; longer ones are refused."""

_UID: Final = Name.parse("$tu.uid")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_UNRESERVED: Final = frozenset(string.ascii_letters + string.digits + "-_.!~*'()")
_LOWER: Final = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def canonical_user(user: str, *, case_sensitive: bool = False) -> str:
    """A user part as a key: escapes of characters that need none are undone (RFC 3261 §19.1.4), all others
    stay escaped, so `%00` remains three characters and never ends a name; lower case as in SER."""
    if "%" in user:
        user = _ESCAPE.sub(_unescaped, user)
    if case_sensitive:
        return user
    return user.lower() if user.isascii() else user.translate(_LOWER)


def _unescaped(escape: re.Match[str]) -> str:
    char = chr(int(escape[1], 16))
    return char if char in _UNRESERVED else escape[0].upper()


@dataclass(frozen=True, slots=True)
class ByUid:
    """SER 2.0: `$tu.uid` when lookup_user set it, else the user part in lower case."""

    def key(self, msg: Context) -> str | None:
        """The uid, None when there is none (or one too long to be any)."""
        if msg.has_attributes:
            uid = msg.attributes.value(_UID)
            if uid is not None:
                return str(uid) or None
        message = msg.message
        text = message.to_uri if message.method == "REGISTER" else msg.request_uri
        try:
            user = Uri(text or "").user
        except ParseError:
            return None
        if not user:
            return None
        key = user.lower() if user.isascii() and "%" not in user else canonical_user(user)
        return key if len(key) <= LONGEST else None


@dataclass(frozen=True, slots=True)
class ByName:
    """SER 0.9: `user`, or `user@domain` with use_domain."""

    use_domain: bool = False
    case_sensitive: bool = False
    realm_prefix: str = ""

    def key(self, msg: Context) -> str | None:
        """The key, None when there is no user."""
        uri = uri_of(msg)
        if uri is None or not uri.user:
            return None
        key = canonical_user(uri.user, case_sensitive=self.case_sensitive)
        if self.use_domain:
            key = f"{key}@{uri.host.lower().removeprefix(self.realm_prefix)}"
        return key if len(key) <= LONGEST else None


Identity = ByUid | ByName


def uri_of(msg: Context) -> Uri | None:
    """The URI that names the callee: To in a REGISTER, else the current Request-URI."""
    message = msg.message
    text = message.to_uri if message.method == "REGISTER" else msg.request_uri
    if text is None:
        return None
    try:
        return Uri(text)
    except ParseError:
        return None
