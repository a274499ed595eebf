"""MariaDB and MySQL by asyncmy: statements prepared by the server, once a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import asyncmy
from asyncmy import errors

from sipyard.errors import StorageError
from sipyard.storage.group_commit import RowRefused
from sipyard.storage.pool import Link, LinkLost
from sipyard.storage.url import DatabaseUrl

_LOST_CODES: Final = frozenset(
    {1053, 1077, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1927, *range(2000, 2100)}
)
"""The server shuts down, killed the connection, or the network broke; 2000 and up are the client's own."""
_SESSION: Final = "SET time_zone = '+00:00', sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"
"""Whatever its defaults: moments are UTC, a value that does not fit is refused, a backslash escapes."""
_STATEMENTS: Final = 100
"""Prepared statements kept a connection."""


class MysqlLink(Link):
    """One connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._is_broken = False

    async def fetch(self, text: str, parameters: Sequence[object] = ()) -> Sequence[Sequence[Any]]:
        try:
            async with self._connection.cursor() as cursor:
                await cursor.execute(text, tuple(parameters) or None)
                found: Sequence[Sequence[Any]] = await cursor.fetchall() if cursor.description else ()
        except (OSError, EOFError, errors.MySQLError, RuntimeError) as error:
            raise self._meaning(error) from error
        return found

    def _meaning(self, error: Exception) -> StorageError:
        if isinstance(error, errors.IntegrityError | errors.DataError):
            return RowRefused(f"mysql: {_said(error)}")
        code = error.args[0] if error.args else None
        if not isinstance(error, errors.MySQLError) or code in _LOST_CODES or not self._connection.connected:
            self._is_broken = True
            return LinkLost(f"mysql: {_said(error)}")
        if isinstance(error, errors.InterfaceError):
            self._is_broken = True
            return LinkLost(f"mysql: {_said(error)}")
        return StorageError(f"mysql: {_said(error)}")

    @property
    def is_open(self) -> bool:
        return not self._is_broken and bool(self._connection.connected)

    async def close(self) -> None:
        try:
            await self._connection.ensure_closed()
        except (OSError, EOFError, errors.MySQLError, RuntimeError):
            self._connection.close()

    def abort(self) -> None:
        self._connection.close()


def _said(error: Exception) -> str:
    return str(error.args[1]) if len(error.args) > 1 else str(error) or type(error).__name__


async def connect(url: DatabaseUrl) -> MysqlLink:
    """Open a connection; StorageError. Moments are UTC, text is UTF-8."""
    try:
        connection = await asyncmy.connect(
            host=url.host,
            port=url.port,
            user=url.user or None,
            password=url.password,
            database=url.database,
            charset="utf8mb4",
            autocommit=True,
            init_command=_SESSION,
            stmt_cache_size=_STATEMENTS,
        )
    except (OSError, EOFError, errors.MySQLError, RuntimeError) as error:
        raise StorageError(f"cannot connect: {_said(error)}") from error
    return MysqlLink(connection)
