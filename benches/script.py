"""What deciding costs: microseconds of `Engine.poll()` for each request of a call through a script.

    .venv/bin/python -m benches.script [FILE] [--calls 5000]

The datagrams are handed to an `OfflineEndpoint`, so no system call is in the figures, and reading the bytes
is not either (`receive` runs before the clock starts): it is the script, the modules, and the native commands
that they call.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time

from sipyard._native.core import OfflineEndpoint
from sipyard.site import Site

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def request(
    method: str, uri: str, number: int, cseq: int, *lines: str, body: bytes = b"", tag: str = ""
) -> bytes:
    """A request of call `number`."""
    host = "127.0.0.1:5080"
    head = [
        f"{method} {uri} SIP/2.0",
        f"Via: SIP/2.0/UDP {host};branch=z9hG4bK{method}{number}",
        "Max-Forwards: 70",
        f"From: <sip:alice@127.0.0.1>;tag=a{number}",
        f"To: <sip:bob@127.0.0.1>{tag}",
        f"Call-ID: {number}@bench",
        f"CSeq: {cseq} {method}",
        "Contact: <sip:alice@127.0.0.1:5080>",
        *lines,
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def reply(status: str, relayed: bytes) -> bytes:
    """Bob's answer to what the proxy sent him."""
    wanted = (b"via:", b"from:", b"call-id:", b"cseq:", b"record-route:")
    lines = relayed.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    kept = [line for line in lines if line.lower().startswith(wanted)]
    to = next(line for line in lines if line.lower().startswith(b"to:"))
    if b"tag=" not in to:
        to += b";tag=b"
    tail = [to, b"Contact: <sip:bob@127.0.0.1:5090>", b"Content-Length: 0", b"", b""]
    return b"\r\n".join([f"SIP/2.0 {status}".encode(), *kept, *tail])


class Bench:
    """One server, one caller, one callee."""

    def __init__(self, path: str) -> None:
        self.endpoint = OfflineEndpoint(seed=1)
        self.endpoint.listen("udp", "127.0.0.1", 5060)
        self.site = Site.load(path)
        self.engine = self.site.engine(self.endpoint.core)
        self.now = 1.0
        self.spent: dict[str, list[float]] = {}

    def feed(self, data: bytes, port: int) -> list[bytes]:
        """Hand a datagram in and take out what it caused; notes what deciding took."""
        self.now += 0.0001
        self.endpoint.receive(self.now, data, 0, "127.0.0.1", port)
        start = time.perf_counter()
        self.engine.poll()
        took = time.perf_counter() - start
        self.spent.setdefault(data.split(b" ", 1)[0].decode(), []).append(took)
        return [sent[4] for sent in self.endpoint.poll_transmits()]

    def register(self) -> None:
        """Bob's phone."""
        data = (
            request("REGISTER", "sip:127.0.0.1", 0, 1).replace(b"alice", b"bob").replace(b":5080>", b":5090>")
        )
        self.feed(data, 5090)

    def call(self, number: int) -> None:
        """INVITE, 200, ACK, BYE, 200."""
        invite = request("INVITE", "sip:bob@127.0.0.1", number, 1, "Content-Type: application/sdp", body=SDP)
        sent = self.feed(invite, 5080)
        relayed = next(data for data in sent if data.startswith(b"INVITE"))
        self.feed(reply("200 OK", relayed), 5090)
        recorded = [
            line.split(b":", 1)[1].strip().decode()
            for line in relayed.split(b"\r\n")
            if line.lower().startswith(b"record-route:")
        ]
        route = [f"Route: {value}" for value in reversed(recorded)]
        uri = "sip:bob@127.0.0.1:5090"
        self.feed(request("ACK", uri, number, 1, *route, tag=";tag=b"), 5080)
        sent = self.feed(request("BYE", uri, number, 2, *route, tag=";tag=b"), 5080)
        relayed = next(data for data in sent if data.startswith(b"BYE"))
        self.feed(reply("200 OK", relayed), 5090)


async def measure(path: str, calls: int) -> Bench:
    """Run the calls."""
    bench = Bench(path)
    await bench.engine.start()
    bench.register()
    await asyncio.sleep(0.1)
    gc.collect()
    gc.freeze()
    for number in range(1, calls + 1):
        bench.call(number)
        if number == calls // 10:
            bench.spent.clear()  # warm by now
    await bench.engine.stop()
    return bench


def main() -> None:
    """Print a line for each method."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", default="examples/ser.cfg")
    parser.add_argument("--calls", type=int, default=5000)
    options = parser.parse_args()
    bench = asyncio.run(measure(options.file, options.calls))
    print(f"{options.file}, {options.calls} calls: µs of deciding")
    for method in ("INVITE", "ACK", "BYE"):
        spent = sorted(one * 1e6 for one in bench.spent[method])
        print(
            f"  {method:7} p10 {spent[len(spent) // 10]:6.1f}  median {statistics.median(spent):6.1f}"
            f"  mean {statistics.fmean(spent):6.1f}"
            f"  p95 {spent[len(spent) * 95 // 100]:6.1f}"
        )


if __name__ == "__main__":
    main()
