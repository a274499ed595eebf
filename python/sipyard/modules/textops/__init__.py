"""textops: search and change the text of messages.

Searches look at the message as received; changes take effect when it is written. In SER 2.0 the texts are xl
formats (`%` codes), in 0.9 plain. A value that came off the wire or out of an attribute cannot start a header
of its own: line ends in it become spaces.

The first edit of any bytes stands. A function whose only occurrences were edited before does nothing and
returns -1 (SER returned 1 and wrote the texts of both); `replace` after `replace` means the next occurrence,
and removing what is gone is true.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import TYPE_CHECKING, Annotated

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import ArgumentError, Generation, HeaderName, Loading
from sipyard.edited import edited, headers_start, remove_fields
from sipyard.fault import Fault
from sipyard.formats import Format, TextFormat
from sipyard.module import Module, Parameter, function, select
from sipyard.modules.textops import by_value
from sipyard.modules.textops.header_values import HeaderItem
from sipyard.modules.textops.value_selects import read_exists, read_value
from sipyard.regex import Regex, Substitution
from sipyard.selects import Reader, SelectPath
from sipyard.sip.field_text import one_line

if TYPE_CHECKING:
    from sipyard.context import Context


class _LineRegexKind:
    """textops compiles with REG_NEWLINE: ^ and $ are those of a line, . does not cross one."""

    says = "a regular expression"

    def convert(self, value: str | int, loading: Loading) -> object:
        return Regex(str(value), by_line=True)

    def convert_strict(self, value: object, loading: Loading) -> object:
        return self.convert(str(value), loading)


LineRegex = Annotated[Regex, _LineRegexKind()]


class HeaderLineKind:
    """A text that must be whole header lines; checked at load as far as the script wrote it."""

    says = 'whole header lines, such as "P-Hint: local\\r\\n"'

    def convert(self, value: str | int, loading: Loading) -> object:
        text = str(value)
        for line in text.replace("\r\n", "\n").rstrip("\n").split("\n"):
            if not line.strip():
                raise ArgumentError("an empty line would end the headers")
        if Generation.SER_2_0 in loading.generation:
            return Format.from_script(text, loading)
        return Format.literal(text)

    def convert_strict(self, value: object, loading: Loading) -> object:
        return self.convert(str(value), loading)


HeaderLines = Annotated[Format, HeaderLineKind()]


def _lines(text: Format, msg: Context) -> str:
    """Header lines, each with CRLF."""
    written = text.text(msg, one_line)
    return "".join(line.rstrip("\r") + "\r\n" for line in written.rstrip("\r\n").split("\n"))


class TextOperations(Module):
    """textops: text operations on messages."""

    name = "textops"

    xlbuf_size = Parameter(int, 4096, "Accepted; texts may be of any length.", generations=Generation.SER_2_0)

    # -- search and replace ----------------------------------------------------------------------------------

    @function("RFOS")
    def search(self, msg: Context, regex: LineRegex) -> int:
        """1 when the expression occurs anywhere in the message, else -1."""
        return 1 if regex.find(msg.message.raw) is not None else -1

    @function("RFO")
    def search_append(self, msg: Context, regex: LineRegex, text: TextFormat) -> int:
        """Insert a text behind the first occurrence in headers or body. 1, or -1 when there is none."""
        edits = edited(msg)
        spans = regex.find(edits.raw, headers_start(edits.raw))
        if spans is None:
            return -1
        end = spans[0][1]
        return 1 if edits.insert(msg.message, end, _bytes(msg, text, end)) else -1

    @function("RFO")
    def replace(self, msg: Context, regex: LineRegex, text: TextFormat) -> int:
        """Replace the first occurrence in headers or body. 1, or -1 when there is none."""
        return 1 if self._replace(msg, regex, text, everywhere=False) else -1

    @function("RFO")
    def replace_all(self, msg: Context, regex: LineRegex, text: TextFormat) -> int:
        """Replace every occurrence in headers and body. 1, or -1 when there is none."""
        return 1 if self._replace(msg, regex, text, everywhere=True) else -1

    def _replace(self, msg: Context, regex: Regex, text: Format, *, everywhere: bool) -> int:
        edits, done = edited(msg), 0
        position = headers_start(edits.raw)
        while (spans := regex.find(edits.raw, position)) is not None:
            start, end = spans[0]
            # What was replaced before is no longer there: the next occurrence is meant.
            done += edits.replace(msg.message, start, end, _bytes(msg, text, start))
            if done and not everywhere:
                break
            position = max(end, start + 1)
            if position > len(edits.raw):
                break
        return done

    @function("RFO")
    def subst(self, msg: Context, substitution: Substitution) -> int:
        """Substitute in headers and body, `/re/replacement/flags`. 1, or -1 when the expression does not
        occur."""
        edits = edited(msg)
        start = headers_start(edits.raw)
        # The first line is cut off, so that ^ in the expression finds the first header.
        changes = substitution.changes(edits.raw[start:])
        done = [edits.replace(msg.message, start + at, start + end, new) for at, end, new in changes]
        return 1 if any(done) else -1

    @function("RFO")
    def subst_uri(self, msg: Context, substitution: Substitution) -> int:
        """Substitute in the Request-URI. 1, or -1 when the expression does not occur or the result is no
        URI."""
        changed = substitution.apply(msg.request_uri)
        return -1 if changed is None or not _rewrite(msg, changed) else 1

    @function("RFO")
    def subst_user(self, msg: Context, substitution: Substitution) -> int:
        """Substitute in the user part of the Request-URI. 1, or -1 as subst_uri."""
        try:
            uri = Uri(msg.request_uri)
            changed = substitution.apply(uri.user or "")
            return -1 if changed is None or not _rewrite(msg, str(uri.replace(user=changed or None))) else 1
        except ParseError:
            msg.error = Fault.BAD_URI
            return -1

    # -- whole headers ---------------------------------------------------------------------------------------

    @function("R")
    def append_to_reply(self, msg: Context, text: HeaderLines) -> int:
        """Add header lines to every reply that is made here to this request."""
        return _tried(msg, lambda: msg.message.append_to_reply(_lines(text, msg)))

    @function("RFOB")
    def append_hf(self, msg: Context, text: HeaderLines) -> int:
        """Add header lines at the end of the headers."""
        return _tried(msg, lambda: msg.message.append_header(_lines(text, msg)))

    @function("RF")
    def append_urihf(self, msg: Context, prefix: TextFormat, suffix: TextFormat) -> int:
        """Add a header: prefix, the current Request-URI, suffix."""

        def add() -> None:
            line = prefix.text(msg, one_line) + one_line(msg.request_uri) + suffix.text(msg, one_line)
            msg.message.append_header(line)

        return _tried(msg, add)

    @function("RFO")
    def remove_hf(self, msg: Context, name: HeaderName) -> int:
        """Remove every header of that name. 1, or -1 when there is none."""
        return 1 if remove_fields(msg, name) else -1

    @function("RFO")
    def is_present_hf(self, msg: Context, name: HeaderName) -> int:
        """1 when the message has such a header, else -1."""
        return 1 if msg.message.has_header(name) else -1

    @function("R")
    def append_time(self, msg: Context) -> int:
        """Add a Date header (RFC 3261 §20.17) to every reply that is made here to this request."""
        date = formatdate(usegmt=True)
        return _tried(msg, lambda: msg.message.append_to_reply(f"Date: {date}\r\n"))

    # -- values of headers -----------------------------------------------------------------------------------

    @function("RFOB", generations=Generation.SER_2_0)
    def append_hf_value(self, msg: Context, header: HeaderItem, value: Format) -> int:
        """Add a value behind the one of that number, or as a header of its own at the end."""
        return _value(msg, value, lambda text: by_value.append_value(msg, header, text))

    @function("RFOB", generations=Generation.SER_2_0)
    def insert_hf_value(self, msg: Context, header: HeaderItem, value: Format) -> int:
        """Add a value before the one of that number, or as a header of its own before the first."""
        return _value(msg, value, lambda text: by_value.insert_value(msg, header, text))

    @function("RFOB", generations=Generation.SER_2_0)
    def remove_hf_value(self, msg: Context, header: HeaderItem) -> int:
        """Remove a value, or a parameter of it. 1, or -1 when there is none."""
        return 1 if by_value.remove_value(msg, header) else -1

    @function("RFOB", generations=Generation.SER_2_0)
    def assign_hf_value(self, msg: Context, header: HeaderItem, value: Format) -> int:
        """Replace a value, or set a parameter of it. 1, or -1 when there is no such value."""
        return _value(msg, value, lambda text: by_value.assign_value(msg, header, text))

    @function("RFOB", generations=Generation.SER_2_0)
    def remove_hf_value2(self, msg: Context, header: HeaderItem) -> int:
        """As remove_hf_value for headers like Authorization, where commas separate parameters."""
        return 1 if by_value.remove_value(msg, header, commas=False) else -1

    @function("RFOB", generations=Generation.SER_2_0)
    def assign_hf_value2(self, msg: Context, header: HeaderItem, value: Format) -> int:
        """As assign_hf_value for headers like Authorization, where commas separate parameters."""
        return _value(msg, value, lambda text: by_value.assign_value(msg, header, text, commas=False))

    @function("RFOB", generations=Generation.SER_2_0)
    def include_hf_value(self, msg: Context, header: HeaderName, value: Format) -> int:
        """Add an element to a list such as Supported unless it is in it."""
        return _value(msg, value, lambda text: by_value.include_value(msg, header, text))

    @function("RFOB", generations=Generation.SER_2_0)
    def exclude_hf_value(self, msg: Context, header: HeaderName, value: Format) -> int:
        """Take an element out of a list such as Supported."""
        return _value(msg, value, lambda text: by_value.exclude_value(msg, header, text))

    @function("RFOB", generations=Generation.SER_2_0)
    def hf_value_exists(self, msg: Context, header: HeaderName, value: Format) -> int:
        """1 when an element is in a list such as Supported, else -1."""
        return _value(msg, value, lambda text: by_value.exists(msg, header, text))

    @select("hf_value")
    def hf_value(self, path: SelectPath) -> Reader:
        """A value of a header, or a part of it: `@hf_value.Name[index].parameter`."""
        return read_value(path, commas=True)

    @select("hf_value2")
    def hf_value2(self, path: SelectPath) -> Reader:
        """As @hf_value for headers like Authorization."""
        return read_value(path, commas=False)

    @select("hf_value_exists")
    def hf_value_is_there(self, path: SelectPath) -> Reader:
        """ "1" or "0": whether an element is in a list: `@hf_value_exists.Supported.path`."""
        return read_exists(path)


def _bytes(msg: Context, text: Format, offset: int) -> bytes:
    """A text for a place in the message: in the headers, what the message decided is kept on one line."""
    clean = one_line if offset < msg.message.body_start else None
    return text.text(msg, clean).encode("utf-8", "surrogateescape")


def _rewrite(msg: Context, uri: str) -> bool:
    try:
        Uri(uri)
    except ParseError:
        msg.error = Fault.BAD_URI
        return False
    return msg.rewrite_uri(uri) > 0


def _tried(msg: Context, add: Callable[[], object]) -> int:
    try:
        add()
    except ValueError as error:  # what it was made of does not form header lines
        msg.engine.log_incident(f"textops: {error}")
        return -1
    return 1


def _value(msg: Context, value: Format, edit: Callable[[str], bool]) -> int:
    # RFC 3261 §7.3.1: one value cannot span headers, whoever wrote it.
    text = one_line(value.text(msg))
    try:
        return 1 if edit(text) else -1
    except ValueError as error:
        msg.engine.log_incident(f"textops: {error}")
        return -1
