"""db_ops: SQL from a script. Values of a message are bound, never written into the SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

from sipyard.arguments import ArgumentError, Generation, Loading, RequestRouteName, number_of
from sipyard.errors import StorageError
from sipyard.module import Module, Parameter, function, parameter, select
from sipyard.modules.db_ops.query import Query
from sipyard.selects import Reader, SelectPath
from sipyard.storage import Database

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_NEW: Final = Generation.SER_2_0
_NOTE: Final = "db_ops"


class _QueryKind:
    """A query, or the number of a declared one."""

    says = f"the number of a declared query, {Query.says}"

    def convert(self, value: str | int, loading: Loading) -> int | Query:
        number = value if isinstance(value, int) else number_of(value)
        return Query.from_script(str(value), loading) if number is None else number

    def convert_strict(self, value: object, loading: Loading) -> int | Query:
        return self.convert(str(value), loading)


QueryOrNumber = Annotated[int | Query, _QueryKind()]


class Result:
    """Rows that a script has open, and the one that it is at."""

    __slots__ = ("columns", "place", "rows")

    def __init__(self, columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
        self.columns = columns
        self.rows = rows
        self.place = 0

    def field(self, name: str) -> str | int | None:
        """A column of the present row, by its name or number; None: there is none."""
        if self.place >= len(self.rows):
            return None
        row = self.rows[self.place]
        place = int(name) if name.isdecimal() else self.columns.index(name) if name in self.columns else -1
        value = row[place] if 0 <= place < len(row) else None
        return value if value is None or isinstance(value, str | int) else str(value)


class DatabaseOperations(Module):
    """db_ops: SQL from a script."""

    name = "db_ops"

    db_url = Parameter(str, "sqlite:///sipyard.db", "The database.")
    max_queries = Parameter(int, 10, "Handles are numbered from 0 to one less than this.", generations=_NEW)
    xlbuf_size = Parameter(int, 4096, "Accepted; texts may be of any length.", generations=_NEW)

    def __init__(self) -> None:
        super().__init__()
        self._declared: list[Query] = []

    @parameter(Query, generations=_NEW)
    def declare_query(self, query: Query) -> None:
        """A query; the first has number 0, the next 1 and so on."""
        self._declared.append(query)

    async def start(self, engine: Engine) -> None:
        """Have the database; nothing is asked of it yet."""
        self._engine = engine
        self._database: Database = engine.databases.get(self.db_url)

    async def _run(self, msg: Context, asked: int | Query) -> Result | None:
        """The rows of a query; None, and a line in the log, when it fails."""
        if isinstance(asked, int):
            if not 0 <= asked < len(self._declared):
                msg.engine.log_incident(f"db_ops: query {asked} is not declared")
                return None
            asked = self._declared[asked]
        try:
            rows = await self._database.execute(asked.statement, *(read(msg) for read in asked.values))
        except StorageError as error:
            msg.engine.log_incident(f"db_ops: {error.message}")
            return None
        return Result(asked.columns, rows)

    @function("RFOBS", generations=_NEW)
    async def db_query(self, msg: Context, query: QueryOrNumber, handle: int = -1) -> int:
        """Run a query; with a handle its rows stay open as `@db.fetch[HANDLE].COLUMN` until the script ends.
        1, or -1 when it fails."""
        if handle >= self.max_queries:
            msg.engine.log_incident(f"db_ops: handle {handle} is beyond max_queries")
            return -1
        result = await self._run(msg, query)
        if result is None:
            return -1
        if handle >= 0:
            _open(msg)[handle] = result
        return 1

    @function("RFOBS", generations=_NEW)
    def db_close(self, msg: Context, handle: int) -> int:
        """Close a handle. 1, or -1 when it is not open."""
        return 1 if _open(msg).pop(handle, None) is not None else -1

    @function("RFOBS", generations=_NEW)
    async def db_foreach(self, msg: Context, query: QueryOrNumber, route: RequestRouteName) -> int:
        """Run a route for each row of a query, which is `@db.fetch[0]` in it; a route that returns 0 or less
        is the last. 1, or -1 when the query fails."""
        result = await self._run(msg, query)
        block = msg.routes.routes.get(route)
        if result is None or block is None:
            return -1
        opened = _open(msg)
        before = opened.get(0)
        opened[0] = result
        try:
            for place in range(len(result.rows)):
                result.place = place
                if await block(msg) <= 0:
                    break
        finally:
            opened.pop(0)
            if before is not None:
                opened[0] = before
        return 1

    @select("db")
    def db(self, path: SelectPath) -> Reader:
        """`@db.fetch[HANDLE].COLUMN`: a column of the first row of an open query (in db_foreach: of the
        present one), by its name or its number."""
        if len(path) != 3 or path[1].name.lower() != "fetch":
            raise ArgumentError("selects of db_ops look like @db.fetch[0].column")
        handle, column = path[1].index or 0, path[2].name.lower().removeprefix("_")

        def read(msg: Context) -> str | None:
            found = (msg.note(_NOTE) or {}).get(handle)
            value = None if found is None else found.field(column)
            return None if value is None else str(value)

        return read


def _open(msg: Context) -> dict[int, Result]:
    found: dict[int, Result] = msg.notes.setdefault(_NOTE, {})
    return found
