"""The values of a header as SER's `*_hf_value` functions and `@hf_value` selects see them.

A header's values are numbered over all its fields, from 1, or from -1 backwards. In the first family commas
separate values (Contact, Route, Supported…); in the second (`*_hf_value2`, for Authorization and its kin)
each field is one value and commas separate its parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipyard.arguments import ArgumentError, Loading
from sipyard.sip.header_name import canonical

if TYPE_CHECKING:
    from sipyard._native.core import Message

# The writer edits these itself; a second edit of the same bytes would spoil the message.
_OURS: Final = frozenset({"via", "content-length"})
_TOKEN: Final = r"[A-Za-z0-9!%*_+`'~-]+"  # noqa: S105  (RFC 3261 §25.1, without the dot)
_ITEM: Final = re.compile(rf"({_TOKEN})(?:\[\s*(-?\d+|\*)\s*\])?(?:\.(?:(?:p|param)\.)?({_TOKEN}))?")


@dataclass(frozen=True, slots=True)
class HeaderItem:
    """`HEADER`, `HEADER[index]`, `HEADER[*]`, with `.param` behind it: what a function works on.

    :param index: None not written; from 1, or from -1 backwards.
    :param every: `[*]`.
    """

    name: str
    index: int | None = None
    every: bool = False
    parameter: str | None = None
    says = "a header: Name, Name[index], Name[*], Name.parameter"

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> HeaderItem:
        found = _ITEM.fullmatch(text.strip())
        if found is None:
            raise ArgumentError(f'"{text}" is not a header, index and parameter', "write Name[1].parameter")
        name, index, parameter = found.groups()
        if canonical(name) in _OURS:
            raise ArgumentError(f"{name} cannot be edited by value: the server writes it itself")
        if index == "*":
            return cls(name, None, True, parameter)
        number = None if index is None else int(index)
        if number == 0:
            raise ArgumentError(f'"{text}": values are counted from 1, or from -1 backwards')
        return cls(name, number, False, parameter)


class Value:
    """One value: where it stands in the received bytes, where its field does, and which neighbours it has."""

    __slots__ = ("end", "field_end", "field_start", "lead", "start", "trail")

    def __init__(self, start: int, end: int, field: tuple[int, int], lead: int, trail: int) -> None:
        self.start = start
        self.end = end
        self.field_start, self.field_end = field
        self.lead = lead
        self.trail = trail


def values_of(message: Message, raw: bytes, name: str, *, commas: bool) -> list[Value]:
    """All values of a header in order. `lead` and `trail` are where its piece between commas begins and
    ends."""
    wanted = canonical(name)
    found: list[Value] = []
    for written, _, start, end in message.fields():
        if canonical(written) != wanted:
            continue
        colon = raw.find(b":", start, end)
        line_end = end
        while line_end > colon and raw[line_end - 1 : line_end] in (b"\r", b"\n"):
            line_end -= 1
        pieces = split(raw, colon + 1, line_end, b",") if commas else [(colon + 1, line_end)]
        for lead, trail in pieces:
            value_start, value_end = _trimmed(raw, lead, trail)
            if value_end > value_start or len(pieces) == 1:
                found.append(Value(value_start, value_end, (start, end), lead, trail))
    return found


def _trimmed(raw: bytes, start: int, end: int) -> tuple[int, int]:
    piece = raw[start:end]
    left = len(piece) - len(piece.lstrip())
    return (start + left, start + max(len(piece.rstrip()), left))


def split(raw: bytes, start: int, end: int, separator: bytes) -> list[tuple[int, int]]:
    """Ranges between separators that stand neither in quotes nor in angle brackets; linear."""
    pieces, piece_start, at = [], start, start
    pattern = _SCAN[separator]
    inside = False
    while (found := pattern.search(raw, at, end)) is not None:
        at = found.end()
        mark = found[0]
        if mark == b"<":
            inside = True
        elif mark == b">":
            inside = False
        elif mark == separator and not inside:
            pieces.append((piece_start, at - 1))
            piece_start = at
    pieces.append((piece_start, end))
    return pieces


# A quoted string is one match (RFC 3261 §25.1), so what is in it separates nothing.
_QUOTED: Final = rb'"(?:[^"\\]|\\.)*"?'
_SCAN: Final = {mark: re.compile(_QUOTED + rb"|[<>" + mark + rb"]", re.DOTALL) for mark in (b",", b";")}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a value: where its piece begins (behind the separator) and ends, and where its own value
    stands; `value_start` is `value_end` and -1 when it has none."""

    name: str
    start: int
    end: int
    value_start: int
    value_end: int
    is_first: bool = False


def parameters_of(raw: bytes, value: Value, *, commas: bool) -> Iterator[Parameter]:
    """The parameters of a value; with `commas` those of an Authorization-like one, behind its scheme."""
    if commas:
        scheme = raw.find(b" ", value.start, value.end)
        pieces = split(raw, scheme + 1 if scheme >= 0 else value.start, value.end, b",")
    else:
        pieces = split(raw, value.start, value.end, b";")[1:]
    for place, (start, end) in enumerate(pieces):
        begin, finish = _trimmed(raw, start, end)
        equals = raw.find(b"=", begin, finish)
        name = raw[begin : finish if equals < 0 else equals].decode("latin-1").strip().lower()
        if not name:
            continue
        if equals < 0:
            yield Parameter(name, start, end, -1, -1, place == 0)
        else:
            yield Parameter(name, start, end, *_trimmed(raw, equals + 1, finish), place == 0)


def parameter_of(raw: bytes, value: Value, name: str, *, commas: bool) -> Parameter | None:
    """The parameter of that name, in any case."""
    wanted = name.lower()
    return next((one for one in parameters_of(raw, value, commas=commas) if one.name == wanted), None)


def chosen(values: list[Value], item: HeaderItem, default: int = 1) -> list[Value]:
    """The values that an item means: all, one, or none when there is none of that number."""
    if item.every:
        return values
    index = default if item.index is None else item.index
    position = index - 1 if index > 0 else len(values) + index
    return [values[position]] if 0 <= position < len(values) else []
