"""`python -m benches`: measure, print the table, write RESULTS.md."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from benches import report
from benches.connections import Costs, measure_connections
from benches.generators import build_generator
from benches.processes import AwakeCores
from benches.series import (
    WARM_UP,
    Figures,
    Growth,
    Plan,
    measure_growth,
    measure_highest,
    measure_rounds,
)
from benches.servers import kamailio, sipyard, version
from benches.startup import Start, measure_startup
from benches.workloads import WORKLOADS, Workload

SIZES = [10, 1_000, 100_000, 1_000_000]
STORED = 1_000_000


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[w.name for w in WORKLOADS], help="these workloads")
    parser.add_argument(
        "--servers", nargs="+", choices=["kamailio", "sipyard"], default=["kamailio", "sipyard"]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=float, default=5.0, help="seconds of one measurement")
    parser.add_argument("--no-highest", action="store_true", help="leave out the search for the highest rate")
    parser.add_argument("--no-growth", action="store_true", help="leave out the growth to a million bindings")
    parser.add_argument("--no-connections", action="store_true", help="leave out what connections cost")
    parser.add_argument("--no-start", action="store_true", help="leave out the start with a million rows")
    parser.add_argument(
        "--quick", action="store_true", help="leave out the half minute of load before the first round"
    )
    parser.add_argument("--write", action="store_true", help="write benches/RESULTS.md")
    return parser.parse_args()


def missing(names: list[str]) -> list[str]:
    """Programs that are needed and not here."""
    needed = {"kamailio": kamailio(), "sipyard": sipyard()}
    wanted = [name for name in names if needed[name] is None]
    return wanted + [name for name in ("sipp", "cargo") if shutil.which(name) is None]


def measure(plan: Plan, workloads: list[Workload], *, highest: bool) -> dict[str, dict[str, Figures]]:
    """All workloads in turn."""
    found: dict[str, dict[str, Figures]] = {}
    for workload in workloads:
        print(f"{workload.title}, {workload.rate}/s", flush=True)
        figures = found[workload.name] = {name: Figures() for name in plan.names}
        measure_rounds(plan, workload, figures)
        if highest and workload.load:
            measure_highest(plan, workload, figures)
    return found


def main() -> int:
    """Measure what the command line asks for."""
    options = arguments()
    lacking = missing(options.servers)
    if lacking:
        print("cannot measure without: " + ", ".join(lacking), file=sys.stderr)
        return 1
    chosen = [w for w in WORKLOADS if not options.only or w.name in options.only]
    started = time.monotonic()
    growth: dict[str, list[Growth]] = {}
    costs: dict[str, Costs] = {}
    starts: dict[str, Start] = {}
    with tempfile.TemporaryDirectory(prefix="sipyard-bench-") as folder, AwakeCores() as cores:
        plan = Plan(build_generator(), Path(folder), options.servers, cores, options.rounds, options.window)
        if options.quick:
            plan.settled = WARM_UP
        found = measure(plan, chosen, highest=not options.no_highest)
        if not options.no_growth:
            print("growth", flush=True)
            growth = measure_growth(plan, SIZES)
        if not options.no_connections:
            print("connections", flush=True)
            costs = measure_connections(plan)
        if not options.no_start:
            print("start", flush=True)
            starts = measure_startup(plan, STORED)
    rows = report.table(chosen, found)
    grown = report.growth_table(growth) if growth else []
    connected = report.connection_table(costs) if costs else []
    started_with = report.start_table(starts) if starts else []
    print("", *rows, "", *grown, "", *connected, "", *started_with, sep="\n")
    if options.write:
        versions = {name: version(name) for name in options.servers}
        method = report.METHOD.format(
            window=plan.window,
            warm_up=WARM_UP,
            settled=plan.settled,
            rounds=plan.rounds,
            search=plan.search,
        )
        parts = [
            *report.heading(versions, time.monotonic() - started),
            *rows,
            "",
            *grown,
            "",
            *connected,
            "",
            *started_with,
            "",
            method,
        ]
        report.write(Path(__file__).parent / "RESULTS.md", parts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
