"""Row N3: TLS that renegotiates, dribbles, stalls or shows a revoked certificate; and openssl's sessions."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import Authority
from interop.processes import Router, free_port, program, sipyard, status
from interop.test_tls import OPTIONS, Caller, is_answered
from sipyard.management.json_rpc import Client

SCRIPT = Path(__file__).with_name("tls.cfg")


class Server:
    """A server with TLS, and the authority of its certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.authority = Authority(folder)
        self.authority.issue("server.pem", "server", "127.0.0.1")
        self.known = self.authority.issue("known.pem", "known", "known.example.com")
        self.revoked = self.authority.issue("revoked.pem", "revoked", "revoked.example.com")
        self.authority.revoke("crl.pem", self.revoked)
        (folder / "tls.cfg").write_text(
            "[server:default]\ncertificate = server.pem\nverify_certificate = yes\n"
            f"ca_list = {self.authority.file.name}\ncrl = crl.pem\n"
        )
        self.router: Router = sipyard(SCRIPT, folder, TLS=str(self.port))

    def openssl(self, *words: str, say: str = "", seconds: float = 10) -> str:
        """What openssl's client prints."""
        command = [program("openssl"), "s_client", "-connect", f"127.0.0.1:{self.port}", *words]
        command += ["-CAfile", str(self.authority.file)]
        done = subprocess.run(
            command, input=say, capture_output=True, text=True, timeout=seconds, check=False, errors="replace"
        )
        return done.stdout + done.stderr

    def serves(self) -> bool:
        """Whether an honest client is answered, and soon."""
        began = time.monotonic()
        with Caller(self.port, self.authority) as caller:
            return status(caller.ask().encode()) == 200 and time.monotonic() - began < 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("tls"))
    yield made
    code, log = made.router.stop(), made.router.text()
    assert code == 0
    assert "Traceback" not in log, log[-3000:]
    assert "panicked" not in log, log[-3000:]


@pytest.fixture(autouse=True)
def others_are_served(server: Server) -> Iterator[None]:
    """Whatever is tried, the next client is served."""
    yield
    assert server.serves()
    assert server.router.ping() < 0.2


def context_of(server: Server, *, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(server.authority.file))
    context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_resumed(server: Server, version: ssl.TLSVersion) -> None:
    context, session = context_of(server, version=version), None
    for attempt in range(3):
        plain = socket.create_connection(("127.0.0.1", server.port), timeout=5)
        with context.wrap_socket(plain, server_hostname="127.0.0.1", session=session) as secured:
            secured.sendall(OPTIONS.format(n=attempt).encode())
            assert status(secured.recv(65536)) == 200
            assert secured.session_reused is (attempt > 0)
            session = secured.session


def test_a_revoked_certificate_is_refused_and_its_reason_logged(server: Server) -> None:
    with Caller(server.port, server.authority, own=server.known) as caller:
        assert status(caller.ask().encode()) == 200
    assert not is_answered(server.port, server.authority, server.revoked)
    assert "failed: invalid peer certificate: Revoked" in server.router.text()


def test_openssl_asks_for_another_handshake(server: Server) -> None:
    """`R` makes openssl renegotiate, which rustls never does: the connection ends, nobody else's does."""
    with Caller(server.port, server.authority) as other:
        told = server.openssl("-tls1_2", say="R\n" * 20)
        assert "RENEGOTIATING" in told
        assert status(other.ask().encode()) == 200


def test_records_of_one_byte(server: Server) -> None:
    """Each byte in a record of its own, and each record in packets of one byte at first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = context_of(server).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def flush() -> None:
            for byte in outgoing.read():
                plain.send(bytes([byte]))

        while True:
            try:
                secured.do_handshake()
                break
            except ssl.SSLWantReadError:
                flush()
                incoming.write(plain.recv(65536))
        flush()
        for byte in OPTIONS.format(n=1).encode():
            secured.write(bytes([byte]))
            plain.sendall(outgoing.read())
        while True:
            try:
                assert status(secured.read(65536)) == 200
                return
            except ssl.SSLWantReadError:
                incoming.write(plain.recv(65536))


def hello(server: Server) -> bytes:
    """A whole ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    secured = context_of(server).wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with contextlib.suppress(ssl.SSLWantReadError):
        secured.do_handshake()
    return outgoing.read()


STALLS = {
    "nothing": slice(0, 0),
    "a byte": slice(0, 1),
    "half a hello": slice(0, 100),
    "a hello": slice(None),
}


@pytest.mark.parametrize("part", STALLS.values(), ids=list(STALLS))
def test_who_stalls_in_the_handshake_is_cut(server: Server, part: slice) -> None:
    """By its deadline (here 3 s), whatever it has said; a crowd of them keeps nobody out."""
    say = hello(server)[part]
    with contextlib.ExitStack() as stack:
        held = []
        for _ in range(100):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=8))
            one.sendall(say)
            held.append(one)
        assert server.serves()
        for one in held:
            with contextlib.suppress(ConnectionError):
                while one.recv(65536):
                    pass  # the server's part of the handshake, then the end


GARBAGE = {
    "an HTTP request": b"GET / HTTP/1.1\r\n\r\n",
    "an alert": b"\x15\x03\x01\x00\x02\x02\x28",
    "a record of nothing": b"\x16\x03\x01\x00\x00" * 100,
    "a record too long": b"\x16\x03\x01\xff\xff" + bytes(70_000),
    "an old version": b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=list(GARBAGE))
def test_what_is_no_handshake(server: Server, data: bytes) -> None:
    with (
        contextlib.suppress(ConnectionError),
        socket.create_connection(("127.0.0.1", server.port), timeout=8) as one,
    ):
        one.sendall(data)
        while one.recv(65536):
            pass


def test_a_flood_of_handshakes(server: Server) -> None:
    """As many as two threads make in three seconds: honest clients are served, and no descriptor is kept."""
    held = len(list(Path(f"/proc/{server.router.process.pid}/fd").iterdir()))
    stop = threading.Event()
    made = [0, 0]

    def flood(number: int) -> None:
        context = context_of(server)
        while not stop.is_set():
            with contextlib.suppress(OSError), socket.socket() as plain:
                plain.settimeout(5)
                plain.bind((f"127.0.0.{50 + number}", 0))
                plain.connect(("127.0.0.1", server.port))
                context.wrap_socket(plain, server_hostname="127.0.0.1").close()
                made[number] += 1

    threads = [threading.Thread(target=flood, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            assert server.serves()
            assert server.router.ping() < 1
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert sum(made) > 200
    time.sleep(0.5)  # what hung up is let go
    assert len(list(Path(f"/proc/{server.router.process.pid}/fd").iterdir())) <= held + 10


def test_certificates_are_renewed_under_load(server: Server) -> None:
    """Handshakes go on while the certificate is read anew again and again; a connection that stands stays."""
    failed: list[str] = []
    stop = threading.Event()

    def call() -> None:
        while not stop.is_set():
            try:
                if not server.serves():
                    failed.append("late")
            except (OSError, AssertionError) as error:
                failed.append(repr(error))

    callers = [threading.Thread(target=call) for _ in range(2)]
    with Caller(server.port, server.authority) as standing, Client(server.folder / "ctl") as ctl:
        for caller in callers:
            caller.start()
        for _ in range(20):
            server.authority.issue("server.pem", "server", "127.0.0.1")
            ctl.call("tls.reload")
            assert status(standing.ask().encode()) == 200
        stop.set()
        for caller in callers:
            caller.join()
    assert failed == []
