"""The line protocol of SER's FIFO and datagram socket (0.9's core, 2.0's modules fifo, ctl and unixsock).

A request is `:command:reply`, then a parameter a line, then an empty line. `t_uac_dlg` of 0.9 takes header
lines until an empty line or a lone dot as its last parameter but one, and a body until a lone dot.
The answer is `code reason`, then a value a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sipyard.management.registry import Commands, RpcFault

LIMIT: Final = 65_536
"""Bytes of one request; what is longer is dropped."""
_BEFORE_BLOCKS: Final = 3
"""Parameters of a line each that stand before header lines and body."""
_ESCAPES: Final = {"\\": "\\", "n": "\n", "r": "\r", "t": "\t", "0": "\0", "o": ":", "c": ","}
_ESCAPED: Final = str.maketrans({value: f"\\{name}" for name, value in _ESCAPES.items()})
_IN_LINE: Final = str.maketrans({"\n": "\\n", "\r": "\\r", "\0": "\\0"})


class Malformed(ValueError):
    """The first line of a request is none."""


@dataclass
class Request:
    """One request while its lines come in."""

    command: str
    reply: str
    blocks: bool
    values: list[str] = field(default_factory=list)
    _block: list[str] = field(default_factory=list)

    @classmethod
    def begun(cls, line: str, commands: Commands) -> Request:
        """From its first line.

        :raises Malformed: it is not `:command:reply`.
        """
        empty, _, rest = line.partition(":")
        name, colon, reply = rest.partition(":")
        if empty or not name or not colon:
            raise Malformed("First line malformed")
        return cls(name, reply, name in commands and commands[name].traits.has_blocks)

    def take(self, line: str) -> bool:
        """A further line; whether the request is complete."""
        if not self.blocks:
            if not line:
                return True
            self.values.append(unescaped(line))
            return False
        if len(self.values) < _BEFORE_BLOCKS:
            if not line and not self.values:
                return True  # too few parameters: the command says so
            self.values.append(line)
            return False
        is_body = len(self.values) > _BEFORE_BLOCKS
        if line != "." and (line or is_body):
            self._block.append(line)
            return False
        self.values.append("\r\n".join(self._block))
        self._block = []
        return is_body


class Lines:
    """Requests out of bytes that come in any pieces."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands
        self._rest = b""
        self._request: Request | None = None
        self._size = 0

    def feed(self, data: bytes) -> Iterator[Request | Malformed]:
        """What is complete now."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for raw in lines:
            found = self._line(raw)
            if found is not None:
                yield found
        if len(self._rest) + self._size > LIMIT:
            self.reset()
            yield Malformed("a request is too long")

    def finish(self) -> Iterator[Request | Malformed]:
        """There will be no more bytes: the last lines may lack their ends."""
        yield from self.feed(b"\n" if self._rest else b"")
        while self._request is not None:
            found = self._line(b"" if not self._request.blocks else b".")
            if found is not None:
                yield found

    def reset(self) -> None:
        """Forget an unfinished request."""
        self._rest, self._request, self._size = b"", None, 0

    def _line(self, raw: bytes) -> Request | Malformed | None:
        line = raw.rstrip(b"\r").decode("utf-8", "surrogateescape")
        if self._request is None:
            if not line:
                return None
            try:
                self._request = Request.begun(line, self._commands)
            except Malformed as error:
                return error
            return None
        self._size += len(raw) + 1
        if self._size > LIMIT:
            self.reset()
            return Malformed("a request is too long")
        if not self._request.take(line):
            return None
        request = self._request
        self._request, self._size = None, 0
        return request


async def answer(commands: Commands, request: Request, by: str) -> bytes:
    """Carry a request out; the text to send back. Never raises for what was asked or what a command did."""
    try:
        result = await commands.serve(request.command, request.values, by)
        lines = ["200 OK", *commands[request.command].lines(request.command, result, _lines_of)]
    except RpcFault as fault:
        lines = [f"{fault.code} {fault.reason.translate(_IN_LINE)}"]
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def unescaped(text: str) -> str:
    r"""A value as it was before it was escaped (`\n`, `\o` a colon, `\c` a comma …)."""
    if "\\" not in text:
        return text
    found, letters = [], iter(text)
    for letter in letters:
        if letter != "\\":
            found.append(letter)
            continue
        name = next(letters, "")
        found.append(_ESCAPES.get(name, f"\\{name}"))
    return "".join(found)


def _lines_of(result: Any) -> Iterator[str]:
    """A result as lines: a value each, a struct as `name:value,name:value`."""
    if result is None:
        return
    for each in result if isinstance(result, list | tuple) else [result]:
        if isinstance(each, Mapping):
            yield ",".join(f"{_escaped(name)}:{_escaped(value)}" for name, value in each.items())
        else:
            yield str(each).translate(_IN_LINE)


def _escaped(value: Any) -> str:
    if isinstance(value, list | tuple):
        value = " ".join(str(each) for each in value)
    return str(value).translate(_ESCAPED)
