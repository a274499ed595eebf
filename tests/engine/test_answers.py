"""Final answers wait for those who want to have written them down first."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sipyard._native.core import Message
from sipyard.context import Context
from sipyard.testing import Network, SipServer
from sipyard.testing.call import OutgoingCall
from sipyard.transaction_state import TransactionState

ROUTES = """
import asyncio
from sipyard.registry import Modules
from sipyard.routes import failure_route, request_route

modules = Modules()
tm = modules.load("tm", fr_inv_timer=2_000)

@request_route
async def main(msg):
    if msg.message.method == "INVITE":
        {route}
    await tm.t_relay(msg)

@failure_route
async def nobody(msg):
    tm.t_reply(msg, 480, "Nobody There")
"""
REPLY = "tm.t_newtran(msg); tm.t_reply(msg, 404, 'Not Found')"


class Scribe:
    """Writes final answers to INVITEs down, on two papers each, and is done when it is told to be."""

    def __init__(self, server: SipServer) -> None:
        self.engine = server.engine
        self.answers: list[tuple[int, bool]] = []
        self.papers: list[asyncio.Future[None]] = []
        self.engine.hold_answers()
        self.engine.after_request.append(self.watch)

    def watch(self, msg: Context) -> None:
        if msg.transaction is not None and msg.message.request_uri.startswith("sip:bob@"):
            state = self.engine.remember(msg)
            state.before_final.append(self.note)
            self.engine.arm(state)

    def note(self, _: TransactionState, status: int, reply: Message | None) -> list[asyncio.Future[None]]:
        self.answers.append((status, reply is not None))
        self.papers += [asyncio.get_running_loop().create_future() for _ in range(2)]
        return self.papers[-2:]


class House:
    """A server with a scribe, and two phones."""

    def __init__(self, network: Network, folder: Path, route: str) -> None:
        file = folder / "routes.py"
        file.write_text(ROUTES.format(route=route))
        self.network, self.server = network, network.server(file)
        self.scribe = Scribe(self.server)
        self.alice = network.user_agent("alice", "192.0.2.1:5060", proxy=self.server)
        self.bob = network.user_agent("bob", "192.0.2.2:5060", proxy=self.server)

    def finish(self, call: OutgoingCall, *, fails: bool = False) -> None:
        """One paper after the other; the answer goes with the last."""
        for paper in self.scribe.papers:
            assert call.status < 200
            if fails:
                paper.set_exception(OSError("no ink"))
            else:
                paper.set_result(None)
            self.network.run(0.1)


#: What a script does, what Bob answers (0: nothing), and what is written: the status, was it a reply.
CASES = {
    "answered": ("pass", 200, (200, True)),
    "refused": ("pass", 486, (486, True)),
    "silence": ("pass", 0, (408, False)),
    "by the failure route": ("tm.t_on_failure(msg, 'nobody')", 486, (480, False)),
    "by the script": (f"{REPLY}; return", 0, (404, False)),
    "by a script that goes on": (f"{REPLY}; await asyncio.sleep(1); return", 0, (404, False)),
    "while the script goes on": ("await tm.t_relay(msg); await asyncio.sleep(1); return", 603, (603, True)),
}


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize(("route", "answer", "written"), CASES.values(), ids=list(CASES))
def test_an_answer_waits(
    network: Network, tmp_path: Path, route: str, answer: int, written: tuple[int, bool], fails: bool
) -> None:
    house = House(network, tmp_path, route)
    if answer == 200:
        house.bob.answers()
    elif answer:
        house.bob.rejects(answer)
    call = house.alice.invite(house.bob.contact)
    network.run(10)
    assert house.scribe.answers == [written]
    house.finish(call, fails=fails)
    assert call.status == written[0]
    network.run(40)
    assert not house.server.engine.states
    assert not house.server.engine._early_answers


@pytest.mark.parametrize("route", ["pass", f"{REPLY}; return", f"{REPLY}; await asyncio.sleep(1); return"])
def test_what_nobody_writes_down_does_not_wait(network: Network, tmp_path: Path, route: str) -> None:
    house = House(network, tmp_path, route)
    carol = network.user_agent("carol", "192.0.2.3:5060", proxy=house.server)
    carol.rejects(404)
    call = house.alice.invite(carol.contact)
    network.run(1.5)
    assert call.status == 404
    network.run(40)
    assert not house.server.engine._early_answers


def test_a_cancel_is_answered_at_once_and_its_call_waits(network: Network, tmp_path: Path) -> None:
    house = House(network, tmp_path, "pass")
    call = house.alice.invite(house.bob.contact)
    network.run(1)
    call.cancel()
    network.run(0.1)
    answers = [packet.data for packet in network.trace if packet.destination == "alice"]
    assert any(data.startswith(b"SIP/2.0 200") and b"CANCEL" in data for data in answers)
    assert house.scribe.answers == [(487, True)]
    house.finish(call)
    assert call.status == 487


def test_who_never_comes_back_is_not_waited_for(network: Network, tmp_path: Path) -> None:
    house = House(network, tmp_path, "pass")
    house.bob.rejects(486)
    call = house.alice.invite(house.bob.contact)
    network.run(59)
    assert call.status < 200
    network.run(2)
    assert call.status == 486
