"""The table, on the terminal and in RESULTS.md."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from benches.connections import Costs
from benches.series import Figures, Growth
from benches.startup import Start
from benches.workloads import Workload

METHOD = """\
## How it was measured

`make bench` runs both servers on this machine in the same run, on loopback over UDP: 1000 users with one
contact each (three for the fork), 129 bytes of SDP, 20 ms of ringing (60 ms for the fork), 100 ms of
talking, no media. Kamailio is Debian's package with `-x fm -m 2048` and two UDP children; Sipyard is a
release build on its defaults. Both run the scripts of the same name in `benches/kamailio` and
`benches/sipyard`.

- **CPU** is user and system time of all processes of the server by their CPU clocks, over a window of
  {window:.0f} s after {warm_up:.0f} s of load, divided by rate × window; median of {rounds} rounds, the
  servers in turn, order reversed every other round, after {settled:.0f} s of load on each, for as long as a
  finished transaction stays. sipp is caller and callee. A round counts only when every operation succeeded
  and fewer than one in a thousand was retransmitted. A busy loop of idle priority keeps every core awake.
- **ratio** compares the servers' CPU, Kamailio being 1.00, with the machine's drift taken out: each window's
  CPU is multiplied by the rounds that the busy loops did in it a CPU second. **by sipp's CPU** is the same
  by another measure: the server's CPU over sipp's own in the same window. It flatters the server that makes
  more work for sipp: ours sends in batches, which spares sipp wakes.
- **with digest, with 407**: a request is challenged and sent again with credentials (MD5, qop auth). Sipyard
  has HA1 in SQLite; Kamailio has the password in its script or, "both from SQLite", HA1 in a SQLite file.
- **first answer** is the time from sending a request to the arrival of its first answer, by the kernel's
  time stamps: 100 probes a second beside the load. Forwarded without state, it is the callee who answers
  first.
- **highest rate** is the highest at which no operation failed and fewer than one in a thousand was
  retransmitted in {search:.0f} s (doubling, then halving the interval to 4 %), with `benches/load` as
  caller and callee on the same cores, because sipp would be the limit.
- **memory** is PSS after the last round, with the transactions of the last seconds still in it.
- **connections**: 5,000 of them over TCP, each from an address that has few, answered once and then silent;
  and what `openssl s_time -new` makes of TLS 1.3 handshakes (P-256) on the same cores.
- **growth** uses `benches/load` at 1000/s, over all users in turn.
- **found after** is the time from starting the server until it redirects a call to the last of the users
  whose bindings are in its SQLite file, with `db_mode` 1.
"""


def ratio(ours: float, theirs: float) -> str:
    """Two digits, or a dash."""
    return f"{ours / theirs:.2f}" if theirs else "–"


def machine() -> str:
    """Processor, cores and kernel in one line."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.release()}"


def table(workloads: list[Workload], found: dict[str, dict[str, Figures]]) -> list[str]:
    """One row a workload and server."""
    rows = [
        "| workload | at /s | server | CPU µs | ratio | target | by sipp's CPU "
        "| first answer p50 / p95 / p99 µs | highest /s | memory MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for workload in workloads:
        figures = found[workload.name]
        base = figures.get("kamailio")
        for name, shown in figures.items():
            work, relative = (base.work, base.relative) if base and base.samples else (0.0, 0.0)
            shares = (0.50, 0.95, 0.99)
            waits = " / ".join(f"{shown.wait(share):.0f}" for share in shares) if shown.waits else "–"
            target = "" if name == "kamailio" else f"≤ {workload.target:.2f}"
            rows.append(
                f"| {workload.title} | {workload.rate} | {name} | {shown.microseconds:.1f} "
                f"| {ratio(shown.work, work)} | {target} | {ratio(shown.relative, relative)} "
                f"| {waits} | {max(shown.highest, default=0) or '–'} | {shown.megabytes:.0f} |"
            )
    return rows


def growth_table(found: dict[str, list[Growth]]) -> list[str]:
    """One row a size and server."""
    rows = [
        "| bindings | server | call CPU µs | REGISTER CPU µs | bytes a binding |",
        "|---|---|---|---|---|",
    ]
    for at in range(max((len(rows_of) for rows_of in found.values()), default=0)):
        for name, grown in found.items():
            one = grown[at]
            memory = f"{one.binding_bytes:.0f}" if one.bindings >= 1000 else "–"
            rows.append(
                f"| {one.bindings:,} | {name} | {one.call_us:.1f} | {one.register_us:.1f} | {memory} |"
            )
    return rows


def connection_table(costs: dict[str, Costs]) -> list[str]:
    """One row a server."""
    rows = [
        "| connections | memory of one over TCP, bytes | new TLS handshake, CPU µs | of them a second |",
        "|---|---|---|---|",
    ]
    for name, one in costs.items():
        memory, micros = f"{one.connection_bytes:.0f}", f"{one.handshake_us:.0f}"
        rows.append(f"| {name} | {memory} | {micros} | {one.handshakes_a_second:.0f} |")
    return rows


def start_table(starts: dict[str, Start]) -> list[str]:
    """One row a server."""
    rows = ["| users and bindings in SQLite | server | found after s | memory MB |", "|---|---|---|---|"]
    for name, one in starts.items():
        rows.append(f"| {one.bindings:,} | {name} | {one.seconds:.1f} | {one.megabytes:.0f} |")
    return rows


def write(path: Path, parts: list[str]) -> None:
    """RESULTS.md; what stands after its marker is written by hand and kept."""
    marker = "<!-- written by hand from here on -->"
    kept = path.read_text().partition(marker)[2] if path.exists() else "\n"
    path.write_text("\n".join(parts).rstrip() + f"\n\n{marker}{kept}")


def heading(versions: dict[str, str], elapsed: float) -> list[str]:
    """Title, date, machine and versions."""
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    return [
        "# Sipyard beside Kamailio",
        "",
        f"Made by `make bench` on {when} in {elapsed / 60:.0f} minutes. Machine: {machine()}.",
        "Versions: " + ", ".join(f"{name} ({text})" for name, text in versions.items()) + ".",
        "",
    ]
