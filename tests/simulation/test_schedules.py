"""10 000 random schedules: loss, duplication, reordering, partitions, and everything that people do with
phones.

The first thing to do with a failing seed: `pytest tests/simulation -k one_schedule --sip-seed 4711`; it
prints the ladder.
"""

from __future__ import annotations

import pytest

from sipyard.testing import Network

from .schedule import Schedule

#: Together 10 000. Blocks, so that the report shows progress and each stays far below the time limit of a
#: test.
BLOCKS = 40
SCHEDULES_A_BLOCK = 250


def play(seed: int) -> tuple[list[str], str, bytes]:
    """Run one schedule: what did not hold, its ladder, its trace."""
    schedule = Schedule(seed)
    with schedule.network as network:
        schedule.run()
        return schedule.problems(), network.trace.ladder(), network.trace.to_bytes()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("block", range(BLOCKS))
def test_random_schedules(block: int) -> None:
    """No schedule leaves anything stuck, loses an answer, or answers a request twice."""
    for seed in range(block * SCHEDULES_A_BLOCK, (block + 1) * SCHEDULES_A_BLOCK):
        problems, ladder, _ = play(seed)
        assert not problems, f"seed {seed}:\n" + "\n".join(problems) + f"\n\n{ladder}"


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


def test_another_seed_gives_another_trace(network: Network) -> None:
    """Otherwise the test above would prove nothing."""
    assert play(1)[2] != play(2)[2]
