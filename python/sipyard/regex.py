"""POSIX extended regular expressions as scripts write them, without catastrophic backtracking.

Messages come from strangers, so matching must be linear in their length. The engine is RE2 (no backtracking).
CPython's own engine is five times faster on short texts, so it serves those patterns whose worst case
on a short text is harmless (at most one unbounded repetition, of a single character class).

What differs from a C library's `regcomp(REG_EXTENDED)`: back-references (`\\1` inside a pattern) are
refused at load, since nothing linear can match them; `[.x.]` and `[=x=]` are refused as well.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import re2

from sipyard.arguments import ArgumentError, Loading

SHORT = 200
"""Longest text, in characters, given to CPython's engine for a pattern with one unbounded repetition."""

MEMORY = 8 << 20
"""Bytes that a pattern of a script may take when it is compiled."""
MEMORY_OF_STRANGERS = 64 << 10
"""The same for a pattern off the wire: it is compiled within 2 ms, and one of some lines' length fits."""

_CLASSES = {
    "alpha": "a-zA-Z",
    "digit": "0-9",
    "alnum": "a-zA-Z0-9",
    "upper": "A-Z",
    "lower": "a-z",
    "space": r"\t\n\v\f\r ",
    "blank": r"\t ",
    "punct": r"!-/:-@\[-`{-~",
    "print": r"\x20-\x7e",
    "graph": r"\x21-\x7e",
    "cntrl": r"\x00-\x1f\x7f",
    "xdigit": "0-9a-fA-F",
}
_BOUND = re.compile(r"\{(\d+)(?:(,)(\d*))?\}")
_LETTER_ESCAPES = "wWsSbB"
_END = "\\z"  # end of the text; CPython spells it \\Z


class _Translation:
    """Walks a POSIX pattern once and writes it for both engines; notes what makes backtracking expensive."""

    def __init__(self, pattern: str, by_line: bool) -> None:
        self.pattern = pattern
        self.by_line = by_line
        self.out: list[str] = []
        self.unbounded = 0
        self.is_simple = True
        self.groups = 0
        self._open: list[int] = []
        self._start = 0  # where the last atom begins in `out`
        self._atom = ""  # what a repetition would apply to: "" nothing, "c" a character, "g" a group

    def run(self) -> str:
        position = 0
        while position < len(self.pattern):
            position = self._step(position)
        if self._open:
            raise ArgumentError(f'"{self.pattern}" is not a regular expression: a ( is not closed')
        return "".join(self.out)

    def _step(self, at: int) -> int:
        char = self.pattern[at]
        if char == "\\":
            return self._escape(at)
        if char == "[":
            return self._bracket(at)
        if char in "*+?":
            return self._repeat(at, char, unbounded=char != "?")
        if char == "{":
            return self._bound(at)
        if char == "(":
            self.groups += 1
            self._open.append(len(self.out))
            return self._put(at, "(", "")
        if char == ")" and self._open:
            return self._put(at, ")", "g", self._open.pop())
        if char == "|":
            return self._put(at, "|", "")
        if char == "^":
            return self._put(at, "^", "")
        if char == "$":
            return self._put(at, "$" if self.by_line else _END, "")
        if char == ".":
            return self._put(at, ".", "c")
        return self._put(at, _quoted(char), "c")

    def _put(self, at: int, text: str, atom: str, start: int = -1) -> int:
        self._start = len(self.out) if start < 0 else start
        self.out.append(text)
        self._atom = atom
        return at + 1

    def _repeat(self, at: int, text: str, *, unbounded: bool, width: int = 1) -> int:
        if not self._atom:
            raise ArgumentError(
                f'"{self.pattern}" is not a regular expression: nothing before {text} to repeat'
            )
        if self._atom == "r":  # POSIX: a*? repeats the repetition, it does not make it lazy
            self.out.insert(self._start, "(?:")
            self.out.append(")")
        self.unbounded += unbounded
        self.is_simple &= self._atom == "c" or not unbounded
        self.out.append(text)
        self._atom = "r"
        return at + width

    def _bound(self, at: int) -> int:
        found = _BOUND.match(self.pattern, at)
        if found is None or not self._atom:
            return self._put(at, r"\{", "c")
        low, comma, high = int(found[1]), found[2], found[3]
        if max(low, int(high or 0)) > 1000:
            raise ArgumentError(f'"{self.pattern}" repeats more than 1000 times')
        self.is_simple &= max(low, int(high or 0)) <= 32
        return self._repeat(at, found[0], unbounded=bool(comma) and not high, width=len(found[0]))

    def _escape(self, at: int) -> int:
        if at + 1 >= len(self.pattern):
            raise ArgumentError(f'"{self.pattern}" is not a regular expression: it ends in a backslash')
        char = self.pattern[at + 1]
        if char.isdigit():
            raise ArgumentError(
                f'"{self.pattern}" uses the back-reference \\{char}, which no linear-time engine has'
            )
        if char in _LETTER_ESCAPES:
            self._put(at, "\\" + char, "" if char in "bB" else "c")
        elif char in "<>":
            self._put(at, r"\b", "")
        else:
            self._put(at, _quoted(char), "c")
        return at + 2

    def _bracket(self, at: int) -> int:
        """RFC-less: POSIX §9.3.5. A backslash inside is an ordinary character, a ] first is one too."""
        pattern, out = self.pattern, ["["]
        at += 1
        if pattern[at : at + 1] == "^":
            out.append(r"^\n" if self.by_line else "^")
            at += 1
        first = True
        while first or pattern[at : at + 1] != "]":
            char = pattern[at : at + 1]
            first = False
            if not char:
                raise ArgumentError(f'"{pattern}" is not a regular expression: a [ is not closed')
            if char == "[" and pattern[at + 1 : at + 2] in (":", ".", "="):
                at = self._class(at, out)
                continue
            if char == "-" and len(out) > 1 and pattern[at + 1 : at + 2] not in ("]", ""):
                out.append("-")
            else:
                out.append(_quoted(char))
            at += 1
        return self._put(at, "".join(out) + "]", "c")

    def _class(self, at: int, out: list[str]) -> int:
        end = self.pattern.find(":]", at)
        name = self.pattern[at + 2 : end] if end > 0 else ""
        if self.pattern[at + 1] != ":" or name not in _CLASSES:
            raise ArgumentError(f'"{self.pattern}": {self.pattern[at : at + 12]}… is not a character class')
        out.append(_CLASSES[name])
        return end + 2


def _quoted(char: str) -> str:
    if char.isalnum() or char in "_ \"'%,;:=@!<>~`&#/" or char > "\x7f":
        return char
    return "\\" + char if " " < char < "\x7f" else f"\\x{ord(char):02x}"


class Regex:
    """A compiled pattern. As an argument kind: a quoted regular expression, checked at load."""

    __slots__ = ("_linear", "_linear_match", "_quick", "_quick_any_length", "groups", "pattern")
    says = "a regular expression"

    def __init__(
        self, pattern: str, *, ignore_case: bool = True, by_line: bool = False, memory: int = MEMORY
    ) -> None:
        """`by_line` is REG_NEWLINE: ^ and $ match at each line and . stops there. `memory`: bytes that the
        compiled pattern may take.

        :raises ArgumentError: not a regular expression."""
        translation = _Translation(pattern, by_line)
        text = translation.run()
        self.pattern = pattern
        self.groups = translation.groups
        self._linear = _linear(text, pattern, ignore_case, by_line, memory)
        self._quick: Callable[[str], object] | None = None
        self._quick_any_length = translation.unbounded == 0
        if translation.is_simple and translation.unbounded <= 1:
            flags = (
                re.ASCII | (re.IGNORECASE if ignore_case else 0) | (re.MULTILINE if by_line else re.DOTALL)
            )
            self._quick = re.compile(text.replace(_END, r"\Z"), flags).search
        self._linear_match = self._linear.search

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Regex:
        return cls(text)

    def search(self, text: str) -> bool:
        """Whether the pattern occurs in the text."""
        if self._quick is not None and (self._quick_any_length or len(text) <= SHORT):
            return self._quick(text) is not None
        return self._linear_match(text.encode("utf-8", "surrogateescape")) is not None

    def find(self, data: bytes, start: int = 0) -> list[tuple[int, int]] | None:
        """The leftmost-longest occurrence from `start` on: byte ranges of the whole and of each group
        ((-1, -1) if unused), or None."""
        found = self._linear.search(data, start)
        if found is None:
            return None
        return [found.span(group) for group in range(self.groups + 1)]

    def __repr__(self) -> str:
        return f"Regex({self.pattern!r})"


def _linear(text: str, pattern: str, ignore_case: bool, by_line: bool, memory: int) -> Any:
    options = re2.Options()
    options.longest_match = True
    options.dot_nl = not by_line
    options.case_sensitive = not ignore_case
    options.encoding = re2.Options.Encoding.LATIN1
    options.log_errors = False
    options.max_mem = memory
    try:
        prefix = "(?m)" if by_line else ""
        return re2.compile((prefix + text).encode("utf-8", "surrogateescape"), options)
    except re2.error as error:
        reason = error.args[0] if error.args else error
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ArgumentError(f'"{pattern}" is not a regular expression: {said}') from None


class Substitution:
    """`/pattern/replacement/flags` of subst functions: any delimiter; flags i (ignore case) and g (all).
    In the replacement \\0 to \\9 are the match and its groups, \\n \\r \\t control characters."""

    __slots__ = ("everywhere", "regex", "replacement")
    says = "a substitution /pattern/replacement/flags"

    def __init__(self, text: str, memory: int = MEMORY) -> None:
        delimiter = text[:1]
        parts = _split(text, delimiter) if delimiter and not delimiter.isalnum() and delimiter != "\\" else []
        if len(parts) != 3:
            raise ArgumentError(f'"{text}" is not a substitution', "write /pattern/replacement/flags")
        pattern, replacement, flags = parts
        if set(flags) - {"i", "g"}:
            raise ArgumentError(f'"{text}": flags of a substitution are i and g, not "{flags}"')
        self.regex = Regex(pattern, ignore_case="i" in flags, by_line=True, memory=memory)
        self.everywhere = "g" in flags
        self.replacement = _replacement(replacement, self.regex.groups)

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Substitution:
        return cls(text)

    def changes(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """What to replace, from left to right: (start, end, new bytes). Empty: the pattern does not occur."""
        changes: list[tuple[int, int, bytes]] = []
        position = 0
        while position <= len(data):
            spans = self.regex.find(data, position)
            if spans is None:
                break
            start, end = spans[0]
            new = b"".join(
                data[slice(*spans[part])] if isinstance(part, int) else part for part in self.replacement
            )
            changes.append((start, end, new))
            position = end if end > start else end + 1
            if not self.everywhere:
                break
        return changes

    def apply(self, text: str) -> str | None:
        """The text after the substitution, or None when the pattern does not occur."""
        data = text.encode("utf-8", "surrogateescape")
        changes = self.changes(data)
        if not changes:
            return None
        out, position = [], 0
        for start, end, new in changes:
            out += [data[position:start], new]
            position = end
        return b"".join([*out, data[position:]]).decode("utf-8", "surrogateescape")


def _split(text: str, delimiter: str) -> list[str]:
    """The parts between unescaped delimiters; an escaped delimiter loses its backslash."""
    parts, current, escaped = [], "", False
    for char in text[1:]:
        if escaped:
            current += char if char == delimiter else "\\" + char
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == delimiter:
            parts.append(current)
            current = ""
        else:
            current += char
    return [*parts, current + ("\\" if escaped else "")]


def _replacement(text: str, groups: int) -> list[bytes | int]:
    parts: list[bytes | int] = []
    for found in re.finditer(r"\\(.)|([^\\]+)|\\", text, re.DOTALL):
        escape, plain = found.groups()
        if plain is not None:
            parts.append(plain.encode("utf-8", "surrogateescape"))
        elif escape is not None and escape.isdigit():
            if int(escape) > groups:
                raise ArgumentError(f"the replacement names group \\{escape}, the pattern has {groups}")
            parts.append(int(escape))
        else:
            control = {"n": "\n", "r": "\r", "t": "\t"}
            parts.append(control.get(escape or "\\", escape or "\\").encode("utf-8", "surrogateescape"))
    return parts
