"""Tokens, numbers and strings of scripts (inventory A.2)."""

from __future__ import annotations

import pytest

from sipyard.arguments import number_of
from sipyard.script.lexer import string_value, tokenize
from sipyard.script.source import Findings, Source

STRINGS = [
    (r'"a\n\r\t\a\"\\b"', 'a\n\r\t\a"\\b'),
    (r'"\+?[0-9]\."', r"\+?[0-9]\."),  # an unknown escape keeps its backslash: regular expressions rely on it
    (r'"\x41\101\12"', "AA\n"),
    (r'"\xff"', "\udcff"),
    ('"one\\\ntwo"', "onetwo"),
    ('"one\ntwo"', "one\ntwo"),
    (r"'raw \n \" '", r"raw \n \" "),
    ('""', ""),
]


@pytest.mark.parametrize(("written", "meant"), STRINGS)
def test_strings(written: str, meant: str) -> None:
    assert string_value(written) == meant


NUMBERS = [("12", 12), ("0", 0), ("0x1F", 31), ("017", 15), ("101b", 5), ("-3", -3), ("+3", 3), (" 7 ", 7)]
NO_NUMBERS = ["", "x", "08", "12b", "0x", "1.5", "--1", "1 2"]


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_numbers(text: str, number: int) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_no_numbers(text: str) -> None:
    assert number_of(text) is None


TOKENS = [
    ("a==b", ["a", "==", "b"]),
    ("$f.did $x[ -1 ] $? $tu.uid[]", ["$f.did", "$x[ -1 ]", "$?", "$tu.uid[]"]),
    ("%x", ["%x"]),
    ('@to.uri.host @msg["P-X"].params.y @via[-1]', ["@to.uri.host", '@msg["P-X"].params.y', "@via[-1]"]),
    ("10.0.0.1/8 ::1 fe80::1:2 ::ffff:1.2.3.4", ["10.0.0.1", "/", "8", "::1", "fe80::1:2", "::ffff:1.2.3.4"]),
    ("udp:127.0.0.1:5060", ["udp", ":", "127.0.0.1", ":", "5060"]),
    ("msg:len", ["msg", ":", "len"]),
    ("a\\\nb", ["a", "b"]),
    ("a # c\nb /* x\n */ c", ["a", "b", "c"]),
    ("a /* x /* y */ z */ b", ["a", "b"]),  # nested, as in SER 2.0
    ("a /* x /* y */ b", ["a", "b"]),  # not nested, as in 0.9
    ("a&&b||!c&d|e", ["a", "&&", "b", "||", "!", "c", "&", "d", "|", "e"]),
]


@pytest.mark.parametrize(("text", "expected"), TOKENS)
def test_tokens(text: str, expected: list[str]) -> None:
    findings = Findings()
    tokens = tokenize(Source("t.cfg", text), findings)
    assert [token.text for token in tokens[:-1]] == expected
    assert findings.problems == []


def test_places_count_lines_and_columns_from_one() -> None:
    source = Source("t.cfg", "one\n\ttwo three\nfour")
    token = tokenize(source, Findings())[2]
    place = source.place(token.start, token.end)
    assert (place.line, place.column, place.end_line, place.end_column) == (2, 6, 2, 11)
    assert str(place) == "t.cfg:2:6"
    assert source.line(2) == "\ttwo three"
    assert source.line(9) == ""
