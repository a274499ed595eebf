"""Databases for an explanation: copies, so that lookups find what there is and nothing is changed."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from sipyard.arguments import Loading
from sipyard.errors import ConfigError
from sipyard.registry import Modules

_SQLITE: Final = "sqlite:///"


def copy_databases(modules: Modules, folder: Path) -> list[str]:
    """Point every module's `…db_url` to a copy below `folder`. What a person should know comes back.

    :raises ConfigError: a database cannot be read.
    """
    copies: dict[str, str] = {}
    notes: list[str] = []
    for module in modules:
        for name in sorted({each.name for each in module.parameters.values()}):
            if not name.endswith(("db_url", "avp_url")) or not getattr(module, name):
                continue
            url = str(getattr(module, name))
            if url not in copies:
                copies[url], note = _copied(url, folder / f"{len(copies)}.db")
                notes += [note] if note else []
            module.set_parameter(name, copies[url], Loading(modules.generation))
    return notes


def _copied(url: str, target: Path) -> tuple[str, str]:
    """The URL of the copy, and a remark."""
    copy, note = f"{_SQLITE}{target}?threads=0", ""
    path = url.removeprefix(_SQLITE).partition("?")[0]
    if not url.startswith(_SQLITE):
        return copy, f"{url.partition(':')[0]} databases are not asked: an empty one stands for {url}"
    if not Path(path).exists():
        return copy, ""
    try:
        source = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            with sqlite3.connect(target) as into:
                source.backup(into)
            into.close()
        finally:
            source.close()
    except sqlite3.Error as error:
        raise ConfigError(f"cannot copy the database {path}: {error}") from error
    return copy, note
