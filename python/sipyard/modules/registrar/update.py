"""What a REGISTER changes (RFC 3261 §10.3 steps 6 and 7), decided as a whole before anything is touched.

Contacts are the same when their texts are, when their +sip.instance is, or when RFC 3261 §19.1.4 calls the
URIs equivalent. A change is only allowed by a newer request: another Call-ID, or a higher CSeq. The same CSeq
again is the same request again and changes nothing; a lower one is late and is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sipyard._native.core import ParseError, Uri
from sipyard.modules.registrar.request import Refused, Registration, bad_request
from sipyard.modules.usrloc import Bindings, Change, Contact

FEW: Final = 8
"""Bindings up to which looking through them beats making an index."""


def plan(
    registration: Registration,
    bindings: Bindings,
    now: float,
    check_order: bool = True,
    max_contacts: int = 0,
    aor_filter: str = "",
) -> list[Change]:
    """The changes, in order; Refused when the request must fail as a whole."""
    first = bindings.first.get(registration.uid)
    if registration.is_star:
        return _all_gone(registration, first, check_order, aor_filter)
    contacts = registration.contacts
    if first is None and len(contacts) == 1:  # the first registration
        only = contacts[0]
        return [(None, _checked(only))] if only.expires else []
    if first is not None and first.next is None and len(contacts) == 1:  # the refresh of the only phone
        only = contacts[0]
        if first.uri == only.uri and (first.instance == only.instance or not is_flow(only)):
            if not _is_newer(first, only, now, check_order):
                return []
            return [(first, only if only.expires else None)]
    return _Plan(first, now, check_order).changes(contacts, max_contacts)


def _all_gone(
    registration: Registration, first: Contact | None, check_order: bool, aor_filter: str
) -> list[Change]:
    gone: list[Change] = []
    for old in first.chain() if first is not None else ():
        if aor_filter and old.aor != aor_filter:
            continue
        if check_order and old.call_id == registration.call_id and registration.cseq <= old.cseq:
            raise _late()
        gone.append((old, None))
    return gone


def _late() -> Refused:
    return bad_request("a newer request with this Call-ID was here before")


def _is_newer(old: Contact, new: Contact, now: float, check_order: bool) -> bool:
    """Whether `new` may change `old`; False when it is the request that made `old`, again.

    :raises Refused: it is late.
    """
    if not check_order or old.call_id != new.call_id or old.expires <= now or new.cseq > old.cseq:
        return True
    if new.cseq < old.cseq:
        raise _late()
    return False


class _Plan:
    """The general case: several contacts, on either side."""

    def __init__(self, first: Contact | None, now: float, check_order: bool) -> None:
        self._now = now
        self._check_order = check_order
        self._old = list(first.chain()) if first is not None else []
        # What becomes of each old one (itself: it stays as it is), and the new ones, by URI and flow.
        self._fate: dict[int, Contact | None] = {}
        self._added: dict[str, Contact] = {}
        self._index = {old.uri: old for old in self._old} if len(self._old) > FEW else None
        self._parsed: dict[int, Uri | None] = {}

    def changes(self, contacts: Sequence[Contact], max_contacts: int) -> list[Change]:
        for new in contacts:
            self._take(new)
        changes: list[Change] = [(old, self._fate[id(old)]) for old in self._old if id(old) in self._fate]
        changes += [(None, new) for new in self._added.values()]
        if max_contacts and self._added:
            live = sum(
                old.expires > self._now for old in self._old if self._fate.get(id(old), old) is not None
            )
            if live + len(self._added) > max_contacts:
                raise Refused(503, "Service Unavailable", "Too many registered contacts")
        return changes

    def _take(self, new: Contact) -> None:
        matching = list(self._matching(new))
        if not matching:
            name = f"{new.uri} {new.instance}" if is_flow(new) else new.uri
            if new.expires:
                self._added[name] = _checked(new)
            else:
                self._added.pop(name, None)
            return
        for old in matching:
            if not _is_newer(old, new, self._now, self._check_order):
                return
        kept, *others = matching
        self._fate[id(kept)] = new if new.expires else None
        for old in others:
            self._fate[id(old)] = None

    def _matching(self, new: Contact) -> Iterator[Contact]:
        """The binding with this URI, and the one of this instance if that is another."""
        by_uri = self._by_uri(new)
        if by_uri is not None:
            yield by_uri
        if new.instance:
            for old in self._old:
                if old.instance == new.instance and old is not by_uri:
                    yield old

    def _by_uri(self, new: Contact) -> Contact | None:
        text = new.uri
        if is_flow(new):
            return next((old for old in self._old if old.uri == text and not is_flow(old)), None)
        if self._index is not None:
            exact = self._index.get(text)
        else:
            exact = next((old for old in self._old if old.uri == text), None)
        if exact is not None or not self._old:
            return exact
        uri = _uri(text)
        for old in self._old:
            known = self._parsed_of(old)
            if known is not None and uri.equivalent(known):
                return old
        return None

    def _parsed_of(self, old: Contact) -> Uri | None:
        key = id(old)
        if key not in self._parsed:
            self._parsed[key] = _parsed(old.uri)
        return self._parsed[key]


def is_flow(contact: Contact) -> bool:
    """Whether it is one of possibly several flows of its instance, which may all have the same URI (RFC 5626
    §4.2)."""
    return ";reg-id=" in contact.instance


def _checked(new: Contact) -> Contact:
    """A contact that is to be stored; one that is stored already needs no second look."""
    _uri(new.uri)
    return new


def _uri(text: str) -> Uri:
    uri = _parsed(text)
    if uri is None:
        raise bad_request("Contact is not a URI")
    return uri


def _parsed(text: str) -> Uri | None:
    try:
        return Uri(text)
    except ParseError:
        return None
