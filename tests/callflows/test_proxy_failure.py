"""RFC 3665 §3.4: the first proxy is dead; the caller gives up on it and takes the second one."""

from __future__ import annotations

from sipyard.testing import CallFlow

from .conftest import OVER_UDP, Cast


@OVER_UDP
def test_session_with_proxy_failure(cast: Cast) -> None:
    """Seven INVITEs into the void until Timer B (RFC 3261 §17.1.1.2), then one by way of the other proxy."""
    network, ss1, ss2, alice, bob = cast.network, cast.ss1, cast.ss2, cast.alice, cast.bob
    bob.answers()
    network.unplug(ss1)
    flow = CallFlow(network, alice, ss1, ss2, bob)
    dead = alice.invite(bob)
    flow.expect("""
        0.0  alice -x ss1  INVITE F1
        0.5  alice -x ss1  INVITE F2
        1.5  alice -x ss1  INVITE F3
        3.5  alice -x ss1  INVITE F4
        7.5  alice -x ss1  INVITE F5
        15.5 alice -x ss1  INVITE F6
        31.5 alice -x ss1  INVITE F7
    """)
    network.run_until(lambda: dead.is_over)
    assert dead.invite.is_timed_out
    alice.proxy = ss2.address
    call = alice.invite(bob)
    flow.expect("""
        alice -> ss2  INVITE F8
        {
          ss2 -> alice  100 F11
          ss2 -> bob    INVITE F10
        }
        bob -> ss2    180
        bob -> ss2    200
        ss2 -> alice  180 Ringing F14
        ss2 -> alice  200 OK F16
        alice -> ss2  ACK F17
        ss2 -> bob    ACK F18
    """)
    call.hang_up()
    flow.expect("""
        alice -> ss2  BYE F19
        ss2 -> bob    BYE F20
        bob -> ss2    200 F21
        ss2 -> alice  200 F22
    """)
    flow.end()
