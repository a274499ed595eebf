"""Load: sipp at a fixed rate, and our own small generator where sipp itself would be the limit."""

from __future__ import annotations

import csv
import json
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benches.processes import AwakeCores, cpu_seconds
from benches.servers import HERE, Server, free_port
from benches.subscribers import PASSWORD, USERS
from benches.workloads import Workload

ROOT = HERE.parent


class LoadFailed(RuntimeError):
    """The generator could not do its work; its own words are the text."""


def build_generator() -> Path:
    """Compile `benches/load`; the program's path."""
    target = ROOT / "target" / "load"
    manifest = HERE / "load" / "Cargo.toml"
    command = [
        "cargo",
        "build",
        "-q",
        "--release",
        "--manifest-path",
        str(manifest),
        "--target-dir",
        str(target),
    ]
    subprocess.run(command, check=True)
    return target / "release" / "sipyard-load"


@dataclass
class Outcome:
    """What a generator counted."""

    started: int
    succeeded: int
    failed: int
    retransmissions: int
    late: int = 0

    @property
    def clean(self) -> bool:
        """Every operation succeeded and fewer than one in a thousand needed a second try."""
        return self.succeeded == self.started > 0 and self.retransmissions < 0.001 * self.started


def generate(program: Path, word: str, server: Server, ports: list[int], **options: int) -> Outcome:
    """Run our own generator to its end. Options: users, rate, seconds."""
    command = [str(program), word, f"127.0.0.1:{server.port}", "--contacts", ",".join(map(str, ports))]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LoadFailed(done.stderr)
    counts = json.loads(done.stdout)
    del counts["seconds"]
    return Outcome(**counts)


def register_users(program: Path, server: Server, ports: list[int], users: int = USERS) -> None:
    """Bind each user to one contact a port."""
    outcome = generate(program, "register", server, ports, users=users)
    if outcome.failed:
        raise LoadFailed(f"{outcome.failed} of {outcome.started} registrations failed at {server.name}")


def bind_users(server: Server, port: int, transport: str) -> None:
    """Bind each user to a contact of another transport than UDP."""
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(2)
        own = one.getsockname()[1]
        for user in range(USERS):
            contact = f"Contact: <sip:u{user}@127.0.0.1:{port};transport={transport}>"
            request = server.request("REGISTER", f"u{user}", own).decode()
            kept = [line for line in request.split("\r\n") if not line.startswith("Contact:")]
            one.sendto(
                "\r\n".join([*kept[:-2], contact, "Expires: 7200", "", ""]).encode(),
                ("127.0.0.1", server.port),
            )
            if not one.recv(4096).startswith(b"SIP/2.0 200"):
                raise LoadFailed(f"u{user} cannot register at {server.name}")


class Sipp:
    """One sipp process running a scenario, without its screen."""

    def __init__(
        self,
        scenario: str,
        server: Server,
        folder: Path,
        port: int,
        extra: list[str],
        transport: str = "udp",
    ) -> None:
        self.statistics = folder / f"{scenario}-{port}-{time.monotonic_ns()}.csv"
        command = [
            shutil.which("sipp") or "sipp",
            f"127.0.0.1:{server.port}",
            *("-sf", str(HERE / "scenarios" / f"{scenario}.xml")),
            *("-i", "127.0.0.1", "-p", str(port), "-buff_size", "4194304"),
            *("-t", "t1" if transport == "tcp" else "u1"),
            *("-nostdin", "-f", "10", "-trace_stat", "-stf", str(self.statistics), "-fd", "1"),
            *extra,
        ]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds([self.process.pid])

    def counts(self) -> Outcome:
        """What it counted in the end."""
        with self.statistics.open(newline="") as file:
            last = list(csv.DictReader(file, delimiter=";"))[-1]
        return Outcome(
            int(last["TotalCallCreated"]),
            int(last["SuccessfulCall(C)"]),
            int(last["FailedCall(C)"]),
            int(last["Retransmissions(C)"]),
        )

    def stop(self) -> None:
        """End it by its id."""
        self.process.terminate()
        self.process.wait()


def write_users(workload: Workload, folder: Path, port: int) -> Path:
    """sipp's table of users: who calls whom, or who registers which contact, and the credentials."""
    path = folder / f"users-{workload.name}.csv"
    lines = ["SEQUENTIAL"]
    for user in range(USERS):
        second = f"u{(user * 7 + 1) % USERS}" if workload.invites else f"sip:u{user}@127.0.0.1:{port}"
        who = second if workload.invites else f"u{user}"
        lines.append(f"u{user};{second};[authentication username={who} password={PASSWORD}]")
    path.write_text("\n".join(lines) + "\n")
    return path


@dataclass
class Sample:
    """One measured window: CPU microseconds an operation of the server and of the generator, and how fast the
    machine was meanwhile (rounds of a busy loop a CPU second)."""

    server_us: float
    generator_us: float
    speed: float
    pss: int
    outcome: Outcome

    @property
    def work(self) -> float:
        """The server's CPU in rounds of the busy loop: what is left of it when the machine's speed drifts."""
        return self.server_us * self.speed

    @property
    def relative(self) -> float:
        """The server's CPU over the load generator's own CPU in the same window."""
        return self.server_us / self.generator_us


class SippLoad:
    """sipp on both sides of a server; callees stay for the whole series."""

    def __init__(
        self, workload: Workload, server: Server, folder: Path, ports: list[int], cores: AwakeCores
    ) -> None:
        self.workload, self.server, self.folder, self._cores = workload, server, folder, cores
        self.users = write_users(workload, folder, ports[0])
        self.callees = [
            Sipp(name, server, folder, port, [], workload.transport)
            for name, port in zip(workload.callees, ports, strict=False)
        ]

    def measure(self, rate: int, warm_up: float, window: float) -> Sample:
        """Run at `rate` and count the CPU of `window` seconds after `warm_up` seconds."""
        total = int(rate * (warm_up + window + 0.5))
        extra = ["-inf", str(self.users), "-r", str(rate), "-m", str(total), "-l", str(rate * 4)]
        workload = self.workload
        caller = Sipp(workload.caller, self.server, self.folder, free_port(), extra, workload.transport)
        try:
            time.sleep(warm_up)
            before = self._spent(caller)
            time.sleep(window)
            after = self._spent(caller)
            caller.process.wait(60)
        finally:
            caller.stop()
        server, generator, elapsed, rounds, spinning = (b - a for a, b in zip(before, after, strict=True))
        operations = rate * elapsed
        return Sample(
            server / operations * 1e6,
            generator / operations * 1e6,
            rounds / spinning,
            self.server.pss(),
            caller.counts(),
        )

    def _spent(self, caller: Sipp) -> tuple[float, ...]:
        """CPU of server and generator, the time, rounds and CPU of the busy loops."""
        return (self.server.cpu(), self.cpu() + caller.cpu(), time.monotonic(), *self._cores.work())

    def cpu(self) -> float:
        """CPU seconds of the callees so far."""
        return sum(callee.cpu() for callee in self.callees)

    def stop(self) -> None:
        """End the callees."""
        for callee in self.callees:
            callee.stop()
