"""Users with passwords: the table that both servers ask, each in its own database file."""

from __future__ import annotations

import hashlib
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

FILE = "subscribers.db"
USERS = 1000
REALM = "bench"
PASSWORD = "secret"  # as in benches/load/src/digest.rs
_KAMAILIO = """
CREATE TABLE version (table_name TEXT, table_version INTEGER);
INSERT INTO version VALUES ('subscriber', 7);
CREATE TABLE subscriber (
    id INTEGER PRIMARY KEY, username TEXT, domain TEXT, password TEXT, ha1 TEXT, ha1b TEXT,
    UNIQUE (username, domain)
);
"""


def write_subscribers(folder: Path, users: int, sipyard: str | None) -> None:
    """Make the database file in `folder`, with Sipyard's tables of SER 0.9 (`sipyard` is the program) or,
    when that is None, with as much of Kamailio's as it asks for."""
    if sipyard is not None:
        command = [sipyard, "db", "init", "--ser", "0.9", "--db", f"sqlite:///{FILE}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with closing(sqlite3.connect(folder / FILE)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL")
        if sipyard is None:
            connection.executescript(_KAMAILIO)
        connection.executemany(
            "INSERT INTO subscriber (username, domain, password, ha1, ha1b) VALUES (?, ?, '', ?, '')",
            ((f"u{user}", REALM, ha1(f"u{user}")) for user in range(users)),
        )


def ha1(user: str) -> str:
    """RFC 2617 §3.2.2.2."""
    return hashlib.md5(f"{user}:{REALM}:{PASSWORD}".encode()).hexdigest()
