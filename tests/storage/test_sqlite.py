"""The SQLite driver: rows by key, shared commits, what a crash or a full disk leaves behind."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from sipyard.errors import ConfigError, StorageError
from sipyard.storage import DatabaseUrl, Layout, open_database
from sipyard.storage.location import LOCATION_0_9, LOCATION_2_0, Shape, location_layout
from sipyard.storage.sqlite import SqliteDatabase

LAYOUT = location_layout("location", Shape.SER_2_0)


def row(uid: str, contact: str, **values: object) -> tuple[object, ...]:
    defaults: dict[str, object] = {"expires": 2_000_000_000, "q": 0.5, "cseq": 1, "flags": 0}
    return tuple(
        {**defaults, "uid": uid, "contact": contact, "aor": f"sip:{uid}@a", **values}.get(c)
        for c in LOCATION_2_0
    )


def all_rows(url: str) -> dict[tuple[object, object], dict[str, object]]:
    async def read() -> list[dict[str, object]]:
        table = open_database(url).table(LAYOUT)
        await table.prepare()
        return [dict(zip(LOCATION_2_0, one, strict=True)) async for piece in table.rows() for one in piece]

    found = asyncio.run(read())
    return {(one["uid"], one["contact"]): one for one in found}


def prepare(url: str, layout: Layout) -> None:
    asyncio.run(open_database(url).table(layout).prepare())


@pytest.fixture(params=["threads=1", "threads=0"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db?{request.param}"


def test_rows_are_inserted_replaced_and_deleted_by_key(url: str) -> None:
    async def scenario() -> None:
        database = open_database(url)
        table = database.table(LAYOUT)
        await table.write({("a", str(n)): row("a", str(n), cseq=n) for n in range(300)})
        await table.write({("a", "1"): row("a", "1", cseq=77), ("a", "2"): None, ("b", "0"): None})
        assert await table.count() == 299
        await database.close()

    asyncio.run(scenario())
    rows = all_rows(url)
    assert rows["a", "1"]["cseq"] == 77
    assert rows["a", "299"]["cseq"] == 299
    assert ("a", "2") not in rows
    assert rows["a", "0"]["expires"] == 2_000_000_000


TEXTS = ["plain", "čeština", "nul\0nul", "raw\udcff\udc80bytes", "", "' OR 1=1; --", "%00", "\r\nx"]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_survives(url: str, text: str) -> None:
    async def scenario() -> None:
        database = open_database(url)
        await database.table(LAYOUT).write({("u", text): row("u", text, callid=text)})
        await database.close()

    asyncio.run(scenario())
    assert all_rows(url)["u", text]["callid"] == text


def test_times_are_stored_as_ser_stores_them(url: str, tmp_path: Path) -> None:
    async def scenario() -> None:
        database = open_database(url)
        await database.table(LAYOUT).write({("u", "c"): row("u", "c", expires=1_000_000_000.9)})
        await database.close()

    asyncio.run(scenario())
    with sqlite3.connect(tmp_path / "a.db") as connection:
        assert connection.execute("SELECT expires FROM location").fetchone() == ("2001-09-09 01:46:40",)


def test_many_waiting_writes_share_commits(tmp_path: Path) -> None:
    async def scenario() -> int:
        database = SqliteDatabase(DatabaseUrl.parse(f"sqlite:///{tmp_path}/a.db"))
        table = database.table(LAYOUT)
        await asyncio.gather(*(table.write({("u", str(n)): row("u", str(n))}) for n in range(500)))
        assert database.commits is not None
        assert database.commits.waiting == 0
        await database.close()
        return database.commits.commits

    assert asyncio.run(scenario()) < 50


def test_a_refused_row_fails_alone(url: str) -> None:
    async def scenario() -> list[object]:
        database = open_database(url)
        table = database.table(LAYOUT)
        bad = row("u", "bad", aor=None)
        changes = [{("u", str(n)): row("u", str(n))} for n in range(20)]
        changes.insert(10, {("u", "bad"): bad, ("u", "also"): row("u", "also")})

        async def write(one: dict[tuple[str, str], tuple[object, ...]]) -> None:
            await table.write(one)

        results = await asyncio.gather(*map(write, changes), return_exceptions=True)
        await database.close()
        return results

    results = asyncio.run(scenario())
    assert [n for n, result in enumerate(results) if result is not None] == [10]
    assert isinstance(results[10], StorageError)
    assert len(all_rows(url)) == 20  # all or nothing: the good row beside the bad one is not there


def test_a_locked_store_is_an_error_and_recovers(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = open_database(f"sqlite:///{tmp_path}/a.db?timeout=20")
        table = database.table(LAYOUT)
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked"):
            await table.write({("u", "c"): row("u", "c")})
        other.execute("ROLLBACK")
        other.close()
        await table.write({("u", "c"): row("u", "c")})
        await database.close()

    asyncio.run(scenario())
    assert len(all_rows(f"sqlite:///{tmp_path}/a.db")) == 1


def test_what_was_handed_over_is_written_at_close(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = open_database(f"sqlite:///{tmp_path}/a.db")
        table = database.table(LAYOUT)
        writes = [table.write({("u", str(n)): row("u", str(n))}) for n in range(50)]
        await database.close()
        await asyncio.gather(*writes)
        with pytest.raises(StorageError, match="closed"):
            await table.write({("u", "late"): None})

    asyncio.run(scenario())
    assert len(all_rows(f"sqlite:///{tmp_path}/a.db")) == 50


def test_a_table_of_another_version_is_refused(url: str) -> None:
    prepare(url, LAYOUT)
    with pytest.raises(ConfigError, match=r"version 9, version 6 is needed"):
        prepare(url, location_layout("location", Shape.SER_0_9))


def test_a_table_made_by_ser_lacks_our_columns(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as connection:
        connection.executescript(
            "CREATE TABLE version (table_name VARCHAR(64) PRIMARY KEY, table_version INT);"
            "INSERT INTO version VALUES ('location', 9);"
            "CREATE TABLE location (uid VARCHAR(64), aor VARCHAR(255), contact VARCHAR(255), server_id INT,"
            " received VARCHAR(255), expires DATETIME, q FLOAT DEFAULT 1.0, callid VARCHAR(255), cseq INT,"
            " flags INT, user_agent VARCHAR(64), instance VARCHAR(255), UNIQUE (uid, contact));"
        )

    async def scenario() -> None:
        database = open_database(f"sqlite:///{tmp_path}/a.db")
        table = database.table(LAYOUT)
        await table.prepare()
        assert table.missing == {"path", "socket"}
        await table.write({("u", "c"): row("u", "c", path="<sip:edge;lr>")})
        await table.write({("u", "c"): row("u", "c", cseq=2)})
        await database.close()

    asyncio.run(scenario())
    stored = all_rows(f"sqlite:///{tmp_path}/a.db")["u", "c"]
    assert (stored["cseq"], stored["path"]) == (2, None)


def test_columns_can_be_renamed_and_missing_ones_are_named(url: str) -> None:
    prepare(url, LAYOUT)
    renamed = location_layout("location", Shape.SER_2_0, {"contact": "kontakt"})
    assert "kontakt" in renamed.columns
    with pytest.raises(ConfigError, match="no column kontakt"):
        prepare(url, renamed)


def test_the_shape_of_0_9(url: str) -> None:
    layout = location_layout("aliases", Shape.SER_0_9)
    assert layout.columns == LOCATION_0_9
    values = {
        "username": "u",
        "domain": "d",
        "contact": "c",
        "q": 1.0,
        "replicate": 0,
        "state": 0,
        "flags": 0,
    }

    async def scenario() -> None:
        database = open_database(url)
        table = database.table(layout)
        await table.write({("u", "d", "c"): tuple(values.get(name) for name in LOCATION_0_9)})
        await table.write({("u", "d", "other"): None})
        assert await table.count() == 1
        await database.close()

    asyncio.run(scenario())


BAD_URLS = [
    ("oracle://root@localhost/ser", "no database driver for oracle"),
    ("mysql://root:secret@localhost", "name of the database is missing"),
    ("postgres://root@localhost:port/ser", "Port could not be cast"),
    ("mysql://root@localhost/ser?pool=0", "pool is a number from 1 to 200"),
    ("mysql://root@localhost/ser?charset=latin1", "unknown option charset"),
    ("", "no database driver for an empty"),
    ("sqlite://", "a file is needed"),
    ("sqlite:///:memory:", "a file is needed"),
    ("sqlite:///x.db?sync=full", "unknown option sync"),
    ("sqlite:///x.db?synchronous=extra", "synchronous is one of"),
    ("sqlite:///x.db?threads=many", "are numbers"),
]


@pytest.mark.parametrize(("bad", "says"), BAD_URLS)
def test_a_bad_url_is_a_configuration_error(bad: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_database(bad)


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot open"):
        prepare(f"sqlite:///{tmp_path}/none/a.db", LAYOUT)


WRITER = """
import asyncio, sys
from tests.storage.test_sqlite import LAYOUT, row
from sipyard.storage import DatabaseUrl, Layout, open_database

async def client(table, name):
    for n in range(100000):
        await table.write({(name, str(n)): row(name, str(n))})
        sys.stdout.write(f"{name} {n}\\n")
        sys.stdout.flush()

async def main():
    table = open_database(sys.argv[1]).table(LAYOUT)
    await asyncio.gather(*(client(table, f"u{k}") for k in range(20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [1, 37, 400])
def test_sigkill_loses_nothing_that_was_reported_durable(tmp_path: Path, after: int) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, url], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after)]
    process.kill()
    rest = process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    process.wait()
    reported = {tuple(line.split()) for line in [*lines, *rest] if line.endswith("\n")}
    assert len(reported) >= after
    assert reported <= all_rows(url).keys()
