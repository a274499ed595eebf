"""maxfwd: the Max-Forwards header (RFC 3261 §16.3 step 3, §16.6 step 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipyard.arguments import Generation
from sipyard.module import Module, Parameter, function

if TYPE_CHECKING:
    from sipyard.context import Context


class MaxForwards(Module):
    """Count the hops that a request may still take."""

    name = "maxfwd"
    live_parameters = ("*",)

    max_limit = Parameter(int, 16, "Highest value that leaves this server.")

    @function("R", name="process_maxfwd", generations=Generation.SER_2_0)
    @function("R")
    def mf_process_maxfwd_header(self, msg: Context, initial: int) -> int:
        """Lower Max-Forwards by one, or add it with `initial`. 1, or -1 when it was 0 or unreadable."""
        return 1 if msg.message.decrement_max_forwards(initial, self.max_limit) >= 0 else -1

    @function("R", generations=Generation.SER_2_0)
    def mf_lowlimit(self, msg: Context, limit: int) -> int:
        """-1 when the header is there with a value below `limit`, else 1."""
        value = msg.message.max_forwards
        return 1 if value is None or value >= limit else -1
