"""One interface on SQLite, PostgreSQL and MariaDB: statements, transactions, rows by key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, bindparam, insert, select, update

from databases import TestDatabase
from sipyard.errors import ConfigError, InternalError, StorageError
from sipyard.stepping import rest_of, suspended_on
from sipyard.storage import Database, Databases, Layout, Statement, open_database
from sipyard.storage.layout import TABLE_OPTIONS
from sipyard.storage.location import LOCATION_2_0, Shape, location_layout

T = TypeVar("T")

THINGS = Table(
    "things",
    MetaData(),
    Column("owner", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("note", String(20)),
    Column("since", DateTime),
    **TABLE_OPTIONS,
)
LAYOUT = Layout(THINGS, ("owner", "number"), 3)
LOCATION = location_layout("location", Shape.SER_2_0)

FIND = Statement(
    select(THINGS.c.note, THINGS.c.since)
    .where(THINGS.c.number == bindparam("number", type_=Integer))
    .where(THINGS.c.owner == bindparam("owner", type_=String)),
    "owner",
    "number",
)
ADD = Statement(insert(THINGS), "owner", "number", "note", "since")
RENAME = Statement(
    update(THINGS)
    .where(THINGS.c.owner == bindparam("of", type_=String))
    .values(note=bindparam("to", type_=String)),
    "of",
    "to",
)


def on(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Do something with an open database that has the table."""

    async def all_of_it() -> T:
        database = open_database(url)
        try:
            await database.table(LAYOUT).prepare()
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(all_of_it())


TEXTS = [
    "plain",
    "čeština",
    "nul\0nul",
    "raw\udcff\udc80bytes",
    "",
    "' OR 1=1; --",
    "%00 %s",
    "\r\n\\x",
    "a ",
    "A",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_statement_finds_what_another_wrote(database: TestDatabase, text: str) -> None:
    async def work(store: Database) -> None:
        await store.execute(ADD, text, 7, text[:20], 1_000_000_000)
        await store.execute(ADD, "other", 7, "x", None)
        assert await store.execute(FIND, text, 7) == [(text[:20], 1_000_000_000)]
        assert await store.execute(FIND, text, 8) == []
        await store.execute(RENAME, text, "renamed")
        assert await store.execute(FIND, text, 7) == [("renamed", 1_000_000_000)]
        assert await store.execute(FIND, "other", 7) == [("x", None)]

    on(database.url, work)


def test_moments_are_stored_as_ser_stores_them(database: TestDatabase) -> None:
    on(database.url, lambda store: store.execute(ADD, "a", 1, None, 1_000_000_000.9))
    assert str(database.ask("SELECT since FROM things")[0][0]) == "2001-09-09 01:46:40"


def test_what_a_transaction_did_is_undone_when_it_fails(database: TestDatabase) -> None:
    async def work(store: Database) -> None:
        async def twice() -> None:
            async with store.transaction() as transaction:
                await transaction.execute(ADD, "a", 1, "first", None)
                assert await transaction.execute(FIND, "a", 1) == [("first", None)]
                await transaction.execute(ADD, "a", 1, "again", None)

        with pytest.raises(StorageError):
            await twice()
        assert await store.execute(FIND, "a", 1) == []
        async with store.transaction() as transaction:
            await transaction.execute(ADD, "a", 1, "second", None)
        assert await store.execute(FIND, "a", 1) == [("second", None)]

    on(database.url, work)


def test_a_bad_value_is_an_error_and_harms_nobody(database: TestDatabase) -> None:
    async def work(store: Database) -> None:
        with pytest.raises(StorageError):
            await store.execute(ADD, "a", None, "x", None)
        await store.execute(ADD, "a", 1, "x", None)
        assert await store.execute(FIND, "a", 1) == [("x", None)]

    on(database.url, work)


def test_a_table_that_is_not_there(database: TestDatabase) -> None:
    async def work() -> None:
        store = open_database(database.url)
        with pytest.raises(StorageError, match="things"):
            await store.execute(FIND, "a", 1)
        await store.close()

    asyncio.run(work())


def test_a_statement_that_forgets_a_parameter(database: TestDatabase) -> None:
    forgetful = Statement(select(THINGS.c.note).where(THINGS.c.number == bindparam("number", type_=Integer)))

    async def work(store: Database) -> None:
        with pytest.raises(InternalError, match="number that gets no value"):
            await store.execute(forgetful)

    on(database.url, work)


def test_a_long_select_is_taken_off_the_loop_and_finished(database: TestDatabase) -> None:
    """SQLite answers in the deciding thread, but only what is short."""
    many = THINGS.alias("a"), THINGS.alias("b"), THINGS.alias("c")
    everything = Statement(select(many[0].c.number, many[1].c.number, many[2].c.number))

    async def work(store: Database) -> None:
        await store.table(LAYOUT).write({("a", n): ("a", n, None, None) for n in range(40)})
        assert len(await store.execute(everything)) == 40**3

    on(database.url, work)


def test_many_at_once_share_few_connections(database: TestDatabase) -> None:
    async def work(store: Database) -> None:
        await store.table(LAYOUT).write({("a", n): ("a", n, str(n), None) for n in range(300)})
        found = await asyncio.gather(*(store.execute(FIND, "a", n) for n in range(300)))
        assert found == [[(str(n), None)] for n in range(300)]

    on(database.url, work)


def test_whoever_gives_up_disturbs_nobody(database: TestDatabase) -> None:
    async def work(store: Database) -> None:
        await store.execute(ADD, "a", 1, "x", None)
        waiting = [asyncio.ensure_future(store.execute(FIND, "a", 1)) for _ in range(60)]
        await asyncio.sleep(0)
        for one in waiting[::2]:
            one.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(result == [("x", None)] for result in results[1::2])
        assert await store.execute(FIND, "a", 1) == [("x", None)]

    on(database.url, work)


def test_a_transaction_that_is_given_up_is_undone_and_holds_up_nobody(database: TestDatabase) -> None:
    async def work(store: Database) -> None:
        async def add(number: int) -> None:
            async with store.transaction() as transaction:
                await transaction.execute(ADD, "a", number, "x", None)
                await transaction.execute(ADD, "b", number, "x", None)

        for passes in range(40):  # given up a little later each time
            task = asyncio.ensure_future(add(passes))
            for _ in range(passes):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            both = await store.execute(FIND, "a", passes), await store.execute(FIND, "b", passes)
            assert both[0] == both[1]
        await add(99)
        assert await store.execute(FIND, "b", 99) == [("x", None)]

    on(database.url, work)


def test_a_route_that_is_stepped_by_hand_may_ask(database: TestDatabase) -> None:
    """The engine steps routes outside of any task until they wait; connecting waits first."""
    on(database.url, lambda store: store.execute(ADD, "a", 1, "x", None))

    async def work() -> list[list[tuple[object, ...]]]:
        store, loop = open_database(database.url), asyncio.get_running_loop()
        found: list[list[tuple[object, ...]]] = []
        done = loop.create_future()

        async def route() -> None:
            found.append(await store.execute(FIND, "a", 1))
            async with store.transaction() as transaction:
                found.append(await transaction.execute(FIND, "a", 1))
            done.set_result(None)

        def step() -> None:
            assert asyncio.current_task() is None
            coroutine = route()
            yielded = suspended_on(coroutine.send(None))

            async def rest() -> None:
                await rest_of(coroutine, yielded)

            tasks.append(loop.create_task(rest()))

        tasks: list[asyncio.Task[None]] = []
        loop.call_soon(step)
        await done
        await asyncio.gather(*tasks)
        await store.close()
        return found

    assert asyncio.run(work()) == [[("x", None)]] * 2


# -- rows by key ---------------------------------------------------------------------------------------------


async def all_rows(store: Database, layout: Layout) -> list[tuple[object, ...]]:
    table = store.table(layout)
    await table.prepare()
    return sorted([row async for piece in table.rows() for row in piece], key=str)


def test_rows_are_inserted_replaced_and_deleted_by_key(database: TestDatabase) -> None:
    async def work(store: Database) -> None:
        table = store.table(LAYOUT)
        await table.write({("a", n): ("a", n, str(n), 1e9 + n) for n in range(300)})
        await table.write({("a", 1): ("a", 1, "new", None), ("a", 2): None, ("b", 0): None})
        assert await table.count() == 299
        rows = {row[1]: row for row in await all_rows(store, LAYOUT)}
        assert rows[1] == ("a", 1, "new", None)
        assert rows[299] == ("a", 299, "299", 1_000_000_299)
        assert 2 not in rows

    on(database.url, work)


def test_reading_goes_on_from_page_to_page(database: TestDatabase) -> None:
    async def work(store: Database) -> None:
        rows = [(owner, n, None, None) for owner in ("a", "A", "č", "") for n in range(1_100)]
        await store.table(LAYOUT).write({row[:2]: row for row in rows})
        assert await all_rows(store, LAYOUT) == sorted(rows, key=str)

    on(database.url, work)


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_of_a_peer_survives_as_row(database: TestDatabase, text: str) -> None:
    row = ("u", "sip:u@h", text, text, 2e9, 0.5, text, 1, 0, text, text, text, text)

    async def work(store: Database) -> None:
        await store.table(LOCATION).write({("u", text): ("u", row[1], *row[2:])})
        assert await all_rows(store, LOCATION) == [row]

    on(database.url, work)


def test_a_text_that_is_too_long_is_cut_unless_it_is_a_key(database: TestDatabase) -> None:
    values: dict[str, object] = {"uid": "u", "aor": "a", "contact": "c", "q": 1.0, "flags": 0, "expires": 2e9}
    row = {**values, "user_agent": "x" * 300}

    async def work(store: Database) -> None:
        await store.table(LOCATION).write({("u", "c"): tuple(row.get(name) for name in LOCATION_2_0)})
        (found,) = await all_rows(store, LOCATION)
        assert found[LOCATION_2_0.index("user_agent")] == "x" * 64

    on(database.url, work)


def test_a_refused_row_fails_alone(database: TestDatabase) -> None:
    async def work(store: Database) -> None:
        table = store.table(LOCATION)
        await table.prepare()

        def row(contact: str, aor: str | None = "a") -> tuple[object, ...]:
            values: dict[str, object] = {"uid": "u", "aor": aor, "contact": contact, "q": 1.0, "flags": 0}
            return tuple(values.get(name) for name in LOCATION_2_0)

        changes = [{("u", str(n)): row(str(n))} for n in range(20)]
        changes.insert(10, {("u", "bad"): row("bad", None), ("u", "also"): row("also")})
        results = await asyncio.gather(*map(table.write, changes), return_exceptions=True)
        assert [n for n, result in enumerate(results) if result is not None] == [10]
        assert isinstance(results[10], StorageError)
        assert await table.count() == 20  # all or nothing: the good row beside the bad one is not there

    on(database.url, work)


def test_what_was_handed_over_is_written_at_close(database: TestDatabase) -> None:
    async def work() -> None:
        store = open_database(database.url)
        table = store.table(LAYOUT)
        writes = [table.write({("a", n): ("a", n, None, None)}) for n in range(50)]
        await store.close()
        await asyncio.gather(*writes)
        with pytest.raises(StorageError, match="closed"):
            await table.write({("a", 99): None})

    asyncio.run(work())
    assert database.ask("SELECT COUNT(*) FROM things") == [(50,)]


def test_a_table_of_another_version_is_refused(database: TestDatabase) -> None:
    on(database.url, lambda store: store.table(LOCATION).prepare())
    with pytest.raises(ConfigError, match="version 9, version 6 is needed"):
        on(database.url, lambda store: store.table(location_layout("location", Shape.SER_0_9)).prepare())


def test_modules_that_name_the_same_url_share_one(database: TestDatabase) -> None:
    async def work() -> None:
        databases = Databases()
        assert databases.get(database.url) is databases.get(database.url)
        await databases.close()

    asyncio.run(work())
