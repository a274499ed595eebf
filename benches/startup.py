"""A start with very many users and bindings in the database: seconds until one is found, and memory."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benches.series import Plan, say
from benches.servers import Server, sipyard
from benches.subscribers import FILE, write_subscribers

CONFIG = "redirect_db"
PATIENCE = 180.0
"""Seconds that a server may take."""
_TABLES = Path("/usr/share/kamailio/db_sqlite/usrloc-create.sql")
_OURS = (
    "INSERT INTO location (username, domain, contact, expires, callid, cseq, user_agent) "
    "VALUES (?1, '', ?2, '2037-01-01 00:00:00', ?3, 1, 'Phone 4.1')"
)
_THEIRS = (
    "INSERT INTO location (username, contact, expires, last_modified, callid, cseq, user_agent, ruid) "
    "VALUES (?1, ?2, julianday('2037-01-01'), julianday('2026-01-01'), ?3, 1, 'Phone 4.1', ?3)"
)


@dataclass
class Start:
    """What one start showed."""

    bindings: int
    seconds: float
    megabytes: float


def write_bindings(folder: Path, count: int, *, ours: bool) -> None:
    """Add a binding for each of `count` users to the database in `folder`."""
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        if not ours:
            connection.executescript(_TABLES.read_text())
        connection.executemany(
            _OURS if ours else _THEIRS,
            (
                (f"u{n}", f"sip:u{n}@10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}:5060", f"{n:024x}@phone")
                for n in range(count)
            ),
        )


def measure_startup(plan: Plan, count: int) -> dict[str, Start]:
    """Start each server once on a database of its own with that many users and bindings."""
    found = {}
    for name in plan.names:
        store = plan.folder / f"store-{name}"
        store.mkdir()
        write_subscribers(store, count, sipyard() if name == "sipyard" else None)
        write_bindings(store, count, ours=name == "sipyard")
        begun = time.monotonic()
        server = Server(name, CONFIG, plan.folder, store=store / FILE, patience=PATIENCE)
        try:
            server.wait_for(b"SIP/2.0 302", "INVITE", f"u{count - 1}", PATIENCE)
            found[name] = Start(count, time.monotonic() - begun, server.pss() / 1e6)
        finally:
            server.stop()
            shutil.rmtree(server.folder)
        start = found[name]
        say(f"{count} bindings {name:8} found after {start.seconds:.1f} s, {start.megabytes:.0f} MB")
    return found
