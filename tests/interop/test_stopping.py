"""TERM: calls that ring are answered, new ones are sent elsewhere, and then the server ends."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from interop.processes import HERE, Exchange, Router, free_port, status, write_script


@pytest.fixture
def patient(tmp_path: Path) -> Router:
    """A server that may take half a minute to stop."""
    port = free_port()
    script = write_script(HERE / "scripts" / "router.cfg", tmp_path, port, {})
    return Router(
        [str(Path(sys.executable).with_name("sipyard")), "run", "--drain", "30", str(script)], port, tmp_path
    )


def answer(callee: Exchange, request: bytes, line: str) -> None:
    names = (b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Record-Route")
    kept = [one for one in request.split(b"\r\n") if one.split(b":")[0] in names]
    kept = [one + (b";tag=c" if one.startswith(b"To:") else b"") for one in kept]
    callee.send(b"\r\n".join([b"SIP/2.0 " + line.encode(), *kept, b"Content-Length: 0", b"", b""]))


def final(caller: Exchange, seconds: float = 5.0) -> bytes:
    """The next final answer."""
    end = time.monotonic() + seconds
    while (found := caller.receive(end - time.monotonic())) is not None:
        if status(found) >= 200:
            return found
    raise AssertionError("no final answer")


def ringing(router: Router, caller: Exchange, callee: Exchange) -> bytes:
    """A call that rings; the callee's INVITE."""
    contact = f"Contact: <sip:bob@127.0.0.1:{callee.port}>"
    assert status(caller.ask("REGISTER", f"sip:bob@127.0.0.1:{router.port}", contact)) == 200
    caller.send(caller.request("INVITE", f"sip:bob@127.0.0.1:{router.port}", name="call"))
    invite = callee.receive(3)
    assert invite is not None
    answer(callee, invite, "180 Ringing")
    return invite


def test_a_call_that_rings_is_answered(patient: Router) -> None:
    with Exchange(patient.port) as caller, Exchange(patient.port) as callee, Exchange(patient.port) as other:
        invite = ringing(patient, caller, callee)
        patient.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # another program gets the signal
        refused = other.ask("OPTIONS", f"sip:127.0.0.1:{patient.port}")
        assert status(refused) == 503
        assert b"\r\nRetry-After: 30\r\n" in (refused or b"")
        assert patient.process.poll() is None
        answer(callee, invite, "200 OK")
        assert status(final(caller)) == 200
        assert patient.process.wait(10) == 0
        assert other.ask("OPTIONS", f"sip:127.0.0.1:{patient.port}", seconds=0.5) is None


def test_a_caller_may_change_his_mind(patient: Router) -> None:
    with Exchange(patient.port) as caller, Exchange(patient.port) as callee:
        ringing(patient, caller, callee)
        patient.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # another program gets the signal
        caller.send(caller.request("CANCEL", f"sip:bob@127.0.0.1:{patient.port}", name="call"))
        assert status(final(caller)) == 200
        cancel = callee.receive(3)
        assert (cancel or b"").startswith(b"CANCEL ")
        patient.process.send_signal(signal.SIGTERM)
        assert patient.process.wait(10) == 128 + signal.SIGTERM


def test_nobody_is_waited_for_forever(start_router: Callable[..., Router]) -> None:
    """The tests' own servers wait for no answers."""
    router = start_router("router")
    with Exchange(router.port) as caller, Exchange(router.port) as callee:
        ringing(router, caller, callee)
        began = time.monotonic()
        assert router.stop() == 0
        assert time.monotonic() - began < 5
    assert "1 unanswered requests are given up" in router.text()


def test_an_idle_server_stops_at_once(start_router: Callable[..., Router]) -> None:
    router = start_router("router")
    began = time.monotonic()
    assert router.stop() == 0
    assert time.monotonic() - began < 2
