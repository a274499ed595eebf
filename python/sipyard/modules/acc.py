"""acc: accounting of SER 0.9, one module for the log and the database.

The two look at flags of their own and write their records independently of each other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import DateTime, String, column, insert, table

from sipyard.accounting import Accountant, Ledger, Record, Verdict, Wanted
from sipyard.accounting.log_line import line_of
from sipyard.accounting.radius_sender import RadiusSender, attributes_of, worth_sending
from sipyard.accounting.record import LETTERS_09
from sipyard.accounting.settings import Letters, mask_of
from sipyard.arguments import FlagNumber, Generation
from sipyard.context import LEVELS
from sipyard.module import Module, Parameter, function
from sipyard.radius import RadiusClient, read_settings
from sipyard.storage import Database, Statement
from sipyard.storage.named_columns import select_by, text

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_OLD: Final = Generation.SER_0_9
_NOTICE: Final = 2
_log = logging.getLogger("sipyard.acc")


def _flag(doc: str) -> Parameter[int]:
    return Parameter(FlagNumber, 0, doc, generations=_OLD)


class Accounting(Module):
    """acc: accounting to the log and to a database."""

    name = "acc"

    early_media = Parameter(bool, False, "A record of each 183 too.")
    failed_transactions = Parameter(bool, False, "A record of transactions that were refused too.")
    report_ack = Parameter(bool, True, "A record of the ACK to a 2xx too.")
    report_cancels = Parameter(bool, False, "A record of flagged CANCELs too.")
    log_flag = _flag("Flag of requests that are logged; 0: none.")
    log_missed_flag = _flag("Flag of INVITEs that are logged when they are refused; 0: none.")
    log_level = Parameter(int, _NOTICE, "Level, -3 (alert) to 4 (debug).")
    log_fmt: Parameter[str] = Parameter(Letters, "miocfs", "What is logged, a letter each, in this order.")
    db_flag = _flag("Flag of requests that go to the database; 0: none.")
    db_missed_flag = _flag("Flag of INVITEs that go to the database when they are refused; 0: none.")
    db_url = Parameter(str, "sqlite:///sipyard.db", "Where records go.")
    db_table_acc = Parameter(str, "acc", "Answered transactions.", generations=_OLD)
    db_table_missed_calls = Parameter(str, "missed_calls", "Missed calls.", generations=_OLD)
    db_localtime = Parameter(bool, False, "Times of the host's zone instead of UTC.", generations=_OLD)
    acc_sip_from_column = Parameter(str, "sip_from", "From.", generations=_OLD)
    acc_sip_to_column = Parameter(str, "sip_to", "To.", generations=_OLD)
    acc_sip_status_column = Parameter(str, "sip_status", "Status, or a script's comment.", generations=_OLD)
    acc_sip_method_column = Parameter(str, "sip_method", "Method.", generations=_OLD)
    acc_i_uri_column = Parameter(str, "i_uri", "Request-URI as it came.", generations=_OLD)
    acc_o_uri_column = Parameter(str, "o_uri", "Request-URI as it went.", generations=_OLD)
    acc_sip_callid_column = Parameter(str, "sip_callid", "Call-ID.", generations=_OLD)
    acc_user_column = Parameter(str, "username", "User who calls.", generations=_OLD)
    acc_time_column = Parameter(str, "time", "When it was answered.", generations=_OLD)
    acc_from_uri_column = Parameter(str, "from_uri", "URI of From.", generations=_OLD)
    acc_to_uri_column = Parameter(str, "to_uri", "URI of To.", generations=_OLD)
    acc_totag_column = Parameter(str, "totag", "Tag of To.", generations=_OLD)
    acc_fromtag_column = Parameter(str, "fromtag", "Tag of From.", generations=_OLD)
    acc_domain_column = Parameter(str, "domain", "Domain of the caller.", generations=_OLD)
    radius_config = Parameter(
        str, "/usr/local/etc/radiusclient/radiusclient.conf", "File that says where RADIUS servers are."
    )
    radius_flag = _flag("Flag of requests that RADIUS is told of; 0: none.")
    radius_missed_flag = _flag("Flag of INVITEs that RADIUS is told of when they are refused; 0: none.")
    service_type = Parameter(int, -1, "Service-Type; -1: 15 (Sip-Session).", generations=_OLD)
    durable = Parameter(bool, False, "A final answer goes out only when its record is safe. (Not in SER.)")
    spool = Parameter(
        str,
        "sipyard-acc.spool",
        "File for records while the database is away; empty: they wait in memory. (Not in SER.)",
    )

    def __init__(self) -> None:
        super().__init__()
        self._ledgers: dict[str, Ledger] = {}
        self._sender: RadiusSender | None = None

    async def start(self, engine: Engine) -> None:
        """Watch transactions; the database may come later."""
        self._engine = engine
        self._level = LEVELS[max(-3, min(4, self.log_level))]
        self._logs = Accountant(
            engine, self._wanted(self.log_flag, self.log_missed_flag, False), self._write_line
        )
        self._rows = Accountant(
            engine, self._wanted(self.db_flag, self.db_missed_flag, self.durable), self._write_row
        )
        self._database: Database = engine.databases.get(self.db_url)
        if self.db_flag or self.db_missed_flag:
            for name in (self.db_table_acc, self.db_table_missed_calls):
                await self._start_ledger(name)
        told = self._wanted(self.radius_flag, self.radius_missed_flag, False)
        self._told = Accountant(engine, told, self._tell)
        if self.radius_flag or self.radius_missed_flag:
            await self._start_sender()

    def _wanted(self, flag: int, missed: int, is_durable: bool) -> Wanted:
        return Wanted(
            mask_of(flag),
            mask_of(missed),
            self.early_media,
            self.failed_transactions,
            self.report_ack,
            self.report_cancels,
            is_durable,
        )

    async def stop(self) -> None:
        """Write what waits."""
        for ledger in self._ledgers.values():
            await ledger.stop()
        if self._sender is not None:
            await self._sender.stop()

    # -- the log ---------------------------------------------------------------------------------------------

    def _write_line(self, verdict: Verdict, record: Record) -> None:
        if _log.isEnabledFor(self._level):
            parts = [(name, read(record)) for name, read in map(LETTERS_09.__getitem__, self.log_fmt)]
            if "S" not in self.log_fmt:
                parts.append(("code", str(record.status or record.reason)))
            _log.log(self._level, "%s", line_of(verdict, parts))

    # -- the database ----------------------------------------------------------------------------------------

    async def _start_ledger(self, name: str) -> Ledger:
        found = self._ledgers.get(name)
        if found is None:
            found = self._ledgers[name] = self._ledger(name)
            await found.start()
        return found

    def _columns(self) -> list[str]:
        return [
            self.acc_sip_from_column,
            self.acc_sip_to_column,
            self.acc_sip_status_column,
            self.acc_sip_method_column,
            self.acc_i_uri_column,
            self.acc_o_uri_column,
            self.acc_from_uri_column,
            self.acc_to_uri_column,
            self.acc_sip_callid_column,
            self.acc_user_column,
            self.acc_domain_column,
            self.acc_fromtag_column,
            self.acc_totag_column,
            self.acc_time_column,
        ]

    def _ledger(self, name: str) -> Ledger:
        names = self._columns()
        source = table(name, *(column(each, String) for each in names[:-1]), column(names[-1], DateTime))
        places = (8, 3, 11, 12, 2)  # Call-ID, method, tags, status
        exists = select_by(name, [text(names[8])], [text(names[place]) for place in places])
        spool = Path(f"{self.spool}.{name}").absolute() if self.spool else None
        return Ledger(
            f"acc: {name}", self._database, Statement(insert(source), *names), exists, places, spool=spool
        )

    def _row(self, record: Record) -> tuple[Any, ...]:
        user, domain = LETTERS_09["0"][1](record), LETTERS_09["X"][1](record)
        if record.verified is not None:
            user, _, domain = record.verified.username.partition("@")
            domain = domain or record.verified.realm
        moment = record.answered
        if self.db_localtime:
            moment += time.localtime(moment).tm_gmtoff
        letters = (LETTERS_09[letter][1](record) for letter in "ft")
        status = str(record.status) if record.status else record.reason
        uris = (LETTERS_09[letter][1](record) for letter in "ioFTc")
        tags = (LETTERS_09[letter][1](record) for letter in "rd")
        values = (*letters, status, record.method, *uris, user, domain, *tags)
        return (*(value or "" for value in values), moment)

    def _write_row(self, verdict: Verdict, record: Record) -> asyncio.Future[None]:
        is_missed = verdict is Verdict.MISSED
        name = self.db_table_missed_calls if is_missed else self.db_table_acc
        return self._ledgers[name].put(self._row(record))

    # -- RADIUS ----------------------------------------------------------------------------------------------

    async def _start_sender(self) -> RadiusSender:
        if self._sender is None:
            core = self._engine.core
            client = RadiusClient(read_settings(Path(self.radius_config)), lambda: core.now)
            self._sender = RadiusSender("acc", client)
            await self._sender.start()
        return self._sender

    def _tell(self, verdict: Verdict, record: Record) -> None:
        if self._sender is not None and worth_sending(verdict):
            self._sender.put(attributes_of(record, self.service_type))

    # -- for scripts -----------------------------------------------------------------------------------------

    @function("R")
    def acc_log_request(self, msg: Context, comment: str) -> int:
        """Log the request now, with a comment in place of the status."""
        self._write_line(Verdict.REQUEST, self._logs.of_message(msg, reason=comment))
        return 1

    @function("R")
    async def acc_db_request(self, msg: Context, comment: str, table_name: str) -> int:
        """Write the request to a table now, with a comment in place of the status."""
        ledger = await self._start_ledger(table_name)
        ledger.put(self._row(self._rows.of_message(msg, reason=comment)))
        return 1

    @function("R")
    async def acc_rad_request(self, msg: Context, comment: str) -> int:
        """Tell RADIUS of the request now; a number that the comment begins with is the status."""
        sender = await self._start_sender()
        digits = comment.split(" ", 1)[0]
        status = int(digits) if digits.isdecimal() else 0
        sender.put(attributes_of(self._told.of_message(msg, status, comment), self.service_type))
        return 1
