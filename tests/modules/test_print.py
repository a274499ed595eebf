"""print: the sample module says what it is given, on one line."""

from __future__ import annotations

import logging

import pytest
from wire_peer import WirePeer

from sipyard.testing import Network

SCRIPT = """
{directive}
debug=4
loadmodule "sl" loadmodule "print"
modparam("print", "str_param", "abc")
modparam("print", "int_param", 7)
route {{ {statement} sl_send_reply("200", "OK"); }}
"""


@pytest.mark.parametrize(
    ("directive", "statement", "line"),
    [
        ("#!SER 0.9", 'print("hello\\n");', "hello"),
        ("#!SER 0.9", 'print("$ruri");', "$ruri"),
        ("#!SER 2.0", 'print("hello");', "hello"),
        ("#!SER 2.0", 'print("hello", "world");', "hello world"),
        ("#!SER 2.0", 'print("from", "@from.uri.user");', "from alice"),
        ("#!SER 2.0", "print();", "string_param='', str_param='abc', int_param=7"),
        ("#!SER 2.0", 'print("a\\nb");', "a\\nb"),
    ],
)
def test_what_it_says(
    network: Network, caplog: pytest.LogCaptureFixture, directive: str, statement: str, line: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="sipyard")
    network.server(SCRIPT.format(directive=directive, statement=statement)).engine.debug = 4
    peer = WirePeer(network)
    assert peer.ask(peer.request()).status == 200
    said = [one.getMessage() for one in caplog.records if one.name == "sipyard.script"]
    assert said == [line]


@pytest.mark.parametrize(("directive", "more"), [("#!SER 0.9", ""), ("#!SER 2.0", "string_param='', ")])
def test_the_parameters_at_the_start(
    network: Network, caplog: pytest.LogCaptureFixture, directive: str, more: str
) -> None:
    caplog.set_level(logging.INFO, logger="sipyard.modules.print")
    network.server(SCRIPT.format(directive=directive, statement=""))
    said = [one.getMessage() for one in caplog.records if one.name == "sipyard.modules.print"]
    assert said == [f"print: {more}str_param='abc', int_param=7"]
