"""JSON-RPC 2.0 (jsonrpc.org/specification), one request or batch a line: what it means, and a client.

Parameters are given by position; a command's result is the answer's `result`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sipyard.management.registry import Commands, Offer, RpcFault

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
LINE_LIMIT: Final = 1 << 20
"""Longest request in bytes."""
_CODES: Final = {400: INVALID_PARAMS, 500: INTERNAL_ERROR}


def _error(code: int, message: str, number: object = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": {"code": code, "message": message}, "id": number}


async def answer(commands: Commands | Offer, line: bytes, by: str) -> bytes:
    """The line that answers a line; empty when nothing is to be answered (notifications). Never raises for
    what a client sent or a command did."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        return _line(_error(PARSE_ERROR, "not JSON"))
    if not isinstance(request, list):
        one = await _answer_one(commands, request, by)
        return b"" if one is None else _line(one)
    if not request:
        return _line(_error(INVALID_REQUEST, "an empty batch"))
    answers = [one for each in request if (one := await _answer_one(commands, each, by)) is not None]
    return _line(answers) if answers else b""


def _line(answered: object) -> bytes:
    return json.dumps(answered, default=str).encode("ascii") + b"\n"


TOO_LONG: Final = _line(_error(INVALID_REQUEST, f"a request of more than {LINE_LIMIT} bytes"))


async def _answer_one(commands: Commands | Offer, request: object, by: str) -> dict[str, Any] | None:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        return _error(INVALID_REQUEST, "not a request")
    name, number, values = request["method"], request.get("id"), request.get("params", [])
    if not isinstance(values, list):
        found = _error(INVALID_PARAMS, "params must be a list", number)
    elif name not in commands:
        found = _error(METHOD_NOT_FOUND, f"command {name} not found", number)
    else:
        found = await _called(commands, name, values, number, by)
    return found if "id" in request else None


async def _called(
    commands: Commands | Offer, name: str, values: list[Any], number: object, by: str
) -> dict[str, Any]:
    try:
        return {"jsonrpc": "2.0", "result": await commands.serve(name, values, by), "id": number}
    except RpcFault as fault:
        return _error(_CODES.get(fault.code, fault.code), fault.reason, number)


class Client:
    """Calls commands of a running server through its unix socket; blocks.

    :param path: of the socket.
    :param timeout: seconds to wait for an answer.
    :raises OSError: nobody listens there.
    """

    def __init__(self, path: str | Path, timeout: float = 60.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def call(self, name: str, *values: object) -> Any:
        """Result of one command.

        :raises RpcFault: it refused. OSError: the connection broke.
        """
        return self.call_all([(name, values)])[0]

    def call_all(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Results of several commands, in order. As `call`."""
        batch = [
            {"jsonrpc": "2.0", "method": name, "params": list(values), "id": number}
            for number, (name, values) in enumerate(calls)
        ]
        self._socket.sendall(json.dumps(batch).encode("ascii") + b"\n")
        line = self._file.readline()
        if not line:
            raise ConnectionError("the server hung up")
        answers = json.loads(line)
        for one in answers if isinstance(answers, list) else [answers]:
            if "error" in one:
                raise RpcFault(one["error"]["code"], one["error"]["message"])
        return [one["result"] for one in sorted(answers, key=lambda each: int(each["id"]))]
