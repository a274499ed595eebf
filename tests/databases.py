"""The databases that tests run on: SQLite, PostgreSQL and MariaDB, each test with a database of its own.

Servers that run on this machine are used (PostgreSQL with trust, MariaDB with root and no password); where
none answers, one is started for the session if its programs are installed; else the test is skipped.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncmy
import asyncpg
import pytest

KINDS = ("sqlite", "postgresql", "mysql")


@dataclass
class DatabaseServer:
    """A server on this machine where tests may make and drop databases."""

    kind: str
    user: str
    port: int

    def url(self, database: str, port: int | None = None) -> str:
        return f"{self.kind}://{self.user}@127.0.0.1:{port or self.port}/{database}"

    def run(self, statement: str, database: str = "") -> list[tuple[object, ...]]:
        """One statement, as another program would run it."""
        return asyncio.run(self._run(statement, database))

    async def _run(self, statement: str, database: str) -> list[tuple[object, ...]]:
        if self.kind == "postgresql":
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user=self.user, database=database or "postgres", timeout=10
            )
            try:
                return [tuple(row) for row in await connection.fetch(statement)]
            finally:
                await connection.close()
        connection = await asyncmy.connect(
            host="127.0.0.1", port=self.port, user=self.user, database=database or None, autocommit=True
        )
        try:
            async with connection.cursor() as cursor:
                await cursor.execute(statement)
                return [tuple(row) for row in await cursor.fetchall()] if cursor.description else []
        finally:
            await connection.ensure_closed()

    def cut(self, database: str) -> None:
        """End every connection to a database, as an administrator does."""
        if self.kind == "postgresql":
            self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'")
            return
        for (number,) in self.run(f"SELECT id FROM information_schema.processlist WHERE db = '{database}'"):
            self.run(f"KILL {number}")

    def drop(self, database: str) -> None:
        force = " WITH (FORCE)" if self.kind == "postgresql" else ""
        self.run(f"DROP DATABASE {database}{force}")

    def answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncmy.errors.MySQLError, TimeoutError):
            return False
        return True


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _wait_for(server: DatabaseServer, process: subprocess.Popen[bytes]) -> bool:
    for _ in range(100):
        if process.poll() is not None:
            return False
        if server.answers():
            return True
        time.sleep(0.1)  # for a program of others to come up
    return False


def _start_postgresql(folder: Path) -> tuple[DatabaseServer, subprocess.Popen[bytes]] | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        return None
    binaries, data = found[-1].parent, folder / "pg"
    user = "postgres" if os.geteuid() == 0 else None
    data.mkdir()
    if user:  # initdb refuses root
        shutil.chown(folder, user)
        shutil.chown(data, user)
    make = [binaries / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, user=user, cwd="/")
    server = DatabaseServer("postgresql", "postgres", _free_port())
    options = ["-D", data, "-p", str(server.port), "-h", "127.0.0.1", "-k", data, "-F"]
    process = subprocess.Popen(
        [binaries / "postgres", *options], stderr=subprocess.DEVNULL, user=user, cwd="/"
    )
    return server, process


def _start_mysql(folder: Path) -> tuple[DatabaseServer, subprocess.Popen[bytes]] | None:
    program, install = shutil.which("mariadbd"), shutil.which("mariadb-install-db")
    if program is None or install is None:
        return None
    data = folder / "mariadb"
    data.mkdir()
    user = ["--user=root"] if os.geteuid() == 0 else []
    make = [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", *user]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = DatabaseServer("mysql", "root", _free_port())
    where = [f"--datadir={data}", f"--port={server.port}", "--bind-address=127.0.0.1"]
    files = [f"--socket={data}/sock", f"--pid-file={data}/pid"]
    process = subprocess.Popen(
        [program, "--no-defaults", *where, *files, *user],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return server, process


def _server(kind: str, folder: Path) -> Iterator[DatabaseServer | None]:
    port, user = (5432, "postgres") if kind == "postgresql" else (3306, "root")
    running = DatabaseServer(kind, user, port)
    if running.answers():
        yield running
        return
    started = _start_postgresql(folder) if kind == "postgresql" else _start_mysql(folder)
    if started is None:
        yield None
        return
    server, process = started
    try:
        yield server if _wait_for(server, process) else None
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseServer | None]:
    yield from _server("postgresql", tmp_path_factory.mktemp("postgresql"))


@pytest.fixture(scope="session")
def mysql_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseServer | None]:
    yield from _server("mysql", tmp_path_factory.mktemp("mysql"))


@dataclass
class TestDatabase:
    """One empty database."""

    __test__ = False
    kind: str
    url: str
    name: str
    server: DatabaseServer | None = None
    path: Path | None = None

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """One statement on a connection of its own, as another program sees the database."""
        if self.server is not None:
            return self.server.run(statement, self.name)
        import sqlite3
        from contextlib import closing

        assert self.path is not None
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(statement).fetchall()


def _of(kind: str, request: pytest.FixtureRequest) -> Iterator[TestDatabase]:
    if kind == "sqlite":
        path = request.getfixturevalue("tmp_path") / "test.db"
        yield TestDatabase(kind, f"sqlite:///{path}", str(path), path=path)
        return
    server: DatabaseServer | None = request.getfixturevalue(f"{kind}_server")
    if server is None:
        pytest.skip(f"no {kind} server answers here, and its programs are not installed")
    name = f"sipyard_test_{os.getpid()}_{secrets.token_hex(4)}"
    server.run(f"CREATE DATABASE {name}")
    try:
        yield TestDatabase(kind, server.url(name), name, server)
    finally:
        server.drop(name)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[TestDatabase]:
    """An empty database of each kind."""
    yield from _of(request.param, request)


@pytest.fixture
def sqlite(request: pytest.FixtureRequest) -> Iterator[TestDatabase]:
    """An empty database in a file, for what no kind of database does in its own way."""
    yield from _of("sqlite", request)


@pytest.fixture(params=KINDS[1:])
def remote_database(request: pytest.FixtureRequest) -> Iterator[TestDatabase]:
    """An empty database of each kind that is a server."""
    yield from _of(request.param, request)
