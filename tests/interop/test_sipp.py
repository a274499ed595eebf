"""sipp calls through the server: register, call, fork, CANCEL, no answer, a thousand calls."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from interop.processes import Exchange, Router, free_port, free_ports, status
from interop.sipp import Sipp

Start = Callable[..., Sipp]


def register(router: Router, user: str, *ports: int) -> None:
    """Bind a user to contacts on these ports."""
    aor = f"sip:{user}@127.0.0.1:{router.port}"
    with Exchange(router.port) as own:
        for port in ports:
            contact = f"Contact: <sip:{user}@127.0.0.1:{port}>;expires=600"
            text = own.request("REGISTER", aor, contact)
            own.send(
                text.replace(f"REGISTER {aor}".encode(), f"REGISTER sip:127.0.0.1:{router.port}".encode())
            )
            assert status(own.receive(2)) == 200


def users(count: int, callee: str = "u{}") -> str:
    """sipp's table of callees and callers."""
    return "\n".join(f"{callee.format(n)};caller{n};" for n in range(count))


def test_register(router: Router, sipp: Start) -> None:
    table = "\n".join(f"u{n};sip:u{n}@127.0.0.1:9;" for n in range(100))
    sipp("uac_register", router.port, free_port(), count=100, rate=100, users=table).finish()


def test_call(router: Router, sipp: Start) -> None:
    callee = free_port()
    register(router, "u0", callee)
    sipp("uas_answer", router.port, callee, count=5)
    sipp("uac_call", router.port, free_port(), count=5, rate=10, users=users(1)).finish()


def test_the_callee_hangs_up(router: Router, sipp: Start) -> None:
    callee = free_port()
    register(router, "u0", callee)
    answering = sipp("uas_hangs_up", router.port, callee, count=5)
    sipp("uac_waits_for_bye", router.port, free_port(), count=5, rate=10, users=users(1)).finish()
    answering.finish()


def test_fork_to_three(router: Router, sipp: Start) -> None:
    ports = free_ports(3)
    register(router, "u0", *ports)
    names = ("uas_answer_late", "uas_cancelled", "uas_cancelled")
    legs = [sipp(name, router.port, port, count=5) for name, port in zip(names, ports, strict=True)]
    sipp("uac_call", router.port, free_port(), count=5, rate=5, users=users(1)).finish()
    for leg in legs:
        leg.finish()


def test_cancel(router: Router, sipp: Start) -> None:
    callee = free_port()
    register(router, "u0", callee)
    ringing = sipp("uas_cancelled", router.port, callee, count=5)
    sipp("uac_cancel", router.port, free_port(), count=5, rate=10, users=users(1)).finish()
    ringing.finish()


def test_no_answer(router: Router, sipp: Start) -> None:
    """The script's fr_inv_timer of three seconds: 408 to the caller, CANCEL to the callee."""
    callee = free_port()
    register(router, "u0", callee)
    ringing = sipp("uas_cancelled", router.port, callee, count=3)
    sipp("uac_no_answer", router.port, free_port(), count=3, rate=10, users=users(1)).finish()
    ringing.finish()


def test_nobody_there(router: Router, sipp: Start) -> None:
    sipp("uac_refused", router.port, free_port(), count=20, rate=50, users=users(1, "nobody{}")).finish()


@pytest.mark.timeout(90)
def test_a_thousand_calls_without_one_failure(router: Router, sipp: Start) -> None:
    callee = free_port()
    for number in range(50):
        register(router, f"u{number}", callee)
    sipp("uas_answer", router.port, callee)
    caller = sipp("uac_call", router.port, free_port(), count=1000, rate=200, users=users(50))
    caller.finish()
    counts = caller.counts()
    assert counts["succeeded"] == 1000
    assert counts["failed"] == 0
