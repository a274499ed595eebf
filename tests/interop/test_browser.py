"""A browser phone (JsSIP in Chromium) registers and calls, with sipp on UDP at the other end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.chromium import BrowserPhone
from interop.conftest import AGAINST_KAMAILIO
from interop.processes import Exchange, Router, free_port, status
from interop.sipp import Sipp
from interop.test_websocket import Served

pytestmark = [
    pytest.mark.skipif(AGAINST_KAMAILIO, reason="Kamailio's WebSocket needs another script"),
    pytest.mark.timeout(120),
]


@pytest.fixture
def served(start_router: Callable[..., Router], tmp_path: Path) -> Served:
    return Served(start_router, tmp_path)


@pytest.fixture
def browse(served: Served, tmp_path: Path) -> Iterator[Callable[..., BrowserPhone]]:
    started: list[BrowserPhone] = []

    def start(*, secure: bool = False, **options: str) -> BrowserPhone:
        server = f"wss://127.0.0.1:{served.wss}" if secure else f"ws://127.0.0.1:{served.ws}"
        started.append(BrowserPhone(tmp_path, server=server, uri="sip:bob@127.0.0.1", **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("secure", [False, True], ids=["ws", "wss"])
def test_a_phone_on_udp_calls_a_browser(
    served: Served, browse: Callable[..., BrowserPhone], sipp: Callable[..., Sipp], secure: bool
) -> None:
    phone = browse(secure=secure)
    phone.wait_for("registered")
    sipp("uac_browser", served.router.port, free_port(), count=1, users="bob;alice;").finish()
    assert phone.wait_for("ended").startswith("remote")
    assert ("confirmed", "remote") in phone.seen


def test_a_browser_calls_a_phone_on_udp(
    served: Served, browse: Callable[..., BrowserPhone], sipp: Callable[..., Sipp]
) -> None:
    port = free_port()
    callee = sipp("uas_browser", served.router.port, port, count=1)
    with Exchange(served.router.port) as other:
        contact = f"Contact: <sip:alice@127.0.0.1:{port}>"
        assert status(other.ask("REGISTER", "sip:alice@127.0.0.1", contact)) == 200
    phone = browse(call="sip:alice@127.0.0.1", hangup="yes")
    assert phone.wait_for("ended").startswith("local")
    assert [what for what, _ in phone.seen] == ["registered", "progress", "confirmed", "ended"]
    callee.finish()
