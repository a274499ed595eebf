"""Connections of the endpoint on real sockets: framing, reuse, aliases, limits, deadlines."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipyard import _native as native
from sipyard._native import Endpoint

OPTIONS = (
    "OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:{port};branch=z9hG4bK{branch};{via}\r\n"
    "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:ping@127.0.0.1>\r\nCall-ID: o@h\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 70\r\nContent-Length: {length}\r\n\r\n{body}"
)


def options(branch: str = "o1", body: str = "", port: int = 5060, via: str = "rport") -> bytes:
    return OPTIONS.format(branch=branch, body=body, length=len(body), port=port, via=via).encode()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with contextlib.closing(Endpoint()) as one:
        yield one


def dial(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def serve(endpoint: Endpoint, seconds: float = 0.2) -> list[str]:
    """Answer what comes for a while; the Call-IDs (of requests) and texts (of the rest) of all events."""
    seen = []
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        endpoint.wait(left)
        for kind, message, text, *_ in endpoint.core.poll_events():
            if message is not None:
                endpoint.core.reply(message, 200, "OK")
                seen.append(message.body.decode())
            else:
                seen.append(f"{kind} {text}")
    return seen


def test_messages_in_any_pieces(endpoint: Endpoint) -> None:
    listener = endpoint.listen("tcp", "127.0.0.1", 0)
    assert listener.uri == f"sip:127.0.0.1:{listener.port};transport=tcp"
    with dial(listener.port) as phone:
        data = options("a", "one") + b"\r\n\r\n" + options("b", "two")
        for at in range(0, len(data), 37):
            phone.sendall(data[at : at + 37])
            serve(endpoint, 0.002)
        serve(endpoint)
        answer = phone.recv(65536).decode()
        assert answer.count("SIP/2.0 200 OK\r\n") == 2
        assert "\r\n\r\n\r\nSIP/2.0" in answer  # the pong stands between the answers
        assert (endpoint.core.counters()["connections.pings"], endpoint.core.live()["connections"]) == (1, 1)
    assert serve(endpoint) == []
    assert endpoint.core.live()["connections"] == 0


@pytest.mark.parametrize(
    "bytes_",
    [
        options().replace(b"Content-Length: 0", b"Content-Length: -1"),
        options().replace(b"Content-Length: 0", b"Content-Length: +5"),
        options().replace(b"Content-Length: 0", b"Content-Length: 0\r\nl: 5"),
        options().replace(b"Content-Length: 0", b"Content-Length: 4294967296"),
        options().replace(b"Content-Length: 0\r\n", b""),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"INVITE sip:a " + b"x" * 70000,
    ],
)
def test_what_has_no_clear_end_is_hung_up_on(endpoint: Endpoint, bytes_: bytes) -> None:
    listener = endpoint.listen("tcp", "127.0.0.1", 0)
    with dial(listener.port) as phone:
        phone.sendall(bytes_ + options("b", "smuggled"))
        assert "smuggled" not in serve(endpoint)
        with contextlib.suppress(ConnectionResetError):
            rest = phone.recv(65536)
            assert rest == b"" or rest.startswith(b"SIP/2.0 400")
        assert endpoint.core.live()["connections"] == 0


def test_requests_of_ours_take_the_connection_that_there_is(endpoint: Endpoint) -> None:
    listener = endpoint.listen("tcp", "127.0.0.1", 0)
    with dial(listener.port) as phone, socket.create_server(("127.0.0.1", 0)) as server:
        phone.sendall(options(via="rport;alias", port=5099))
        endpoint.core.configure(tcp_accept_aliases=True)
        serve(endpoint)
        phone.recv(65536)
        for port in (phone.getsockname()[1], 5099):
            target = endpoint.core.target_for("tcp", "127.0.0.1", port)
            assert endpoint.core.send_raw(options(f"to{port}"), target)
            serve(endpoint, 0.05)
            assert f"z9hG4bKto{port}".encode() in phone.recv(65536)
        (number,) = endpoint.core.connections()
        known = endpoint.core.connection(number)
        assert known is not None
        assert (known.remote, known.aliases) == (phone.getsockname(), [("127.0.0.1", 5099)])
        # A second connection may not take the first one's address.
        with dial(listener.port) as thief:
            thief.sendall(options(via="rport;alias", port=5099))
            serve(endpoint)
            assert endpoint.core.send_raw(b"x", endpoint.core.target_for("tcp", "127.0.0.1", 5099))
            serve(endpoint, 0.05)
            assert phone.recv(65536) == b"x"
        # To another address: a new connection, from the listener's address.
        target = endpoint.core.target_for("tcp", "127.0.0.1", server.getsockname()[1])
        assert endpoint.core.send_raw(b"hello", target)
        serve(endpoint)
        server.settimeout(10)
        accepted, _ = server.accept()
        with accepted:
            assert accepted.recv(100) == b"hello"


def test_who_cannot_be_reached_costs_the_branch_at_once(endpoint: Endpoint) -> None:
    endpoint.listen("tcp", "127.0.0.1", 0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    target = endpoint.core.target_for("tcp", "127.0.0.1", port)
    client = endpoint.core.request(
        "OPTIONS", "sip:x@127.0.0.1", "From: <sip:a@h>\r\nTo: <sip:b@h>\r\n", b"", [target]
    )
    end = time.monotonic() + 5
    while not endpoint.core.pending and time.monotonic() < end:
        endpoint.wait(0.1)
    ((kind, _, of, status, _),) = endpoint.core.poll_events()
    assert (kind, of, status) == (native.CLIENT_TIMEOUT, client, 503)


def test_slow_and_silent_peers_are_cut(endpoint: Endpoint) -> None:
    endpoint.core.configure(tcp_first_message=0.3, tcp_message_time=0.3, tcp_connection_lifetime=0.6)
    listener = endpoint.listen("tcp", "127.0.0.1", 0)
    silent, dripping, honest = (dial(listener.port) for _ in range(3))
    with silent, dripping, honest:
        honest.sendall(options("h"))
        dripping.sendall(options("d") + b"OPT")
        serve(endpoint, 0.4)
        assert endpoint.core.live()["connections"] == 1
        assert endpoint.core.counters()["connections.cut"] == 2
        honest.sendall(b"\r\n\r\n")  # keeps it alive
        serve(endpoint, 0.4)
        assert endpoint.core.live()["connections"] == 1
        serve(endpoint, 0.5)
        assert endpoint.core.live()["connections"] == 0


def test_who_speaks_before_he_reads_gets_all_of_it(endpoint: Endpoint) -> None:
    """What waits for room goes on waiting when something comes the other way."""
    listener = endpoint.listen("tcp", "127.0.0.1", 0)
    with dial(listener.port) as peer:
        peer.sendall(options("a"))
        serve(endpoint, 0.05)
        assert peer.recv(65536).startswith(b"SIP/2.0 200")
        target = endpoint.core.target_for("tcp", "127.0.0.1", peer.getsockname()[1])
        sent = 0
        while not endpoint.core.counters()["connections.unsent"]:  # the kernel's buffers are full, and ours
            endpoint.core.send_raw(b"x" * 60000, target)
            endpoint.flush()
            sent += 60000
        sent -= 60000
        peer.sendall(b"\r\n")
        serve(endpoint, 0.05)
        received, end = 0, time.monotonic() + 10
        while received < sent and time.monotonic() < end:
            endpoint.wait(0.0)
            received += len(peer.recv(1 << 20)) if select.select([peer], [], [], 0.05)[0] else 0
        assert received == sent


def test_a_peer_that_does_not_read_delays_nobody(endpoint: Endpoint) -> None:
    endpoint.core.configure(tcp_send_timeout=0.3, tcp_queue=1 << 20)
    listener = endpoint.listen("tcp", "127.0.0.1", 0)
    with dial(listener.port) as deaf, dial(listener.port) as honest:
        deaf.sendall(options("d"))
        serve(endpoint, 0.05)
        target = endpoint.core.target_for("tcp", "127.0.0.1", deaf.getsockname()[1])
        for _ in range(1000):  # more than the kernel's buffers take, then more than ours
            endpoint.core.send_raw(b"x" * 60000, target)
            endpoint.flush()
        honest.sendall(options("h"))
        serve(endpoint, 0.1)
        assert honest.recv(65536).startswith(b"SIP/2.0 200")
        serve(endpoint, 0.5)
        counters = endpoint.core.counters()
        assert counters["connections.cut"] == 1
        assert counters["connections.unsent"] > 500


def test_one_address_cannot_take_every_place(endpoint: Endpoint) -> None:
    """Row N1 in small: strangers of one address are few, and give way to who comes from elsewhere."""
    endpoint.core.configure(tcp_max_connections=20, tcp_max_strangers_of_one=15, tcp_max_of_one=18)
    listener = endpoint.listen("tcp", "127.0.0.1", 0)
    with contextlib.ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(dial(listener.port))
            serve(endpoint, 0.002)
        assert endpoint.core.live()["connections"] == 15
        for number in range(30):
            honest = stack.enter_context(socket.socket())
            honest.bind((f"127.0.0.{2 + number}", 0))
            honest.settimeout(10)
            honest.connect(("127.0.0.1", listener.port))
            honest.sendall(options(f"h{number}"))
            serve(endpoint, 0.01)
            assert honest.recv(65536).startswith(b"SIP/2.0 200"), number
            honest.close()
            serve(endpoint, 0.01)
        assert endpoint.core.live()["connections"] >= 15


def test_out_of_descriptors_the_rest_goes_on(endpoint: Endpoint) -> None:
    """Row N2: no busy loop, UDP and established connections live, a word for the log, and recovery."""
    endpoint.core.configure(tcp_max_strangers_of_one=1000)
    listener = endpoint.listen("tcp", "127.0.0.1", 0)
    udp = endpoint.listen("udp", "127.0.0.1", 0)
    crowd = subprocess.Popen(
        [sys.executable, "-c", CROWD, str(listener.port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with crowd, dial(listener.port) as established, socket.socket(type=socket.SOCK_DGRAM) as phone:
        established.sendall(options("e1"))
        serve(endpoint, 0.1)
        established.recv(65536)
        phone.connect(("127.0.0.1", udp.port))
        phone.settimeout(10)
        used = sum(1 for _ in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, limits[1]))
        try:
            assert crowd.stdin is not None
            crowd.stdin.write(b"go\n")
            crowd.stdin.flush()
            before = time.process_time()
            said = serve(endpoint, 1.5)
            assert time.process_time() - before < 0.75  # no busy loop
            assert 1 <= len([text for text in said if "descriptors" in text]) <= 3
            phone.send(options("u1"))
            established.sendall(options("e2"))
            serve(endpoint, 0.1)
            assert phone.recv(65536).startswith(b"SIP/2.0 200")
            assert established.recv(65536).startswith(b"SIP/2.0 200")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            crowd.kill()
        serve(endpoint, 0.5)
        with dial(listener.port) as late:
            late.sendall(options("l"))
            serve(endpoint, 0.5)
            assert late.recv(65536).startswith(b"SIP/2.0 200")


CROWD = """
import socket, sys
sys.stdin.readline()
held = []
for _ in range(100):
    held.append(socket.socket())
    held[-1].setblocking(False)
    held[-1].connect_ex(("127.0.0.1", int(sys.argv[1])))
sys.stdin.read()
"""


@pytest.mark.parametrize("threads", [0, 1])
def test_over_ipv6_and_with_a_thread_that_does_the_work(threads: int) -> None:
    with contextlib.closing(Endpoint(threads=threads)) as endpoint:
        listener = endpoint.listen("tcp", "::1", 0)
        assert listener.uri == f"sip:[::1]:{listener.port};transport=tcp"
        with socket.create_connection(("::1", listener.port), timeout=10) as phone:
            phone.sendall(options("v6"))
            end = time.monotonic() + 10
            while not endpoint.core.pending and time.monotonic() < end:
                if threads:
                    select.select([endpoint.fileno()], [], [], 1)
                    endpoint.acknowledge()
                else:
                    endpoint.wait(1)
            ((kind, message, *_),) = endpoint.core.poll_events()
            assert kind == native.REQUEST
            assert message is not None
            assert (message.protocol, message.source_ip) == ("tcp", "::1")
            endpoint.core.reply(message, 200, "OK")
            endpoint.flush()
            assert phone.recv(65536).startswith(b"SIP/2.0 200 OK\r\n")
            with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
                target = endpoint.core.target_for("tcp", "::1", server.getsockname()[1])
                endpoint.core.send_raw(b"hello", target)
                endpoint.flush()
                server.settimeout(10)
                accepted, _ = server.accept()
                accepted.settimeout(10)
                with accepted:
                    if not threads:
                        endpoint.wait(0.1)
                    assert accepted.recv(100) == b"hello"
