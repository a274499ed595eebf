"""Management commands of tm: SER 2.0's three, and SER 0.9's FIFO commands that applications still speak."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sipyard._native.core import Message
from sipyard.management.registry import RpcFault
from sipyard.module import rpc
from sipyard.modules.tm.dump import number_of
from sipyard.modules.tm.parameters import Parameters
from sipyard.sip.resolver import ResolutionError

if TYPE_CHECKING:
    from sipyard.engine import Engine


class Commands(Parameters):
    """What operators and applications may ask of tm."""

    engine: Engine | None

    def _running(self) -> Engine:
        if self.engine is None:
            raise RpcFault(500, "tm has not been started")
        return self.engine

    @rpc("tm.cancel", old_name="t_uac_cancel", changes=True)
    def cancel(self, call_id: str, cseq: str) -> str:
        """Cancel the INVITE with this Call-ID and CSeq (a number, or "number INVITE")."""
        number = cseq.split()[0] if cseq.split() else ""
        if not number.isdecimal():
            raise RpcFault(400, "Invalid cseq")
        found = self._running().core.find_invites(call_id, int(number))
        if not found:
            raise RpcFault(400, "Call-ID and CSeq name no transaction")
        remaining = sum(transaction.cancel_branches() for transaction in found)
        return f"{remaining} branches remaining (waiting for timeout)"

    @rpc("tm.reply", old_name="t_reply", changes=True)
    def reply(
        self, code: int, reason: str, transaction: str, to_tag: str = "", headers: str = "", body: str = ""
    ) -> None:
        """Answer a transaction that t_write_req handed to an application, by the name given there."""
        try:
            found = self._running().core.transaction(number_of(transaction))
        except ValueError:
            raise RpcFault(400, "Invalid transaction identifier") from None
        if found is None:
            raise RpcFault(481, "Transaction not found")
        lines = "".join(f"{line}\r\n" for line in headers.splitlines() if line.strip())
        content = body.encode("utf-8", "surrogateescape")
        try:
            is_sent = found.reply(code, reason, headers=lines, body=content, to_tag=to_tag or None)
        except ValueError as error:
            raise RpcFault(400, str(error)) from None
        if not is_sent:
            raise RpcFault(500, "The transaction has a final reply already")

    @rpc("tm.stats", old_name="t_stats")
    def stats(self) -> dict[str, int]:
        """Transactions there are and were, and final replies sent upstream by class."""
        core = self._running().core
        live, counted = core.live(), core.counters()
        finals = {f"{digit}xx": counted.get(f"replies.{digit}xx", 0) for digit in (6, 5, 4, 3, 2)}
        return {
            "current": live.get("transactions", 0),
            "waiting": live.get("waiting", 0),
            "total": counted.get("transactions.created", 0),
            "total_local": counted.get("transactions.local", 0),
            "replied_localy": counted.get("replies.local", 0),
            **finals,
        }

    @rpc("tm.hash", old_name="t_hash")
    def hash(self) -> dict[str, int]:
        """How full the transaction layer's tables are."""
        return self._running().core.live()

    @rpc("tm.t_uac_dlg", old_name="t_uac_dlg", changes=True, has_blocks=True)
    async def t_uac_dlg(
        self, method: str, uri: str, next_hop: str = ".", headers: str = "", body: str = ""
    ) -> list[str]:
        """Send a request (`next_hop` ".": to its URI) and wait for the final reply: its status line, then its
        header lines."""
        engine = self._running()
        target = uri if next_hop in (".", "") else next_hop
        known = {line.partition(":")[0].strip().lower() for line in headers.splitlines()}
        lines = [line for line in headers.splitlines() if line.strip()]
        if not known & {"from", "f"}:
            lines.append(f"From: <{self.uac_from}>")
        if not known & {"to", "t"}:
            lines.append(f"To: <{uri}>")
        text = "".join(f"{line}\r\n" for line in lines)
        try:
            numeric = engine.core.target(target)
            targets = [numeric] if numeric else await engine.resolver.targets(engine.core, target)
            content = body.encode("utf-8", "surrogateescape")
            status, reply = await engine.clients.ask(method, uri, text, content, targets)
        except (ValueError, ResolutionError) as error:
            raise RpcFault(400, str(error)) from None
        return _summary(status, reply)


def _summary(status: int, reply: Message | None) -> list[str]:
    if reply is None:
        return [f"{status} {'Request Timeout' if status == 408 else 'Service Unavailable'}"]
    return [f"{reply.status} {reply.reason}", *(f"{name}: {value}" for name, value in reply.all_headers())]
