"""The endpoint on real sockets, from Python, in both modes."""

import select
import socket
import threading

import pytest

from sipyard import _native as native
from sipyard._native import Endpoint

OPTIONS = (
    "OPTIONS sip:ping@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKo1;rport\r\n"
    "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:ping@127.0.0.1>\r\nCall-ID: o@h\r\nCSeq: 1 OPTIONS\r\n"
    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


@pytest.fixture
def phone():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        one.settimeout(10)
        yield one


def ping(phone: socket.socket, port: int) -> None:
    phone.sendto(OPTIONS.format(port=phone.getsockname()[1]).encode(), ("127.0.0.1", port))


def answer(endpoint: Endpoint) -> int:
    events = endpoint.core.poll_events()
    for kind, message, *_ in events:
        assert kind == native.REQUEST
        assert message is not None
        endpoint.core.reply(message, 200, "OK")
    return len(events)


def test_selector_mode(phone: socket.socket) -> None:
    endpoint = Endpoint()
    listener = endpoint.listen("udp", "127.0.0.1", 0)
    assert (listener.index, listener.protocol, listener.ip) == (0, "udp", "127.0.0.1")
    assert listener.uri == f"sip:127.0.0.1:{listener.port}"
    assert endpoint.wait(0) == []
    ping(phone, listener.port)
    assert endpoint.wait(10) == []
    assert endpoint.core.pending == 1
    assert answer(endpoint) == 1
    endpoint.flush()
    assert phone.recv(2048).startswith(b"SIP/2.0 200 OK\r\n")
    endpoint.close()
    assert endpoint.is_closed
    assert endpoint.wait(None) == []


def test_thread_mode(phone: socket.socket) -> None:
    endpoint = Endpoint(threads=1)
    listener = endpoint.listen("udp", "127.0.0.1", 0)
    ping(phone, listener.port)
    readable, _, _ = select.select([endpoint.fileno()], [], [], 10)
    assert readable
    endpoint.acknowledge()
    assert answer(endpoint) == 1
    endpoint.flush()
    assert phone.recv(2048).startswith(b"SIP/2.0 200 OK\r\n")
    assert not select.select([endpoint.fileno()], [], [], 0)[0]
    endpoint.close()


def test_foreign_descriptors() -> None:
    endpoint = Endpoint()
    left, right = socket.socketpair()
    with left, right:
        endpoint.register(right.fileno(), native.EVENT_READ)
        assert endpoint.wait(0) == []
        left.send(b"x")
        assert endpoint.wait(10) == [(right.fileno(), native.EVENT_READ)]
        endpoint.modify(right.fileno(), native.EVENT_READ | native.EVENT_WRITE)
        assert endpoint.wait(10) == [(right.fileno(), native.EVENT_READ | native.EVENT_WRITE)]
        endpoint.unregister(right.fileno())
        assert endpoint.wait(0) == []
        with pytest.raises(OSError, match="No such file"):
            endpoint.unregister(right.fileno())
        with pytest.raises(ValueError, match="invalid events"):
            endpoint.register(right.fileno(), 0)
    endpoint.close()


def test_another_thread_can_wake() -> None:
    endpoint = Endpoint()
    waker = threading.Thread(target=endpoint.wake)
    waker.start()
    assert endpoint.wait(10) == []
    waker.join()
    endpoint.close()


def test_what_cannot_be_listened_on() -> None:
    endpoint = Endpoint()
    listener = endpoint.listen("udp", "127.0.0.1", 0)
    with pytest.raises(OSError, match="in use") as caught:
        endpoint.listen("udp", "127.0.0.1", listener.port)
    assert caught.value.errno is not None
    for protocol, ip in [("pigeon", "127.0.0.1"), ("udp", "localhost")]:
        with pytest.raises(ValueError, match=r"."):
            endpoint.listen(protocol, ip, 0)
    with pytest.raises(ValueError, match="at most one"):
        Endpoint(threads=2)
    endpoint.close()


def test_the_clock_is_that_of_asyncio() -> None:
    import time

    endpoint = Endpoint()
    before = time.monotonic()
    assert before - 0.001 <= endpoint.now() <= time.monotonic() + 0.001
    assert before - 0.1 <= endpoint.core.now <= time.monotonic()
    endpoint.close()
