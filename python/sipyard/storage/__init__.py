"""Where rows are kept: tables as SQLAlchemy describes them, drivers that read at start and write in batches.

The running router keeps its tables in memory. A store is read once, at start, and written from then on, row
by key: `Database.write` takes what the rows shall be and returns when that is durable. Drivers are chosen by
the scheme of the URL (`open_database`); SQLite is one file beside this one, others join by `register_driver`.
"""

from sipyard.storage.database import Database, StoredTable, open_database, register_driver
from sipyard.storage.layout import Layout, Row

__all__ = ["Database", "Layout", "Row", "StoredTable", "open_database", "register_driver"]
