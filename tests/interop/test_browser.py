"""A browser phone (JsSIP in Chromium) registers and calls, with sipp on UDP at the other end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.chromium import BrowserPhone
from interop.processes import ROOT, Exchange, Router, free_port, free_ports, sipyard, status
from interop.sipp import Sipp
from interop.test_websocket import Served
from people import with_users

pytestmark = pytest.mark.timeout(120)


#: What a browser takes, though no media flows.
SESSION = f"""\
v=0
o=sipp 1 1 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 0
c=IN IP4 127.0.0.1
a=rtpmap:0 PCMU/8000
a=mid:0
a=ice-ufrag:sipp
a=ice-pwd:sippsippsippsippsippsipp
a=fingerprint:sha-256 {":".join(["AB"] * 32)}
a=setup:{{setup}}
a=rtcp-mux
a=sendrecv
"""


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
    offer = SESSION.format(setup="actpass")
    sipp("uac_call", served.router.port, free_port(), count=1, users="bob;alice;", session=offer).finish()
    assert phone.wait_for("ended").startswith("remote")
    assert ("confirmed", "remote") in phone.seen


def test_a_browser_calls_a_phone_on_udp(
    served: Served, browse: Callable[..., BrowserPhone], sipp: Callable[..., Sipp]
) -> None:
    port = free_port()
    callee = sipp("uas_answer", served.router.port, port, count=1, session=SESSION.format(setup="active"))
    with Exchange(served.router.port) as other:
        contact = f"Contact: <sip:alice@127.0.0.1:{port}>"
        assert status(other.ask("REGISTER", "sip:alice@127.0.0.1", contact)) == 200
    phone = browse(call="sip:alice@127.0.0.1", hangup="yes")
    assert phone.wait_for("ended").startswith("local")
    assert [what for what, _ in phone.seen] == ["registered", "progress", "confirmed", "ended"]
    callee.finish()


def test_passwords(tmp_path: Path) -> None:
    """The script of the examples serves browsers as well once it listens for them."""
    sip, web = free_ports(2)
    database = f"sqlite:///{tmp_path}/sipyard.db"
    with_users(database, "127.0.0.1", bob="zanzibar")
    text = (ROOT / "examples" / "ser.cfg").read_text().replace("sqlite:///sipyard.db", database)
    script = tmp_path / "ser.cfg"
    script.write_text(
        text.replace("listen=127.0.0.1:5060", f"listen=udp:127.0.0.1:{sip}\nlisten=ws:127.0.0.1:{web}")
    )
    router = sipyard(script, tmp_path, sip)
    phones: list[BrowserPhone] = []
    try:
        for name, password in {"good": "zanzibar", "bad": "guess"}.items():
            folder = tmp_path / name
            folder.mkdir()
            words = {"server": f"ws://127.0.0.1:{web}", "uri": "sip:bob@127.0.0.1", "password": password}
            phones.append(BrowserPhone(folder, **words))
        phones[0].wait_for("registered")
        assert phones[1].wait_for("registration failed") == "Authentication Error"
    finally:
        for phone in phones:
            phone.stop()
        router.stop()
