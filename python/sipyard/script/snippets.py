"""Pieces of Python that the checker prepares for the compiler."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Snippet:
    """A Python expression over `msg` and named constants. `returns` is what it yields:

    int     SER's result (0 stops the script)         core   SER's result, never 0
    truth   a condition's truth value                 none   nothing (taken as 1)
    bool    a function's truth value (1 or -1)
    """

    code: str
    constants: dict[str, object] = field(default_factory=dict)
    returns: Literal["int", "core", "truth", "bool", "none"] = "truth"
