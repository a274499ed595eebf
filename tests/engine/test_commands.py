"""The registry of management commands."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sipyard.management.registry import Commands, RpcFault


def registry() -> Commands:
    """Commands of every shape."""
    commands = Commands()

    def add(left: int, right: int = 1) -> int:
        """Add two numbers."""
        return left + right

    async def slow(name: str) -> str:
        """Answer later."""
        await asyncio.sleep(0)
        return name

    def words(first: str, *more: str) -> list[str]:
        """Take any number."""
        return [first, *more]

    commands.add("test.add", add, old_name="add")
    commands.add("test.slow", slow)
    commands.add("test.words", words)
    return commands


def call(name: str, *values: object) -> Any:
    return asyncio.run(registry().call(name, *values))


@pytest.mark.parametrize(
    ("name", "values", "result"),
    [
        ("test.add", (1, 2), 3),
        ("test.add", ("1", "2"), 3),
        ("add", ("41",), 42),
        ("test.slow", ("x",), "x"),
        ("test.words", ("a", "b", "c"), ["a", "b", "c"]),
        ("system.methodSignature", ("test.add",), "dd"),
        ("system.methodHelp", ("test.add",), "test.add left [right]\n\nAdd two numbers."),
    ],
)
def test_calls(name: str, values: tuple[object, ...], result: object) -> None:
    assert call(name, *values) == result


@pytest.mark.parametrize(
    ("name", "values", "code"),
    [
        ("test.none", (), 500),
        ("test.add", (), 400),
        ("test.add", (1, 2, 3), 400),
        ("test.add", ("x",), 400),
    ],
)
def test_faults(name: str, values: tuple[object, ...], code: int) -> None:
    with pytest.raises(RpcFault) as fault:
        call(name, *values)
    assert fault.value.code == code


def test_names_are_listed() -> None:
    assert "test.add" in call("system.listMethods")
