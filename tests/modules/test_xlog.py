"""xlog: levels, formats, and that nobody outside writes log lines."""

from __future__ import annotations

import logging

import pytest
from wire_peer import WirePeer

from sipyard.modules.xlog import level_of
from sipyard.sip.field_text import for_log, is_one_line, one_line
from sipyard.testing import Network

LEVELS = [
    ("L_ALERT", -3),
    ("L_CRIT", -2),
    ("L_ERR", -1),
    ("L_WARN", 1),
    ("L_NOTICE", 2),
    ("L_INFO", 3),
    ("L_DBG", 4),
    ("l_err", -1),
    ("ERR", 2),  # SER looks at the third letter, whatever the others are
    ("", 2),
]


@pytest.mark.parametrize(("text", "level"), LEVELS)
def test_levels(text: str, level: int) -> None:
    assert level_of(text) == level


def logged(
    network: Network,
    caplog: pytest.LogCaptureFixture,
    statement: str,
    *,
    debug: int = 4,
    more: str = "",
    **header: str,
) -> list[tuple[int, str]]:
    """What a statement logs for a message."""
    modules = f'debug={debug} loadmodule "sl" loadmodule "xlog" {more}'
    server = network.server(f'{modules}\nroute {{ {statement} sl_reply("200", "OK"); }}\n')
    server.engine.debug = debug
    peer = WirePeer(network)
    caplog.set_level(logging.DEBUG, logger="sipyard.script")
    headers = [f"{name.replace('_', '-')}: {value}" for name, value in header.items()]
    assert peer.ask(peer.request("MESSAGE", headers=headers)).status == 200
    return [(one.levelno, one.getMessage()) for one in caplog.records if one.name == "sipyard.script"]


def test_a_line(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    lines = logged(network, caplog, 'xlog("L_ERR", "%rm from %fu to %ru, %%, %zz\\n");')
    assert lines == [(logging.ERROR, "MESSAGE from sip:alice@example.org to sip:bob@10.0.0.1, %, <null>")]


def test_the_name_of_this_host_is_asked_for_once(
    network: Network, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A DNS server may be asked for it, so no message waits for that."""
    asked: list[int] = []
    monkeypatch.setattr("sipyard.own_name._Learnt.full", "")
    monkeypatch.setattr("socket.getfqdn", lambda: asked.append(1) or "proxy.example.net")
    monkeypatch.setattr("socket.gethostname", lambda: "proxy")
    lines = logged(network, caplog, 'xlog("L_ERR", "%Hn %Hf %Hd %Hi\\n"); xlog("L_ERR", "%Hf");')
    assert [text for _, text in lines] == [
        "proxy proxy.example.net example.net 10.0.0.1",
        "proxy.example.net",
    ]
    assert len(asked) == 1


def test_debugging_lines(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    assert logged(network, caplog, 'xdbg("x %ci\\n");') == [(logging.DEBUG, "x c1")]


@pytest.mark.parametrize(("debug", "seen"), [(4, 3), (3, 2), (0, 1), (-2, 0)])
def test_only_what_debug_asks_for(
    network: Network, caplog: pytest.LogCaptureFixture, debug: int, seen: int
) -> None:
    statement = 'xlog("L_ERR", "a"); xlog("L_INFO", "b"); xdbg("c");'
    assert len(logged(network, caplog, statement, debug=debug)) == seen


def test_strangers_write_no_lines(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    """attacks.md A8, W1: line ends, escape sequences and direction marks of a header are shown, not
    obeyed."""
    lines = logged(
        network,
        caplog,
        'xlog("L_ERR", "subject: %{Subject}\\n");',
        Subject="a\n b\x1b[31mred \u202eelif",
    )
    assert len(lines) == 1
    assert "\n" not in lines[0][1]
    assert "\x1b" not in lines[0][1]
    assert "\u202e" not in lines[0][1]


def test_long_lines_are_cut(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    lines = logged(
        network,
        caplog,
        'xlog("L_ERR", "%{Subject}");',
        more='modparam("xlog", "buf_size", 10)',
        Subject="x" * 99,
    )
    assert lines == [(logging.ERROR, "x" * 10)]


TEXTS = [
    ("plain čeština", "plain čeština"),
    ("a\r\nb", "a\\r\\nb"),
    ("\x00\x1b[2J", "\\x00\\x1b[2J"),
    ("raw \udcff byte", "raw \\xff byte"),
    ("\u202e\u2028", "\\u202e\\u2028"),
    ("\x85", "\\x85"),
]


@pytest.mark.parametrize(("text", "shown"), TEXTS)
def test_for_log(text: str, shown: str) -> None:
    assert for_log(text) == shown


LINES = [
    ("plain", "plain"),
    ("a\r\n b", "a b"),
    ("a\r\nX-Admin: yes", "a X-Admin: yes"),
    ("a\rb\nc", "a b c"),
    ("a\x00b\x7f", "ab"),
    ("\r\n\r\nbody", "body"),
    ("tab\tstays", "tab\tstays"),
]


@pytest.mark.parametrize(("text", "line"), LINES)
def test_one_line(text: str, line: str) -> None:
    assert one_line(text) == line
    assert is_one_line(line)
