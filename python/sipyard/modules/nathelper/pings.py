"""Pings that keep the way through a NAT open: four zero bytes, or requests.

Each registered contact is pinged once in an interval; the pings are spread evenly over it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from sipyard._native.core import ParseError

if TYPE_CHECKING:
    from sipyard._native.core import Listener, Message, Target
    from sipyard.engine import Engine

ZEROS: Final = b"\0\0\0\0"
PIECE: Final = 50
"""Contacts pinged at a time: a fraction of a millisecond."""
UNANSWERED_LIMIT: Final = 20_000
"""Requests that may wait for their answers at once; beyond, contacts are passed over."""


class Contact(Protocol):
    """What is asked of a registered contact."""

    uri: str
    received: str
    path: str
    socket: str


class Registrations(Protocol):
    """What is asked of usrloc."""

    @property
    def count(self) -> int: ...
    def live_contacts(self, *, behind_nat: bool) -> Iterator[Contact]: ...


class Pings:
    """Sends pings.

    :param method: of the requests; "" for four zero bytes, which go over UDP only.
    :param listener: where to send from; None: where the contact registered.
    """

    def __init__(self, engine: Engine, method: str, listener: Listener | None) -> None:
        self.engine = engine
        self.method = method
        self.listener = listener
        self._unanswered = 0

    def ping_contact(self, contact: Contact) -> bool:
        """Ping a registered contact; False when nothing can be sent to it from here."""
        if contact.path:  # it is behind a proxy that keeps its own ways open (RFC 3327)
            return False
        listener = self.listener
        if listener is None and contact.socket:
            listener = self.engine.listener_named(contact.socket)
        try:
            target = self.engine.core.target(
                contact.received or contact.uri, -1 if listener is None else listener.index
            )
        except (ParseError, ValueError):
            return False
        return target is not None and self.ping(contact.uri, [target])

    def ping(self, uri: str, targets: list[Target]) -> bool:
        """Ping a URI at the first of its targets that can be sent to."""
        if not self.method:
            core = self.engine.core
            return any(core.send_raw(ZEROS, target) for target in targets if target.protocol == "udp")
        if self._unanswered >= UNANSWERED_LIMIT or not targets:
            return False
        own = self.engine.core.listeners[max(targets[0].listener, 0)].uri
        headers = f"From: <{own}>\r\nTo: <{uri}>\r\n"
        try:
            self.engine.clients.send(self.method, uri, headers, b"", targets, self._answered)
        except ValueError:  # what registered is no URI for a request
            return False
        self._unanswered += 1
        return True

    def _answered(self, status: int, _reply: Message | None) -> None:
        """Any answer will do, and none as well: the way was used."""
        if status >= 200:
            self._unanswered -= 1


class Rounds:
    """Pings everybody, round after round.

    :param interval: seconds of one round.
    """

    def __init__(self, pings: Pings, usrloc: Registrations, interval: float, *, behind_nat: bool) -> None:
        self._pings = pings
        self._usrloc = usrloc
        self._interval = interval
        self._behind_nat = behind_nat
        self._left: Iterator[Contact] = iter(())
        self._began = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """The first round begins when an interval has passed."""
        loop = asyncio.get_running_loop()
        self._began = loop.time() + self._interval
        self._timer = loop.call_at(self._began, self._begin)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _begin(self) -> None:
        self._left = self._usrloc.live_contacts(behind_nat=self._behind_nat)
        self._go_on()

    def _go_on(self) -> None:
        loop = asyncio.get_running_loop()
        pinged = 0
        for contact in islice(self._left, PIECE):
            self._pings.ping_contact(contact)
            pinged += 1
        if pinged == PIECE:
            pause = self._interval * PIECE / max(self._usrloc.count, PIECE)
            self._timer = loop.call_later(pause, self._go_on)
            return
        self._began = max(self._began + self._interval, loop.time())
        self._timer = loop.call_at(self._began, self._begin)
