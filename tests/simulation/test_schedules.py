"""10 000 random schedules: loss, duplication, reordering, partitions, and everything that people do with
phones.

The first thing to do with a failing seed: `pytest tests/simulation -k one_schedule --sip-seed 4711`; it
prints the ladder.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from sipyard.testing import Network

from .schedule import Schedule

SCHEDULES = 10_000
A_BLOCK = 125


def play(seed: int) -> tuple[list[str], str, bytes]:
    """Run one schedule: what did not hold, its ladder, its trace."""
    schedule = Schedule(seed)
    with schedule.network as network:
        schedule.run()
        return schedule.problems(), network.ladder(), network.trace.to_bytes()


def failures(first: int) -> list[str]:
    """What did not hold in the schedules of a block, with the seeds."""
    found = []
    for seed in range(first, first + A_BLOCK):
        problems, ladder, _ = play(seed)
        if problems:
            found.append("\n".join([f"seed {seed}:", *problems, "", ladder]))
    return found


@pytest.mark.timeout(600)
def test_random_schedules() -> None:
    """No schedule leaves anything stuck, loses an answer, or answers a request twice. One process a core."""
    processes = multiprocessing.get_context("spawn")  # the parent may have threads
    with ProcessPoolExecutor(os.cpu_count(), processes) as pool:
        found = [text for texts in pool.map(failures, range(0, SCHEDULES, A_BLOCK)) for text in texts]
    assert not found, f"{len(found)} of {SCHEDULES} schedules failed\n\n" + "\n\n".join(found[:3])


def test_one_schedule(pytestconfig: pytest.Config) -> None:
    """The schedule of `--sip-seed`, to look at a failure."""
    problems, ladder, _ = play(int(pytestconfig.getoption("--sip-seed")))
    assert not problems, "\n".join(problems) + f"\n\n{ladder}"


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 17, 4711])
def test_the_same_seed_gives_the_same_trace(seed: int) -> None:
    """Every byte of every packet, every moment: nothing depends on hash order, real time or the run
    before."""
    _, _, one = play(seed)
    _, _, other = play(seed)
    assert one == other
    assert len(one) > 1000


def test_nothing_depends_on_hash_order() -> None:
    """Two processes whose strings hash differently see the same bytes."""
    program = (
        "import hashlib\nfrom tests.simulation.test_schedules import play\n"
        "print(*(hashlib.sha256(play(seed)[2]).hexdigest() for seed in range(10)))"
    )
    root = Path(__file__).parents[2]
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=root,
            check=True,
            capture_output=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert len(digests) == 1


def test_another_seed_gives_another_trace(network: Network) -> None:
    """Otherwise the test above would prove nothing."""
    assert play(1)[2] != play(2)[2]
