"""From bindings to destinations: the best contact into the Request-URI, the others into branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipyard._native.core import NameAddr, ParseError
from sipyard.modules.usrloc import NAT, Contact

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine


def resolve(contact: Contact, engine: Engine) -> None:
    """Compute once where a contact leads to; `target` stays None when its host is a name."""
    if contact.listener is None and contact.socket:
        contact.listener = engine.listener_named(contact.socket)
    hop = next_hop(contact)
    listener = contact.listener
    try:
        if listener is not None:
            contact.target = engine.core.target(hop, listener.index)
            return
    except ValueError:  # the contact wants another transport than it registered over
        contact.listener = None
    try:
        contact.target = engine.core.target(hop)
    except ValueError:
        contact.target = None


def next_hop(contact: Contact) -> str:
    """First Path entry (RFC 3327 §5.4), else the received URI, else the contact's own."""
    if contact.path:
        try:
            return NameAddr(first_of(contact.path)).uri
        except ParseError:
            return contact.uri
    return contact.received or contact.uri


def first_of(path: str) -> str:
    """The topmost of Path values."""
    depth, quoted = 0, False
    for position, char in enumerate(path):
        if char == '"':
            quoted = not quoted
        elif not quoted:
            depth += (char == "<") - (char == ">")
            if char == "," and depth == 0:
                return path[:position]
    return path


def choose(msg: Context, contact: Contact) -> None:
    """Make a contact the Request-URI and next hop of the request."""
    target = contact.target
    if target is None:
        resolve(contact, msg.engine)
        target = contact.target
    path = contact.path
    hop = next_hop(contact) if path else contact.received or None
    msg.set_destination(contact.uri, hop, target, contact.listener, contact.q, path)


def append(msg: Context, contact: Contact) -> bool:
    """Make a contact a branch; False when there are too many."""
    if contact.target is None:
        resolve(contact, msg.engine)
    hop = next_hop(contact) if contact.path else contact.received or None
    return msg.add_branch(contact.uri, contact.q, hop, contact.target, contact.listener, contact.path)


def uri_with_received(contact: Contact) -> str:
    """The contact's URI with its received URI as a parameter (`received_to_uri`); what would end the
    parameter is escaped (RFC 3261 §19.1.2)."""
    if not contact.received:
        return contact.uri
    escaped = contact.received.replace("%", "%25").replace(";", "%3B").replace("?", "%3F")
    uri, question, headers = contact.uri.partition("?")
    return f"{uri};received={escaped}{question}{headers}"


def is_nat(contact: Contact) -> bool:
    """Whether it registered from behind NAT."""
    return bool(contact.flags & NAT)
