"""Coroutines stepped by hand, and what happens when one really has to wait.

A handler that never waits is run by one `send(None)`: 0.3 µs instead of the 6 µs of a task. When it does
wait, what is left of it becomes a task of the loop (`Waiting`). The module says nothing about SIP.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator, Iterator
from typing import Any, Final, TypeVar

T = TypeVar("T")
LOOK_EVERY: Final = 0.5
"""Seconds between two looks for tasks that are past their deadline."""


def suspended_on(yielded: Any) -> Any:
    """Take down what a hand-stepped coroutine waits for.

    A future that is being awaited carries a mark that the awaiting task takes off. We are no task, and two
    of us may wait for one future before a task of either runs, so the mark is taken off here and put back
    in `rest_of`.
    """
    if isinstance(yielded, asyncio.Future):
        yielded._asyncio_future_blocking = False
    return yielded


@types.coroutine
def rest_of(coroutine: Coroutine[Any, Any, T], yielded: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that was started by hand and waits for `yielded`; to be awaited in a task."""
    if isinstance(yielded, asyncio.Future):
        yielded._asyncio_future_blocking = True
    while True:
        try:
            sent = yield yielded
        except GeneratorExit:
            coroutine.close()
            raise
        except BaseException as error:  # a task throws cancellation and errors alike into what it runs
            thrown: BaseException | None = error
        else:
            thrown = None
        try:
            yielded = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
        except StopIteration as stop:
            result: T = stop.value
            return result


@types.coroutine
def pause() -> Generator[None, None, None]:
    """Suspend once; in a task: let the loop take its turn."""
    yield


class Waiting:
    """Tasks of what waits, each with a deadline. One timer looks at all: a task costs no timer of its own.

    :param limit: seconds that a task may take; 0 for ever.
    """

    def __init__(self, limit: float = 0.0) -> None:
        self.limit = limit
        self._deadlines: dict[asyncio.Task[None], float] = {}
        self._overdue: set[asyncio.Task[None]] = set()
        self._is_looking = False

    def __len__(self) -> int:
        return len(self._deadlines)

    def __iter__(self) -> Iterator[asyncio.Task[None]]:
        return iter(tuple(self._deadlines))

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run it as a task."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(coroutine)
        self._deadlines[task] = loop.time() + self.limit if self.limit else float("inf")
        task.add_done_callback(self._done)
        if self.limit and not self._is_looking:
            self._is_looking = True
            loop.call_later(min(LOOK_EVERY, self.limit), self._look, loop)

    def is_overdue(self) -> bool:
        """Whether the running task was cancelled because its time is over."""
        return asyncio.current_task() in self._overdue

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._deadlines[task]
        self._overdue.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for task, deadline in self._deadlines.items():
            if deadline <= now and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        self._is_looking = bool(self._deadlines) and bool(self.limit)
        if self._is_looking:
            loop.call_later(min(LOOK_EVERY, self.limit), self._look, loop)
