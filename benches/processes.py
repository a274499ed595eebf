"""What a server's processes cost: CPU time and memory, and the processes that keep the cores awake."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPINNER = """
import mmap, os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent, rounds = os.getppid(), 0
with open(sys.argv[2], "r+b") as file, mmap.mmap(file.fileno(), 8) as place:
    while os.getppid() == parent:
        for _ in range(20_000):
            pass
        rounds += 1
        place[:] = rounds.to_bytes(8, "little")
"""


def tree(root: int) -> list[int]:
    """The process `root` and all its descendants that live now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it ended while we were looking
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found, queue = [], [root]
    while queue:
        pid = queue.pop()
        found.append(pid)
        queue.extend(children.get(pid, []))
    return found


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of all threads of these processes, to the nanosecond.

    Linux names the CPU clock of another process by its id: (~pid << 3) | 2.
    """
    total = 0
    for pid in pids:
        try:
            total += time.clock_gettime_ns((~pid << 3) | 2)
        except OSError:
            continue  # it has ended
    return total / 1e9


def pss_bytes(pids: list[int]) -> int:
    """Memory of these processes: each shared page divided among those who share it."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue  # it has ended
        total += sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024
    return total


class AwakeCores:
    """A busy loop of idle priority on each core, so that the time to wake a halted core blurs nothing.

    It yields at once to any other process; the kernel's SCHED_IDLE class sees to that. It counts its rounds,
    which tells how fast the machine is just now, whatever the servers do.
    """

    def __init__(self) -> None:
        self._spinners: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="sipyard-awake-")

    def __enter__(self) -> AwakeCores:
        for core in sorted(os.sched_getaffinity(0)):
            place = Path(self._folder.name) / str(core)
            place.write_bytes(bytes(8))
            command = [sys.executable, "-S", "-c", SPINNER, str(core), str(place)]
            self._spinners.append((subprocess.Popen(command), place))
        return self

    def work(self) -> tuple[int, float]:
        """Rounds done and CPU seconds spent on them so far, all cores together."""
        rounds = sum(int.from_bytes(place.read_bytes(), "little") for _, place in self._spinners)
        return rounds, cpu_seconds([spinner.pid for spinner, _ in self._spinners])

    def __exit__(self, *_: object) -> None:
        for spinner, _ in self._spinners:
            spinner.kill()
            spinner.wait()
        self._folder.cleanup()
