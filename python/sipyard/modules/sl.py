"""sl: stateless replies (RFC 3261 §16.11). The ACK to one is absorbed by the core before the script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipyard.arguments import Dynamic, Generation
from sipyard.fault import answer_of
from sipyard.module import Module, Parameter, function, rpc

if TYPE_CHECKING:
    from sipyard.context import Context

_COUNTED: Final = (200, 202, 300, 301, 302, 400, 401, 403, 404, 407, 408, 483, 500)
_STATS: Final = (
    *(
        "200",
        "202",
        "2xx",
        "300",
        "301",
        "302",
        "3xx",
        "400",
        "401",
        "403",
        "404",
        "407",
        "408",
        "483",
        "4xx",
    ),
    *("500", "5xx", "6xx", "xxx"),
)


class StatelessReplies(Module):
    """Answer requests without keeping state."""

    name = "sl"
    live_parameters = ("default_code", "default_reason")

    default_code = Parameter(int, 500, "Status when the code's attribute cannot be read.")
    default_reason = Parameter(
        str, "Internal Server Error", "Reason phrase when its attribute cannot be read."
    )

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[int, int] = {}

    @function("R", name="sl_send_reply")
    @function("R", generations=Generation.SER_2_0)
    def sl_reply(self, msg: Context, code: Dynamic[int] | None, reason: Dynamic[str] | None) -> int:
        """Answer with a status and reason phrase; a 3xx lists the rewritten Request-URI and the branches as
        Contacts. Returns 1, or -1 for an ACK or a status that is none.

        A request whose transaction this script made and did nothing with is answered through it; one whose
        transaction already has a final reply is not answered again.
        """
        status = self.default_code if code is None else code
        text = self.default_reason if reason is None else reason
        if msg.message.method == "ACK" or not 100 <= status <= 699:
            return -1
        return self.send(msg, status, text)

    @function("R")
    def sl_reply_error(self, msg: Context) -> int:
        """Answer with what the last failing action failed for, such as 478 "Unresolvable destination
        (478/SL)"."""
        if msg.message.method == "ACK":
            return -1
        return self.send(msg, *answer_of(msg.error, "SL"))

    def send(self, msg: Context, status: int, reason: str, headers: str = "", body: bytes = b"") -> int:
        """For other modules: answer as `sl_reply` does."""
        if 300 <= status < 400:
            headers += msg.redirect_contact()
        transaction = msg.transaction
        if transaction is not None:
            if transaction.status >= 200:
                return 1
            if not msg.is_settled:
                transaction.reply(status, reason, headers=headers, body=body)
                msg.is_settled = status >= 200
                return 1
        if headers or body:
            msg.core.reply(msg.message, status, reason, headers=headers, body=body)
        else:
            msg.core.reply(msg.message, status, reason)
        msg.is_settled = msg.is_settled or status >= 200  # nobody answers a second time
        self.sent[status] = self.sent.get(status, 0) + 1
        return 1

    @rpc("sl.stats", old_name="sl_stats")
    def stats(self) -> dict[str, int]:
        """Replies sent, by status; "4xx" are the 4xx that have no line of their own, "xxx" everything
        else."""
        counted = dict.fromkeys(_STATS, 0)
        for status, count in self.sent.items():
            line = str(status) if status in _COUNTED else f"{status // 100}xx"
            counted[line if line in counted else "xxx"] += count
        return counted
