"""What the verbs about the database share: which one it is, and how a refusal is shown."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sipyard.cli.complaint import complain
from sipyard.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from sipyard.storage.provisioning import Provisioning

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

DEFAULT = "sqlite:///sipyard.db"
"""As the default of `db_url`."""


def with_database(command: F) -> F:
    """Give a command the options `--db` and `--config`, and its first argument: the URL they lead to."""

    @click.option("--db", metavar="URL", help="The database; else SIPYARD_DB, else the db_url of --config.")
    @click.option(
        "--config",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="A script or routes file: the database is the db_url that it sets.",
    )
    @functools.wraps(command)
    def run(db: str | None, config: Path | None, **arguments: Any) -> Any:
        try:
            return command(_url(db, config), **arguments)
        except ConfigError as error:
            complain(error)
        except StorageError as error:
            click.echo(error.message, err=True)
            if "no such table" in error.message or "doesn't exist" in error.message:
                click.echo("  sipyard db init makes the tables", err=True)
        sys.exit(1)

    return run  # type: ignore[return-value]


def _url(db: str | None, config: Path | None) -> str:
    if db:
        return db
    if config is not None:
        from sipyard.site import Site  # only who names a script pays for compiling it

        found = Site.load(config).modules.database_url()
        if not found:
            raise ConfigError(f"{config} sets no db_url", hint="give --db")
        return found
    return os.environ.get("SIPYARD_DB") or DEFAULT


def provision(url: str, work: Callable[[Provisioning], Awaitable[T]]) -> T:
    """Do something with the users of a database; StorageError, ConfigError."""
    from sipyard.storage import open_database
    from sipyard.storage.provisioning import Provisioning

    async def all_of_it() -> T:
        database = open_database(url)
        try:
            return await work(Provisioning(database))
        finally:
            await database.close()

    return asyncio.run(all_of_it())
