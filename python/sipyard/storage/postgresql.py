"""PostgreSQL by asyncpg, which prepares each statement once a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from sipyard.errors import StorageError
from sipyard.storage.group_commit import RowRefused
from sipyard.storage.pool import Link, LinkLost
from sipyard.storage.url import DatabaseUrl

_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.CannotConnectNowError,
    asyncpg.InternalClientError,
)
_REFUSED = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,  # of the server
    asyncpg.exceptions.DataError,
)


class PostgresqlLink(Link):
    """One connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, text: str, parameters: Sequence[object] = ()) -> Sequence[Sequence[Any]]:
        try:
            found: list[Sequence[Any]] = await self._connection.fetch(text, *parameters)
        except (*_LOST, asyncpg.InterfaceError, asyncpg.PostgresError) as error:
            raise self._meaning(error) from error
        return found

    def _meaning(self, error: BaseException) -> StorageError:
        if isinstance(error, (*_REFUSED, ValueError)):
            return RowRefused(f"postgresql: {error}")
        if isinstance(error, _LOST) or self._connection.is_closed():
            return LinkLost(f"postgresql: {error}")
        return StorageError(f"postgresql: {error}")

    @property
    def is_open(self) -> bool:
        return not self._connection.is_closed()

    async def close(self) -> None:
        try:
            await self._connection.close(timeout=1)
        except (TimeoutError, *_LOST, asyncpg.InterfaceError):
            self._connection.terminate()

    def abort(self) -> None:
        self._connection.terminate()


async def connect(url: DatabaseUrl) -> PostgresqlLink:
    """Open a connection; StorageError.

    Moments are UTC; `sslmode` of the URL is libpq's, and `prefer` without it.
    """
    try:
        connection = await asyncpg.connect(
            host=url.host,
            port=url.port,
            user=url.user or None,
            password=url.password or None,
            database=url.database,
            ssl=url.options.get("sslmode", "prefer"),
            server_settings={"timezone": "UTC", "application_name": "sipyard"},
            timeout=None,
        )
    except (*_LOST, asyncpg.InterfaceError, asyncpg.PostgresError, ValueError) as error:
        raise StorageError(f"cannot connect: {error}") from error
    return PostgresqlLink(connection)
