"""What a line of JSON-RPC is answered with (jsonrpc.org/specification)."""

from __future__ import annotations

import asyncio
import json

import pytest

from sipyard.management.json_rpc import answer
from sipyard.management.registry import Commands, RpcFault


def broken() -> None:
    """Fails as no command should."""
    raise LookupError("gone")


def refusing() -> None:
    """Refuses."""
    raise RpcFault(404, "no such user")


async def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


def commands() -> Commands:
    found = Commands()
    for command in (broken, refusing, double):
        found.add(f"test.{command.__name__}", command, old_name=command.__name__)
    return found


def call(method: object, params: object = (), number: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": number}


@pytest.mark.parametrize(
    ("request_", "result"),
    [
        (call("test.double", ["21"]), 42),
        (call("double", [21]), 42),
        (call("test.double", [21, 1]), -32602),
        (call("test.double", {"number": 21}), -32602),
        (call("test.refusing"), 404),
        (call("test.broken"), -32603),
        (call("nothing"), -32601),
        (call(7), -32600),
        (7, -32600),
        ([], -32600),
        ("not JSON", -32700),
    ],
)
def test_one(request_: object, result: int) -> None:
    line = request_.encode() if isinstance(request_, str) else json.dumps(request_).encode()
    found = json.loads(asyncio.run(answer(commands(), line, "test")))
    assert found["jsonrpc"] == "2.0"
    assert (found["result"] if "result" in found else found["error"]["code"]) == result


def test_a_batch_is_answered_in_one_line_and_notifications_not_at_all() -> None:
    silent = {"jsonrpc": "2.0", "method": "test.double", "params": [1]}
    batch = [call("test.double", [1], "a"), silent, call("nothing", [], "b")]
    found = json.loads(asyncio.run(answer(commands(), json.dumps(batch).encode(), "test")))
    assert [one["id"] for one in found] == ["a", "b"]
    assert asyncio.run(answer(commands(), json.dumps(silent).encode(), "test")) == b""
    assert asyncio.run(answer(commands(), json.dumps([silent]).encode(), "test")) == b""
