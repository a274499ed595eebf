"""The line protocol: requests in any pieces, and what is said back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as some

from sipyard.management.line_protocol import LIMIT, Lines, Malformed, Request, answer, unescaped
from sipyard.management.registry import Commands, Traits


def shout(words: list[str]) -> Iterator[str]:
    yield from (word.upper() for word in words)


def commands() -> Commands:
    found = Commands()

    def echo(*words: str) -> list[str]:
        return list(words)

    def struct(words: str) -> list[dict[str, object]]:
        return [{"a:b": words, "n": 1}, {"list": ["x", "y"]}]

    def send(method: str, uri: str, next_hop: str, headers: str = "", body: str = "") -> list[str]:
        return [method, uri, next_hop, headers, body]

    def broken() -> None:
        raise RuntimeError("two\nlines")

    found.add("test.echo", echo, old_name="echo", traits=Traits(old_lines=shout))
    found.add("test.struct", struct)
    found.add("test.send", send, old_name="send", traits=Traits(has_blocks=True))
    found.add("test.broken", broken)
    return found


def answered(text: str) -> list[str]:
    known = commands()
    lines = Lines(known)
    found = [*lines.feed(text.encode()), *lines.finish()]
    return [
        str(each) if isinstance(each, Malformed) else asyncio.run(answer(known, each, "test")).decode()
        for each in found
    ]


CASES = {
    ":test.echo:r\na\nb\n\n": ["200 OK\na\nb\n"],
    ":echo:r\na\n\n": ["200 OK\nA\n"],
    ":test.echo:\n\n": ["200 OK\n"],
    ":test.echo:\r\na\r\n\r\n": ["200 OK\na\n"],
    ":test.echo:\na": ["200 OK\na\n"],
    ":test.echo:\na\\nb\\oc\\cd\\\\\n\n": ["200 OK\na\\nb:c,d\\\n"],
    "\n\n:test.echo:\n1\n\n:test.echo:\n2\n\n": ["200 OK\n1\n", "200 OK\n2\n"],
    ":test.struct:\nx:y\n\n": ["200 OK\na\\ob:x\\oy,n:1\nlist:x y\n"],
    ":send:\nINFO\nsip:a\n.\nA: 1\nB: 2\n\nbody\n\nmore\n.\n": [
        "200 OK\nINFO\nsip:a\n.\nA: 1\\r\\nB: 2\nbody\\r\\n\\r\\nmore\n"
    ],
    ":send:\nINFO\nsip:a\n.\nA: 1\n.\n.\n\n": ["200 OK\nINFO\nsip:a\n.\nA: 1\n\n"],
    ":send:\nINFO\nsip:a\n.\n\n.\n": ["200 OK\nINFO\nsip:a\n.\n\n\n"],
    ":send:\n\n": ["400 usage: test.send method uri next_hop [headers] [body]\n"],
    ":test.broken:\n\n": ["500 RuntimeError: two\\nlines\n"],
    "test.echo:\n": ["First line malformed"],
    "::r\n": ["First line malformed"],
    ":test.echo\n": ["First line malformed"],
}


@pytest.mark.parametrize(("text", "expected"), CASES.items(), ids=[repr(text) for text in CASES])
def test_answers(text: str, expected: list[str]) -> None:
    assert answered(text) == expected


@given(some.sampled_from(sorted(CASES)), some.lists(some.integers(0, 80)))
def test_pieces_do_not_matter(text: str, cuts: list[int]) -> None:
    data, known = text.encode(), commands()
    lines, found, start = Lines(known), [], 0
    for cut in [*sorted(cuts), len(data)]:
        found += lines.feed(data[start:cut])
        start = max(start, cut)
    found += lines.finish()
    whole = Lines(known)
    expected = [*whole.feed(data), *whole.finish()]
    assert [str(each) for each in found] == [str(each) for each in expected]


@given(some.binary(max_size=2000))
def test_noise(data: bytes) -> None:
    lines = Lines(commands())
    for found in [*lines.feed(data), *lines.finish()]:
        assert isinstance(found, Request | Malformed)


@pytest.mark.parametrize("data", [b"x" * LIMIT * 2, b":test.echo:\n" + b"a\n" * LIMIT])
def test_a_request_is_bounded(data: bytes) -> None:
    lines = Lines(commands())
    found = list(lines.feed(data))
    assert any(isinstance(each, Malformed) for each in found)
    assert not any(isinstance(each, Request) for each in found)
    assert len(lines._rest) < LIMIT


@given(some.text(max_size=50))
def test_escapes(text: str) -> None:
    unescaped(text)
    assert unescaped(text.replace("\\", "\\\\")) == text
