"""The asyncio loop of a running server: the endpoint is its selector.

`select()` is the core's own epoll. It moves datagrams natively with the interpreter detached and comes
back only when there is something to decide, a descriptor of asyncio is ready, or a timer of asyncio is
due. Decisions are made right there, inside `select()`, so a request costs one wake and no pass of the loop.
"""

from __future__ import annotations

import asyncio
import collections
import selectors
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

    from sipyard._native.core import Endpoint


def _descriptor(fileobj: FileDescriptorLike) -> int:
    descriptor = fileobj if isinstance(fileobj, int) else fileobj.fileno()
    if descriptor < 0:
        raise ValueError(f"invalid file descriptor: {fileobj!r}")
    return descriptor


class EndpointSelector(selectors.BaseSelector):
    """A selector whose waiting is `Endpoint.wait`.

    `decide` handles all events that the core has, raises nothing and says how many there were; `has_work`
    says whether the loop has callbacks to run now.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._keys: dict[int, selectors.SelectorKey] = {}
        self.decide: Callable[[], int] = lambda: 0
        self.has_work: Callable[[], object] = lambda: True
        self.is_late = False
        """Set by a watchdog, taken back whenever the deciding thread comes by here."""

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        descriptor = _descriptor(fileobj)
        if descriptor in self._keys:
            raise KeyError(f"{fileobj!r} (descriptor {descriptor}) is registered already")
        self._endpoint.register(descriptor, events)
        key = self._keys[descriptor] = selectors.SelectorKey(fileobj, descriptor, events, data)
        return key

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        try:
            key = self._keys.pop(_descriptor(fileobj))
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None
        self._endpoint.unregister(key.fd)
        return key

    def modify(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        descriptor = _descriptor(fileobj)
        if descriptor not in self._keys:
            raise KeyError(f"{fileobj!r} is not registered")
        if events != self._keys[descriptor].events:
            self._endpoint.modify(descriptor, events)
        key = self._keys[descriptor] = selectors.SelectorKey(fileobj, descriptor, events, data)
        return key

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return {key.fileobj: key for key in self._keys.values()}

    def get_key(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        try:
            return self._keys[_descriptor(fileobj)]
        except KeyError:
            raise KeyError(f"{fileobj!r} is not registered") from None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        wait, decide = self._endpoint.wait, self.decide
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            self.is_late = False
            ready = wait(timeout)
            count = decide()
            if ready:
                keys = self._keys
                return [
                    (key, events & key.events) for fd, events in ready if (key := keys.get(fd)) is not None
                ]
            if not count or self.has_work():
                return []
            if deadline is not None:
                timeout = deadline - time.monotonic()
                if timeout <= 0:
                    return []

    def close(self) -> None:
        self._keys.clear()


class FlushingSelector(selectors.EpollSelector):
    """For an endpoint with I/O threads: before the loop goes to sleep, what was decided is sent."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        self.is_late = False

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.is_late = False
        self._endpoint.flush()
        return super().select(timeout)


class EndpointLoop(asyncio.SelectorEventLoop):
    """An asyncio loop on an endpoint in selector mode. Until `on_events`, events wait in the core."""

    _ready: collections.deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint_selector = EndpointSelector(endpoint)
        super().__init__(self.endpoint_selector)
        self._timers_known = 0

    def on_events(self, decide: Callable[[], int]) -> None:
        """What handles the core's events and says how many there were."""
        self.endpoint_selector.decide = decide
        self.endpoint_selector.has_work = self._has_work

    def _has_work(self) -> bool:
        """Deciding may have scheduled callbacks or timers, which only a pass of the loop sees. The loop
        itself
        only ever takes timers away, so more of them means new ones."""
        count = len(self._scheduled)
        has_new_timers, self._timers_known = count > self._timers_known, count
        return bool(self._ready) or has_new_timers
