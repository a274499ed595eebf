"""print: SER's sample module. It writes to the log, where the standard output of a server goes anyway."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sipyard.arguments import Dynamic, Generation
from sipyard.module import Module, Parameter, function
from sipyard.sip.field_text import for_log

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_NOTICE: Final = 2
_log = logging.getLogger(__name__)


class Print(Module):
    """print: show texts."""

    name = "print"

    string_param = Parameter(
        str, "", "A text, shown at the start and by `print()`.", generations=Generation.SER_2_0
    )
    str_param = Parameter(str, "", "A text, shown at the start and by `print()`.")
    int_param = Parameter(int, 0, "A number, shown at the start and by `print()`.")

    async def start(self, engine: Engine) -> None:
        """Show the parameters."""
        _log.info("print: %s", self._parameters())

    def _parameters(self) -> str:
        shown: dict[str, str | int] = {"str_param": self.str_param, "int_param": self.int_param}
        if self.generation is Generation.SER_2_0:
            shown = {"string_param": self.string_param, **shown}
        return ", ".join(f"{name}={value!r}" for name, value in shown.items())

    @function("R", name="print", generations=Generation.SER_0_9)
    def print_text(self, msg: Context, text: str) -> int:
        """Log a text at L_NOTICE."""
        return self.print(msg, text)

    @function("R", generations=Generation.SER_2_0)
    def print(self, msg: Context, text: Dynamic[str] = "", more: Dynamic[str] = "") -> int:
        """Log one text or two at L_NOTICE, or the module's parameters when there is none."""
        words = [each.rstrip("\n") for each in (text, more) if each]
        return msg.log(_NOTICE, for_log(" ".join(words) if words else self._parameters()))
