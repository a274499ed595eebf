"""The address of a store, written as SER's `db_url` is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, unquote, urlsplit

from sipyard.errors import ConfigError

SQLITE, POSTGRESQL, MYSQL = "sqlite", "postgresql", "mysql"

_KINDS = {
    "sqlite": SQLITE,
    "postgres": POSTGRESQL,
    "postgresql": POSTGRESQL,
    "mysql": MYSQL,
    "mariadb": MYSQL,
}
_PORTS = {POSTGRESQL: 5432, MYSQL: 3306}


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """`mysql://user:pw@host:port/db`, `postgres://user:pw@host/db`, `sqlite:///relative.db`,
    `sqlite:////absolute.db`, each with options after a `?`.

    :param kind: sqlite, postgresql or mysql (MariaDB as well).
    :param database: the database's name; of SQLite the path of the file.
    """

    kind: str
    database: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> DatabaseUrl:
        """From what a script or a command line says.

        :raises ConfigError: it is no such URL, or of a database that there is no driver for.
        """
        parts = urlsplit(text)
        kind = _KINDS.get(parts.scheme.partition("+")[0].lower())
        if kind is None:
            known = ", ".join(sorted(_KINDS))
            raise ConfigError(
                f"no database driver for {parts.scheme or 'an empty'} URL; there is: {known}",
                hint="write mysql://user:password@host/database or sqlite:///file.db",
            )
        options = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        database = unquote(parts.path).removeprefix("/")
        if kind == SQLITE:
            return cls(kind, database, options=options)
        try:
            port = parts.port or _PORTS[kind]
        except ValueError as error:
            raise ConfigError(f"{without_password(text)}: {error}") from None
        if not database:
            raise ConfigError(f"{without_password(text)}: the name of the database is missing")
        return cls(
            kind,
            database,
            parts.hostname or "127.0.0.1",
            port,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
            options,
        )

    def option(self, name: str, default: int, most: int) -> int:
        """A numeric option, from 1 to `most`.

        :raises ConfigError: it is none.
        """
        text = self.options.get(name)
        if text is None:
            return default
        if not text.isdecimal() or not 1 <= int(text) <= most:
            raise ConfigError(f"{self}: {name} is a number from 1 to {most}, not {text}")
        return int(text)

    def refuse_unknown(self, known: frozenset[str]) -> None:
        """Complain about an option that the driver does not know; ConfigError."""
        if unknown := self.options.keys() - known:
            raise ConfigError(f"{self}: unknown option {min(unknown)}")

    def __str__(self) -> str:
        """As written, without the password: fit for a log."""
        if self.kind == SQLITE:
            return f"sqlite:///{self.database}"
        user = f"{quote(self.user)}@" if self.user else ""
        return f"{self.kind}://{user}{self.host}:{self.port}/{self.database}"


def without_password(text: str) -> str:
    """A URL for a log, however badly written."""
    head, at, tail = text.rpartition("@")
    scheme, slashes, user = head.partition("://")
    return f"{scheme}{slashes}{user.partition(':')[0]}{at}{tail}"
