"""Names of header fields: in any case, in compact form or long (RFC 3261 §7.3.1, §7.3.3)."""

from __future__ import annotations

from typing import Final

# RFC 3261 §7.3.3 and the registrations after it.
COMPACT: Final = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}


def canonical(name: str) -> str:
    """A header name in lower case, compact forms written out."""
    lower = name.lower()
    return COMPACT.get(lower, lower)
