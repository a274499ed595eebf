"""What `sipyard run --domain` does before it serves: tables and a domain in a new database, and who is in
it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from sipyard.cli.database import provision
from sipyard.errors import ConfigError, StorageError
from sipyard.storage.administration import state, upgrade
from sipyard.storage.provisioning import Provisioning
from sipyard.storage.url import DatabaseUrl


def have_domain(url: str, domain: str) -> Iterator[str]:
    """Make the tables of SER 2.0 in an empty database, and the domain if it is not there; says what was done,
    and how to go on when the domain has no users.

    :raises ConfigError: the database holds other tables, or `domain` is no name of a domain.
    """

    async def add(people: Provisioning) -> tuple[bool, int]:
        is_new = domain.lower() not in [name for _, name in await people.domains()]
        if is_new:
            await people.add_domain(domain)
        return is_new, len(await people.users(domain))

    address = DatabaseUrl.parse(url)
    try:
        if not asyncio.run(state(address)).model:
            asyncio.run(upgrade(address, "2.0"))
            yield f"{address}: made, with the tables of SER 2.0"
        is_new, users = provision(url, add)
    except StorageError as error:
        raise ConfigError(f"--domain needs the database: {error.message}") from error
    yield f"domain {domain}: {'added, ' if is_new else ''}{users or 'no'} user{'' if users == 1 else 's'}"
    if not users:
        yield f"add some:  {sys.argv[0]} user add --db {_absolute(address)} alice@{domain}"


def _absolute(address: DatabaseUrl) -> str:
    text = str(address)
    prefix = "sqlite:///"
    if not text.startswith(prefix):
        return text
    return f"{prefix}{Path(text.removeprefix(prefix)).absolute()}"
