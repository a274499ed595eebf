"""Bindings that lead back over the connection that they were made by: they end with it (RFC 5626 §7)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from sipyard.errors import StorageError

if TYPE_CHECKING:
    from sipyard.engine import Engine
    from sipyard.modules.registrar.request import Registration
    from sipyard.modules.usrloc import UsrLoc
    from sipyard.modules.usrloc.persistence import MemoryStore

_log = logging.getLogger("sipyard.registrar")


class Flows:
    """Which connections which users have registered over."""

    def __init__(self, engine: Engine, usrloc: UsrLoc) -> None:
        self._engine, self._usrloc = engine, usrloc
        self._users: dict[int, dict[tuple[str, str], tuple[MemoryStore, str]]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        engine.connection_closed.append(self._closed)

    def bind(self, connection: int, store: MemoryStore, uid: str, registration: Registration) -> None:
        """A user registers over a connection; that matters if its address is kept with the bindings."""
        received = registration.contacts[0].received if registration.contacts else ""
        if not received:
            return
        users = self._users.get(connection)
        if users is None:
            if not self._engine.core.watch_connection(connection):
                return  # it has ended while the message waited
            users = self._users[connection] = {}
        users[store.bindings.name, uid] = (store, received)

    def _closed(self, connection: int, reason: str) -> None:
        users = self._users.pop(connection, None)
        if users:
            task = asyncio.get_running_loop().create_task(self._end(connection, reason, users))
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _end(
        self, connection: int, reason: str, users: dict[tuple[str, str], tuple[MemoryStore, str]]
    ) -> None:
        ended = 0
        for (_, uid), (store, received) in users.items():
            try:
                await store.settled(uid)
                lost = [one for one in store.bindings.contacts(uid) if one.received == received]
                waiting: Awaitable[None] | None = None
                if lost:
                    waiting = self._usrloc.change(store, uid, [(one, None) for one in lost])
                if waiting is not None:
                    await waiting
                ended += len(lost)
            except StorageError as error:
                self._engine.log_incident(f"registrar: bindings of connection {connection}: {error}")
        _log.info("connection %d has ended (%s), and %d bindings with it", connection, reason, ended)
