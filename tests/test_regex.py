"""Regular expressions of scripts: POSIX extended, any case, substring, and linear on hostile input."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipyard.arguments import ArgumentError
from sipyard.regex import SHORT, Regex, Substitution

MATCHES = [
    ("INVITE|BYE", "invite", True),
    ("(18[03])|(2[0-9][0-9])", "183", True),
    ("(18[03])|(2[0-9][0-9])", "181", False),
    (r"^sips?:\+?[0-9]{3,18}@.*", "sip:+123456@host", True),
    (r"^sips?:\+?[0-9]{3,18}@.*", "sip:bob@host", False),
    (r"[@:](192\.168\.|10\.)", "sip:a@10.1.1.1", True),
    ("[[:digit:]]+x", "12x", True),
    ("[^[:space:]]$", "a ", False),
    (r"[\.]x", "\\x", True),  # POSIX: a backslash in brackets is an ordinary character
    ("[]a]", "]", True),
    ("[a-]b", "-b", True),
    ("a{2}", "xaay", True),
    ("a{,3}", "a{,3}", True),  # not a bound: as written
    ("a)", "a)", True),
    (r"\<bob\>", "sip:bob@x", True),
    (r"\e\:", "e:", True),
    ("x*?", "", True),
    ("^a.b$", "a\nb", True),
    ("a$", "a\n", False),
    ("é", "É", False),  # only ASCII is folded
    ("\udcff", "a\udcffb", True),
]


@pytest.mark.parametrize(("pattern", "text", "expected"), MATCHES)
def test_search(pattern: str, text: str, expected: bool) -> None:
    assert Regex(pattern).search(text) is expected


@pytest.mark.parametrize("pattern", ["a(", "[a", "*a", "a\\", r"(a)\1", "[[.x.]]", "[[:nope:]]", "a{2000}"])
def test_what_is_none_is_refused_at_load(pattern: str) -> None:
    with pytest.raises(ArgumentError):
        Regex(pattern)


def test_by_line_is_reg_newline() -> None:
    assert Regex("^Record-Route:", by_line=True).search("INVITE x\r\nrecord-route: a")
    assert not Regex("a.*b", by_line=True).search("a\nb")
    assert not Regex("a[^x]b", by_line=True).search("a\nb")


HOSTILE = [
    ("(a+)+$", "a" * 50_000 + "b"),
    ("(a|aa)+$", "a" * 50_000 + "b"),
    ("a*a*a*a*b", "a" * 50_000),
    ("[0-9]+@", "1" * 60_000),
]


@pytest.mark.parametrize(("pattern", "text"), HOSTILE)
def test_hostile_input_costs_linear_time(pattern: str, text: str) -> None:
    regex = Regex(pattern)
    started = time.perf_counter()
    regex.search(text)
    assert time.perf_counter() - started < 0.5


ATOMS = st.sampled_from(
    ["a", "b", ".", "[ab]", "(ab|c)", "[^a]", "^", "$", "a*", "b+", "(a|b)?", "a{1,2}", "|"]
)


@given(st.lists(ATOMS, min_size=1, max_size=5).map("".join), st.text("abc\n", max_size=12))
def test_both_engines_agree(pattern: str, text: str) -> None:
    regex = Regex(pattern)
    assert regex.search(text) == (regex.find(text.encode()) is not None)


def test_long_texts_go_to_the_linear_engine() -> None:
    assert Regex("a+b").search("x" * SHORT + "aab")


SUBSTITUTIONS = [
    (r"/^sip:([0-9]+)@(.*)/sip:00\1@\2;x/i", "SIP:12@h", "sip:0012@h;x"),
    ("/o/0/g", "foo", "f00"),
    ("/o/0/", "foo", "f0o"),
    ("#/#-#g", "a/b/c", "a-b-c"),
    (r"/a\/b/x/", "a/b", "x"),
    ("/x*/-/g", "ab", "-a-b-"),
    (r"/(a|ab)(c|bcd)/[\0|\1]/", "abcd", "[abcd|a]"),  # POSIX: the longest match
    ("/q/x/", "foo", None),
    (r"/o/\n\\/", "fo", "f\n\\"),
]


@pytest.mark.parametrize(("written", "text", "expected"), SUBSTITUTIONS)
def test_substitution(written: str, text: str, expected: str | None) -> None:
    assert Substitution(written).apply(text) == expected


@pytest.mark.parametrize("written", ["", "abc", "/a/b", "/a/b/x", r"/a/\1/", "/a(/b/"])
def test_bad_substitutions_are_refused(written: str) -> None:
    with pytest.raises(ArgumentError):
        Substitution(written)
