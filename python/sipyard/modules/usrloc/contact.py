"""One binding: an address-of-record's contact as it registered (RFC 3261 §10).

There may be a million of them, so: no record object per address (contacts of one address are a chain through
`next`), no dictionary per object, texts that repeat are shared, and numbers that are unknown are small
constants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sipyard._native.core import Listener, Target

NAT: Final = 1
"""Contact flag: behind NAT."""
PERMANENT: Final = 128
"""Contact flag: never expires."""
MEMORY_ONLY: Final = 256
"""Contact flag: not written to the database."""

NEVER: Final = float("inf")
NO_Q: Final = -1
NO_BUCKET: Final = 0

Attribute = tuple[str, int | str, int]
"""A registration attribute: name, value, AVP flags."""


class Contact:
    """A binding.

    :ivar uid: key of the record: UID in SER 2.0, ``user[@domain]`` in 0.9.
    :ivar uri: Contact URI as received, without brackets.
    :ivar aor: address-of-record: the To URI it registered for.
    :ivar expires: when it ends, in seconds of the core's monotonic clock; `NEVER` for a permanent one.
    :ivar q: thousandths, -1 unspecified.
    :ivar instance: +sip.instance (with reg-id when it has one), "" none (RFC 5626 §4.1).
    :ivar received: URI to send to instead of `uri`, "" none.
    :ivar path: Path values with commas between, "" none (RFC 3327).
    :ivar socket: ``proto:ip:port`` it registered through, "" unknown.
    :ivar attributes: registration attributes, None none.
    :ivar methods: which methods it understands, as SER's bits; 0 when nobody keeps them (`method_column`).
    :ivar next: the next contact of the same uid in order of preference.
    :ivar bucket: second in which its expiry is looked at again; `NO_BUCKET` when it is in no table.
    :ivar target: where `received` or `uri` leads to, once known; `listener` the socket it registered through.
    """

    __slots__ = (
        "aor",
        "attributes",
        "bucket",
        "call_id",
        "cseq",
        "expires",
        "flags",
        "instance",
        "listener",
        "methods",
        "next",
        "path",
        "q",
        "received",
        "socket",
        "target",
        "uid",
        "uri",
        "user_agent",
    )

    def __init__(
        self,
        uid: str,
        uri: str,
        expires: float,
        *,
        aor: str = "",
        q: int = NO_Q,
        call_id: str = "",
        cseq: int = 0,
        flags: int = 0,
        user_agent: str = "",
        received: str = "",
        instance: str = "",
        path: str = "",
        socket: str = "",
        attributes: tuple[Attribute, ...] | None = None,
    ) -> None:
        self.uid = uid
        self.uri = uri
        self.expires = expires
        self.aor = aor
        self.q = q
        self.call_id = call_id
        self.cseq = cseq
        self.flags = flags
        self.user_agent = user_agent
        self.received = received
        self.instance = instance
        self.path = path
        self.socket = socket
        self.attributes = attributes
        self.methods = 0
        self.next: Contact | None = None
        self.bucket = NO_BUCKET
        self.target: Target | None = None
        self.listener: Listener | None = None

    def become(self, other: Contact) -> None:
        """Take over everything that a registration says; the place in the table stays."""
        if self.uri != other.uri or self.received != other.received or self.path != other.path:
            self.uri = other.uri
            self.received = other.received
            self.path = other.path
            self.target = None
        if self.socket != other.socket:
            self.socket = other.socket
            self.target = self.listener = None
        self.aor = other.aor
        self.expires = other.expires
        self.q = other.q
        self.call_id = other.call_id
        self.cseq = other.cseq
        self.flags = other.flags
        self.user_agent = other.user_agent
        self.instance = other.instance
        self.attributes = other.attributes
        self.methods = other.methods

    def chain(self) -> Iterator[Contact]:
        """This contact and those after it."""
        contact: Contact | None = self
        while contact is not None:
            yield contact
            contact = contact.next

    @property
    def next_hop(self) -> str:
        """URI to send to: first Path entry, else `received`, else `uri`."""
        return self.received or self.uri

    def __repr__(self) -> str:
        return f"Contact({self.uid!r}, {self.uri!r}, expires={self.expires:.0f}, q={self.q})"
