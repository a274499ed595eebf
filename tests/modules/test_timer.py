"""timer: routes by the clock, under a clock that takes no time."""

from __future__ import annotations

import logging

import pytest
from wire_peer import WirePeer

from sipyard.errors import ConfigError
from sipyard.testing import Network, SipServer

SCRIPT = """
debug=3
loadmodule "sl" loadmodule "tm" loadmodule "xlog" loadmodule "exec" loadmodule "textops" loadmodule "timer"
modparam("timer", "declare_timer", "{timer}")
modparam("timer", "declare_timer", "OTHER,1000,slow")
route {{
    if (method == "OPTIONS") {{ timer_enable(0, 0); }}
    if (method == "INFO") {{ timer_enable("1", "1"); }}
    if (method == "MESSAGE") {{ timer_enable("$missing", 1); timer_enable(2, 1); timer_enable(-1, 1); }}
    if (@timer[0].enabled == "1" && @timer[1].enabled == "0") {{ sl_reply("200", "first"); }}
    else {{ sl_reply("200", "@timer[1].enabled"); }}
}}
route[TICK] {{ {statements} }}
route[OTHER] {{ log(1, "other"); }}
"""


def started(network: Network, statements: str, timer: str = "TICK,500,fast,enable") -> SipServer:
    return network.server(SCRIPT.format(timer=timer, statements=statements), records=True)


def test_it_runs_by_the_clock(network: Network) -> None:
    server = started(network, 'log(1, "tick");')
    network.run(0.499)
    assert server.log == []
    network.run(0.002)
    assert server.log == ["tick"]
    network.run(60)
    assert server.log == ["tick"] * 121


def test_timers_are_started_and_stopped(network: Network) -> None:
    server = started(network, 'log(1, "tick");')
    peer = WirePeer(network)
    assert peer.ask(peer.request("REGISTER")).reason == "first"
    network.run(1)
    assert peer.ask(peer.request("OPTIONS")).reason == "0"
    assert peer.ask(peer.request("INFO")).reason == "1"
    network.run(2.5)
    assert server.log == ["tick", "tick", "other", "other"]


def test_timers_that_are_not_there(network: Network) -> None:
    server = started(network, 'log(1, "tick");')
    peer = WirePeer(network)
    peer.ask(peer.request("MESSAGE"))
    assert server.log == ["timer_enable: there is no timer 2", "timer_enable: there is no timer -1"]


READINGS = [
    ('xlog("L_ERR", "%rm|%ci|%fu|%{Subject}|%si");', "GET||<null>|<null>|"),
    (
        'if (@from.uri || @msg.subject || @via.host) { log(1, "there"); } else { log(1, "nothing"); }',
        "nothing",
    ),
    (
        'if (uri =~ "bob" || from_uri == "x" || src_ip == 10.0.0.1) { log(1, "x"); } else { log(1, "no"); }',
        "no",
    ),
    ('$n = "5"; if ($n == 5) { log(1, "attributes"); }', "attributes"),
]


@pytest.mark.parametrize(("statements", "logged"), READINGS)
def test_there_is_nothing_to_read(network: Network, statements: str, logged: str) -> None:
    server = started(network, statements)
    network.run(0.6)
    assert server.log == [logged]


DEEDS = [
    'sl_reply("200", "OK");',
    "t_newtran();",
    "t_relay();",
    't_reply("200", "OK");',
    "forward(192.0.2.77);",
    'append_hf("X: 1\\r\\n"); append_to_reply("X: 1\\r\\n"); remove_hf("X"); replace("a", "b");',
]


@pytest.mark.parametrize("statements", DEEDS)
def test_what_makes_no_sense_harms_nobody(network: Network, statements: str) -> None:
    """The next run comes, and requests are served."""
    server = started(network, f'log(1, "tick"); {statements}')
    network.run(1.1)
    assert server.log.count("tick") == 2
    peer = WirePeer(network)
    assert peer.ask(peer.request("REGISTER")).reason == "first"
    assert server.live["transactions"] == 0


def test_a_route_that_waits(network: Network) -> None:
    server = started(network, "if (exec_msg('exit 0')) { log(1, \"tick\"); }")
    network.run(1.1)
    assert server.log == ["tick", "tick"]


def test_a_run_that_has_not_ended_is_not_joined_by_another(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    """The name that is forwarded to is looked up for as long as DNS servers are silent."""
    server = started(network, 'log(1, "tick"); forward("slow.example.com"); log(1, "done");')
    waiting = network.loop.create_future()

    async def silent(*_arguments: object) -> list[object]:
        await waiting
        return []

    server.engine.resolver.targets = silent  # type: ignore[method-assign,assignment]
    with caplog.at_level(logging.WARNING, logger="sipyard.engine"):
        network.run(1.6)
    assert server.log == ["tick"]
    assert "timer 0: route[TICK] still runs" in caplog.text
    waiting.set_result(None)
    network.run(0.5)
    assert server.log == ["tick", "done", "tick", "done"]


def test_a_reload_changes_what_a_timer_runs(network: Network) -> None:
    """It keeps its time, and whether it runs."""
    server = started(network, 'log(1, "old");')
    peer = WirePeer(network)
    network.run(0.7)
    server.reload(SCRIPT.format(timer="TICK,500,fast,enable", statements='log(1, "new");'))
    network.run(0.4)
    assert server.log == ["old", "new"]
    peer.ask(peer.request("OPTIONS"))
    server.reload(SCRIPT.format(timer="TICK,500,fast,enable", statements='log(1, "newer");'))
    assert peer.ask(peer.request("REGISTER", cseq=2)).reason == "0"
    network.run(2)
    assert server.log == ["old", "new"]


DECLARATIONS = [
    ("NOWHERE,1000", r"route\[NOWHERE\] does not exist"),
    ("TICK", "declares no timer"),
    ("TICK,0", "declares no timer"),
    ("TICK,soon", "declares no timer"),
    ("TICK,1000,quick", "declares no timer"),
]


@pytest.mark.parametrize(("timer", "problem"), DECLARATIONS)
def test_declarations_are_checked(network: Network, timer: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        started(network, 'log(1, "tick");', timer)


def test_selects_are_checked(network: Network) -> None:
    with pytest.raises(ConfigError, match="there is no timer 7"):
        started(network, 'if (@timer[7].enabled) { log(1, "x"); }')
