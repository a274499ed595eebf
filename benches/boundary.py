"""What crossing between Python and the native core costs, in nanoseconds of one thread.

Run: `.venv/bin/python benches/boundary.py`. Bars: a getter below 100 ns, an event below 600 ns.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sipyard._native import Branch, Message, OfflineEndpoint, Uri

ROUNDS = 7
COUNT = 20_000

INVITE = (
    "INVITE sip:bob@example.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bK{number}\r\n"
    "From: <sip:alice@example.com>;tag=a1b2c3\r\nTo: <sip:bob@example.com>\r\n"
    "Call-ID: {number}@198.51.100.7\r\n"
    "CSeq: 1 INVITE\r\nContact: <sip:alice@198.51.100.7:5070>\r\nMax-Forwards: 70\r\nUser-Agent: bench\r\n"
    "Content-Type: application/sdp\r\nContent-Length: 129\r\n\r\n" + "v" * 129
)


def best(run: Callable[[], int]) -> float:
    """Nanoseconds for one, the least of some rounds; `run` says how many it did."""
    times = []
    for _ in range(ROUNDS):
        before = time.thread_time_ns()
        count = run()
        times.append((time.thread_time_ns() - before) / count)
    return min(times)


def getters(message: Message, uri: Uri, endpoint: OfflineEndpoint) -> dict[str, Callable[[], object]]:
    """What scripts read most."""
    core = endpoint.core
    return {
        "message.method": lambda: message.method,
        "message.is_request": lambda: message.is_request,
        "message.request_uri": lambda: message.request_uri,
        "message.call_id": lambda: message.call_id,
        "message.from_uri": lambda: message.from_uri,
        "message.from_tag": lambda: message.from_tag,
        "message.to_tag": lambda: message.to_tag,
        "message.cseq_number": lambda: message.cseq_number,
        "message.source_ip": lambda: message.source_ip,
        "message.source_port": lambda: message.source_port,
        "message.max_forwards": lambda: message.max_forwards,
        "message.header('User-Agent')": lambda: message.header("User-Agent"),
        "message.header('X-None')": lambda: message.header("X-None"),
        "message.has_header('Route')": lambda: message.has_header("Route"),
        "uri.user": lambda: uri.user,
        "uri.host": lambda: uri.host,
        "uri.port": lambda: uri.port,
        "uri.parameter('transport')": lambda: uri.parameter("transport"),
        "Uri(text)": lambda: Uri("sip:bob@example.com:5070;transport=udp"),
        "core.is_myself(host, port)": lambda: core.is_myself("example.com", 5060),
        "core.is_myself_uri(uri)": lambda: core.is_myself_uri("sip:bob@example.com"),
        "core.target(uri)": lambda: core.target("sip:bob@203.0.113.5:5070"),
        "core.pending": lambda: core.pending,
    }


def called(function: Callable[[], object]) -> Callable[[], int]:
    def run() -> int:
        for _ in range(COUNT):
            function()
        return COUNT

    return run


class Traffic:
    """Requests into an offline endpoint, each of them new."""

    def __init__(self) -> None:
        self.endpoint = OfflineEndpoint(queue_limit=1_000_000)
        self.endpoint.listen("udp", "192.0.2.1", 5060)
        self.core = self.endpoint.core
        self.now, self.number = 1.0, 0

    def receive(self, count: int) -> None:
        for _ in range(count):
            self.number += 1
            data = INVITE.format(number=self.number).encode()
            self.endpoint.receive(self.now, data, 0, "198.51.100.7", 5070)

    def rest(self) -> None:
        """Forget all transactions."""
        self.now += 1000.0
        self.endpoint.advance(self.now)
        self.endpoint.poll_transmits(1_000_000)
        self.core.poll_events(1_000_000)

    def timed(self, count: int, work: Callable[[list[Message]], object]) -> float:
        """Nanoseconds of `work` for each of `count` new messages, the least of some rounds."""
        times = []
        for _ in range(ROUNDS):
            self.receive(count)
            messages = [event[1] for event in self.core.poll_events(count)]
            before = time.thread_time_ns()
            work([message for message in messages if message is not None])
            times.append((time.thread_time_ns() - before) / count)
            self.rest()
        return min(times)

    def received(self, count: int) -> float:
        """Nanoseconds for taking one datagram, up to the event queue."""
        times = []
        for _ in range(ROUNDS):
            first, self.number = self.number + 1, self.number + count
            datagrams = [INVITE.format(number=first + offset).encode() for offset in range(count)]
            before = time.thread_time_ns()
            for data in datagrams:
                self.endpoint.receive(self.now, data, 0, "198.51.100.7", 5070)
            times.append((time.thread_time_ns() - before) / count)
            self.rest()
        return min(times)

    def polled(self, count: int) -> float:
        """Nanoseconds for taking one event out and letting it go again."""
        times = []
        for _ in range(ROUNDS):
            self.receive(count)
            before = time.thread_time_ns()
            while self.core.poll_events(32):
                pass
            times.append((time.thread_time_ns() - before) / count)
            self.rest()
        return min(times)

    def relay(self, messages: list[Message]) -> None:
        """What t_relay does natively: transaction, target, branch, 100 and the request."""
        core = self.core
        for message in messages:
            message.record_route(params=";ftag=a")
            message.decrement_max_forwards(10, 0)
            transaction = core.new_transaction(message)
            target = core.target("sip:bob@203.0.113.5:5070")
            assert transaction is not None
            assert target is not None
            transaction.relay([Branch(message, "sip:bob@203.0.113.5:5070", [target])])

    def reply(self, messages: list[Message]) -> None:
        for message in messages:
            self.core.reply(message, 302, "Moved", headers="Contact: <sip:a@b>\r\n")


def main() -> None:
    traffic = Traffic()
    traffic.core.configure(aliases=[("example.com", 0, None)])
    traffic.receive(1)
    message = traffic.core.poll_events()[0][1]
    assert message is not None
    overhead = best(called(lambda: None))
    rows = {
        name: best(called(function)) - overhead
        for name, function in getters(
            message, Uri("sip:bob@example.com:5070;transport=udp"), traffic.endpoint
        ).items()
    }
    rows["event (poll_events, message made and dropped)"] = traffic.polled(500)
    rows["receive of an INVITE (one offline call)"] = traffic.received(500)
    rows["stateless reply"] = traffic.timed(500, traffic.reply)
    rows["relay of an INVITE (all native calls)"] = traffic.timed(500, traffic.relay)
    for name, nanoseconds in rows.items():
        print(f"{name:<48}{nanoseconds:>9.0f} ns")


if __name__ == "__main__":
    main()
