"""A server that stops refuses what is new and goes on with what is not."""

from __future__ import annotations

import pytest

from sipyard.testing import Network

SCRIPT = """
loadmodule "sl"
loadmodule "tm"
loadmodule "rr"

route {
    if (loose_route()) { t_relay(); drop; }
    record_route();
    t_relay();
}
"""


@pytest.mark.parametrize("is_reloaded", [False, True])
def test_newcomers_are_refused(network: Network, is_reloaded: bool) -> None:
    proxy = network.server(SCRIPT)
    alice = network.user_agent("alice", proxy=proxy)
    bob = network.user_agent("bob")
    standing, ringing = alice.invite(bob.contact), alice.invite(bob.contact)
    network.run(1)
    first, second = bob.calls
    first.answer()
    network.run(1)
    proxy.engine.refuse_newcomers(30)
    if is_reloaded:
        proxy.reload(SCRIPT + "\n")
    new = alice.invite(bob.contact)
    network.run(1)
    assert new.status == 503
    assert new.invite.response is not None
    assert new.invite.response.header("Retry-After") == "30"
    ringing.cancel()
    standing.hang_up()
    network.run(1)
    assert ringing.status == 487
    assert second.is_over
    assert first.is_over
