"""The series of `make bench`: rounds at a fixed rate, waits, the highest rate, growth."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benches.generators import (
    LoadFailed,
    Outcome,
    Sample,
    SippLoad,
    bind_users,
    generate,
    register_users,
)
from benches.prober import Prober
from benches.processes import AwakeCores
from benches.servers import Server, free_port
from benches.workloads import Workload

SETTLED = 33.0
"""Seconds of load before the first round: longer than a finished transaction stays (64·T1, RFC 6026), so that
its end is part of what is measured and no memory is new."""
WARM_UP = 2.0
"""Seconds of load before each window."""
SETTLE = 6.0
"""Seconds of rest after a failed try of the highest rate."""


@dataclass
class Plan:
    """How much to measure."""

    program: Path
    folder: Path
    names: list[str]
    cores: AwakeCores
    rounds: int = 3
    window: float = 5.0
    search: float = 4.0
    settled: float = SETTLED


@dataclass
class Figures:
    """What one server showed in one workload."""

    samples: list[Sample] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    highest: list[int] = field(default_factory=list)

    @property
    def microseconds(self) -> float:
        """CPU of one operation, median of the rounds."""
        return statistics.median(sample.server_us for sample in self.samples)

    @property
    def work(self) -> float:
        """CPU of one operation in rounds of the busy loop, median of the rounds."""
        return statistics.median(sample.work for sample in self.samples)

    @property
    def relative(self) -> float:
        """Server's CPU over the generator's, median of the rounds."""
        return statistics.median(sample.relative for sample in self.samples)

    @property
    def megabytes(self) -> float:
        """Memory after the last round."""
        return self.samples[-1].pss / 1e6

    def wait(self, share: float) -> float:
        """The wait that `share` of all probes did not exceed, in microseconds."""
        ordered = sorted(self.waits)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def say(text: str) -> None:
    """Progress."""
    print(f"  {text}", flush=True)


@contextmanager
def servers(plan: Plan, workload: Workload) -> Iterator[list[Server]]:
    """All servers of the plan, running side by side."""
    with ExitStack() as stack:
        started = []
        for name in plan.names:
            config = workload.config_of(name)
            server = Server(name, config, plan.folder, transports=workload.transports)
            stack.callback(server.stop)
            started.append(server)
        yield started


def measure_rounds(plan: Plan, workload: Workload, figures: dict[str, Figures]) -> None:
    """Rounds at the workload's rate, the servers in turn, with sipp on both sides."""
    with servers(plan, workload) as running, ExitStack() as stack:
        loads = {}
        for server in running:
            ports = [free_port() for _ in range(workload.contacts)]
            if workload.transport == "udp":
                register_users(plan.program, server, ports)
            else:
                bind_users(server, ports[0], workload.transport)
            loads[server.name] = load = SippLoad(workload, server, plan.folder, ports, plan.cores)
            stack.callback(load.stop)
            load.measure(workload.rate, plan.settled, 0.5)
        for turn in range(plan.rounds):
            order = running if turn % 2 == 0 else running[::-1]
            for server in order:
                figures[server.name].samples.append(one_round(plan, workload, server, loads[server.name]))
        for server in running if workload.has_probe else ():
            figures[server.name].waits += waits_under_load(plan, workload, server, loads[server.name])


def one_round(plan: Plan, workload: Workload, server: Server, load: SippLoad) -> Sample:
    """One window; a second try when an operation failed, because a failure voids the measurement."""
    for _ in range(3):
        sample = load.measure(workload.rate, WARM_UP, plan.window)
        words = (
            f"{workload.name:13} {server.name:8} {sample.server_us:6.1f} us, rel {sample.relative:5.3f}, "
            f"{sample.outcome.succeeded} of {sample.outcome.started}, "
            f"{sample.outcome.retransmissions} retransmissions"
        )
        say(words if sample.outcome.clean else words + "  VOID")
        if sample.outcome.clean:
            return sample
    raise LoadFailed(f"{workload.name} at {server.name}: three rounds with failures")


def waits_under_load(plan: Plan, workload: Workload, server: Server, load: SippLoad) -> list[float]:
    """Waits for the first answer while the load runs at its rate."""
    prober = Prober(server.port, invites=workload.invites)
    thread = threading.Thread(target=load.measure, args=(workload.rate, 1.0, plan.window + 1))
    thread.start()
    time.sleep(1.0)
    found = prober.run(plan.window)
    thread.join()
    ordered = sorted(found)
    say(f"{workload.name:13} {server.name:8} first answer p50 {statistics.median(ordered):.0f} us")
    return found


def measure_highest(plan: Plan, workload: Workload, figures: dict[str, Figures]) -> None:
    """The highest rate without a failure (RFC 7502 §4.1): doubling, then halving the interval."""
    for name in plan.names:
        server = Server(name, workload.config_of(name), plan.folder)
        try:
            ports = [free_port()] * workload.contacts
            register_users(plan.program, server, ports)
            figures[name].highest.append(highest_rate(plan, workload, server, ports))
        finally:
            server.stop()
        say(f"{workload.name:13} {name:8} highest rate {figures[name].highest[-1]}/s")


def attempt(plan: Plan, workload: Workload, server: Server, ports: list[int], rate: int) -> Outcome:
    """One try at a rate."""
    return generate(plan.program, workload.load, server, ports, rate=rate, seconds=int(plan.search))


def highest_rate(plan: Plan, workload: Workload, server: Server, ports: list[int]) -> int:
    """The highest rate at which a try was clean, within 4 %."""
    good, bad = 0, 0
    rate = workload.rate
    while not bad or bad - good > 0.04 * bad:
        outcome = attempt(plan, workload, server, ports, rate)
        clean = outcome.clean and outcome.late < 0.01 * outcome.started
        good, bad = (rate, bad) if clean else (good, rate)
        if rate < 50:
            break
        rate = (good + bad) // 2 if bad else rate * 2
        time.sleep(1.0 if clean else SETTLE)
    return good


@dataclass
class Growth:
    """Cost with that many bindings."""

    bindings: int
    call_us: float
    register_us: float
    binding_bytes: float


def measure_growth(plan: Plan, sizes: list[int]) -> dict[str, list[Growth]]:
    """A call and a refresh among few and among very many bindings, the servers in turn."""
    found: dict[str, list[Growth]] = {name: [] for name in plan.names}
    for size in sizes:
        for name in plan.names:
            server = Server(name, "call", plan.folder)
            try:
                grown = grow(plan, server, size)
            finally:
                server.stop()
            found[name].append(grown)
            say(
                f"{size:>9} bindings {name:8} call {grown.call_us:.1f} us, "
                f"register {grown.register_us:.1f} us, {grown.binding_bytes:.0f} bytes a binding"
            )
    return found


def grow(plan: Plan, server: Server, size: int) -> Growth:
    """Fill the server and measure with our own generator, which picks users all over the table."""
    ports = [free_port()]
    register_users(plan.program, server, ports, 10)
    empty = server.pss()
    register_users(plan.program, server, ports, size)
    bytes_each = (server.pss() - empty) / size
    costs = []
    for word in ("call", "register"):
        generate(plan.program, word, server, ports, rate=1000, seconds=2, users=size)
        before = server.cpu()
        outcome = generate(plan.program, word, server, ports, rate=1000, seconds=int(plan.window), users=size)
        costs.append((server.cpu() - before) / outcome.started * 1e6)
    return Growth(size, costs[0], costs[1], bytes_each)
