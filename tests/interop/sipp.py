"""sipp: scenarios played to their end, with what it counted."""

from __future__ import annotations

import csv
import re
import subprocess
from pathlib import Path

from interop.processes import HERE, ROOT, program

BENCH_SCENARIOS = ROOT / "benches" / "scenarios"


def scenario(name: str) -> Path:
    """A scenario of these tests, or one that the benchmark uses as well."""
    own = HERE / "scenarios" / f"{name}.xml"
    return own if own.exists() else BENCH_SCENARIOS / f"{name}.xml"


def with_session(text: str, session: str) -> str:
    """A scenario that offers and answers another session."""
    lines = "\n".join(" " * 6 + line for line in session.splitlines())
    return re.sub(r" *v=0\n.*?(?=\n *\]\]>)", lambda _: lines, text, flags=re.DOTALL)


class Sipp:
    """One sipp process. `count` calls, then it ends by itself; without it stays until `stop`. `session` is
    offered or answered in place of the scenario's own."""

    def __init__(
        self,
        name: str,
        server: int,
        folder: Path,
        port: int,
        *,
        count: int = 0,
        rate: int = 10,
        users: str = "",
        keeps_times: bool = False,
        transport: str = "u1",
        session: str = "",
    ) -> None:
        self.folder, self.name = folder, f"{name}-{port}"
        self.statistics = folder / f"{self.name}.csv"
        self.statistics.unlink(missing_ok=True)
        self.trace = folder / f"{self.name}.trace"
        self.errors = folder / f"{self.name}.errors"
        file = scenario(name)
        if session:
            text = with_session(file.read_text(), session)
            file = folder / f"{self.name}.xml"
            file.write_text(text)
        command = [
            program("sipp"),
            f"127.0.0.1:{server}",
            *("-sf", str(file), "-i", "127.0.0.1", "-p", str(port)),
            *("-t", transport, "-max_socket", "1000"),
            *("-nostdin", "-trace_stat", "-stf", str(self.statistics), "-fd", "1"),
            *("-trace_err", "-error_file", str(self.trace), "-timeout", "40s", "-timeout_error"),
        ]
        if count:
            command += ["-m", str(count), "-r", str(rate)]
        if keeps_times:
            command += ["-trace_rtt", "-rtt_freq", "1"]
        if users:
            table = folder / f"{self.name}.users"
            table.write_text(f"SEQUENTIAL\n{users}\n")
            command += ["-inf", str(table)]
        null = subprocess.DEVNULL
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(command, stdin=null, stdout=null, stderr=errors, cwd=folder)

    def finish(self, seconds: float = 45.0) -> None:
        """Wait for its end; every call must have succeeded."""
        code = self.process.wait(seconds)
        assert code == 0, f"{self.name}: exit {code}, {self.counts()}\n{self.complaints()}"
        assert self.counts()["failed"] == 0, self.complaints()

    def counts(self) -> dict[str, int]:
        """Successful and failed calls and retransmissions."""
        if not self.statistics.exists():
            return {}
        with self.statistics.open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=";"))
        names = {
            "succeeded": "SuccessfulCall(C)",
            "failed": "FailedCall(C)",
            "repeated": "Retransmissions(C)",
        }
        return {name: int(rows[-1][column]) for name, column in names.items()} if rows else {}

    def times(self) -> list[float]:
        """With `keeps_times`: milliseconds from each INVITE to its first answer."""
        (file,) = self.folder.glob(f"*_{self.process.pid}_rtt.csv")
        with file.open(newline="") as rows:
            return [float(row["response_time_ms"]) for row in csv.DictReader(rows, delimiter=";")]

    def complaints(self) -> str:
        """What it found wrong."""
        found = [path.read_text(errors="replace") for path in (self.errors, self.trace) if path.exists()]
        return "\n".join(found)[-3000:]

    def stop(self) -> None:
        """End it by its id."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait()
