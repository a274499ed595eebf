"""acc_db: accounting to a database, with the tables and columns of SER 2.0.

A row is written when a flagged transaction is answered; with `durable` a final answer goes out only when its
row is in the table, or in the spool file while the database is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BigInteger, DateTime, Integer, String, column, insert, table
from sqlalchemy.types import TypeEngine

from sipyard.accounting import Accountant, Ledger, Record, Verdict, Wanted
from sipyard.accounting.record import LETTERS_20, Read
from sipyard.accounting.settings import AttributeNames, Letters, mask_of
from sipyard.arguments import Dynamic, FlagNumber, Generation
from sipyard.attributes import Name
from sipyard.module import Module, Parameter, function, rpc
from sipyard.storage import Database, Statement
from sipyard.storage.named_columns import select_by, text

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_NEW: Final = Generation.SER_2_0
ALL_LETTERS: Final = "acdfgimnoprtuxDFIMPRSTUX"
_NUMBERS: Final = {
    "g": lambda record: record.flags,
    "n": lambda record: record.request.cseq_number,
    "p": lambda record: record.source_number,
    "P": lambda record: record.request.source_port,
    "S": lambda record: record.status,
    "x": lambda record: record.requested,
    "X": lambda record: record.answered,
}
_TYPES: Final[dict[str, type[TypeEngine[Any]]]] = {
    "g": Integer,
    "n": BigInteger,
    "p": BigInteger,
    "P": Integer,
    "x": DateTime,
    "X": DateTime,
}
_NEEDED: Final = frozenset("fgimnotFSTcrd")
"""Columns that SER's table does not let be NULL."""
_IDENTITY: Final = "cnmrdS"
"""What tells records apart: Call-ID, CSeq, method, tags, status."""


def _column(letter: str, default: str, doc: str) -> Parameter[str]:
    found = Parameter(str, default, doc, generations=_NEW)
    _PARAMETERS[letter] = found
    return found


_PARAMETERS: dict[str, Parameter[str]] = {}


class DatabaseAccounting(Module):
    """acc_db: accounting to a database."""

    name = "acc_db"

    db_url = Parameter(str, "sqlite:///sipyard.db", "Where records go.")
    acc_table = Parameter(str, "acc", "Answered transactions.", generations=_NEW)
    mc_table = Parameter(str, "missed_calls", "Missed calls.", generations=_NEW)
    early_media = Parameter(bool, False, "A record of each 183 too.")
    failed_transactions = Parameter(bool, False, "A record of transactions that were refused too.")
    report_ack = Parameter(bool, False, "A record of the ACK to a 2xx too.")
    report_cancels = Parameter(bool, False, "A record of flagged CANCELs too.")
    log_flag: Parameter[int] = Parameter(FlagNumber, 0, "Flag of requests that are recorded; 0: none.")
    log_missed_flag: Parameter[int] = Parameter(
        FlagNumber, 0, "Flag of INVITEs that are recorded when they are refused; 0: none."
    )
    log_fmt: Parameter[str] = Parameter(
        Letters,
        ALL_LETTERS,
        "What is recorded, a letter each; columns of others stay empty.",
        generations=_NEW,
    )
    attrs: Parameter[tuple[Name, ...]] = Parameter(
        AttributeNames, "", "Attributes, by comma, whose values go to the column `attrs`.", generations=_NEW
    )
    durable = Parameter(bool, False, "A final answer goes out only when its record is safe. (Not in SER.)")
    spool = Parameter(
        str,
        "sipyard-acc.spool",
        "File for records while the database is away; empty: they wait in memory. (Not in SER.)",
    )

    attrs_column = _column("a", "attrs", "Attributes.")
    callid_column = _column("c", "sip_callid", "Call-ID.")
    totag_column = _column("d", "to_tag", "Tag of To.")
    from_column = _column("f", "sip_from", "From.")
    flags_column = _column("g", "flags", "Flags of the request.")
    iuri_column = _column("i", "in_ruri", "Request-URI as it came.")
    method_column = _column("m", "sip_method", "Method.")
    cseq_column = _column("n", "sip_cseq", "Number of CSeq.")
    ouri_column = _column("o", "out_ruri", "Request-URI as it went.")
    src_ip_column = _column("p", "src_ip", "Source address, as a number; 0 for IPv6.")
    fromtag_column = _column("r", "from_tag", "Tag of From.")
    to_column = _column("t", "sip_to", "To.")
    diguser_column = _column("u", "digest_username", "User name of the credentials.")
    reqtimestamp_column = _column("x", "request_timestamp", "When the request came.")
    todid_column = _column("D", "to_did", "Domain of the callee.")
    fromuri_column = _column("F", "from_uri", "URI of From.")
    fromuid_column = _column("I", "from_uid", "User who calls.")
    fromdid_column = _column("M", "from_did", "Domain of the caller.")
    src_port_column = _column("P", "src_port", "Source port.")
    digrealm_column = _column("R", "digest_realm", "Realm of the credentials.")
    status_column = _column("S", "sip_status", "Status.")
    touri_column = _column("T", "to_uri", "URI of To.")
    touid_column = _column("U", "to_uid", "User who is called.")
    restimestamp_column = _column("X", "response_timestamp", "When it was answered.")

    def __init__(self) -> None:
        super().__init__()
        self._ledgers: dict[str, Ledger] = {}

    async def start(self, engine: Engine) -> None:
        """Watch transactions; the database may come later."""
        self._database: Database = engine.databases.get(self.db_url)
        self._accountant = Accountant(
            engine,
            Wanted(
                mask_of(self.log_flag),
                mask_of(self.log_missed_flag),
                self.early_media,
                self.failed_transactions,
                self.report_ack,
                self.report_cancels,
                self.durable,
            ),
            self._write,
        )
        for name in dict.fromkeys((self.acc_table, self.mc_table)):
            self._ledgers[name] = ledger = self._ledger(name)
            await ledger.start()

    async def stop(self) -> None:
        """Write what waits."""
        for ledger in self._ledgers.values():
            await ledger.stop()

    def _name(self, letter: str) -> str:
        return str(getattr(self, _PARAMETERS[letter].name))

    def _ledger(self, table_name: str) -> Ledger:
        names = [self._name(letter) for letter in ALL_LETTERS]
        columns = [column(self._name(letter), _TYPES.get(letter, String)) for letter in ALL_LETTERS]
        statement = Statement(insert(table(table_name, *columns)), *names)
        keys = [(self._name(each), _TYPES.get(each, String)) for each in _IDENTITY]
        exists = select_by(table_name, [text(self._name("c"))], keys)
        spool = Path(f"{self.spool}.{table_name}").absolute() if self.spool else None
        places = [ALL_LETTERS.index(letter) for letter in _IDENTITY]
        return Ledger(f"acc_db: {table_name}", self._database, statement, exists, places, spool=spool)

    # -- records ---------------------------------------------------------------------------------------------

    def _write(self, verdict: Verdict, record: Record) -> asyncio.Future[None]:
        name = self.mc_table if verdict is Verdict.MISSED else self.acc_table
        return self._ledgers[name].put(tuple(self._value(letter, record) for letter in ALL_LETTERS))

    def _value(self, letter: str, record: Record) -> object:
        if letter not in self.log_fmt and letter not in "xX":
            return _EMPTY.get(letter)
        if letter == "a":
            return record.chosen(self.attrs)
        if letter in _NUMBERS:
            read: Callable[[Record], Any] = _NUMBERS[letter]
            value = read(record)
            return str(value) if letter == "S" else value
        reads: Read = LETTERS_20[letter][1]
        found = reads(record)
        return "" if found is None and letter in _NEEDED else found

    # -- for scripts -----------------------------------------------------------------------------------------

    @function("RF", generations=_NEW)
    def acc_db_log(self, msg: Context, code: Dynamic[int] | None = 0) -> int:
        """Record the request now, as one that was answered with `code`."""
        self._write(Verdict.REQUEST, self._accountant.of_message(msg, code or msg.reply_status))
        return 1

    @function("RF", generations=_NEW)
    def acc_db_missed(self, msg: Context, code: Dynamic[int] | None = 0) -> int:
        """Record the request now, as a call that was missed."""
        self._write(Verdict.MISSED, self._accountant.of_message(msg, code or msg.reply_status))
        return 1

    @rpc("acc_db.stats")
    def stats(self) -> dict[str, int]:
        """Records that wait to be written, and such as could not be kept (not in SER)."""
        ledgers = self._ledgers.values()
        return {"waiting": sum(one.waiting for one in ledgers), "lost": sum(one.lost for one in ledgers)}


_EMPTY: Final[dict[str, object]] = {
    **{letter: "" for letter in _NEEDED},
    **{letter: 0 for letter in "gn"},
}
