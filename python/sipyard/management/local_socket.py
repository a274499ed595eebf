"""Sockets with a name in the file system."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from sipyard.errors import ConfigError
from sipyard.management.ownership import Ownership


def bound(path: Path, kind: socket.SocketKind, ownership: Ownership) -> socket.socket:
    """A socket of a kind on a path; a file that nobody listens on any more is replaced.

    :raises ConfigError: it cannot be made, or another server has it.
    """
    made = socket.socket(socket.AF_UNIX, kind)
    before = os.umask(0o177)  # nobody else may connect, not even for a moment
    try:
        if path.is_socket() and not _is_served(path):
            path.unlink()
        made.bind(str(path))
        ownership.apply(path)
    except OSError as error:
        made.close()
        taken = " (another server has it)" if path.is_socket() else ""
        raise ConfigError(f"cannot listen on {path}: {error.strerror or error}{taken}") from error
    finally:
        os.umask(before)
    made.setblocking(False)
    return made


def forget(path: Path) -> None:
    """Take the file of a socket that was closed away, unless somebody else listens there now."""
    with contextlib.suppress(OSError):
        if not _is_served(path):
            path.unlink()


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        try:
            asker.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True  # it is, by a socket of another kind
        return True
