"""xlog: log lines with parts of the message in them.

What comes off the wire is escaped, so that nobody outside can end a line, begin another or move a cursor;
what the script wrote itself is printed as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipyard.formats import Format
from sipyard.module import Module, Parameter, function
from sipyard.sip.field_text import for_log

if TYPE_CHECKING:
    from sipyard.context import Context

NOTICE: Final = 2
DEBUG: Final = 4
_LEVELS: Final = {"A": -3, "C": -2, "E": -1, "W": 1, "N": NOTICE, "I": 3, "D": DEBUG}


def level_of(text: str) -> int:
    """SER's number of "L_ERR" and the like: the third letter decides, anything else is a notice."""
    return _LEVELS.get(text[2:3].upper(), NOTICE)


class ExtendedLog(Module):
    """xlog: extended logging."""

    name = "xlog"
    live_parameters = ("*",)

    buf_size = Parameter(int, 4096, "Longest line in characters; the rest is cut off.")

    @function("RFOB")
    def xlog(self, msg: Context, level: str, text: Format) -> int:
        """Log a text at a level: L_ALERT, L_CRIT, L_ERR, L_WARN, L_NOTICE, L_INFO, L_DBG."""
        return self._log(msg, level_of(level), text)

    @function("RFOB")
    def xdbg(self, msg: Context, text: Format) -> int:
        """Log a text at the level of debugging."""
        return self._log(msg, DEBUG, text)

    def _log(self, msg: Context, level: int, text: Format) -> int:
        if level <= msg.engine.debug:  # a line that nobody sees is not even made
            msg.log(level, text.text(msg, for_log)[: self.buf_size])
        return 1
