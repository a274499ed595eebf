"""What the `*_hf_value` functions do to the values of a header."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipyard.edited import Edited, edited
from sipyard.modules.textops.header_values import (
    HeaderItem,
    Parameter,
    Value,
    chosen,
    parameter_of,
    values_of,
)

if TYPE_CHECKING:
    from sipyard.context import Context


class _Header:
    """The values of one header that are still there."""

    def __init__(self, msg: Context, name: str, *, commas: bool = True) -> None:
        self.message = msg.message
        self.edits: Edited = edited(msg)
        self.name = name
        self.commas = commas
        self.raw = self.edits.raw
        self.all = values_of(self.message, self.raw, name, commas=commas)
        self.values = [value for value in self.all if not self.edits.is_gone(value.start, value.end)]

    def append_field(self, text: str) -> bool:
        self.message.append_header(f"{self.name}: {text}\r\n")
        return True

    def remove(self, value: Value) -> bool:
        """Take a value out with its comma, and the field with its last value."""
        beside = [
            other for other in self.values if other.field_start == value.field_start and other is not value
        ]
        before = [other for other in beside if other.start < value.start]
        if before:
            start, end = before[-1].trail, value.trail
        elif beside:
            start, end = value.lead, beside[0].lead
        else:
            start, end = value.field_start, value.field_end
        if not self.edits.remove(self.message, start, end):
            return False
        self.values.remove(value)
        return True


def append_value(msg: Context, item: HeaderItem, text: str) -> bool:
    """Behind the value of that number; without one, or without a number, as a field of its own at the end."""
    header = _Header(msg, item.name)
    places = chosen(header.values, item) if item.index is not None or item.every else []
    if not places:
        return header.append_field(text)
    added = f", {text}".encode("utf-8", "surrogateescape")
    return all([header.edits.insert(header.message, place.end, added) for place in places])


def insert_value(msg: Context, item: HeaderItem, text: str) -> bool:
    """Before the value of that number; without a number as a field before the first of that name; when there
    is none, as a field at the end."""
    header = _Header(msg, item.name)
    places = chosen(header.values, item)
    if not places:
        return header.append_field(text)
    data = text.encode("utf-8", "surrogateescape")
    if item.index is None and not item.every:
        line = item.name.encode() + b": " + data + b"\r\n"
        return header.edits.insert(header.message, places[0].field_start, line)
    return all([header.edits.insert(header.message, place.start, data + b", ") for place in places])


def remove_value(msg: Context, item: HeaderItem, *, commas: bool = True) -> bool:
    """A value, or a parameter of it. False when there was nothing to remove."""
    header = _Header(msg, item.name, commas=commas)
    done = [
        header.remove(value) if item.parameter is None else _remove_parameter(header, value, item.parameter)
        for value in list(chosen(header.values, item))
    ]
    return any(done)


def _remove_parameter(header: _Header, value: Value, name: str) -> bool:
    parameter = parameter_of(header.raw, value, name, commas=not header.commas)
    if parameter is None:
        return False
    start, end = parameter.start - 1, parameter.end
    if not header.commas and parameter.is_first:  # "Digest a=1, b=2": the comma behind it goes
        start = parameter.start
        end = parameter.end + 1 if parameter.end < value.end else parameter.end
    return header.edits.remove(header.message, start, end)


def assign_value(msg: Context, item: HeaderItem, text: str, *, commas: bool = True) -> bool:
    """Replace a value or the value of a parameter, which is added when it is not there."""
    header = _Header(msg, item.name, commas=commas)
    data = text.encode("utf-8", "surrogateescape")
    done = [
        header.edits.replace(header.message, value.start, value.end, data)
        if item.parameter is None
        else _assign_parameter(header, value, item.parameter, data)
        for value in chosen(header.values, item)
    ]
    return any(done)


def _assign_parameter(header: _Header, value: Value, name: str, data: bytes) -> bool:
    parameter = parameter_of(header.raw, value, name, commas=not header.commas)
    edits, message = header.edits, header.message
    if parameter is None:
        separator = b";" if header.commas else b", "
        text = separator + name.encode() + (b"=" + data if data else b"")
        return edits.insert(message, value.end, text)
    if parameter.value_start >= 0:
        if data:
            return edits.replace(message, parameter.value_start, parameter.value_end, data)
        return edits.replace(message, _name_end(header.raw, parameter), parameter.value_end, b"")
    if not data:
        return True
    return edits.insert(message, _name_end(header.raw, parameter), b"=" + data)


def _name_end(raw: bytes, parameter: Parameter) -> int:
    """Just behind the parameter's name."""
    piece = raw[parameter.start : parameter.end]
    written = piece.partition(b"=")[0]
    return parameter.start + len(written.rstrip())


def texts(msg: Context, name: str) -> list[str]:
    """The values of a header as received, without those that were removed."""
    header = _Header(msg, name)
    return [header.raw[one.start : one.end].decode("utf-8", "surrogateescape") for one in header.values]


def exists(msg: Context, name: str, text: str) -> bool:
    """Whether the set that a header lists has an element, compared without case."""
    wanted = text.strip().lower()
    return wanted in _included(msg, name) or any(one.lower() == wanted for one in texts(msg, name))


def _included(msg: Context, name: str) -> set[str]:
    """Elements that `include_value` added."""
    return edited(msg).included.setdefault(name.lower(), set())


def include_value(msg: Context, name: str, text: str) -> bool:
    """Add an element to the set unless it is there."""
    if exists(msg, name, text):
        return True
    _included(msg, name).add(text.strip().lower())
    header = _Header(msg, name)
    if not header.values:
        return header.append_field(text)
    added = f", {text}".encode("utf-8", "surrogateescape")
    return header.edits.insert(header.message, header.values[-1].end, added)


def exclude_value(msg: Context, name: str, text: str) -> bool:
    """Take an element out of the set, as often as it is there; False when that cannot be done because it was
    added by `include_value`."""
    wanted = text.strip().lower()
    header = _Header(msg, name)
    done = [
        header.remove(value)
        for value in list(header.values)
        if header.raw[value.start : value.end].decode("utf-8", "surrogateescape").lower() == wanted
    ]
    return all(done) and wanted not in _included(msg, name)
