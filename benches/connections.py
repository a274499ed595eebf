"""What connections cost: memory of one that is silent, CPU of a new TLS handshake."""

from __future__ import annotations

import contextlib
import re
import resource
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from benches.series import Plan, say
from benches.servers import Server

CONNECTIONS = 5_000
_MADE = re.compile(r"^(\d+) connections in (\d+) real seconds", re.MULTILINE)


@dataclass
class Costs:
    """What one server showed."""

    connection_bytes: float
    handshake_us: float
    handshakes_a_second: float


def measure_connections(plan: Plan) -> dict[str, Costs]:
    """Each server in turn."""
    found = {}
    for name in plan.names:
        memory = memory_of_one(plan, name)
        micros, rate = handshakes(plan, name)
        found[name] = Costs(memory, micros, rate)
        say(f"{name:8} {memory:.0f} bytes a connection")
        say(f"{name:8} {micros:.0f} us a TLS handshake, {rate:.0f} of them a second")
    return found


def memory_of_one(plan: Plan, name: str) -> float:
    """Bytes of memory of a connection over TCP that has had one answer and is silent."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, CONNECTIONS + 1_000), hard))
    server = Server(name, "call_tcp", plan.folder, transports=("udp", "tcp"))
    try:
        with contextlib.ExitStack() as stack:
            speak(server, stack, 100)  # what is there once for all
            before = server.pss()
            speak(server, stack, CONNECTIONS)
            return (server.pss() - before) / CONNECTIONS
    finally:
        server.stop()


def speak(server: Server, stack: contextlib.ExitStack, count: int) -> None:
    """Connections that are answered once and stay."""
    for number in range(count):
        one = stack.enter_context(socket.socket())
        one.settimeout(10)
        one.bind((f"127.2.{number // 200}.{1 + number % 200}", 0))
        one.connect(("127.0.0.1", server.port))
        one.sendall(server.request("OPTIONS", "nobody", one.getsockname()[1]))
        one.recv(4096)


def handshakes(plan: Plan, name: str) -> tuple[float, float]:
    """CPU microseconds of the server for a new handshake of TLS 1.3, and how many openssl made a second."""
    certificate(plan.folder / "server.pem")
    server = Server(name, "tls", plan.folder, transports=("udp", "tls"), files=[plan.folder / "server.pem"])
    try:
        timed(server, 1)
        before = server.cpu()
        made, seconds = timed(server, int(plan.window))
        time.sleep(0.5)  # the last ones end
        return (server.cpu() - before) / made * 1e6, made / seconds
    finally:
        server.stop()


def certificate(file: Path) -> None:
    """One of P-256, with its key."""
    from sipyard.sip.authority import Authority

    file.write_bytes(Authority.create("Bench").issue(["127.0.0.1"]))


def timed(server: Server, seconds: int) -> tuple[int, int]:
    """How many new handshakes openssl makes, in how many seconds."""
    command = [shutil.which("openssl") or "openssl", "s_time", "-new", "-time", str(seconds)]
    command += ["-connect", f"127.0.0.1:{server.tls_port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 30)
    found = _MADE.search(done.stdout)
    if found is None:
        raise RuntimeError(f"openssl s_time at {server.name}: {done.stdout[-500:]}{done.stderr[-500:]}")
    return int(found[1]), max(int(found[2]), 1)
