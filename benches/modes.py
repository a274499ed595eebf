"""Selector mode against thread mode: CPU of a server that answers each OPTIONS statelessly from Python.

Run: `.venv/bin/python benches/modes.py`. Prints, for each mode, microseconds of CPU a request, all threads
together.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
import socket
import time
from multiprocessing.connection import Connection

from sipyard._native import Endpoint
from sipyard.loop import EndpointLoop

RATE, SECONDS, ROUNDS = 2000, 3.0, 3
OPTIONS = (
    "OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{number};rport\r\n"
    "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:ping@127.0.0.1>\r\nCall-ID: {number}@h\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def serve(threads: int, pipe: Connection) -> None:
    """Answer until the pipe says stop, then tell the CPU seconds used since the start signal."""
    endpoint = Endpoint(threads=threads)
    core = endpoint.core
    listener = endpoint.listen("udp", "127.0.0.1", 0)

    def decide() -> None:
        for _, message, *_ in core.poll_events():
            assert message is not None
            core.reply(message, 200, "OK")

    def drain() -> None:
        endpoint.acknowledge()
        decide()
        endpoint.flush()

    loop: asyncio.AbstractEventLoop
    if threads:
        loop = asyncio.SelectorEventLoop()
        loop.add_reader(endpoint.fileno(), drain)
    else:
        own = EndpointLoop(endpoint)
        own.on_events(decide)
        loop = own
    loop.add_reader(pipe.fileno(), loop.stop)
    pipe.send(listener.port)
    pipe.recv()
    before = resource.getrusage(resource.RUSAGE_SELF)
    loop.run_forever()
    after = resource.getrusage(resource.RUSAGE_SELF)
    pipe.send(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    endpoint.close()


def measure(threads: int) -> float:
    """CPU microseconds a request."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(threads, there))
    process.start()
    port = here.recv()
    here.send("start")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(2)
        own = phone.getsockname()[1]
        start, count = time.monotonic(), int(RATE * SECONDS)
        for number in range(count):
            phone.sendto(OPTIONS.format(port=own, number=number).encode(), ("127.0.0.1", port))
            assert phone.recv(2048).startswith(b"SIP/2.0 200")
            time.sleep(max(0.0, start + number / RATE - time.monotonic()))
    here.send("stop")
    used = float(here.recv())
    process.join()
    return used * 1e6 / count


def main() -> None:
    found: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(ROUNDS):
        for threads, figures in found.items():
            figures.append(measure(threads))
    for threads, figures in found.items():
        name = "thread mode" if threads else "selector mode"
        print(f"{name:<16}{min(figures):8.1f} us  ({', '.join(f'{figure:.1f}' for figure in figures)})")


if __name__ == "__main__":
    main()
