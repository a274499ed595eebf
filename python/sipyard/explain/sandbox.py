"""No network, no programs, no files written: refused by the interpreter itself while the sandbox is closed.

An audit hook (PEP 578) sees what any code is about to do, a module's and a driver's alike. It cannot be taken
away again, so this belongs in a process of its own, as `sipyard explain` is.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

_PROGRAMS: Final = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "pty.spawn",
)
_NETWORK: Final = (
    *("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
    *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"),
)
_FILES: Final = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.truncate",
    "os.link",
    "os.symlink",
    "os.chmod",
)
_TWO_PATHS: Final = ("os.rename", "os.link", "os.symlink")
_WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class SideEffect(BaseException):
    """Something that would be seen outside. No `except Exception` of a module swallows it."""


class _Sandbox:
    is_closed = False
    is_installed = False
    folder = ""


@contextmanager
def closed(folder: Path) -> Iterator[None]:
    """Refuse side effects inside the block; only files below `folder` may be written. A program or a file
    raises SideEffect; the network is as if unplugged (OSError)."""
    if not _Sandbox.is_installed:
        sys.addaudithook(_hook)
        _Sandbox.is_installed = True
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    make_fifo, os.mkfifo = os.mkfifo, _no_fifo  # no audit event tells of it
    _Sandbox.folder, _Sandbox.is_closed = str(folder.resolve()), True
    try:
        yield
    finally:
        _Sandbox.is_closed = False
        os.mkfifo = make_fifo
        sys.dont_write_bytecode = before


def _no_fifo(path: Any, mode: int = 0o666, *, dir_fd: int | None = None) -> None:
    raise SideEffect(f"would make a FIFO {_shown(path)}")


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _Sandbox.is_closed:
        return
    if event in _NETWORK:
        raise OSError(errno.ENETUNREACH, f"sipyard explain has no network ({event})")
    if event in _PROGRAMS:
        raise SideEffect(f"would run {_program(arguments)}")
    if (event == "open" and _is_written(arguments)) or event in _FILES:
        paths = arguments[:2] if event in _TWO_PATHS else arguments[:1]
        for path in paths:
            if not _is_inside(path):
                raise SideEffect(f"would write {_shown(path)}")
    elif event == "sqlite3.connect" and not _is_inside(arguments[0]):
        raise SideEffect(f"would open the database {_shown(arguments[0])}")


def _program(arguments: tuple[Any, ...]) -> str:
    words = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], list | tuple) else arguments[:1]
    return " ".join(_shown(word) for word in words)


def _is_written(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)


def _is_inside(path: Any) -> bool:
    if isinstance(path, int) or path in (":memory:", b":memory:"):
        return True
    text = os.path.realpath(os.fsdecode(path).removeprefix("file:").partition("?")[0])
    return text == os.devnull or text.startswith(_Sandbox.folder + os.sep)


def _shown(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
