"""The interface of a store, and the choice of a driver by URL."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import urlsplit

from sipyard.errors import ConfigError
from sipyard.storage.layout import Key, Layout, Row

Changes = Mapping[Key, Row | None]
"""What rows shall be after a write: by key, the whole row, or None for no row."""


class StoredTable(ABC):
    """One open table."""

    layout: Layout
    missing: frozenset[str]
    """Optional columns that the table in the database does not have."""

    @abstractmethod
    def count(self) -> int:
        """How many rows there are now; StorageError."""

    @abstractmethod
    def rows(self) -> Iterator[list[Row]]:
        """Every row, in pieces of some thousand; missing optional columns read as None. StorageError."""

    @abstractmethod
    def write(self, changes: Changes) -> asyncio.Future[None]:
        """Make the rows so, all or none. The future is done when that survives a crash, or fails with
        StorageError having written nothing.

        Writes are carried out in the order of the calls; many at a time share one transaction.

        :raises StorageError: it cannot even be queued.
        """


class Database(ABC):
    """One open store."""

    url: str

    @abstractmethod
    def table(self, layout: Layout) -> StoredTable:
        """Open a table, creating it when it does not exist.

        :raises StorageError: the store does not answer.
        :raises ConfigError: the table is of another version or lacks columns.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finish what was handed over and close. Idempotent."""


Driver = Callable[[str], Database]
_drivers: dict[str, Driver] = {}


def register_driver(scheme: str, driver: Driver) -> None:
    """Serve URLs of this scheme by this driver."""
    _drivers[scheme] = driver


def open_database(url: str) -> Database:
    """Open the store that a URL names: `sqlite:///relative.db`, `sqlite:////absolute.db`, …

    :raises ConfigError: no driver for that URL.
    :raises StorageError: it cannot be opened.
    """
    scheme = urlsplit(url).scheme.partition("+")[0]
    if scheme == "sqlite" and scheme not in _drivers:
        from sipyard.storage.sqlite import SqliteDatabase

        register_driver("sqlite", SqliteDatabase)
    driver = _drivers.get(scheme)
    if driver is None:
        known = ", ".join(sorted({"sqlite", *_drivers}))
        raise ConfigError(f"no database driver for {scheme or 'an empty'} URL; there is: {known}")
    return driver(url)
