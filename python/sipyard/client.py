"""Requests of our own: what modules send and whom the answers are for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from sipyard._native.core import ClientTransaction, Core, Message

if TYPE_CHECKING:
    from sipyard._native.core import Target
    from sipyard._native.core import _Event as Event

Answer = Callable[[int, Message | None], None]
"""Called with each status; the message is None when nobody answered (408) or nothing could be sent (503)."""


class Clients:
    """Client transactions under way and who waits for them."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._waiting: dict[int, Answer] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def send(
        self, method: str, uri: str, headers: str, body: bytes, targets: list[Target], answer: Answer
    ) -> ClientTransaction:
        """Send a request; `answer` is called with every reply until a final one, or once with None.

        :raises ValueError: malformed headers.
        """
        client = self._core.request(method, uri, headers, body, targets)
        self._waiting[client.id] = answer
        return client

    async def ask(
        self, method: str, uri: str, headers: str, body: bytes, targets: list[Target]
    ) -> tuple[int, Message | None]:
        """Send a request and wait for its final status."""
        final: asyncio.Future[tuple[int, Message | None]] = asyncio.get_running_loop().create_future()

        def answer(status: int, reply: Message | None) -> None:
            if status >= 200 and not final.done():
                final.set_result((status, reply))

        self.send(method, uri, headers, body, targets, answer)
        return await final

    def on_reply(self, event: Event) -> None:
        """CLIENT_REPLY of the core."""
        _, reply, client, status, _ = event
        if not isinstance(client, ClientTransaction) or reply is None:
            return
        if reply.method == "INVITE" and 200 <= status < 300:
            client.ack(reply)  # RFC 3261 §13.2.2.4: every copy of a 2xx; nobody else would
        self._tell(client.id, status, reply)

    def on_timeout(self, event: Event) -> None:
        """CLIENT_TIMEOUT of the core."""
        _, _, client, status, _ = event
        if isinstance(client, ClientTransaction):
            self._tell(client.id, status, None)

    def _tell(self, client: int, status: int, reply: Message | None) -> None:
        answer = self._waiting.get(client) if status < 200 else self._waiting.pop(client, None)
        if answer is not None:
            answer(status, reply)
