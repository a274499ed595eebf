"""What the later routes of a transaction need of its request, and who wants to know how it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from sipyard._native.core import Message, Transaction
    from sipyard.attributes import Attributes
    from sipyard.context import Context

BeforeFinal: TypeAlias = "Callable[[TransactionState, int, Message | None], list[asyncio.Future[None]]]"
"""Is told status and reply (None: made here); the futures are what the answer waits for, if it can."""


class TransactionState:
    """What later routes of one transaction start from."""

    __slots__ = (
        "attributes",
        "before_final",
        "before_provisional",
        "branch",
        "dst_uri",
        "flags",
        "is_ready",
        "message",
        "notes",
        "on_ended",
        "on_failure",
        "on_reply",
        "routes",
        "transaction",
        "uri",
        "verified",
    )

    def __init__(self, transaction: Transaction, msg: Context) -> None:
        self.transaction = transaction
        # What began under one version of the script ends under it (`Engine.replace_routes`).
        self.routes = msg.routes
        self.on_failure: str | None = None
        self.on_reply: str | None = None
        self.on_ended: list[Callable[[TransactionState, int], None]] = []
        # Who wants to know of answers on their way to the caller.
        self.before_final: list[BeforeFinal] = []
        self.before_provisional: list[Callable[[TransactionState, Message], None]] = []
        # The request's script is done: whoever wants to know has said so.
        self.is_ready = False
        # Which branch the reply that is being handled came from, -1 none.
        self.branch = -1
        # The copy that failure routes get: the Request-URI after lookup, edits made until now (semantics §6).
        self.message = msg.message.copy()
        self.uri = msg.uri
        self.dst_uri = msg.dst_uri
        self.keep(msg)

    def keep(self, msg: Context) -> None:
        """Attributes, flags and notes as a route leaves them."""
        self.flags = msg.flags
        self.attributes: Attributes | None = msg.attributes if msg.has_attributes else None
        self.notes = msg._notes
        self.verified = msg.verified

    def restore(self, msg: Context) -> None:
        """Put into a new route's context what earlier ones left."""
        msg.routes = self.routes
        msg.transaction = self.transaction
        msg.flags = self.flags
        msg._attributes = self.attributes
        msg._notes = self.notes
        msg.verified = self.verified
        msg.on_failure, msg.on_reply = self.on_failure, self.on_reply
        msg.is_settled = True

    def tell_of_final(self, status: int, reply: Message | None) -> list[asyncio.Future[None]]:
        """Tell those who want to know of the final answer, once; what it has to wait for."""
        hooks, self.before_final = self.before_final, []
        return [future for hook in hooks for future in hook(self, status, reply)]

    def tell_of_provisional(self, reply: Message) -> None:
        """Tell those who want to know of a provisional answer that is about to go upstream."""
        for hook in self.before_provisional:
            hook(self, reply)
