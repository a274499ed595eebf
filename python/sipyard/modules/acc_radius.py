"""acc_radius: accounting to a RADIUS server: start, stop, failed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipyard.accounting import Accountant, Record, Verdict, Wanted
from sipyard.accounting.radius_sender import RadiusSender, attributes_of, worth_sending
from sipyard.accounting.settings import AttributeNames, Letters, mask_of
from sipyard.arguments import Dynamic, FlagNumber, Generation
from sipyard.attributes import Name
from sipyard.module import Module, Parameter, function, rpc
from sipyard.radius import RadiusClient, read_settings

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine

_NEW: Final = Generation.SER_2_0


class RadiusAccounting(Module):
    """acc_radius: accounting to a RADIUS server."""

    name = "acc_radius"

    radius_config = Parameter(
        str, "/usr/local/etc/radiusclient-ng/radiusclient.conf", "File that says where the servers are."
    )
    service_type = Parameter(int, -1, "Service-Type; -1: 15 (Sip-Session).")
    swap_direction = Parameter(
        bool, False, "What the callee sends is told from the caller's side.", generations=_NEW
    )
    early_media = Parameter(bool, False, "Accepted; RADIUS is not told of a 183.")
    failed_transactions = Parameter(bool, False, "Transactions that were refused are told of too.")
    report_ack = Parameter(bool, False, "Accepted; RADIUS is not told of an ACK.")
    report_cancels = Parameter(bool, False, "Flagged CANCELs are told of too.")
    log_flag: Parameter[int] = Parameter(FlagNumber, 0, "Flag of requests that are told of; 0: none.")
    log_missed_flag: Parameter[int] = Parameter(
        FlagNumber, 0, "Flag of INVITEs that are told of when they are refused; 0: none."
    )
    log_fmt: Parameter[str] = Parameter(
        Letters, "acdfgimnoprtuxDFIMPRSTUX", "Accepted; what is sent is always the same.", generations=_NEW
    )
    attrs: Parameter[tuple[Name, ...]] = Parameter(
        AttributeNames, "", "Attributes, by comma, that are sent as SIP-AVP.", generations=_NEW
    )

    async def start(self, engine: Engine) -> None:
        """Watch transactions; servers may come later."""
        core = engine.core
        client = RadiusClient(read_settings(Path(self.radius_config)), lambda: core.now)
        self._sender = RadiusSender("acc_radius", client)
        wanted = Wanted(
            mask_of(self.log_flag),
            mask_of(self.log_missed_flag),
            failed_transactions=self.failed_transactions,
            report_cancels=self.report_cancels,
        )
        self._accountant = Accountant(engine, wanted, self._write)
        await self._sender.start()

    async def stop(self) -> None:
        """Send what waits."""
        await self._sender.stop()

    def _write(self, verdict: Verdict, record: Record) -> None:
        if worth_sending(verdict):
            found = attributes_of(record, self.service_type, swaps=self.swap_direction)
            found += [("SIP-AVP", part[:253]) for part in record.pairs(self.attrs)]
            self._sender.put(found)

    @function("RF", generations=_NEW)
    def acc_rad_log(self, msg: Context, code: Dynamic[int] | None = 0) -> int:
        """Tell of the request now, as one that was answered with `code`."""
        self._write(Verdict.REQUEST, self._accountant.of_message(msg, code or msg.reply_status))
        return 1

    @function("RF", generations=_NEW)
    def acc_rad_missed(self, msg: Context, code: Dynamic[int] | None = 0) -> int:
        """Tell of the request now, as a call that was missed."""
        self._write(Verdict.MISSED, self._accountant.of_message(msg, code or msg.reply_status))
        return 1

    @rpc("acc_radius.stats")
    def stats(self) -> dict[str, int]:
        """Records that no server has taken yet, and such as were lost (not in SER)."""
        return {"waiting": self._sender.waiting, "lost": self._sender.lost}
