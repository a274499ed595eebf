"""`@authorization["realm"].username` and its kin: what a client claims, checked or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipyard.arguments import ArgumentError, near
from sipyard.errors import PeerError
from sipyard.sip.digest import is_digest, parameters_of

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.selects import Reader, SelectPath

PARTS: Final = ["username", "realm", "nonce", "uri", "cnonce", "nc", "response", "opaque", "algorithm", "qop"]


def reader_of_credentials(header: str, path: SelectPath) -> Reader:
    """The reader of one part of the credentials for a realm, or of the first ones without a realm.

    :raises ArgumentError: the path is not of that form.
    """
    realm, names = path[0].key, [step.name.lower() for step in path[1:]]
    if not names or names[0] not in PARTS:
        raise ArgumentError(
            f"@{path[0]} needs one of the parts {', '.join(PARTS)}", near(names[0] if names else "", PARTS)
        )
    part, half = names[0], names[1] if len(names) > 1 else ""
    if len(names) > 2 or (half and (part != "username" or half not in ("user", "domain"))):
        raise ArgumentError(f"@{path[0]}: only .username has parts, .user and .domain")

    def read(msg: Context) -> str | None:
        found = _claimed(msg, header, realm)
        value = None if found is None else found.get(part)
        if value is None or not half:
            return value
        user, _, domain = value.partition("@")
        return (user if half == "user" else domain) or None

    return read


def _claimed(msg: Context, header: str, realm: str | None) -> dict[str, str] | None:
    for value in msg.message.headers(header):
        if not is_digest(value):
            continue
        try:
            found = parameters_of(header, value)
        except PeerError:
            continue  # unreadable credentials are none: a select has no way to complain
        if realm is None or found.get("realm") == realm:
            return found
    return None
