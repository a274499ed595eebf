"""Virtual time: a timeline of events and an asyncio loop that lives on it.

Nothing here sleeps. Time moves only when there is nothing left to do at the present moment, and then it
jumps straight to the next event, so "nobody answers for three minutes" costs as much as the handful of
events in these minutes.

Inside, times are whole microseconds (as in the core), so that no rounding error builds up and equal seeds
give equal traces; the public methods speak seconds.
"""

from __future__ import annotations

import asyncio
import collections
import heapq
import math
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

Result = TypeVar("Result")

MICROSECONDS = 1_000_000
#: Virtual clocks start here, not at zero, so that code which takes 0 for "never" is not flattered.
EPOCH_SECONDS = 1_000.0


class Timer:
    """Something due at a moment of the timeline; `cancel()` takes it off again."""

    __slots__ = ("_action", "_arguments", "due_us")

    def __init__(self, due_us: int, action: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.due_us = due_us
        self._action: Callable[..., object] | None = action
        self._arguments = arguments

    @property
    def is_pending(self) -> bool:
        """True until it ran or was cancelled."""
        return self._action is not None

    def cancel(self) -> None:
        """Forget it. Cancelling twice, or after it ran, does nothing."""
        self._action = None
        self._arguments = ()

    def fire(self) -> None:
        """Run the action now (the timeline calls this)."""
        action, arguments = self._action, self._arguments
        self.cancel()
        if action is not None:
            action(*arguments)


class Timeline:
    """The present moment and the ordered events after it. Events of one moment run in the order they were
    made."""

    def __init__(self) -> None:
        self.now_us = round(EPOCH_SECONDS * MICROSECONDS)
        self._start_us = self.now_us
        self._order = 0
        self._heap: list[tuple[int, int, Timer]] = []

    @property
    def now(self) -> float:
        """The clock's reading in seconds; only differences mean anything."""
        return self.now_us / MICROSECONDS

    @property
    def elapsed(self) -> float:
        """Seconds since the timeline began."""
        return (self.now_us - self._start_us) / MICROSECONDS

    def since_start(self, moment_us: int) -> float:
        """Seconds between the beginning and a moment in microseconds."""
        return (moment_us - self._start_us) / MICROSECONDS

    def after(self, seconds: float, action: Callable[..., object], *arguments: Any) -> Timer:
        """Have `action(*arguments)` called `seconds` from now (at once, but not inside this call, for 0 or
        less)."""
        return self.at_us(self.now_us + max(0, round(seconds * MICROSECONDS)), action, *arguments)

    def at_us(self, moment_us: int, action: Callable[..., object], *arguments: Any) -> Timer:
        """Have `action(*arguments)` called at a moment in microseconds of this clock."""
        timer = Timer(max(moment_us, self.now_us), action, arguments)
        self._order += 1
        heapq.heappush(self._heap, (timer.due_us, self._order, timer))
        return timer

    def next_us(self) -> int | None:
        """When the next event is due, in microseconds; None when nothing is planned."""
        while self._heap and not self._heap[0][2].is_pending:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def move_to(self, moment_us: int) -> None:
        """Let time pass. Events on the way do not run: the loop's selector never jumps over one."""
        self.now_us = max(self.now_us, moment_us)

    def fire_next(self) -> None:
        """Run the next event, whose moment has come."""
        _, _, timer = heapq.heappop(self._heap)
        timer.fire()


class VirtualSelector(selectors.BaseSelector):
    """Where an asyncio loop would sleep, this lets virtual time pass.

    A real selector stands behind it for one purpose: work handed to a thread (`asyncio.to_thread`, a
    database driver) wakes the loop through its self-pipe. While such work is under way, or a program runs,
    virtual time stands still: it takes no virtual time, and its duration never shows in a trace.
    """

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.busy = 0
        self.horizon_us: int | None = None
        #: Called before time moves: servers hand out what their core wants to send.
        self.settle: Callable[[], None] = lambda: None
        #: Whether the loop has callbacks to run at the present moment.
        self.has_work: Callable[[], object] = lambda: False
        #: Called when time moved to a moment at which only the asyncio loop has something due.
        self.time_moved: Callable[[], None] = lambda: None
        #: Called when the horizon is reached or nothing is left to happen (the argument tells which).
        self.finished: Callable[[bool], None] = lambda _idle: None
        #: End the run when the timeline is empty and `is_quiet()`, though the loop has timers (periodic
        #: ones) left.
        self.until_idle = False
        self.is_quiet: Callable[[], bool] = lambda: True
        #: Asked after every event; True ends the run.
        self.condition: Callable[[], bool] | None = None
        self._real = selectors.DefaultSelector()

    def register(self, fileobj: FileDescriptorLike, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: FileDescriptorLike) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def get_map(self) -> Mapping[FileDescriptorLike, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Run the next event of the timeline, or move time to the loop's own next timer; never sleep for
        it."""
        if self.busy:
            return self._real.select(0 if timeout is not None and timeout <= 0 else None)
        if timeout is not None and timeout <= 0:
            return self._real.select(0) if self._watches_sockets() else []
        self.settle()
        if self.has_work():  # a route that waits became a task: it goes on before time does
            return []
        loop_due_us = (
            None if timeout is None else self.timeline.now_us + math.ceil(timeout * MICROSECONDS - 0.001)
        )
        self._pass_time(loop_due_us)
        return self._real.select(0) if self._watches_sockets() else []

    def _watches_sockets(self) -> bool:
        return len(self._real.get_map()) > 1  # the loop's own self-pipe is always there

    def _pass_time(self, loop_due_us: int | None) -> None:
        """One step: an event, the loop's timer, the horizon, or the end of everything."""
        timeline = self.timeline
        event_us = timeline.next_us()
        if event_us is None and (loop_due_us is None or (self.until_idle and self.is_quiet())):
            timeline.move_to(self.horizon_us or 0)
            self.finished(True)
            return
        moment_us = min(due for due in (event_us, loop_due_us, self.horizon_us) if due is not None)
        timeline.move_to(moment_us)
        if event_us == moment_us:
            timeline.fire_next()
        elif loop_due_us == moment_us:
            self.time_moved()
        else:
            self.finished(False)
            return
        if self.condition is not None and self.condition():
            self.finished(False)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose `time()` is a timeline. `asyncio.sleep(60)` in a route takes no real
    time."""

    _ready: collections.deque[asyncio.Handle]

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        self.selector = VirtualSelector(timeline)
        super().__init__(self.selector)
        self.selector.has_work = lambda: self._ready

    def time(self) -> float:
        """The virtual clock's reading in seconds."""
        return self.timeline.now

    def run_in_executor(  # type: ignore[override]  # typeshed: an overloaded TypeVarTuple; we hand on what we are given
        self, executor: Executor | None, func: Callable[..., Result], *args: Any
    ) -> asyncio.Future[Result]:
        """As asyncio's; virtual time stands still until the thread is done."""
        future: asyncio.Future[Result] = super().run_in_executor(executor, func, *args)
        self.selector.busy += 1
        future.add_done_callback(self._thread_done)
        return future

    def _thread_done(self, _future: asyncio.Future[Any]) -> None:
        self.selector.busy -= 1

    async def subprocess_exec(
        self, protocol_factory: Callable[[], Any], *args: Any, **kwargs: Any
    ) -> tuple[asyncio.SubprocessTransport, Any]:
        """As asyncio's; virtual time stands still until the program and its pipes are closed."""
        protocol = protocol_factory()
        ended = protocol.connection_lost

        def connection_lost(error: Exception | None) -> None:
            self.selector.busy -= 1
            ended(error)

        protocol.connection_lost = connection_lost
        self.selector.busy += 1
        try:
            return await super().subprocess_exec(lambda: protocol, *args, **kwargs)
        except BaseException:
            self.selector.busy -= 1
            raise

    def complete(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end in virtual time and return its result."""
        self.selector.horizon_us = None
        return self.run_until_complete(coroutine)
