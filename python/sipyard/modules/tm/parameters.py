"""Parameters of tm. SER 0.9 counts in seconds, SER 2.0 in milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sipyard.arguments import Generation
from sipyard.module import Module, Parameter

if TYPE_CHECKING:
    from sipyard._native.core import _Settings

_OLD = Generation.SER_0_9
_NEW = Generation.SER_2_0
_ALL_METHODS: Final = 0x1FF
"""SER's bits: INVITE 1, CANCEL 2, ACK 4, BYE 8, INFO 16, REGISTER 32, SUBSCRIBE 64, NOTIFY 128, else 256."""


class Parameters(Module):
    """What `modparam("tm", …)` may set."""

    fr_timer = Parameter(int, 30_000, "Wait for a final reply before any provisional one.", default_09=30)
    fr_inv_timer = Parameter(
        int, 120_000, "Wait for a final reply to INVITE after a provisional one.", default_09=120
    )
    wt_timer = Parameter(int, 5_000, "Keep a finished transaction.", default_09=5)
    delete_timer = Parameter(
        int, 200, "Accepted: transactions here need no second attempt at deletion.", default_09=2
    )
    retr_timer1 = Parameter(int, 500, "T1: first retransmission interval.", generations=_NEW)
    retr_timer1p1 = Parameter(
        int, 0, "First retransmission interval, seconds; 0: RFC 3261's T1.", generations=_OLD
    )
    retr_timer1p2 = Parameter(int, 2, "Accepted: intervals double (RFC 3261 §17.1.1.2).", generations=_OLD)
    retr_timer1p3 = Parameter(int, 4, "Accepted: intervals double (RFC 3261 §17.1.1.2).", generations=_OLD)
    retr_timer2 = Parameter(int, 4_000, "T2: longest retransmission interval.", default_09=4)
    noisy_ctimer = Parameter(
        bool, False, "Accepted: a timeout is always answered 408 and cancelled downstream."
    )
    uac_from = Parameter(str, "sip:foo@foo.bar", "From of requests that a command sends without one.")
    unix_tx_timeout = Parameter(int, 500, "Accepted: writing to an application never blocks.", default_09=2)
    restart_fr_on_each_reply = Parameter(bool, True, "Every provisional reply restarts fr_inv_timer.")
    fr_timer_avp = Parameter(
        str, "", "Attribute that overrides fr_timer, in seconds.", default_09="callee_fr_timer"
    )
    fr_inv_timer_avp = Parameter(
        str, "", "Attribute that overrides fr_inv_timer, in seconds.", default_09="callee_fr_inv_timer"
    )
    ruri_matching = Parameter(bool, True, "Match old requests without magic cookie by Request-URI as well.")
    via1_matching = Parameter(bool, True, "Match old requests without magic cookie by top Via as well.")
    pass_provisional_replies = Parameter(
        bool, False, "Accepted: modules always see provisional replies to their requests.", generations=_NEW
    )
    aggregate_challenges = Parameter(
        bool, True, "Merge the 401/407 challenges of all branches.", generations=_NEW
    )
    default_code = Parameter(
        int, 500, "Status of t_reply when its attribute cannot be read.", generations=_NEW
    )
    default_reason = Parameter(
        str,
        "Server Internal Error",
        "Reason phrase of t_reply when its attribute cannot be read.",
        generations=_NEW,
    )
    blst_methods_add = Parameter(
        int,
        1,
        "Methods whose timeout blacklists a destination (bits; while use_dst_blacklist is on).",
        generations=_NEW,
    )
    blst_methods_lookup = Parameter(
        int, 0xFFFFFFF7, "Methods for which the blacklist is looked up (bits).", generations=_NEW
    )

    max_transactions = Parameter(
        int, 1_000_000, "Transactions alive at once; beyond, requests are answered 503 (not in SER)."
    )

    def seconds(self, value: int) -> float:
        """A time parameter in seconds, whichever unit its generation uses."""
        return float(value) if self.generation is _OLD else value / 1000

    def core_settings(self) -> _Settings:
        """What the core is told."""
        is_old = self.generation is _OLD
        t1 = (float(self.retr_timer1p1) or 0.5) if is_old else self.seconds(self.retr_timer1)
        return {
            "t1": t1,
            "t2": self.seconds(self.retr_timer2),
            "fr_timer": self.seconds(self.fr_timer),
            "fr_inv_timer": self.seconds(self.fr_inv_timer),
            "wait_timer": self.seconds(self.wt_timer),
            "restart_fr_on_each_reply": self.restart_fr_on_each_reply,
            "ruri_matching": self.ruri_matching,
            "via1_matching": self.via1_matching,
            "aggregate_challenges": self.aggregate_challenges and not is_old,
            "best_response": "0.9" if is_old else "2.0",
            "max_transactions": max(self.max_transactions, 1),
            "blacklist_methods_add": self.blst_methods_add & _ALL_METHODS,
            "blacklist_methods_lookup": self.blst_methods_lookup & _ALL_METHODS,
        }
