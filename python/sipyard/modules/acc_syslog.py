"""acc_syslog: accounting to the log, in SER's words: ``ACC: transaction answered: method=INVITE, …``."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from sipyard.accounting import Accountant, Record, Verdict, Wanted
from sipyard.accounting.log_line import line_of
from sipyard.accounting.record import LETTERS_20
from sipyard.accounting.settings import AttributeNames, Letters, mask_of
from sipyard.arguments import Dynamic, FlagNumber, Generation
from sipyard.attributes import Name
from sipyard.context import LEVELS
from sipyard.module import Module, Parameter, function

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_NEW: Final = Generation.SER_2_0
_NOTICE: Final = 2
_log = logging.getLogger("sipyard.acc")


class SyslogAccounting(Module):
    """acc_syslog: accounting to the log."""

    name = "acc_syslog"

    early_media = Parameter(bool, False, "A record of each 183 too.")
    failed_transactions = Parameter(bool, False, "A record of transactions that were refused too.")
    report_ack = Parameter(bool, False, "A record of the ACK to a 2xx too.")
    report_cancels = Parameter(bool, False, "A record of flagged CANCELs too.")
    log_flag: Parameter[int] = Parameter(FlagNumber, 0, "Flag of requests that are recorded; 0: none.")
    log_missed_flag: Parameter[int] = Parameter(
        FlagNumber, 0, "Flag of INVITEs that are recorded when they are refused; 0: none."
    )
    log_level = Parameter(int, _NOTICE, "Level, -3 (alert) to 4 (debug).")
    log_fmt: Parameter[str] = Parameter(
        Letters, "acdfgimnoprtuxDFIMPRSTUX", "What is recorded, a letter each, in this order."
    )
    attrs: Parameter[tuple[Name, ...]] = Parameter(
        AttributeNames, "", "Attributes, by comma, that the letter `a` stands for."
    )

    async def start(self, engine: Engine) -> None:
        """Watch transactions."""
        wanted = Wanted(
            mask_of(self.log_flag),
            mask_of(self.log_missed_flag),
            self.early_media,
            self.failed_transactions,
            self.report_ack,
            self.report_cancels,
        )
        self._accountant = Accountant(engine, wanted, self._write)
        self._level = LEVELS[max(-3, min(4, self.log_level))]

    def _write(self, verdict: Verdict, record: Record) -> None:
        if not _log.isEnabledFor(self._level):
            return
        parts: list[tuple[str, str | None]] = []
        for letter in self.log_fmt:
            if letter == "a":
                parts.append(("attrs", record.chosen(self.attrs)))
            else:
                name, read = LETTERS_20[letter]
                parts.append((name, read(record)))
        _log.log(self._level, "%s", line_of(verdict, parts))

    @function("RF", generations=_NEW)
    def acc_syslog_log(self, msg: Context, code: Dynamic[int] | None = 0) -> int:
        """Record the request now, as one that was answered with `code`."""
        self._write(Verdict.REQUEST, self._accountant.of_message(msg, code or msg.reply_status))
        return 1

    @function("RF", generations=_NEW)
    def acc_syslog_missed(self, msg: Context, code: Dynamic[int] | None = 0) -> int:
        """Record the request now, as a call that was missed."""
        self._write(Verdict.MISSED, self._accountant.of_message(msg, code or msg.reply_status))
        return 1
