"""A server with calls up: reloads, and routes that wait. Real sockets, real sipp."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, free_port
from interop.sipp import Sipp
from interop.test_sipp import register, users
from sipyard.management.json_rpc import Client
from sipyard.management.registry import RpcFault

Start = Callable[..., Sipp]
BROKEN = (
    ("t_relay()", "t_rely()"),
    ("route {", "route {{"),
    ('loadmodule "rr"', 'loadmodule "rrr"'),
    ("listen=udp:", "port=5071\nlisten=udp:"),
    ("", None),
)
"""What to replace in a script to break it; None: it is empty, which lacks modules."""


def script_of(router: Router) -> Path:
    return router.folder / f"reloaded-{router.port}.cfg"


@pytest.mark.timeout(120)
def test_no_call_is_lost_in_fifty_reloads(start_router: Callable[..., Router], sipp: Start) -> None:
    """300 calls a second; every third version is broken, and the one before goes on."""
    router, callee = start_router("reloaded", VERSION="1"), free_port()
    for number in range(50):
        register(router, f"u{number}", callee)
    sipp("uas_answer", router.port, callee)
    caller = sipp("uac_call", router.port, free_port(), count=9000, rate=300, users=users(50))
    file = script_of(router)
    template = (
        file.read_text()
        .replace('fr_inv_timer", 31', 'fr_inv_timer", 3VERSION')
        .replace("version 1", "version VERSION")
    )
    taken, refused = 1, 0
    with Client(router.folder / "sipyard.ctl") as client:
        for number in range(50):
            text = template.replace("VERSION", str(number))
            if number % 3 == 2:
                found, put = BROKEN[refused % len(BROKEN)]
                file.write_text("" if put is None else text.replace(found, put))
                with pytest.raises(RpcFault, match="not reloaded: "):
                    client.call("reload")
                refused += 1
            else:
                file.write_text(text)
                taken += 1
                answer = client.call("reload")
                assert (answer["version"], answer["changed"]) == (taken, ["tm.fr_inv_timer"])
                with Exchange(router.port) as probe:
                    assert f"version {number}\r\n".encode() in (
                        probe.ask("OPTIONS", f"sip:127.0.0.1:{router.port}") or b""
                    )
        assert caller.process.poll() is None, "the calls ended before the reloads did"
        assert (taken, refused) == (35, 16)
        caller.finish(60)
        assert caller.counts()["succeeded"] == 9000
        state = client.call("core.script")
    assert (state["version"], state["refused"]) == (35, 16)


def test_hangup_reloads(start_router: Callable[..., Router]) -> None:
    """SIGHUP; then a version whose own tests fail, and one whose tests pass."""
    import signal

    router = start_router("reloaded", VERSION="1")
    file = script_of(router)
    text = file.read_text()
    file.write_text(text.replace("version 1", "version 2"))
    router.process.send_signal(signal.SIGHUP)
    with Client(router.folder / "sipyard.ctl") as client, Exchange(router.port) as probe:
        for _ in count():
            answer = probe.ask("OPTIONS", f"sip:127.0.0.1:{router.port}") or b""
            if b"version 2" in answer:
                break
        tests = router.folder / "test_script.py"
        tests.write_text(
            "import os\ndef test_it():\n    assert '3' in open(os.environ['SIPYARD_SCRIPT']).read()[:9]\n"
        )
        file.write_text("# sipyard tests: test_script.py\n" + text)
        with pytest.raises(RpcFault, match=r"(?s)its tests fail.*assert '3' in "):
            client.call("reload")
        file.write_text("#3 \n# sipyard tests: test_script.py\n" + text)
        assert client.call("reload")["version"] == 3


@pytest.mark.timeout(120)
def test_calls_that_wait_in_exec_hold_up_nobody(start_router: Callable[..., Router], sipp: Start) -> None:
    """1 % of the calls wait 5 s; the others' p99 is that of a run without them, within noise."""
    router, callee = start_router("reloaded", VERSION="1"), free_port()
    for user in (*(f"u{number}" for number in range(50)), "slow0"):
        register(router, user, callee)
    sipp("uas_answer", router.port, callee)

    def others() -> float:
        caller = sipp(
            "uac_call", router.port, free_port(), count=1980, rate=198, users=users(50), keeps_times=True
        )
        caller.finish()
        times = sorted(caller.times())
        assert len(times) == 1980
        return times[1960]

    without = others()
    waiting = sipp(
        "uac_call", router.port, free_port(), count=20, rate=2, users=users(1, "slow{}"), keeps_times=True
    )
    beside = others()
    waiting.finish()
    assert min(waiting.times()) >= 5000
    print(f"p99: {without} ms without, {beside} ms beside calls that wait")
    assert beside <= max(3 * without, without + 20), f"p99 {beside} ms, without waiting calls {without} ms"


MACROS = """define(`SAY', `sl_reply("200", "$1")')
listen=udp:127.0.0.1:PORT
workdir="FOLDER/elsewhere"
loadmodule "sl"
route {
	SAY(VERSION);
}
"""


def test_a_script_of_macros_in_another_directory(tmp_path: Path) -> None:
    """It is given by a relative name, and the server works elsewhere when it is read again."""
    port = free_port()
    (tmp_path / "elsewhere").mkdir()
    script = tmp_path / "ser.m4"
    text = MACROS.replace("PORT", str(port)).replace("FOLDER", str(tmp_path))
    script.write_text(text.replace("VERSION", "One"))
    program = Path(sys.executable).with_name("sipyard")
    router = Router([str(program), "run", script.name], port, tmp_path)
    try:
        with Exchange(port) as phone, Client(tmp_path / "elsewhere" / "sipyard.ctl") as client:
            assert b" One\r\n" in (phone.ask("OPTIONS", f"sip:127.0.0.1:{port}") or b"")
            script.write_text(text.replace("VERSION", "Two"))
            client.call("reload")
            assert b" Two\r\n" in (phone.ask("OPTIONS", f"sip:127.0.0.1:{port}") or b"")
            script.write_text(text.replace("SAY(VERSION)", "SAI(Three)"))
            with pytest.raises(RpcFault, match=r"ser\.m4:6"):
                client.call("reload")
            assert b" Two\r\n" in (phone.ask("OPTIONS", f"sip:127.0.0.1:{port}") or b"")
    finally:
        router.stop()
