"""Coroutines stepped by hand and finished as tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from sipyard.stepping import pause, rest_of, suspended_on


def start(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The first step, as the engine makes it."""
    return suspended_on(coroutine.send(None))


def test_a_future_wakes_what_was_started_by_hand() -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def handler() -> int:
            return await future + 1

        coroutine = handler()
        task = asyncio.ensure_future(rest_of(coroutine, start(coroutine)))
        future.set_result(41)
        assert await task == 42

    asyncio.run(main())


def test_two_may_wait_for_one_future() -> None:
    async def main() -> None:
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def handler(more: int) -> int:
            return await future + more

        pairs = [(one := handler(more), start(one)) for more in (1, 2)]
        tasks = [asyncio.ensure_future(rest_of(*pair)) for pair in pairs]
        future.set_result(40)
        assert await asyncio.gather(*tasks) == [41, 42]

    asyncio.run(main())


def test_after_a_pause_the_rest_is_a_task() -> None:
    async def main() -> None:
        async def handler() -> bool:
            await pause()
            async with asyncio.timeout(1):
                await asyncio.sleep(0)
                return asyncio.current_task() is not None

        coroutine = handler()
        assert await asyncio.ensure_future(rest_of(coroutine, start(coroutine)))

    asyncio.run(main())


def test_errors_and_cancellation_go_through() -> None:
    async def main() -> None:
        seen: list[str] = []

        async def handler() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise

        coroutine = handler()
        task = asyncio.ensure_future(rest_of(coroutine, start(coroutine)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == ["cancelled"]

        async def failing() -> None:
            await pause()
            raise LookupError("x")

        coroutine = failing()
        with pytest.raises(LookupError):
            await asyncio.ensure_future(rest_of(coroutine, start(coroutine)))

    asyncio.run(main())
