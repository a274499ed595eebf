"""postgres: PostgreSQL is always there; a script may load the driver as SER's had to."""

from __future__ import annotations

from sipyard.module import Module, Parameter


class PostgresDriver(Module):
    """postgres: nothing but the name; the pool of connections looks after itself."""

    name = "postgres"

    connect_timeout = Parameter(int, 0, "Accepted; `?timeout=` in the URL is the one that counts.")
    reconnect_attempts = Parameter(int, 2, "Accepted; connections are made anew until that succeeds.")
