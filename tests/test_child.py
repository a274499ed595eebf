"""Programs that a script runs: real ones, by their exit, their output and their end."""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from sipyard.child import run_program


def ran(program: Coroutine[Any, Any, tuple[int, bytes]]) -> tuple[int, bytes]:
    return asyncio.run(program)


OUTCOMES = [
    (run_program("exit 3"), (3, b"")),
    (run_program("echo seen", output_limit=100), (0, b"seen\n")),
    (run_program("echo unseen"), (0, b"")),
    (run_program("kill -9 $$"), (-9, b"")),
    (
        run_program('echo "$1|$A"', ("$(id); `id`",), environment={"A": "$(id)"}, output_limit=99),
        (0, b"$(id); `id`|$(id)\n"),
    ),
    (run_program("cat", stdin=b"\x00\xff" * 100_000, output_limit=300_000), (0, b"\x00\xff" * 100_000)),
    (run_program("exit 0", stdin=b"x" * 1_000_000), (0, b"")),  # it does not read what it is given
    (run_program("head -c 1000000 /dev/zero", output_limit=10), (0, bytes(10))),
]


@pytest.mark.parametrize(("program", "outcome"), OUTCOMES)
def test_outcomes(program: Coroutine[Any, Any, tuple[int, bytes]], outcome: tuple[int, bytes]) -> None:
    assert ran(program) == outcome


LONG = 'sleep 60 & echo $! > "$1"; wait'


@pytest.fixture
def told(tmp_path: Path) -> Path:
    """A FIFO in which a program writes the number of what it started."""
    path = tmp_path / "pid"
    os.mkfifo(path)
    return path


def told_process(told: Path) -> int:
    """A descriptor that becomes readable when that process is gone."""
    return os.pidfd_open(int(told.read_text()))


async def started(told: Path) -> int:
    return await asyncio.to_thread(told_process, told)


def is_gone(process: int) -> bool:
    """Whether the process ends within the time that a kill takes."""
    ready = select.select([process], [], [], 5)[0]
    os.close(process)
    return bool(ready)


@pytest.mark.parametrize("output_limit", [0, 10])
def test_what_takes_too_long_is_killed_with_all_it_started(told: Path, output_limit: int) -> None:
    async def scenario() -> None:
        program = run_program(LONG, (str(told),), output_limit=output_limit, deadline=0.5)
        task = asyncio.create_task(program)
        process = await started(told)
        with pytest.raises(TimeoutError):
            await task
        assert is_gone(process)

    asyncio.run(scenario())


def test_it_does_not_outlive_its_message(told: Path) -> None:
    async def scenario() -> None:
        task = asyncio.create_task(run_program(LONG, (str(told),), output_limit=10))
        process = await started(told)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_gone(process)

    asyncio.run(scenario())


def test_one_that_is_cancelled_while_it_starts_ends_with_all_it_started(told: Path) -> None:
    """It may run for a while before the loop learns that it does."""

    async def scenario() -> None:
        task = asyncio.create_task(run_program(LONG, (str(told),), output_limit=10))
        for _ in range(2):  # the task begins, and then the start
            await asyncio.sleep(0)
        process = told_process(told)  # the loop stands still meanwhile
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert is_gone(process)

    asyncio.run(scenario())


def test_nothing_is_left_behind() -> None:
    """Neither descriptors nor processes, once the loop has seen the ends of all pipes."""

    async def scenario() -> None:
        for _ in range(3):
            await asyncio.gather(*(run_program("cat", stdin=b"x", output_limit=9) for _ in range(20)))

    children = Path(f"/proc/self/task/{os.getpid()}/children")
    files, processes = set(Path("/proc/self/fd").iterdir()), children.read_text()
    asyncio.run(scenario())
    assert set(Path("/proc/self/fd").iterdir()) <= files
    assert children.read_text() == processes
