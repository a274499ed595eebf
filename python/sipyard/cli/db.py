"""`sipyard db`: make, look at and upgrade a database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from sipyard.cli.database import with_database

if TYPE_CHECKING:
    from sipyard.storage.administration import State


@click.group()
def db() -> None:
    """Make, look at and upgrade the database."""


_MODEL = click.option(
    "--ser", type=click.Choice(["2.0", "0.9"]), default="2.0", show_default=True, help="Whose tables."
)


@db.command()
@_MODEL
@with_database
def init(url: str, ser: str) -> None:
    """Make the tables in an empty database."""
    from sipyard.storage.administration import state, upgrade
    from sipyard.storage.url import DatabaseUrl

    address = DatabaseUrl.parse(url)
    before = asyncio.run(state(address))
    if before.is_current and before.model == ser:
        click.echo(f"{address}: the tables of SER {ser} are there")
        return
    asyncio.run(upgrade(address, ser))
    click.echo(f"{address}: tables of SER {ser} made")
    if ser == "2.0":
        click.echo("Next: sipyard domain add example.com; sipyard user add alice@example.com")


@db.command()
@with_database
def upgrade(url: str) -> None:
    """Add what a database of an older version, or made by SER, lacks; data stay as they are."""
    from sipyard.errors import ConfigError
    from sipyard.storage.administration import state
    from sipyard.storage.administration import upgrade as carry_out
    from sipyard.storage.url import DatabaseUrl

    address = DatabaseUrl.parse(url)
    before = asyncio.run(state(address))
    if not before.model:
        raise ConfigError(f"{address} has no tables of SER", hint="sipyard db init makes them")
    after = asyncio.run(carry_out(address, before.model))
    click.echo(f"{address}: {before.revision or 'as SER made it'} -> {after.revision}")


@db.command()
@with_database
def status(url: str) -> None:
    """Say what the database is; exit status 0 when it is as it should be."""
    from sipyard.storage.administration import state
    from sipyard.storage.url import DatabaseUrl

    address = DatabaseUrl.parse(url)
    found = asyncio.run(state(address))
    click.echo(f"{address}: {_described(found)}")
    for name, is_there, is_needed in found.wrong:
        click.echo(f"  table {name} is of version {is_there}, version {is_needed} is needed")
    if found.missing and found.model:
        click.echo(f"  not there: {', '.join(found.missing)}")
    if not found.is_current:
        raise SystemExit(1)


def _described(found: State) -> str:
    if not found.model:
        return "no tables; sipyard db init makes them"
    if not found.revision:
        return f"tables of SER {found.model}, usable as they are; sipyard db upgrade adds ours"
    if found.revision != found.newest:
        return f"tables of SER {found.model} at {found.revision}; sipyard db upgrade leads to {found.newest}"
    return f"tables of SER {found.model} at {found.revision}"


@db.command("import-0.9")
@click.argument("source")
@with_database
def import_0_9(url: str, source: str) -> None:
    """Copy users, aliases, groups, preferences and records of the SER 0.9 database at the URL SOURCE."""
    from sipyard.storage.from_0_9 import copy
    from sipyard.storage.url import DatabaseUrl

    report = asyncio.run(copy(DatabaseUrl.parse(source), DatabaseUrl.parse(url)))
    for line in report:
        click.echo(line)
