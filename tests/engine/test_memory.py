"""What a server does with its memory once everything is loaded."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SWITCH = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PROGRAM = """
import gc
from pathlib import Path
from sipyard import memory

kept = [bytes(1000) for _ in range(40_000)]
memory.settle()
print("agreed", memory.use_large_pages())
print("frozen", gc.get_freeze_count())
print(Path("/proc/self/smaps_rollup").read_text())
assert all(len(one) == 1000 for one in kept)
"""


@pytest.mark.skipif(
    not SWITCH.exists() or "[never]" in SWITCH.read_text(), reason="this system has no transparent huge pages"
)
def test_the_heap_moves_to_large_pages_and_stays_what_it_was() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    found = dict(re.findall(r"^(agreed|frozen|AnonHugePages:)\s+(\d+)", done.stdout, re.MULTILINE))
    assert int(found["agreed"]) > 0
    assert int(found["frozen"]) > 10_000
    assert int(found["AnonHugePages:"]) >= 2048  # kB
