"""Where a server's time goes: shares of its CPU under a workload of `make bench`, by `perf`.

    .venv/bin/python -m benches.profile call [--server kamailio] [--seconds 5]

Prints what part of the samples fell into the kernel (sending, receiving, waiting), the interpreter, the core
and libraries. Needs perf (Debian's linux-perf) and the right to use it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from benches.generators import SippLoad, build_generator, register_users
from benches.processes import AwakeCores, tree
from benches.servers import Server, free_port
from benches.workloads import WORKLOADS, Workload

WARM_UP = 5.0
_CALLS = (
    ("kernel: sending", "__sys_sendmmsg", "__sys_sendto", "__sys_sendmsg"),
    ("kernel: receiving", "do_recvmmsg", "__sys_recvfrom", "__sys_recvmsg"),
    ("kernel: waiting", "do_epoll_wait", "__x64_sys_epoll_wait", "__x64_sys_futex"),
)
_FRAME = re.compile(r"^\s+[0-9a-f]+ (?P<symbol>.+?)(?:\+0x[0-9a-f]+)? \((?P<object>[^)]*)\)$")


def record(workload: Workload, name: str, seconds: float) -> list[list[tuple[str, str]]]:
    """The stacks of all samples: (symbol, object) from the innermost frame outwards."""
    program = build_generator()
    with tempfile.TemporaryDirectory(prefix="sipyard-profile-") as folder, AwakeCores() as cores:
        server = Server(name, workload.config, Path(folder), transports=workload.transports)
        ports = [free_port() for _ in range(workload.contacts)]
        register_users(program, server, ports)
        load = SippLoad(workload, server, Path(folder), ports, cores)
        data = Path(folder) / "perf.data"
        try:
            thread = threading.Thread(target=load.measure, args=(workload.rate, WARM_UP, seconds))
            thread.start()
            time.sleep(WARM_UP)
            pids = ",".join(map(str, tree(server.process.pid)))
            command = ["perf", "record", "-q", "-g", "-F", "4999", "-p", pids, "-o", str(data)]
            subprocess.run([*command, "--", "sleep", str(seconds)], check=True)
            thread.join()
        finally:
            load.stop()
            server.stop()
        command = ["perf", "script", "-i", str(data), "-F", "ip,sym,dso"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [_frames(block) for block in text.split("\n\n") if block.strip()]


def _frames(block: str) -> list[tuple[str, str]]:
    found = (_FRAME.match(line) for line in block.splitlines())
    return [(one["symbol"], one["object"]) for one in found if one is not None]


def place_of(stack: list[tuple[str, str]]) -> str:
    """The part of the system that a sample fell into."""
    if not stack:
        return "unknown"
    inner = stack[0][1]
    if "kernel" in inner:
        symbols = {symbol for symbol, _ in stack}
        return next((title for title, *calls in _CALLS if symbols.intersection(calls)), "kernel: other")
    for part, title in (
        ("libpython", "interpreter"),
        ("python3", "interpreter"),
        ("core.", "core (Rust)"),
        ("kamailio", "Kamailio and its modules"),
    ):
        if part in inner:
            return title
    return "C library and others"


def main() -> int:
    """Print the shares."""
    parser = argparse.ArgumentParser(prog="python -m benches.profile", description=__doc__.splitlines()[0])
    parser.add_argument("workload", choices=[workload.name for workload in WORKLOADS])
    parser.add_argument("--server", choices=["sipyard", "kamailio"], default="sipyard")
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    if shutil.which("perf") is None:
        print("cannot profile without perf (Debian: linux-perf)", file=sys.stderr)
        return 1
    workload = next(one for one in WORKLOADS if one.name == options.workload)
    stacks = record(workload, options.server, options.seconds)
    print(f"{workload.title}, {workload.rate}/s, {options.server}: {len(stacks)} samples")
    for place, count in Counter(map(place_of, stacks)).most_common():
        print(f"  {count / len(stacks):6.1%}  {place}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
