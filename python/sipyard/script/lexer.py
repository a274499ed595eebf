"""Tokens of SER scripts, both generations (inventory A.2).

One regular expression does the work. Attributes (`$f.name[1]`) and selects (`@to.uri.host`) are one token
each. What belongs not here: the meaning of words; every word is an ID.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sipyard.arguments import number_of
from sipyard.script.source import Findings, Source
from sipyard.selects import PATTERN as SELECT

ID, NUMBER, STRING, IP, ATTRIBUTE, SELECT_, OPERATOR, END = (
    "word",
    "number",
    "string",
    "address",
    "attribute",
    "select",
    "operator",
    "end",
)


class Token(NamedTuple):
    """`text` is as written; `value` the string after escapes, or the number. `start`, `end` are offsets."""

    kind: str
    text: str
    value: str | int
    start: int
    end: int


_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_SCAN = re.compile(
    rf"""
    (?P<space>(?:\s|\\\r?\n)+)
  | (?P<line>\#[^\n]*)
  | (?P<block>/\*)
  | (?P<string>"(?:[^"\\]|\\.)*"|'[^']*')
  | (?P<attribute>[$%](?:\?|{_WORD}(?:\.{_WORD})?(?:[ \t]*\[[ \t]*-?[0-9]*[ \t]*\])?))
  | (?P<select>{SELECT.pattern})
  | (?P<ipv6>(?:[0-9A-Fa-f]{{0,4}}:){{2,7}}(?:[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|[0-9A-Fa-f]{{0,4}})(?![\w:]))
  | (?P<ipv4>[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+(?![\w.]))
  | (?P<number>0[xX][0-9a-fA-F]+(?!\w)|[01]+b(?!\w)|[0-9]+(?!\w))
  | (?P<badnumber>[0-9]\w*)
  | (?P<word>{_WORD})
  | (?P<operator>==|!=|=~|<=|>=|&&|\|\||[=<>!&|(){{}}\[\];,:./*+-])
""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:(\r?\n)|x([0-9a-fA-F]{2})|([0-7]{2,3})|(.))", re.DOTALL)
_SIMPLE = {"n": "\n", "r": "\r", "a": "\a", "t": "\t", '"': '"', "\\": "\\"}
_OPEN_STRING = re.compile(r"[^\n]*?(?=[\s(){};,]*(?:\n|\Z))")
_COMMENT_EDGE = re.compile(r"/\*|\*/")


def _unescape(found: re.Match[str]) -> str:
    newline, hexadecimal, octal, char = found.groups()
    if newline is not None:
        return ""
    if hexadecimal or octal:
        code = int(hexadecimal, 16) if hexadecimal else int(octal, 8) & 0xFF
        # a byte of the message, not a code point: what is not ASCII crosses as a surrogate escape
        return chr(code) if code < 0x80 else chr(0xDC00 + code)
    return _SIMPLE.get(char, "\\" + char)


def string_value(text: str) -> str:
    """What a quoted string means: escapes in "…", none in '…'; an unknown escape keeps its backslash."""
    body = text[1:-1]
    return body if text[0] == "'" or "\\" not in body else _ESCAPE.sub(_unescape, body)


def _comment_end(text: str, start: int) -> int:
    """Offset after a block comment, -1 when nothing ends it. Comments nest as in SER 2.0; when that leaves
    one open, the first `*/` ends it as in 0.9."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    first = text.find("*/", start + 2)
    return first + 2 if first >= 0 else -1


def tokenize(source: Source, findings: Findings) -> list[Token]:
    """All tokens, an END at last. Text that is no token is reported and skipped."""
    text, at = source.text, 0
    tokens: list[Token] = []
    while at < len(text):
        found = _SCAN.match(text, at)
        if found is None:
            at = _stray(source, findings, at, tokens)
            continue
        kind, end = found.lastgroup, found.end()
        if kind == "block":
            end = _comment_end(text, at)
            if end < 0:
                findings.error("comment is never closed", source.place(at, at + 2), "*/ is missing")
                break
        elif kind not in ("space", "line"):
            token = _token(str(kind), found[0], at, end, source, findings)
            if token is not None:
                tokens.append(token)
        at = end
    tokens.append(Token(END, "", "", len(text), len(text)))
    return tokens


def _token(kind: str, text: str, start: int, end: int, source: Source, findings: Findings) -> Token | None:
    if kind == "word":
        return Token(ID, text, text, start, end)
    if kind == "operator":
        return Token(OPERATOR, text, text, start, end)
    if kind == "string":
        return Token(STRING, text, string_value(text), start, end)
    if kind in ("number", "badnumber"):
        number = number_of(text) if kind == "number" else None
        if number is None:
            findings.error(f"{text} is not a number", source.place(start, end), _number_hint(text))
        return Token(NUMBER, text, number or 0, start, end)
    if kind == "attribute":
        return Token(ATTRIBUTE, text, re.sub(r"\s", "", text.replace("%", "$", 1)), start, end)
    if kind == "select":
        return Token(SELECT_, text, text, start, end)
    return Token(IP, text, text, start, end)


def _number_hint(text: str) -> str:
    if re.fullmatch(r"0[0-9]+", text):
        return "a leading 0 means octal, which has no 8 or 9"
    return "numbers are 12, 0x1f, 017 or 101b; put other text in quotes"


def _stray(source: Source, findings: Findings, at: int, tokens: list[Token]) -> int:
    """Report what is no token; returns where to go on. A string that is never closed probably ends before the
    punctuation at the end of its line."""
    text, char = source.text, source.text[at]
    if char in "\"'":
        found = _OPEN_STRING.match(text, at + 1)
        end = found.end() if found is not None else len(text)
        findings.error("string is never closed", source.place(at, max(end, at + 1)), f"{char} is missing")
        tokens.append(Token(STRING, text[at:end], text[at + 1 : end], at, end))
        return end
    hints = {
        "$": "an attribute looks like $name, $f.name or $tu.name",
        "@": "a select looks like @to.uri.host",
    }
    findings.error(f"{char!r} means nothing here", source.place(at, at + 1), hints.get(char))
    return at + 1


def comments(text: str) -> list[tuple[int, int]]:
    """Where the comments of a script are: offsets of start and end, in order."""
    found: list[tuple[int, int]] = []
    at = 0
    while at < len(text):
        match = _SCAN.match(text, at)
        end = at + 1 if match is None else match.end()
        if match is not None and match.lastgroup == "block":
            end = _comment_end(text, at)
            end = len(text) if end < 0 else end
        if match is not None and match.lastgroup in ("line", "block"):
            found.append((at, end))
        at = end
    return found
