"""A database that is away at start, goes away midway, or says nothing any more: with real servers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import pytest
from link import Wire
from sqlalchemy import String, bindparam, select

from databases import TestDatabase
from sipyard._native.core import OfflineEndpoint
from sipyard.errors import StorageError
from sipyard.management.registry import RpcFault
from sipyard.modules.usrloc import UsrLoc
from sipyard.site import Site
from sipyard.storage import Database, Statement, open_database
from sipyard.storage.location import Shape, location_layout
from sipyard.storage.remote import RemoteDatabase

LAYOUT = location_layout("location", Shape.SER_2_0)
FIND = Statement(
    select(LAYOUT.table.c.contact).where(LAYOUT.table.c.uid == bindparam("uid", type_=String)), "uid"
)


def row(uid: str) -> dict[tuple[object, ...], tuple[object, ...] | None]:
    values = {"uid": uid, "contact": "c", "aor": "a", "q": 1.0, "flags": 0, "expires": 2e9}
    return {(uid, "c"): tuple(values.get(name) for name in LAYOUT.columns)}


def over_a_wire(
    database: TestDatabase, work: Callable[[Database, Wire], Awaitable[None]], options: str = "?timeout=2"
) -> None:
    """Do something with a database that is reached over a wire, which is not there yet."""
    assert database.server is not None
    server = database.server

    async def all_of_it() -> None:
        wire = Wire(server.port)
        await wire.mend()
        await wire.cut()
        store = open_database(server.url(database.name, wire.port) + options)
        try:
            await work(store, wire)
        finally:
            await store.close()
            await wire.cut()

    asyncio.run(all_of_it())


async def comes_back(store: Database) -> None:
    """It finds the server by itself, without anybody asking."""
    async with asyncio.timeout(20):
        while not store.is_there:  # noqa: ASYNC110  (a real server, when it pleases)
            await asyncio.sleep(0.02)


def test_away_at_start_and_found_later(
    remote_database: TestDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(store: Database, wire: Wire) -> None:
        table = store.table(LAYOUT)
        for _ in range(100):  # refused at once, said once
            with pytest.raises(StorageError, match="is away since"):
                await store.execute(FIND, "alice")
        with pytest.raises(StorageError, match="is away since"):
            await table.write(row("alice"))
        await wire.mend()
        await comes_back(store)
        await table.write(row("alice"))
        assert await store.execute(FIND, "alice") == [("c",)]

    caplog.set_level(logging.WARNING, "sipyard.storage")
    over_a_wire(remote_database, work)
    said = [record.getMessage() for record in caplog.records]
    assert len([text for text in said if "is away: " in text]) == 1
    assert len([text for text in said if "is back after" in text]) == 1
    assert not any("heslo" in text for text in said)


def test_the_wire_is_cut_midway_and_mended(remote_database: TestDatabase) -> None:
    async def work(store: Database, wire: Wire) -> None:
        await wire.mend()
        table = store.table(LAYOUT)
        await table.write(row("alice"))
        waiting = [asyncio.ensure_future(store.execute(FIND, "alice")) for _ in range(50)]
        await asyncio.sleep(0)
        await wire.cut()
        for result in await asyncio.gather(*waiting, return_exceptions=True):
            assert result == [("c",)] or isinstance(result, StorageError)
        with pytest.raises(StorageError):
            await table.write(row("bob"))
        await wire.mend()
        await comes_back(store)
        await table.write(row("bob"))
        assert await store.execute(FIND, "bob") == [("c",)]

    over_a_wire(remote_database, work)


def test_a_server_that_says_nothing_any_more_is_given_up(remote_database: TestDatabase) -> None:
    async def work(store: Database, wire: Wire) -> None:
        await wire.mend()
        await store.table(LAYOUT).write(row("alice"))
        wire.flows.clear()
        with pytest.raises(StorageError):
            await store.execute(FIND, "alice")
        wire.flows.set()
        await comes_back(store)
        assert await store.execute(FIND, "alice") == [("c",)]

    over_a_wire(remote_database, work, "?timeout=1")


def test_connections_ended_by_an_administrator_are_replaced_unseen(remote_database: TestDatabase) -> None:
    """pg_terminate_backend, KILL: whoever asks next gets an answer."""
    server = remote_database.server
    assert server is not None

    async def work() -> None:
        store = open_database(remote_database.url)
        table = store.table(LAYOUT)
        await table.write(row("alice"))
        for _ in range(3):
            found = await asyncio.gather(*(store.execute(FIND, "alice") for _ in range(20)))
            assert found == [[("c",)]] * 20
            await asyncio.to_thread(server.cut, remote_database.name)
            assert await store.execute(FIND, "alice") == [("c",)]
            await asyncio.to_thread(server.cut, remote_database.name)
            await table.write(row("bob"))
        await store.close()

    asyncio.run(work())


def test_what_is_accepted_while_connections_are_killed_is_there(remote_database: TestDatabase) -> None:
    server = remote_database.server
    assert server is not None
    confirmed: set[str] = set()

    async def work() -> None:
        store = open_database(remote_database.url)
        table = store.table(LAYOUT)
        await table.prepare()

        async def client(name: str) -> None:
            for number in range(60):
                uid = f"{name}-{number}"
                try:
                    await table.write(row(uid))
                except StorageError:
                    continue
                confirmed.add(uid)

        clients = asyncio.gather(*(client(str(number)) for number in range(10)))
        for _ in range(3):
            await asyncio.to_thread(server.cut, remote_database.name)
        await clients
        await store.close()

    asyncio.run(work())
    assert len(confirmed) > 100
    assert confirmed <= {uid for (uid,) in remote_database.ask("SELECT uid FROM location")}


def test_all_connections_busy_is_an_error_in_time_and_harms_nobody(remote_database: TestDatabase) -> None:
    async def work() -> None:
        store = open_database(remote_database.url + "?pool=1&timeout=1")
        assert isinstance(store, RemoteDatabase)
        await store.table(LAYOUT).write(row("alice"))
        async with store.transaction() as transaction:
            await transaction.execute(FIND, "alice")
            with pytest.raises(StorageError, match="all 1 connections are busy"):
                await store.execute(FIND, "alice")
        assert await store.execute(FIND, "alice") == [("c",)]
        await store.close()

    asyncio.run(work())


# -- usrloc --------------------------------------------------------------------------------------------------

SCRIPT = """
loadmodule "usrloc"
modparam("usrloc", "db_url", "{url}")
modparam("usrloc", "db_mode", {mode})
route {{ drop; }}
"""


class Running:
    """A server's modules on the real loop."""

    def __init__(self, url: str, mode: int) -> None:
        self.engine = Site.of_text(SCRIPT.format(url=url, mode=mode)).engine(OfflineEndpoint().core)
        self.usrloc: UsrLoc = self.engine.modules["usrloc"]  # type: ignore[assignment]

    async def add(self, uid: str, contact: str) -> None:
        await self.engine.commands.call("usrloc.add_contact", "location", uid, contact, 3600, 0.5)

    async def __aenter__(self) -> Running:
        await self.engine.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.stop()

    @property
    def known(self) -> list[str]:
        return sorted(contact.uri for contact in self.usrloc.table("location").all())


KEPT = [
    # db_mode, rows at once, after a flush, what the next server knows
    (0, None, None, []),
    (1, 2, 2, ["sip:a@192.0.2.1", "sip:b@192.0.2.1"]),
    (2, 0, 2, ["sip:a@192.0.2.1", "sip:b@192.0.2.1"]),
    (3, 0, 0, []),
]


@pytest.mark.parametrize(("mode", "at_once", "flushed", "after"), KEPT)
def test_what_each_mode_keeps(
    database: TestDatabase, mode: int, at_once: int | None, flushed: int | None, after: list[str]
) -> None:
    async def rows() -> int:
        return int(str((await asyncio.to_thread(database.ask, "SELECT COUNT(*) FROM location"))[0][0]))

    async def work() -> None:
        async with Running(database.url, mode) as server:
            await server.add("u", "sip:a@192.0.2.1")
            await server.add("u", "sip:b@192.0.2.1")
            assert at_once is None or await rows() == at_once
            await server.engine.commands.call("usrloc.flush")
            assert flushed is None or await rows() == flushed
        async with Running(database.url, mode) as server:
            assert server.known == after
            if after:
                await server.engine.commands.call("usrloc.delete_contact", "location", "u", after[0])
        async with Running(database.url, mode) as server:
            assert server.known == after[1:]

    asyncio.run(work())


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_a_server_starts_without_its_database_and_finds_it(
    remote_database: TestDatabase, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    server = remote_database.server
    assert server is not None

    async def work() -> None:
        wire = Wire(server.port)
        await wire.mend()
        url = server.url(remote_database.name, wire.port)
        async with Running(url, 1) as before:
            await before.add("alice", "sip:alice@192.0.2.1")
            await before.add("bob", "sip:old@192.0.2.1")
        await wire.cut()
        async with Running(url, mode) as running:
            store = running.usrloc.store("location")
            with pytest.raises(StorageError, match="could not be read from the database yet"):
                store.require_loaded()
            if mode == 1:
                with pytest.raises(RpcFault, match=r"500 .* is away"):
                    await running.add("carol", "sip:carol@192.0.2.1")
            else:
                await running.add("carol", "sip:carol@192.0.2.1")
                assert running.known == ["sip:carol@192.0.2.1"]
            await wire.mend()
            async with asyncio.timeout(30):
                while store.touched is not None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            carol = [] if mode == 1 else ["sip:carol@192.0.2.1"]
            assert running.known == ["sip:alice@192.0.2.1", *carol, "sip:old@192.0.2.1"]
        await wire.cut()

    asyncio.run(work())
    assert "table location cannot be read" in caplog.text
    stored = {contact for (contact,) in remote_database.ask("SELECT contact FROM location")}
    assert ("sip:carol@192.0.2.1" in stored) == (mode == 2)


def test_write_back_loses_nothing_that_it_accepted(remote_database: TestDatabase) -> None:
    server = remote_database.server
    assert server is not None

    async def work() -> None:
        wire = Wire(server.port)
        await wire.mend()
        async with Running(server.url(remote_database.name, wire.port) + "?timeout=2", 2) as running:
            for number in range(700):
                await running.add(f"u{number}", "sip:a@192.0.2.1")
                if number == 350:
                    await wire.cut()
                    with pytest.raises(RpcFault, match="500"):
                        await running.engine.commands.call("usrloc.flush")
            assert running.usrloc.store("location").unwritten == 700
            await wire.mend()
            await comes_back(running.engine.databases.get(running.usrloc.db_url))
            await running.engine.commands.call("usrloc.flush")
            assert running.usrloc.store("location").unwritten == 0
        await wire.cut()

    asyncio.run(work())
    assert remote_database.ask("SELECT COUNT(*) FROM location") == [(700,)]
