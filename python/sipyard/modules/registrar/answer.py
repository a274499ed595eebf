"""The 200 to a REGISTER: every binding that there is now (RFC 3261 §10.3 step 8)."""

from __future__ import annotations

from math import ceil

from sipyard.modules.usrloc import NEVER, Contact

FOREVER = 2**31 - 1
"""What a permanent binding says it lasts."""


def contact_values(first: Contact | None, now: float, aor_filter: str = "") -> str:
    """The Contact values with commas between; "" when nothing is registered."""
    if first is not None and first.next is None and not aor_filter:
        return contact_value(first, now) if first.expires > now else ""
    return ", ".join(
        contact_value(contact, now)
        for contact in (first.chain() if first is not None else ())
        if contact.expires > now and (not aor_filter or contact.aor == aor_filter)
    )


def contact_value(contact: Contact, now: float) -> str:
    """One Contact value, in SER's order: URI, q, expires, received; then the instance (RFC 5626 §6)."""
    expires = contact.expires
    left = FOREVER if expires == NEVER else ceil(expires - now - 1e-6)
    q = "" if contact.q < 0 else f";q={contact.q / 1000:g}"
    received = f';received="{contact.received}"' if contact.received else ""
    return f"<{contact.uri}>{q};expires={left}{received}{_instance(contact)}"


def _instance(contact: Contact) -> str:
    if not contact.instance:
        return ""
    instance, _, reg_id = contact.instance.partition(";reg-id=")
    return f';+sip.instance="{instance}"' + (f";reg-id={reg_id}" if reg_id else "")
