"""Databases with somebody in them, for the modules that ask about users."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from databases import TestDatabase
from sipyard.storage import DatabaseUrl, open_database
from sipyard.storage.administration import upgrade
from sipyard.storage.provisioning import Provisioning

DOMAIN = "example.org"
PASSWORD = "zanzibar"


def with_users(
    url: str,
    domain: str,
    more: Callable[[Provisioning], Awaitable[object]] | None = None,
    **passwords: str,
) -> None:
    """SER 2.0's tables with a domain and its users, as `sipyard domain add` and `user add` make them."""

    async def all_of_it() -> None:
        await upgrade(DatabaseUrl.parse(url), "2.0")
        store = open_database(url)
        try:
            people = Provisioning(store)
            await people.add_domain(domain)
            for name, password in passwords.items():
                await people.add_user(f"{name}@{domain}", password)
            if more is not None:
                await more(people)
        finally:
            await store.close()

    asyncio.run(all_of_it())


def provision(
    database: TestDatabase, more: Callable[[Provisioning], Awaitable[object]] | None = None
) -> None:
    """SER 2.0's tables with bob@example.org, and what `more` adds."""
    with_users(database.url, DOMAIN, more, bob=PASSWORD)


def provision_0_9(database: TestDatabase, *statements: str) -> None:
    """SER 0.9's tables with the subscriber bob of example.org, and what the statements add."""
    asyncio.run(upgrade(DatabaseUrl.parse(database.url), "0.9"))
    ha1, ha1b = (
        hashlib.md5(f"{name}:{DOMAIN}:{PASSWORD}".encode()).hexdigest() for name in ("bob", f"bob@{DOMAIN}")
    )
    columns = "username, domain, password, ha1, ha1b, rpid, domn, uuid"
    values = f"'bob', '{DOMAIN}', '{PASSWORD}', '{ha1}', '{ha1b}', 'sip:+420123@{DOMAIN}', '7', 'u-1'"
    for statement in (f"INSERT INTO subscriber ({columns}) VALUES ({values})", *statements):
        database.ask(statement)
