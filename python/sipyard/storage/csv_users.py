"""Users as CSV, one a line with a header: `address` and `password`, or `address` and the digests.

Exporting gives digests, so that what was exported can be imported elsewhere; passwords are never written out.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import Final, TextIO

from sipyard.errors import ConfigError
from sipyard.storage.provisioning import Provisioning

COLUMNS: Final = ("address", "password", "ha1", "ha1b", "ha1_sha256", "ha1_sha512_256", "aliases")


def write(target: TextIO, rows: Iterable[dict[str, str]]) -> int:
    """Write rows with their header; returns how many."""
    writer = csv.DictWriter(target, COLUMNS, lineterminator="\n", restval="")
    writer.writeheader()
    count = 0
    for count, row in enumerate(rows, 1):  # noqa: B007  (the number of rows is what is wanted)
        writer.writerow(row)
    return count


def read(source: TextIO) -> Iterator[dict[str, str]]:
    """Rows of a file.

    :raises ConfigError: it has no column `address`, one that nobody knows, or a line without what is needed.
    """
    reader = csv.DictReader(source, restval="", restkey="")
    names = reader.fieldnames or ()
    if "address" not in names:
        raise ConfigError("the first line must name the columns, one of them `address`")
    if unknown := set(names) - set(COLUMNS):
        raise ConfigError(f"unknown column {min(unknown)}; there is: {', '.join(COLUMNS)}")
    for row in reader:
        if "" in row:
            raise ConfigError(f"line {reader.line_num}: more values than columns")
        if not row.get("password") and not row.get("ha1"):
            raise ConfigError(f"line {reader.line_num}: neither password nor ha1")
        yield row


async def import_users(provisioning: Provisioning, source: TextIO, *, keep_plain: bool = False) -> int:
    """Add every user of a file, all or none; returns how many. ConfigError, StorageError."""
    rows = list(read(source))
    await provisioning.add_users(rows, keep_plain=keep_plain)
    return len(rows)


async def export_users(provisioning: Provisioning, target: TextIO, domain: str = "") -> int:
    """Write every user, or those of a domain; returns how many."""
    return write(target, await provisioning.exported(domain))
