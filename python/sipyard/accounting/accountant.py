"""Which transactions leave a record (semantics §10), and when."""

from __future__ import annotations

import asyncio
import enum
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipyard.accounting.record import Record
from sipyard.arguments import RouteKind

if TYPE_CHECKING:
    from sipyard._native.core import Message
    from sipyard.context import Context
    from sipyard.engine import Engine
    from sipyard.transaction_state import TransactionState

KEPT_FOR_ACK: Final = 64.0
"""Seconds for which the ACK to a 2xx may come (RFC 3261 §13.3.1.4: 64*T1, twice over)."""
TABLE: Final = 100_000


class Verdict(enum.Enum):
    """Why there is a record."""

    ANSWERED = "answered"
    MISSED = "missed"
    EARLY = "early media"
    ACKNOWLEDGED = "acknowledged"
    REQUEST = "accounted"
    """A script has asked for it."""


Write = Callable[[Verdict, Record], "asyncio.Future[None] | None"]
"""Takes a record; the future, if there is one, is done when a crash cannot take it away."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a back end records.

    :param flags: bits; a request with one of them when its script ends is recorded once it is answered.
    :param missed_flags: bits; an INVITE with one of them that is refused is recorded as missed.
    :param is_durable: a final answer goes out only when its record is safe.
    """

    flags: int = 0
    missed_flags: int = 0
    early_media: bool = False
    failed_transactions: bool = False
    report_ack: bool = False
    report_cancels: bool = False
    is_durable: bool = False


class Accountant:
    """Watches the transactions of an engine for one back end."""

    def __init__(self, engine: Engine, wanted: Wanted, write: Write) -> None:
        self._engine = engine
        self._wanted = wanted
        self._write = write
        self._mask = wanted.flags | wanted.missed_flags
        self._answered: OrderedDict[tuple[str, str | None], tuple[float, Record]] = OrderedDict()
        if self._mask:
            engine.after_request.append(self._after_request)
            if wanted.is_durable:
                engine.hold_answers()

    # -- from transactions -----------------------------------------------------------------------------------

    def _after_request(self, msg: Context) -> None:
        """The script is done with a request: see to its transaction when it has a flag."""
        if msg.kind is not RouteKind.REQUEST:
            return
        if msg.message.method == "ACK":
            self._acknowledged(msg)
            return
        if not msg.flags & self._mask:
            return
        if msg.message.method == "CANCEL":
            self._cancelled(msg)
            return
        transaction = msg.transaction
        if transaction is None:
            return
        status = transaction.status
        state = self._engine.remember(msg)
        if status >= 200 and not transaction.is_answer_held:
            self._write_final(state, status, None)
            return
        state.before_final.append(self._write_final)
        if self._wanted.early_media and msg.message.method == "INVITE":
            state.before_provisional.append(self._provisional)
        self._engine.arm(state)

    def _write_final(
        self, state: TransactionState, status: int, reply: Message | None
    ) -> list[asyncio.Future[None]]:
        wanted, flags = self._wanted, state.flags
        record = self.record_of(state, status, reply)
        waits: list[asyncio.Future[None] | None] = []
        if flags & wanted.flags and (status < 300 or wanted.failed_transactions):
            waits.append(self._write(Verdict.ANSWERED, record))
            if wanted.report_ack and state.transaction.method == "INVITE" and status < 300:
                self._keep_for_ack(record)
        if flags & wanted.missed_flags and status >= 300 and state.transaction.method == "INVITE":
            waits.append(self._write(Verdict.MISSED, record))
        return [each for each in waits if each is not None]

    def _provisional(self, state: TransactionState, reply: Message) -> None:
        if reply.status == 183 and state.flags & self._wanted.flags:
            self._write(Verdict.EARLY, self.record_of(state, 183, reply))

    def record_of(self, state: TransactionState, status: int, reply: Message | None) -> Record:
        """What is to be said of a transaction."""
        transaction, message = state.transaction, state.message
        out_uri = state.uri or message.request_uri
        for place, (uri, answered, _) in enumerate(transaction.branches()):
            if place == state.branch if status < 200 else answered == status:
                out_uri = uri
        to_tag = (message.to_tag or transaction.to_tag) if reply is None else reply.to_tag
        return Record(
            message,
            out_uri,
            status,
            "" if reply is None else reply.reason,
            to_tag or "",
            state.flags,
            state.attributes,
            state.verified,
            self._moment_of(message),
            self._engine.wall(),
        )

    def _moment_of(self, message: Message) -> float:
        """When it came, in seconds since 1970."""
        return self._engine.wall() - (self._engine.core.now - message.received_at)

    # -- ACK -------------------------------------------------------------------------------------------------

    def _keep_for_ack(self, record: Record) -> None:
        now, kept = self._engine.core.now, self._answered
        while kept and (len(kept) >= TABLE or next(iter(kept.values()))[0] < now):
            kept.popitem(last=False)
        kept[record.request.call_id, record.request.from_tag] = (now + KEPT_FOR_ACK, record)

    def _acknowledged(self, msg: Context) -> None:
        """The first ACK of a call whose INVITE was recorded."""
        if not self._answered:
            return
        found = self._answered.pop((msg.message.call_id, msg.message.from_tag), None)
        if found is not None:
            record = self.of_message(msg)
            record.status, record.flags = found[1].status, found[1].flags
            self._write(Verdict.ACKNOWLEDGED, record)

    def _cancelled(self, msg: Context) -> None:
        """A CANCEL that was relayed: it has been answered 200 (RFC 3261 §16.10)."""
        if self._wanted.report_cancels and msg.is_settled and msg.flags & self._wanted.flags:
            self._write(Verdict.ANSWERED, self.of_message(msg, 200, "canceling"))

    # -- from scripts ----------------------------------------------------------------------------------------

    def of_message(self, msg: Context, status: int = 0, reason: str = "") -> Record:
        """A record of a request as a script sees it now."""
        message = msg.message
        return Record(
            message,
            msg.request_uri,
            status,
            reason,
            message.to_tag or "",
            msg.flags,
            msg.attributes if msg.has_attributes else None,
            msg.verified,
            self._moment_of(message),
            self._engine.wall(),
        )
