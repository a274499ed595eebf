"""Texts from strangers on their way into header fields and log lines."""

from __future__ import annotations

import re
from typing import Final

# RFC 3261 §25.1: a header value is TEXT-UTF8 and may be folded; no other control character belongs in it.
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# The look-behind keeps a run of blanks from being tried at each of them.
_FOLD: Final = re.compile(r"(?<![ \t])[ \t]*\r?\n[ \t]+|[\r\n]+")
_ESCAPES: Final = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
# What a terminal or a log's reader could take for something else: controls, C1, separators, direction marks.
_UNSAFE_IN_LOG: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


class HeaderLine(str):
    """Whole header fields, each with CRLF, that this server has composed: `one_line` leaves them as they
    are."""

    __slots__ = ()


def one_line(text: str) -> str:
    """A value on one line: folds become a space, other control characters go. It cannot start another
    header."""
    if text.isprintable() or type(text) is HeaderLine:
        return text
    return _CONTROLS.sub("", _FOLD.sub(" ", text)).strip()


def is_one_line(text: str) -> bool:
    """Whether a text holds no control character (a tab is none)."""
    return text.isprintable() or _CONTROLS.search(text) is None


def for_log(text: str) -> str:
    """A text that stays one line of a log and moves no cursor; line ends of the script's own go before."""
    if text.isprintable():
        return text
    return _UNSAFE_IN_LOG.sub(_escaped, text.replace("\n", "\\n"))


def _escaped(found: re.Match[str]) -> str:
    char = found[0]
    if char in _ESCAPES:
        return _ESCAPES[char]
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8
        code -= 0xDC00
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
