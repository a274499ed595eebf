"""Where rows are kept: tables as SQLAlchemy describes them, three drivers behind one asynchronous interface.

`Database.execute` runs a `Statement`, compiled once: a hot lookup costs no SQLAlchemy. `Database.table` is
for tables that are read at start and written from then on, row by key, many writes to a commit. Drivers are
chosen by the scheme of the URL (`open_database`): SQLite, PostgreSQL, MariaDB/MySQL.
"""

from sipyard.storage.database import Database, Databases, StoredTable, Transaction, open_database
from sipyard.storage.layout import Layout, Row
from sipyard.storage.statement import Statement
from sipyard.storage.url import DatabaseUrl

__all__ = [
    "Database",
    "DatabaseUrl",
    "Databases",
    "Layout",
    "Row",
    "Statement",
    "StoredTable",
    "Transaction",
    "open_database",
]
