"""What a server's processes cost: CPU time and memory, and the processes that keep the cores awake."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

SPINNER = """
import os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
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

    It yields at once to any other process; the kernel's SCHED_IDLE class sees to that.
    """

    def __init__(self) -> None:
        self.spinners: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> AwakeCores:
        for core in sorted(os.sched_getaffinity(0)):
            self.spinners.append(subprocess.Popen([sys.executable, "-S", "-c", SPINNER, str(core)]))
        return self

    def __exit__(self, *_: object) -> None:
        for spinner in self.spinners:
            spinner.kill()
            spinner.wait()
