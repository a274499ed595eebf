"""How the engine runs routes: errors, waiting, what is kept and what is dropped."""

from __future__ import annotations

import asyncio

import pytest

from sipyard._native.core import PanicException
from sipyard.context import Context
from sipyard.errors import PeerError, StorageError
from sipyard.registry import Modules
from sipyard.routes import PythonRoutes
from sipyard.testing import Network


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (LookupError("x"), 500, None),
        (PeerError("bad", 416, "Unsupported URI Scheme"), 416, None),
        (StorageError("down", retry_after=7), 500, "7"),
        (PanicException("index out of bounds"), 500, None),
    ],
)
def test_an_error_is_answered_for_this_message_only(
    network: Network,
    caplog: pytest.LogCaptureFixture,
    error: BaseException,
    status: int,
    retry_after: str | None,
) -> None:
    modules = Modules()
    sl = modules.load("sl")

    async def main(msg: Context) -> int:
        if msg.message.cseq_number == 1:
            raise error
        return int(sl.sl_reply(msg, 200, "OK"))

    server = network.server(main, modules=modules)
    alice = network.user_agent("alice", proxy=server)
    first, second = (alice.request("OPTIONS", "sip:x@10.0.0.1") for _ in range(2))
    network.run(1)
    assert (first.status, second.status) == (status, 200)
    assert first.response is not None
    assert first.response.header("Retry-After") == retry_after
    assert "test_dispatch.py:" in caplog.text


def test_a_transaction_made_before_the_error_is_answered(network: Network) -> None:
    modules = Modules()
    tm = modules.load("tm")

    async def main(msg: Context) -> int:
        tm.t_newtran(msg)
        raise LookupError("x")

    server = network.server(main, modules=modules)
    call = network.user_agent("alice", proxy=server).invite("sip:x@10.0.0.1")
    network.run(1)
    assert call.status == 500
    network.run(60)
    assert server.live["transactions"] == 0


def test_waiting_stops_nobody_else_and_absorbs_retransmissions(network: Network) -> None:
    modules = Modules()
    sl = modules.load("sl")
    started: list[str] = []

    async def main(msg: Context) -> int:
        started.append(msg.message.call_id)
        if msg.message.method == "MESSAGE":
            await asyncio.sleep(3)
        return int(sl.sl_reply(msg, 200, "OK"))

    server = network.server(main, modules=modules)
    alice = network.user_agent("alice", proxy=server)
    slow = alice.request("MESSAGE", "sip:x@10.0.0.1")
    quick = alice.request("OPTIONS", "sip:x@10.0.0.1")
    network.run(1)
    assert (slow.status, quick.status) == (0, 200)
    network.run(5)
    assert slow.status == 200
    assert len(started) == 2
    assert server.engine.is_idle
    assert server.live["held"] == 0


def test_too_many_that_wait_are_refused(network: Network) -> None:
    async def main(msg: Context) -> int:
        await asyncio.sleep(10)
        return 1

    server = network.server(main)
    server.engine.suspended_limit = 1
    alice = network.user_agent("alice", proxy=server)
    alice.request("OPTIONS", "sip:x@10.0.0.1")
    second = alice.request("OPTIONS", "sip:x@10.0.0.1")
    network.run(1)
    assert second.status == 503


def test_timeouts_work_after_entering_a_task(network: Network) -> None:
    modules = Modules()
    sl = modules.load("sl")

    async def main(msg: Context) -> int:
        await msg.engine.in_task()
        try:
            async with asyncio.timeout(1):
                await asyncio.sleep(5)
        except TimeoutError:
            return int(sl.sl_reply(msg, 504, "Too slow"))
        return 1

    server = network.server(main, modules=modules)
    outcome = network.user_agent("alice", proxy=server).request("OPTIONS", "sip:x@10.0.0.1")
    network.run(2)
    assert outcome.status == 504


def test_stopping_waits_and_then_cancels(network: Network) -> None:
    async def main(msg: Context) -> int:
        await asyncio.sleep(3600)
        return 1

    server = network.server(main)
    network.user_agent("alice", proxy=server).request("OPTIONS", "sip:x@10.0.0.1")
    network.run(1)
    assert not server.engine.is_idle
    network.complete(server.engine.stop(patience=1))
    assert server.engine.is_idle


def test_hooks_see_every_request(network: Network) -> None:
    modules = Modules()
    sl = modules.load("sl")
    seen: list[str] = []

    async def main(msg: Context) -> int:
        return int(sl.sl_reply(msg, 200, "OK"))

    server = network.server(main, modules=modules)
    server.engine.before_request.append(lambda msg: seen.append(f"before {msg.message.method}"))
    server.engine.after_request.append(lambda msg: seen.append(f"after {msg.message.method}"))
    network.user_agent("alice", proxy=server).request("OPTIONS", "sip:x@10.0.0.1")
    network.run(1)
    assert seen == ["before OPTIONS", "after OPTIONS"]


def test_a_route_that_fails_does_not_lose_the_reply(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    modules = Modules()
    tm = modules.load("tm")

    async def main(msg: Context) -> int:
        tm.t_on_reply(msg, "broken")
        tm.t_on_failure(msg, "broken")
        return int(await tm.t_relay(msg))

    async def broken(msg: Context) -> int:
        raise LookupError("in a later route")

    routes = PythonRoutes(main=main, failure={"broken": broken}, onreply_named={"broken": broken})
    server = network.server(routes, modules=modules)
    bob = network.user_agent("bob")
    bob.rejects(486)
    call = network.user_agent("alice", proxy=server).invite(bob.contact)
    network.run(2)
    assert call.status == 486
    assert "in a later route" in caplog.text
