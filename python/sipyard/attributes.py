"""Attributes (SER's AVPs): named values that belong to a message, its transaction, a domain or the server.

Two tracks (caller and callee), four scopes, names compared without case, every name may hold several values.
What a script sees is said in SER's documentation of AVPs; the order of search is URI, user, domain, global.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Final

from sipyard.arguments import ArgumentError, Loading

Value = int | str


class Track(enum.IntEnum):
    """Whose attribute it is: the caller's or the callee's."""

    FROM = 0
    TO = 1


class Scope(enum.IntEnum):
    """The class of an attribute; also the order in which classes are searched."""

    URI = 0
    USER = 1
    DOMAIN = 2
    GLOBAL = 3


ALL_VALUES: Final = 0
"""Index of ``$name[]``: every value."""

_TYPED = re.compile(r"[sSiI]:(?P<name>.+)", re.DOTALL)
_DOTTED = re.compile(
    r"[$%]?(?:(?P<prefix>fr|fu|fd|f|tr|tu|td|t|g)\.)?(?P<name>[A-Za-z_][A-Za-z0-9_-]*)"
    r"(?:\[(?P<index>-?[0-9]*)\])?"
)
_GROUP = re.compile(r"[$%]?(?:g|(?P<track>[ft])(?P<scope>[rud])?)\.?")
_TRACKS: Final = {"f": Track.FROM, "t": Track.TO}
_SCOPES: Final = {"r": Scope.URI, "u": Scope.USER, "d": Scope.DOMAIN}


@dataclass(frozen=True, slots=True)
class Name:
    """Where to look for an attribute.

    :param name: lower-case name.
    :param track: None when the script wrote none: the caller's.
    :param scope: None: search URI, user, domain, global.
    :param index: None the newest; 1.. oldest first; -1.. newest first; ``ALL_VALUES`` every value.
    """

    name: str
    track: Track | None = None
    scope: Scope | None = None
    index: int | None = None

    @classmethod
    def parse(cls, text: str) -> Name:
        """Read ``$fu.name[1]`` or SER 0.9's ``s:name``, ``i:12``.

        :raises ValueError: not an attribute's name.
        """
        if typed := _TYPED.fullmatch(text.removeprefix("$")):
            return cls(typed["name"].lower())
        match = _DOTTED.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not an attribute's name")
        prefix = match["prefix"] or ""
        raw = match["index"]
        index = None if raw is None else int(raw or ALL_VALUES)
        if prefix == "g":
            return cls(match["name"].lower(), None, Scope.GLOBAL, index)
        return cls(match["name"].lower(), _TRACKS.get(prefix[:1]), _SCOPES.get(prefix[1:]), index)

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Name:
        """As an argument of a function or module parameter."""
        try:
            return cls.parse(text)
        except ValueError as error:
            raise ArgumentError(str(error), "attributes look like $name, $f.name or $tu.name") from None

    def __str__(self) -> str:
        if self.scope is Scope.GLOBAL:
            prefix = "g."
        else:
            track = "" if self.track is None else "ft"[self.track]
            scope = "" if self.scope is None else "rud"[self.scope]
            prefix = f"{track}{scope}." if track or scope else ""
        index = "" if self.index is None else f"[{self.index or ''}]"
        return f"${prefix}{self.name}{index}"


class AssignedKind:
    """An attribute that a function sets or changes: one of the message's own, in SER's forms of writing."""

    says = "an attribute that may be set: name, $name or $fu.name"

    def convert(self, value: str | int, loading: Loading) -> Name:
        name = Name.from_script(str(value), loading)
        if name.scope in (Scope.DOMAIN, Scope.GLOBAL):
            raise ArgumentError(f"{name}: domain and global attributes cannot be assigned to")
        return name

    def convert_strict(self, value: object, loading: Loading) -> Name:
        return self.convert(str(value), loading)


Assigned = Annotated[Name, AssignedKind()]


@dataclass(frozen=True, slots=True)
class Group:
    """Lists of attributes that a script names at once: ``$f`` (all of a track) or ``$tu`` (a class of it).

    :param track: None: both.
    :param scope: None: all.
    """

    track: Track | None = None
    scope: Scope | None = None
    says = "a group of attributes: $f, $t, $fr, $fu, $fd, $tr, $tu, $td or $g"

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Group:
        """As an argument of a function; a dot behind it means nothing."""
        found = _GROUP.fullmatch(text)
        if found is None:
            raise ArgumentError(f'expects {cls.says}, not "{text}"')
        if found["track"] is None:
            return cls(None, Scope.GLOBAL)
        return cls(_TRACKS[found["track"]], _SCOPES.get(found["scope"]))

    @property
    def lists(self) -> Iterator[tuple[Track, Scope]]:
        """The lists in the order of searching; the global one, which has no track, once."""
        for scope in Scope if self.scope is None else (self.scope,):
            if scope is Scope.GLOBAL:
                if self.track is None:
                    yield Track.FROM, scope
            else:
                for track in Track if self.track is None else (self.track,):
                    yield track, scope


class Attribute:
    """One value; ``flags`` are the script's ``avpflags`` as bits."""

    __slots__ = ("flags", "name", "value")

    def __init__(self, name: str, value: Value, flags: int = 0) -> None:
        self.name = name
        self.value = value
        self.flags = flags

    def __repr__(self) -> str:
        return f"Attribute({self.name!r}, {self.value!r}, flags={self.flags:#x})"


_List = list[Attribute]


class Attributes:
    """The lists that one message (or transaction) sees. Lists are kept oldest first.

    Domain and global lists are borrowed: they are replaced as a whole by the module that owns them, and
    scripts may not assign to them.
    """

    __slots__ = ("_lists", "global_list")

    def __init__(self, global_list: _List | None = None) -> None:
        self._lists: dict[tuple[Track, Scope], _List] = {}
        self.global_list = global_list

    def __bool__(self) -> bool:
        return any(self._lists.values()) or bool(self.global_list)

    def _list(self, track: Track, scope: Scope) -> _List | None:
        return self.global_list if scope is Scope.GLOBAL else self._lists.get((track, scope))

    def _found(self, name: Name) -> _List:
        """All attributes of that name in the first scope that has it, oldest first."""
        track = name.track or Track.FROM
        wanted = name.name
        for scope in Scope if name.scope is None else (name.scope,):
            stored = self._list(track, scope)
            if stored and (found := [one for one in stored if one.name == wanted]):
                return found
        return []

    def select(self, name: Name) -> list[Attribute]:
        """What ``name`` means, its index included: no, one or (``[]``) all values, oldest first."""
        found = self._found(name)
        index = name.index
        if not found or index == ALL_VALUES:
            return found
        if index is None:
            index = -1
        position = index - 1 if index > 0 else len(found) + index
        return [found[position]] if 0 <= position < len(found) else []

    def value(self, name: Name) -> Value | None:
        """The value, the newest when the name has several; None: missing."""
        found = self.select(name)
        return found[-1].value if found else None

    def values(self, name: Name) -> list[Value]:
        """Every value of the name, oldest first."""
        return [one.value for one in self._found(name)]

    def add(self, name: Name, value: Value, flags: int = 0) -> Attribute:
        """Add a value beside those that exist (``$x[] = v``)."""
        attribute = Attribute(name.name, value, flags)
        scope = Scope.URI if name.scope is None else name.scope
        if scope in (Scope.DOMAIN, Scope.GLOBAL):
            raise ValueError(f"{name}: domain and global attributes cannot be assigned to")
        self._lists.setdefault((name.track or Track.FROM, scope), []).append(attribute)
        return attribute

    def assign(self, name: Name, value: Value) -> Attribute:
        """Replace every value of the name (``$x = v``)."""
        self.delete(name)
        return self.add(name, value)

    def delete(self, name: Name) -> int:
        """Delete the name from the first scope that has it; returns how many values went.

        Borrowed lists (domain, global) are copied first, so other messages keep theirs.
        """
        track = name.track or Track.FROM
        for scope in Scope if name.scope is None else (name.scope,):
            stored = self._list(track, scope)
            kept = [one for one in stored or () if one.name != name.name]
            if stored and len(kept) != len(stored):
                if scope is Scope.GLOBAL:
                    return 0
                self._lists[track, scope] = kept
                return len(stored) - len(kept)
        return 0

    def change(self, name: Name, value: Value) -> bool:
        """Give the value that ``name`` means (its newest, or that of its index) another one in its place.

        False when there is none, or only in a borrowed list (domain, global).
        """
        found = self.select(name)
        track = name.track or Track.FROM
        for scope in (Scope.URI, Scope.USER) if found else ():
            stored = self._lists.get((track, scope), [])
            for position, one in enumerate(stored):
                if one is found[-1]:
                    stored[position] = Attribute(one.name, value, one.flags)
                    return True
        return False

    def remove(self, attribute: Attribute) -> bool:
        """Delete one value; False when it is none of the message's own (URI, user)."""
        for (track, scope), stored in self._lists.items():
            if scope in (Scope.URI, Scope.USER) and any(one is attribute for one in stored):
                self._lists[track, scope] = [one for one in stored if one is not attribute]
                return True
        return False

    def lines(self, group: Group) -> Iterator[str]:
        """``$fu.name='value'`` for each attribute of a group."""
        for track, scope in group.lists:
            for one in self.listed(track, scope):
                yield f"{Name(one.name, None if scope is Scope.GLOBAL else track, scope)}={one.value!r}"

    def listed(self, track: Track, scope: Scope) -> list[Attribute]:
        """All attributes of a list, oldest first; a copy."""
        return list(self._list(track, scope) or ())

    def clear(self, group: Group) -> int:
        """Delete all attributes of a group, as far as they are not global; returns how many went."""
        gone = 0
        for track, scope in group.lists:
            if scope is not Scope.GLOBAL:
                gone += len(self._lists.pop((track, scope), ()))
        return gone

    def replace_list(self, track: Track, scope: Scope, attributes: _List) -> None:
        """Make a borrowed list (a domain's attributes) the current one of its track and scope."""
        self._lists[track, scope] = attributes

    def flagged(self, mask: int) -> Iterator[tuple[Track, Scope, Attribute]]:
        """Attributes of the message's own lists (URI and user) that carry one of the flags."""
        for (track, scope), stored in self._lists.items():
            if scope in (Scope.URI, Scope.USER):
                yield from ((track, scope, one) for one in stored if one.flags & mask)

    def shown(self) -> dict[str, str]:
        """The message's own attributes as a person reads them: `$f.name` to its values, oldest first."""
        found: dict[str, list[str]] = {}
        for (track, scope), stored in self._lists.items():
            for one in stored if scope in (Scope.URI, Scope.USER) else ():
                name = str(Name(one.name, track, None if scope is Scope.URI else scope))
                found.setdefault(name, []).append(repr(one.value))
        return {name: ", ".join(values) for name, values in found.items()}

    def copy(self) -> Attributes:
        """The same attributes, to be changed independently."""
        other = Attributes(self.global_list)
        other._lists = {key: list(stored) for key, stored in self._lists.items()}
        return other
