"""Two baresip phones register and call each other."""

from __future__ import annotations

from collections.abc import Callable

from interop.baresip import Baresip
from interop.processes import Router

Phone = Callable[[str, int], Baresip]


def test_two_phones_call_each_other(router: Router, phone: Phone) -> None:
    alice, bob = phone("alice", router.port), phone("bob", router.port)
    alice.registered()
    bob.registered()
    for caller, callee in ((alice, bob), (bob, alice)):
        caller.tell("dial", f"sip:{callee.user}@127.0.0.1:{router.port}")
        caller.wait_for("CALL_RINGING")
        callee.wait_for("CALL_INCOMING")
        callee.tell("accept")
        caller.wait_for("CALL_ESTABLISHED")
        callee.wait_for("CALL_ESTABLISHED")
        callee.tell("hangup")
        caller.wait_for("CALL_CLOSED")
        callee.wait_for("CALL_CLOSED")


def test_a_phone_gives_up_and_a_phone_refuses(router: Router, phone: Phone) -> None:
    alice, bob = phone("alice", router.port), phone("bob", router.port)
    alice.registered()
    bob.registered()
    for ender in (alice, bob):
        alice.tell("dial", f"sip:bob@127.0.0.1:{router.port}")
        bob.wait_for("CALL_INCOMING")
        alice.wait_for("CALL_RINGING")
        ender.tell("hangup")
        alice.wait_for("CALL_CLOSED")
        bob.wait_for("CALL_CLOSED")


def test_nobody_at_home(router: Router, phone: Phone) -> None:
    alice = phone("alice", router.port)
    alice.registered()
    alice.tell("dial", f"sip:nobody@127.0.0.1:{router.port}")
    assert "404" in str(alice.wait_for("CALL_CLOSED"))
