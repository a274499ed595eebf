"""Pieces of Python that the checker prepares for the compiler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sipyard.recipes import Recipe


def named_flag(name: str, number: int) -> int:
    """A flag that the script declares by a name; the recipe of its number."""
    return number


@dataclass(slots=True)
class Snippet:
    """A Python expression over `msg` and named constants. `returns` is what it yields:

    int     SER's result (0 stops the script)         core   SER's result, never 0
    truth   a condition's truth value                 none   nothing (taken as 1)
    bool    a function's truth value (1 or -1)

    For `sipyard translate`: `plain` is the same where `code` is written for speed, `written` says how
    constants that are no literals were made.
    """

    code: str
    constants: dict[str, object] = field(default_factory=dict)
    returns: Literal["int", "core", "truth", "bool", "none"] = "truth"
    plain: str = ""
    written: dict[str, Recipe] = field(default_factory=dict)
