"""The bindings of one table ("location"): by uid, in order of preference, with their expiry.

Everything here happens in the deciding thread, at once, and cannot fail; what may fail and wait (the
database) is in `persistence.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sipyard.modules.usrloc.contact import Contact
from sipyard.modules.usrloc.expiry import Expiry

Change = tuple[Contact | None, Contact | None]
"""What becomes of a binding: (None, new) added, (old, None) removed, (old, new) `old` takes over `new`."""

SHARED_TEXTS: Final = 10_000
"""Different texts (user agents, sockets) that are kept once; strangers choose them, so they are bounded."""


class SharedTexts:
    """Equal texts as one object."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        texts = self._texts
        found = texts.get(text)
        if found is not None:
            return found
        if len(texts) >= SHARED_TEXTS:
            texts.clear()
        texts[text] = text
        return text


class Bindings:
    """One table in memory.

    :param name: what save and lookup call it.
    :param now: the core's clock.
    :param newest_first: `desc_time_order`: the newest contact comes first whatever its q.
    """

    def __init__(self, name: str, now: float, *, newest_first: bool = False) -> None:
        self.name = name
        self.newest_first = newest_first
        self.first: dict[str, Contact] = {}
        self.count = 0
        self.expired = 0
        self._expiry = Expiry(now)

    def __len__(self) -> int:
        """How many records (uids) there are; `count` is the number of contacts."""
        return len(self.first)

    def contacts(self, uid: str) -> Iterator[Contact]:
        """The contacts of a uid in order of preference, those that have ended and still stand here
        included."""
        first = self.first.get(uid)
        return iter(()) if first is None else first.chain()

    def find(self, uid: str, uri: str) -> Contact | None:
        """The contact with exactly this URI."""
        return next((contact for contact in self.contacts(uid) if contact.uri == uri), None)

    def apply(self, changes: Iterable[Change]) -> None:
        """Carry out all changes."""
        for old, new in changes:
            if old is None:
                if new is not None:
                    self.add(new)
            elif new is None:
                self.remove(old)
            else:
                self._renew(old, new)

    def add(self, contact: Contact) -> None:
        """Put a contact into the chain of its uid: before the first with a smaller q, after those with the
        same (or, newest first, before all)."""
        first = self.first.get(contact.uid)
        if first is None:
            self.first[contact.uid] = contact
        else:
            self._link(contact, first)
        self.count += 1
        self._expiry.watch(contact)

    def remove(self, contact: Contact) -> None:
        """Take a contact out; nothing happens when it is not in (any longer)."""
        if self._unlink(contact):
            self.count -= 1
            self._expiry.forget(contact)

    def _renew(self, old: Contact, new: Contact) -> None:
        moves = self.newest_first or old.q != new.q
        old.become(new)
        self._expiry.watch(old)
        if moves and (old.next is not None or self.first.get(old.uid) is not old) and self._unlink(old):
            self._link(old, self.first.get(old.uid))

    def _link(self, contact: Contact, first: Contact | None) -> None:
        if first is None or self.newest_first or contact.q > first.q:
            contact.next = first
            self.first[contact.uid] = contact
            return
        before = first
        while before.next is not None and before.next.q >= contact.q:
            before = before.next
        contact.next = before.next
        before.next = contact

    def _unlink(self, contact: Contact) -> bool:
        first = self.first.get(contact.uid)
        if first is contact:
            if contact.next is None:
                del self.first[contact.uid]
            else:
                self.first[contact.uid] = contact.next
            contact.next = None
            return True
        before = first
        while before is not None:
            if before.next is contact:
                before.next = contact.next
                contact.next = None
                return True
            before = before.next
        return False

    def remove_ended(self, now: float, spared: Iterable[str] = ()) -> list[Contact]:
        """Remove the contacts that have ended, but none of the spared uids (somebody is changing them);
        returns those removed."""
        removed = []
        for contact in self._expiry.ended(now):
            if contact.uid not in spared:
                self.remove(contact)
                removed.append(contact)
        self.expired += len(removed)
        self._expiry.sweep(self.count)
        return removed

    def all(self) -> Iterator[Contact]:
        """Every contact; the table must not change meanwhile."""
        for first in self.first.values():
            yield from first.chain()
