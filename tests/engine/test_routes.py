"""Routes written in Python: a file is executed and its marked functions are collected."""

from __future__ import annotations

from pathlib import Path

import pytest

from sipyard.errors import ConfigError
from sipyard.routes import load_routes
from sipyard.testing import Network

FILE = """
from sipyard.registry import Modules
from sipyard.routes import *
from sipyard.routes import branch_route, failure_route, onreply_route, request_route

modules = Modules()
sl = modules.load("sl")
tm = modules.load("tm")
settings = {"debug": 2}

@request_route
async def everything(msg):
    tm.t_on_failure(msg, "busy")
    tm.t_on_reply(msg, "named")
    await tm.t_relay(msg)

@failure_route
async def busy(msg):
    tm.t_reply(msg, 404, "Try later")

@onreply_route("named")
async def on_reply(msg):
    msg.message.append_header("P-Python: yes")

@branch_route
async def each(msg):
    pass
"""


def test_a_file_of_routes(network: Network, tmp_path: Path) -> None:
    path = tmp_path / "routes.py"
    path.write_text(FILE, "utf-8")
    server = network.server(path)
    bob = network.user_agent("bob")
    bob.on_call(lambda call: call.ring().reject(486))
    call = network.user_agent("alice", proxy=server).invite(bob.contact)
    network.run(1)
    assert call.status == 404
    ringing = next(packet.data for packet in network.trace if b"SIP/2.0 180" in packet.data[:12])
    assert b"P-Python: yes" not in ringing  # as Bob sent it
    relayed = [packet.data for packet in network.trace if packet.destination == "alice"]
    assert any(b"180" in data[:12] and b"\r\nP-Python: yes\r\n" in data for data in relayed)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "no function is marked @request_route"),
        ("def (", "not Python"),
        ("raise LookupError('no')", "LookupError: no"),
        ("from sipyard.routes import request_route\n@request_route\ndef main(msg): ...", "async def"),
        (
            "from sipyard.routes import request_route\nmodules = 1\n@request_route\nasync def main(msg): ...",
            "`modules` must be",
        ),
        (
            "from sipyard.routes import request_route as r\n"
            "@r\nasync def a(msg): ...\n@r\nasync def b(msg): ...",
            "written twice",
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "routes.py"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=message):
        load_routes(path)
