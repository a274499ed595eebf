"""Virtual time: it jumps, it never sleeps, and threads take none of it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from sipyard.testing import Network, StillWaiting


def test_a_coroutine_sleeps_in_no_time(network: Network) -> None:
    """Ten hours pass for the coroutine, hardly any for us."""
    before = time.monotonic()

    async def sleeper() -> float:
        await asyncio.sleep(36_000)
        return network.now

    assert network.complete(sleeper()) == pytest.approx(36_000)
    assert time.monotonic() - before < 2


def test_timers_run_in_order_and_can_be_cancelled(network: Network) -> None:
    """Equal moments keep the order in which they were planned."""
    seen: list[str] = []
    network.after(2, seen.append, "c")
    network.after(1, seen.append, "a")
    network.after(1, seen.append, "b")
    network.after(1.5, seen.append, "never").cancel()
    network.run()
    assert seen == ["a", "b", "c"]
    assert network.now == 2
    assert network.is_idle


def test_loop_timers_and_events_share_one_order(network: Network) -> None:
    """asyncio's timers and the network's events meet on one clock."""
    seen: list[tuple[str, float]] = []

    async def talk() -> None:
        for _ in range(3):
            await asyncio.sleep(0.1)
            seen.append(("loop", round(network.now, 3)))

    network.after(0.15, lambda: seen.append(("network", network.now)))
    network.complete(talk())
    assert seen == [("loop", 0.1), ("network", 0.15), ("loop", 0.2), ("loop", 0.3)]


def test_a_thread_takes_no_virtual_time(network: Network) -> None:
    """Time stands still while work is in a thread, however long that takes."""
    release = threading.Event()

    async def work() -> float:
        network.after(60, release.set)  # would come first if time moved on
        threading.Timer(0.02, release.set).start()
        await asyncio.to_thread(release.wait)
        return network.now

    assert network.complete(work()) == 0


def test_run_for_some_seconds_stops_there(network: Network) -> None:
    """The clock shows the horizon even if nothing happened on the way."""
    network.run(12.5)
    assert network.now == 12.5


def test_run_until_says_what_happened_instead(network: Network) -> None:
    """The failure is an AssertionError that names the condition."""

    def pigs_fly() -> bool:
        return False

    with pytest.raises(StillWaiting, match="pigs_fly is still false after 3 s"):
        network.run_until(pigs_fly, within=3)


def test_an_error_in_a_background_task_fails_the_run(network: Network) -> None:
    """What asyncio would only log comes out of `run`."""

    async def start() -> None:
        asyncio.get_running_loop().call_later(1, _fail)

    def _fail() -> None:
        raise RuntimeError("in the background")

    network.complete(start())
    with pytest.raises(RuntimeError, match="in the background"):
        network.run(5)
