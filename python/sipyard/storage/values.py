"""What crosses between rows and drivers: text that may be any bytes, moments as unix seconds.

A peer may send bytes that are not UTF-8, and NUL. Python holds them as lone surrogates. SQLite keeps such a
text as a blob; PostgreSQL and MariaDB keep text only, so there each such byte becomes one of the last 256
characters of Unicode, which are for private use, and is a byte again when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import DateTime, LargeBinary, String
from sqlalchemy.types import TypeEngine

from sipyard.storage.url import SQLITE

Convert = Callable[[Any], Any]

_PRIVATE: Final = 0x10FF00
_UNFIT = re.compile("[\0\udc80-\udcff]")
_REPLACED = re.compile("[\U0010ff00-\U0010ffff]")
_MOMENT = "%Y-%m-%d %H:%M:%S"
_FIRST, _LAST = 0, 253402300799  # 9999-12-31 23:59:59


def _to_text(value: Any) -> Any:
    # Almost everything is printable, which a text knows fast; only the rest is looked at.
    if type(value) is str and not value.isprintable():
        return _UNFIT.sub(lambda found: chr(_PRIVATE + (ord(found[0]) & 0xFF)), value)
    return value


def _from_text(value: Any) -> Any:
    if type(value) is str and not value.isprintable():
        return _REPLACED.sub(_byte, value)
    return value


def _byte(found: re.Match[str]) -> str:
    code = ord(found[0]) - _PRIVATE
    return chr(0xDC00 + code) if code >= 0x80 else chr(code)


def _to_sqlite_text(value: Any) -> Any:
    if type(value) is str and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-8", "surrogateescape")
    return value


def _from_sqlite_text(value: Any) -> Any:
    return value.decode("utf-8", "surrogateescape") if type(value) is bytes else value


def _to_datetime(value: Any) -> Any:
    """Unix seconds as the naive UTC that drivers put into a column without time zone."""
    if value is None:
        return None
    return datetime.fromtimestamp(min(max(int(value), _FIRST), _LAST), UTC).replace(tzinfo=None)


def _from_datetime(value: Any) -> Any:
    return int(value.replace(tzinfo=UTC).timestamp()) if isinstance(value, datetime) else value


def _to_sqlite_datetime(value: Any) -> Any:
    found = _to_datetime(value)
    return None if found is None else found.strftime(_MOMENT)


def _from_sqlite_datetime(value: Any) -> Any:
    return _from_datetime(datetime.fromisoformat(value)) if isinstance(value, str) else value


def binder(kind: str, column_type: TypeEngine[Any]) -> Convert | None:
    """How a value for a column of that type is handed to that database; None: as it is."""
    if isinstance(column_type, DateTime):
        return _to_sqlite_datetime if kind == SQLITE else _to_datetime
    if isinstance(column_type, String):
        return _to_sqlite_text if kind == SQLITE else _to_text
    return None


def reader(kind: str, column_type: TypeEngine[Any]) -> Convert | None:
    """How a value that the database gave is read; None: as it is."""
    if isinstance(column_type, DateTime):
        return _from_sqlite_datetime if kind == SQLITE else _from_datetime
    if isinstance(column_type, LargeBinary):
        return None
    if isinstance(column_type, String):
        return _from_sqlite_text if kind == SQLITE else _from_text
    return None
