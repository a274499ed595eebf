"""TLS with openssl's clients and baresip: certificates by address and name, checks, reload, mutual TLS."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from certificates import Authority
from interop.baresip import Baresip
from interop.processes import Router, free_port, status
from sipyard.cli import main
from sipyard.management.json_rpc import Client
from sipyard.management.registry import RpcFault

SCRIPT = "tls"
OPTIONS = (
    "OPTIONS sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:5061;branch=z9hG4bKt{n};rport\r\n"
    "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1>\r\nCall-ID: t\r\nCSeq: {n} OPTIONS\r\n"
    "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


class Caller:
    """A connection over TLS by OpenSSL (Python's ssl)."""

    def __init__(
        self,
        port: int,
        authority: Authority,
        *,
        own: Path | None = None,
        name: str = "127.0.0.1",
        **limits: object,
    ) -> None:
        context = ssl.create_default_context(cafile=str(authority.file))
        if own is not None:
            context.load_cert_chain(own)
        for setting, value in limits.items():
            setattr(context, setting, value)
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.socket = context.wrap_socket(plain, server_hostname=name)
        self.count = 0

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def ask(self) -> str:
        """The answer to an OPTIONS."""
        self.count += 1
        self.socket.sendall(OPTIONS.format(n=self.count).encode())
        return self.socket.recv(65536).decode()

    def header(self, name: str) -> str:
        """A header of the answer."""
        lines = [line for line in self.ask().split("\r\n") if line.startswith(f"{name}: ")]
        return lines[0].partition(": ")[2]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def is_answered(port: int, authority: Authority, own: Path | None) -> bool:
    """Whether somebody with this certificate gets an answer. (With TLS 1.3 a client learns only after its
    handshake that its certificate is not taken.)"""
    try:
        with Caller(port, authority, own=own) as caller:
            return status(caller.ask().encode()) == 200
    except (ssl.SSLError, ConnectionError):
        return False


Start = Callable[..., Router]


def start(start_router: Start, folder: Path, config: str) -> tuple[int, Router]:
    port = free_port()
    (folder / "tls.cfg").write_text(config)
    router = start_router(SCRIPT, TLS=str(port), CONFIG=str(folder / "tls.cfg"), CTL=str(folder / "ctl"))
    return port, router


SERVER = "[server:default]\ncertificate = server.pem\n"


def test_a_client_without_a_certificate(start_router: Start, tmp_path: Path, authority: Authority) -> None:
    authority.issue("server.pem", "sip.example.com", "127.0.0.1", "sip.example.com")
    port, _ = start(start_router, tmp_path, SERVER)
    with Caller(port, authority) as caller:
        assert status(caller.ask().encode()) == 200
        assert caller.header("X-Tls") == "TLSv1.3 - 0"
        assert caller.header("X-Own") == "sip.example.com Test & Co"
        assert caller.header("X-Plain") == "tls"
    with Caller(port, authority, maximum_version=ssl.TLSVersion.TLSv1_2) as old:
        assert old.header("X-Tls") == "TLSv1.2 - 0"
        assert "\r\n" in old.ask()  # several messages over one connection


def test_who_is_known_by_his_certificate(start_router: Start, tmp_path: Path, authority: Authority) -> None:
    authority.issue("server.pem", "sip.example.com", "127.0.0.1")
    bob = authority.issue("bob.pem", "Bob", "bob.example.com")
    expired = authority.issue("old.pem", "Bob", "bob.example.com", days=-1)
    stranger = Authority(tmp_path, "Other CA").issue("stranger.pem", "Bob", "bob.example.com")
    checks = f"{SERVER}verify_certificate = yes\nca_list = {authority.file.name}\n"
    port, _ = start(start_router, tmp_path, checks)
    with Caller(port, authority, own=bob) as caller:
        assert caller.header("X-Tls") == "TLSv1.3 Bob 1"
        assert caller.header("X-Peer") == "bob.example.com"
    with Caller(port, authority) as nobody:
        assert nobody.header("X-Tls") == "TLSv1.3 - 0"
    for bad in (expired, stranger):
        assert not is_answered(port, authority, bad)


def test_a_certificate_is_demanded(start_router: Start, tmp_path: Path, authority: Authority) -> None:
    authority.issue("server.pem", "sip.example.com", "127.0.0.1")
    bob = authority.issue("bob.pem", "Bob", "bob.example.com")
    port, _ = start(
        start_router, tmp_path, f"{SERVER}require_certificate = 1\nca_list = {authority.file.name}\n"
    )
    assert is_answered(port, authority, bob)
    assert not is_answered(port, authority, None)


def test_certificates_by_name_and_their_reload(
    start_router: Start, tmp_path: Path, authority: Authority
) -> None:
    authority.issue("server.pem", "default", "127.0.0.1")
    authority.issue("one.pem", "one", "one.example.com")
    port, _ = start(
        start_router,
        tmp_path,
        f"{SERVER}[server:default]\ncertificate=one.pem\nserver_name = one.example.com\n",
    )
    with Caller(port, authority) as before, Client(tmp_path / "ctl") as ctl:
        assert before.header("X-Own") == "default Test & Co"
        with Caller(port, authority, name="one.example.com") as named:
            assert named.header("X-Own") == "one Test & Co"
        (tmp_path / "server.pem").write_text("no certificate")
        with pytest.raises(RpcFault, match=r"server.pem.*no certificate"):
            ctl.call("tls.reload")
        assert before.header("X-Own") == "default Test & Co"
        authority.issue("server.pem", "renewed", "127.0.0.1")
        ctl.call("tls.reload")
        assert before.header("X-Own") == "default Test & Co"
        with Caller(port, authority) as after:
            assert after.header("X-Own") == "renewed Test & Co"
            assert len(ctl.call("tls.list")) == 2


def test_what_is_no_handshake_is_hung_up_on(
    start_router: Start, tmp_path: Path, authority: Authority
) -> None:
    authority.issue("server.pem", "default", "127.0.0.1")
    port, _ = start(start_router, tmp_path, SERVER)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(OPTIONS.format(n=1).encode())
        assert b"SIP/2.0" not in plain.recv(65536)
    with pytest.raises(ssl.SSLError), Caller(port, authority, name="other.example.com"):
        pass


def test_two_servers_know_each_other(start_router: Start, tmp_path: Path, authority: Authority) -> None:
    """Mutual TLS: a request goes on by TLS to a server that must be who it says, and shows who we are."""
    for file, names in (("server.pem", ["127.0.0.1"]), ("liar.pem", ["127.0.0.2"])):
        authority.issue(file, file, *names)
    ca = f"ca_list = {authority.file.name}\n"
    near = f"{SERVER}[client:default]\ncertificate = server.pem\n{ca}"
    port, router = start(start_router, tmp_path, near)
    for certificate, expected in (("server.pem", 200), ("liar.pem", 500)):
        far = tmp_path / certificate.partition(".")[0]
        far.mkdir()
        config = f"[server:default]\ncertificate = ../{certificate}\nrequire_certificate=1\n"
        config += f"ca_list = ../{authority.file.name}\n"
        far_port, _ = start(start_router, far, config)
        with Caller(port, authority) as caller:
            uri = f"sip:127.0.0.1:{far_port};transport=tls"
            caller.socket.sendall(OPTIONS.format(n=far_port).replace("sip:127.0.0.1 ", f"{uri} ").encode())
            answer = caller.socket.recv(65536).decode()
        assert status(answer.encode()) == expected, router.text()
        if expected == 200:
            assert "X-Tls: TLSv1.3 server.pem 1\r\n" in answer


def test_phones(
    start_router: Start, tmp_path: Path, authority: Authority, phone: Callable[..., Baresip]
) -> None:
    authority.issue("server.pem", "sip.example.com", "127.0.0.1")
    port, _ = start(start_router, tmp_path, SERVER)
    alice, bob = (phone(name, port, transport="tls") for name in ("alice", "bob"))
    alice.registered()
    bob.registered()
    alice.tell("dial", f"sip:bob@127.0.0.1:{port};transport=tls")
    bob.wait_for("CALL_INCOMING")
    bob.tell("accept")
    alice.wait_for("CALL_ESTABLISHED")
    bob.wait_for("CALL_ESTABLISHED")
    bob.tell("hangup")
    alice.wait_for("CALL_CLOSED")


def test_bindings_end_with_their_connection(
    start_router: Start, tmp_path: Path, authority: Authority
) -> None:
    authority.issue("server.pem", "sip.example.com", "127.0.0.1")
    port, _ = start(start_router, tmp_path, SERVER)
    with Caller(port, authority) as phone, Client(tmp_path / "ctl") as ctl:
        request = OPTIONS.format(n=1).replace("OPTIONS", "REGISTER").replace("To: <sip:", "To: <sip:bob@")
        contact = "Contact: <sip:bob@phone.invalid;transport=tls>;expires=600\r\nContent-Length"
        phone.socket.sendall(request.replace("Content-Length", contact).encode())
        assert status(phone.socket.recv(65536)) == 200
        (binding,) = ctl.call("usrloc.dump")
        assert "phone.invalid" in str(binding)
        phone.socket.close()
        end = time.monotonic() + 5
        while ctl.call("usrloc.dump") and time.monotonic() < end:
            time.sleep(0.05)
        assert ctl.call("usrloc.dump") == []


def test_tls_init_makes_what_is_needed(start_router: Start, tmp_path: Path) -> None:
    runner, made = CliRunner(), tmp_path / "tls"
    first = runner.invoke(main, ["tls", "init", "--folder", str(made), "127.0.0.1", "sip.example.com"])
    assert first.exit_code == 0, first.output
    authority = (made / "ca.pem").read_bytes()
    assert [oct(made.joinpath(name).stat().st_mode & 0o777) for name in ("ca-key.pem", "server.pem")] == [
        "0o600",
        "0o600",
    ]
    assert runner.invoke(main, ["tls", "init", "--folder", str(made), "127.0.0.1"]).exit_code == 0
    assert (made / "ca.pem").read_bytes() == authority
    port = free_port()
    start_router(SCRIPT, TLS=str(port), CONFIG=str(made / "tls.cfg"), CTL=str(tmp_path / "ctl"))
    context = ssl.create_default_context(cafile=str(made / "ca.pem"))
    context.load_cert_chain(made / "server.pem")
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        secured = context.wrap_socket(plain, server_hostname="127.0.0.1")
        secured.sendall(OPTIONS.format(n=1).encode())
        assert "X-Tls: TLSv1.3 127.0.0.1 1\r\n" in secured.recv(65536).decode()
        secured.close()
    (made / "ca-key.pem").write_text("broken")
    assert runner.invoke(main, ["tls", "init", "--folder", str(made), "x.example.com"]).exit_code == 1
