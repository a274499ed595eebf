"""Making, recognising and upgrading a database: what `sipyard db` does.

Here SQLAlchemy and Alembic do the work; the running server needs neither.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, create_engine, inspect, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from sipyard.errors import ConfigError, StorageError
from sipyard.storage.schema import SCHEMAS
from sipyard.storage.url import POSTGRESQL, SQLITE, DatabaseUrl

T = TypeVar("T")

_BRANCHES: Final = {"2.0": "ser20", "0.9": "ser09"}
_SIGNS: Final = {"2.0": ("credentials", "uri_attrs", "user_attrs"), "0.9": ("subscriber", "aliases")}
"""Tables that only this model has."""


@dataclass(frozen=True, slots=True)
class State:
    """What a database is.

    :param model: "2.0", "0.9", or "" when it is neither.
    :param revision: of our migrations, "" when they were never run there (an empty database, or SER's own).
    :param newest: the revision that `upgrade` leads to.
    :param wrong: tables whose version is not the one needed, with both versions.
    :param missing: tables of the model that are not there.
    """

    model: str
    revision: str
    newest: str
    wrong: tuple[tuple[str, int, int], ...]
    missing: tuple[str, ...]

    @property
    def is_current(self) -> bool:
        """Whether `upgrade` has nothing to do."""
        return self.revision != "" and self.revision == self.newest and not self.wrong


async def state(url: DatabaseUrl) -> State:
    """Look at a database; StorageError when it does not answer."""
    return await with_connection(url, _state)


async def upgrade(url: DatabaseUrl, model: str) -> State:
    """Make what is missing; data stay as they are. A database made by SER gets our columns.

    :raises ConfigError: it holds the other model.
    :raises StorageError: it does not answer, or refuses.
    """

    def work(connection: Connection) -> State:
        found = _state(connection)
        if found.model and found.model != model:
            raise ConfigError(
                f"{url} holds the tables of SER {found.model}",
                hint="tables of the two SERs have the same names: use a database of its own for each",
            )
        if found.wrong:
            name, is_there, is_needed = found.wrong[0]
            raise ConfigError(f"table {name} is of version {is_there}, version {is_needed} is needed")
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, f"{_BRANCHES[model]}@head")
        return _state(connection)

    return await with_connection(url, work)


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    configuration.set_main_option("path_separator", "os")
    return configuration


def _state(connection: Connection) -> State:
    tables = set(inspect(connection).get_table_names())
    versions: dict[str, int] = {}
    if "version" in tables:
        table = SCHEMAS["2.0"].version
        for name, version in connection.execute(select(table.c.table_name, table.c.table_version)):
            versions[name] = version
    model = _model(tables, versions)
    heads = MigrationContext.configure(connection).get_current_heads()
    if not model:
        return State("", "", "", (), ())
    branch = _BRANCHES[model]
    newest = ScriptDirectory.from_config(_configuration()).get_revision(f"{branch}@head").revision
    needed = SCHEMAS[model].versions
    wrong = [
        (name, versions[name], version)
        for name, version in needed.items()
        if name in versions and versions[name] != version
    ]
    revision = next((head for head in heads if head.startswith(branch)), "")
    return State(model, revision, newest, tuple(wrong), tuple(sorted(needed.keys() - tables)))


def _model(tables: set[str], versions: dict[str, int]) -> str:
    for model, signs in _SIGNS.items():
        if any(name in tables for name in signs):
            return model
    # Tables that usrloc made for itself.
    return {9: "2.0", 6: "0.9"}.get(versions.get("location", 0), "")


async def with_connection(url: DatabaseUrl, work: Callable[[Connection], T]) -> T:
    """Do something with a SQLAlchemy connection, committed at the end; StorageError."""
    try:
        if url.kind == SQLITE:
            return await asyncio.to_thread(_in_sqlite, url, work)
        engine = create_async_engine(_address(url), poolclass=NullPool)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        raise StorageError(f"{url}: {cause}") from error


def _in_sqlite(url: DatabaseUrl, work: Callable[[Connection], T]) -> T:
    engine = create_engine(_address(url), poolclass=NullPool)
    with engine.begin() as connection:
        return work(connection)


def _address(url: DatabaseUrl) -> URL:
    if url.kind == SQLITE:
        return URL.create("sqlite", database=url.database)
    name = "postgresql+asyncpg" if url.kind == POSTGRESQL else "mysql+asyncmy"
    return URL.create(name, url.user or None, url.password or None, url.host, url.port, url.database)
