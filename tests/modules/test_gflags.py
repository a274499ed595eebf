"""gflags: what one message or an operator sets, the next message sees."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import provision
from sipyard.management.registry import RpcFault
from sipyard.testing import Network, SipServer

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "gflags" {more}
{flags}
route {{
    if (method == "OPTIONS") {{ set_gflag("3"); }}
    if (method == "INFO") {{ reset_gflag("3"); }}
    if (is_gflag("3")) {{ sl_send_reply("200", "Set"); }} else {{ sl_send_reply("404", "Not Set"); }}
}}
"""
METHODS = ["MESSAGE", "OPTIONS", "MESSAGE", "INFO", "MESSAGE"]
BOTH = pytest.mark.parametrize("directive", ["#!SER 0.9", "#!SER 2.0"])


def server(network: Network, more: str = "", directive: str = "#!SER 2.0", flags: str = "") -> SipServer:
    return network.server(SCRIPT.format(directive=directive, more=more, flags=flags))


@BOTH
def test_a_flag_outlives_the_message(network: Network, directive: str) -> None:
    server(network, directive=directive)
    peer = WirePeer(network)
    assert [peer.ask(peer.request(method)).status for method in METHODS] == [404, 200, 200, 404, 404]


@pytest.mark.parametrize(("initial", "status"), [(8, 200), (7, 404), (-1, 200)])
@BOTH
def test_flags_at_the_start(network: Network, directive: str, initial: int, status: int) -> None:
    server(network, f'modparam("gflags", "initial", {initial})', directive)
    peer = WirePeer(network)
    assert peer.ask(peer.request()).status == status


def test_an_operator_turns_them(network: Network) -> None:
    running, peer = server(network), WirePeer(network)
    running.rpc("gflags.set", "3")
    assert peer.ask(peer.request()).status == 200
    assert running.rpc("is_gflag", "3") is True
    assert [flag for flag, is_set in enumerate(running.rpc("gflags.dump")) if is_set] == [3]
    assert len(running.rpc("gflags.dump")) == 32
    running.rpc("gflags.reset", "3")
    assert peer.ask(peer.request()).status == 404
    assert running.rpc("gflags.is_set", "3") is False


@pytest.mark.parametrize("flag", ["32", "-1", "five"])
@pytest.mark.parametrize("command", ["gflags.set", "gflags.reset", "gflags.is_set"])
def test_flags_that_do_not_exist(network: Network, command: str, flag: str) -> None:
    with pytest.raises(RpcFault) as refused:
        server(network).rpc(command, flag)
    assert refused.value.code == 400


@pytest.mark.parametrize("command", ["gflags.flush", "global.reload"])
def test_there_is_no_database(network: Network, command: str) -> None:
    with pytest.raises(RpcFault, match="not loaded from a database") as refused:
        server(network).rpc(command)
    assert refused.value.code == 500


STORED = """
loadmodule "sl" loadmodule "textops" loadmodule "gflags"
modparam("gflags", "load_global_attrs", 1)
modparam("gflags", "db_url", "{url}")
route {{
    if (method == "INFO") {{ set_gflag("3"); if (!flush_gflags()) {{ sl_reply("500", "No"); drop; }} }}
    append_to_reply("X-Gateway: %$g.gw_ip %$gw_ip\\r\\n");
    if (is_gflag("3")) {{ sl_reply("200", "Set"); }} else {{ sl_reply("404", "Not Set"); }}
}}
"""


def test_attributes_and_flags_of_a_database(network: Network, database: TestDatabase) -> None:
    provision(database)
    row = "INSERT INTO global_attrs (name, value, type, flags) VALUES "
    database.ask(f"{row}('gw_ip', '192.0.2.7', 2, 1)")
    database.ask(f"{row}('gflags', '8', 0, 1)")
    running, peer = network.server(STORED.format(url=database.url)), WirePeer(network)
    answer = peer.ask(peer.request())
    assert (answer.status, answer.header("X-Gateway")) == (200, "192.0.2.7 192.0.2.7")
    running.rpc("gflags.reset", "3")
    running.rpc("gflags.flush")
    assert peer.ask(peer.request()).status == 404
    assert database.ask("SELECT value FROM global_attrs WHERE name = 'gflags'") == [("0",)]
    assert peer.ask(peer.request("INFO")).status == 200
    assert database.ask("SELECT value FROM global_attrs WHERE name = 'gflags'") == [("8",)]
    database.ask("UPDATE global_attrs SET value = '192.0.2.8' WHERE name = 'gw_ip'")
    assert peer.ask(peer.request()).header("X-Gateway") == "192.0.2.7 192.0.2.7"
    running.rpc("global.reload")
    assert peer.ask(peer.request()).header("X-Gateway") == "192.0.2.8 192.0.2.8"


def test_no_database_at_the_start_is_no_reason_not_to_serve(network: Network, database: TestDatabase) -> None:
    running, peer = network.server(STORED.format(url=database.url)), WirePeer(network)
    assert peer.ask(peer.request()).status == 404
    assert peer.ask(peer.request("INFO")).status == 500
    with pytest.raises(RpcFault):
        running.rpc("gflags.flush")
    provision(database)
    network.run(60)
    assert peer.ask(peer.request("INFO")).status == 200


def test_flushing_from_a_script_is_false(network: Network) -> None:
    network.server(
        'loadmodule "sl" loadmodule "gflags" '
        'route { if (flush_gflags()) sl_reply("200", "OK"); else sl_reply("500", "No"); }\n'
    )
    peer = WirePeer(network)
    assert peer.ask(peer.request()).status == 500


def test_a_flag_by_its_name(network: Network) -> None:
    network.server(
        'flags SWITCH:5; loadmodule "sl" loadmodule "gflags" '
        'route { set_gflag("SWITCH"); if (is_gflag(5)) sl_reply("200", "OK"); }\n'
    )
    peer = WirePeer(network)
    assert peer.ask(peer.request()).status == 200
