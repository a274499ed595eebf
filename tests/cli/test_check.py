"""`sipyard check` as a program: output for people, editors and CI, and what it keeps its hands off."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sipyard.script import check_text

GOOD = 'loadmodule "sl"\nroute { sl_reply("404", "Not Found"); }\n'
WARNS = 'loadmodule "sl"\nroute { sl_reply("483", "Temporarily Unavailable"); }\n'
BAD = 'loadmodule "sl"\nroute { sl_replay("404", "Not Found"); }\n'
GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "check.md"


def run(folder: Path, script: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "ser.cfg").write_text(script)
    return subprocess.run(
        [sys.executable, "-m", "sipyard.cli", "check", "ser.cfg", *options],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("script", "options", "status"),
    [
        (GOOD, (), 0),
        (GOOD, ("--strict",), 0),
        (WARNS, (), 0),
        (WARNS, ("--strict",), 1),
        (WARNS, ("--json", "--strict"), 1),
        (BAD, (), 1),
        (BAD, ("--json",), 1),
        (GOOD, ("--ser", "1.0"), 2),
    ],
)
def test_exit_status(tmp_path: Path, script: str, options: tuple[str, ...], status: int) -> None:
    assert run(tmp_path, script, *options).returncode == status


def test_a_finding_of_the_lint_says_why_and_how_to_mend(tmp_path: Path) -> None:
    assert run(tmp_path, WARNS).stdout == (
        'ser.cfg:2:25: warning: "Temporarily Unavailable" is the phrase of 480, not 483 [status-reason]\n'
        '    2 | route { sl_reply("483", "Temporarily Unavailable"); }\n'
        "      |                         ^^^^^^^^^^^^^^^^^^^^^^^^^ 483 is Too Many Hops\n"
        "      = machines read the number and people the phrase: they are told different things"
        " (RFC 3261 §7.2, §21)\n"
        "ser.cfg: good (no errors, 1 warning); read as SER 2.0: line 2 has function sl_reply\n"
    )


# -- colour --------------------------------------------------------------------------------------------------


def on_a_terminal(folder: Path, **environment: str) -> str:
    """What the program writes when its output is a terminal."""
    (folder / "ser.cfg").write_text(BAD)
    master, slave = pty.openpty()
    settings = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    subprocess.run(
        [sys.executable, "-m", "sipyard.cli", "check", "ser.cfg"],
        cwd=folder,
        env={**settings, "TERM": "xterm-256color", "COLUMNS": "40", **environment},
        stdout=slave,
        check=False,
    )
    os.close(slave)
    written = os.read(master, 1 << 16).decode()
    os.close(master)
    return written.replace("\r\n", "\n")


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    written = on_a_terminal(tmp_path)
    assert "\x1b[1;31merror: " in written
    assert re.sub(r"\x1b\[[0-9;]*m", "", written) == run(tmp_path, BAD).stdout


def test_no_colours_when_they_are_not_wanted(tmp_path: Path) -> None:
    plain = run(tmp_path, BAD).stdout
    assert "\x1b" not in plain
    assert on_a_terminal(tmp_path, NO_COLOR="1") == plain


def test_what_stands_in_a_script_does_not_reach_the_terminal_as_it_is(tmp_path: Path) -> None:
    assert "\x1b" not in run(tmp_path, 'route { log("\x1b[2Jx" }\n').stdout


# -- JSON ----------------------------------------------------------------------------------------------------


def test_json(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, WARNS, "--json").stdout)
    (finding,) = found.pop("findings")
    assert found == {
        "schema": 1,
        "file": "ser.cfg",
        "good": True,
        "generation": "SER 2.0",
        "generation_reason": "line 2 has function sl_reply",
        "errors": 0,
        "warnings": 1,
        "notes": 0,
    }
    assert finding == {
        "severity": "warning",
        "message": '"Temporarily Unavailable" is the phrase of 480, not 483',
        "hint": "483 is Too Many Hops",
        "rule": "status-reason",
        "reason": "machines read the number and people the phrase: they are told different things",
        "reference": "RFC 3261 §7.2, §21",
        "file": "ser.cfg",
        "line": 2,
        "column": 25,
        "end_line": 2,
        "end_column": 50,
    }


def test_json_of_a_mistake_and_of_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "ser.cfg").write_bytes(b'route { log("\xff"); yess(); drop; }\n')
    command = [sys.executable, "-m", "sipyard.cli", "check", "ser.cfg", "--json"]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    found = json.loads(outcome.stdout)
    (error,) = (each for each in found["findings"] if each["severity"] == "error")
    assert (error["rule"], error["reason"], error["message"]) == (None, None, "function yess is not known")


def test_the_guide_names_every_key_of_the_json(tmp_path: Path) -> None:
    guide = GUIDE.read_text("utf-8")
    found = json.loads(run(tmp_path, WARNS, "--json").stdout)
    for key in (*found, *found["findings"][0]):
        assert f"`{key}`" in guide, key


# -- hands off -----------------------------------------------------------------------------------------------

PACKAGE = """
import pathlib
from sipyard.module import Deed, Dynamic, FailureRouteName, Module, Parameter, function, parameter, select

pathlib.Path("was-imported").touch()


class Base(Module):
    name = ""

    @function("R")
    def inherited(self, msg: object) -> int:
        "From a base class."
        return 1


class Other(Base):
    "other: somebody else's."
    name = "other"
    requires = ("sl",)
    limit = Parameter(int, 3, "A number.")

    def __init__(self) -> None:
        super().__init__()
        pathlib.Path("was-made").touch()

    @parameter(str)
    def add(self, value: str) -> None:
        "Repeatable."
        pathlib.Path("was-set").touch()

    @function("R", does=Deed.ANSWERS, names=("refuse",))
    def turn_away(self, msg: object, code: int, reason: Dynamic[str] = "") -> int:
        "Answers."
        return 1

    @function("RF")
    def arm(self, msg: object, route: FailureRouteName, more: pathlib.Path | None = None) -> bool:
        "Arms."
        return True

    @select("mood")
    def mood(self, path: object) -> object:
        "A select."
        pathlib.Path("was-selected").touch()
"""
SCRIPT = """loadmodule "other"
loadmodule "tm"
modparam("other", "limit", 5)
modparam("other", "limt", 5)
modparam("other", "add", "x")
route {
    if (@mood == "good") inherited();
    if (turn_away(403, "$f.x")) drop;
    refuse("x");
    arm("F", "/tmp");
    arm("G");
    turn_awy(1);
    turn_away();
    t_relay();
}
failure_route[F] { t_reply("404", "x"); }
"""


def test_a_module_of_another_package_is_read_and_not_run(tmp_path: Path) -> None:
    """An import of it would leave a file behind."""
    (tmp_path / "others" / "inner").mkdir(parents=True)
    (tmp_path / "others" / "__init__.py").write_text('import pathlib\npathlib.Path("was-imported").touch()\n')
    (tmp_path / "others" / "inner" / "__init__.py").write_text("from .deep import Other\n")
    (tmp_path / "others" / "inner" / "deep.py").write_text(PACKAGE)
    (tmp_path / "others-1.0.dist-info").mkdir()
    (tmp_path / "others-1.0.dist-info" / "METADATA").write_text("Name: others\nVersion: 1.0\n")
    (tmp_path / "others-1.0.dist-info" / "entry_points.txt").write_text(
        "[sipyard.modules]\nother = others.inner:Other\n"
    )
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    outcome = run(tmp_path, SCRIPT, "--json", PYTHONPATH=path)
    found = json.loads(outcome.stdout)
    errors = [(each["line"], each["message"]) for each in found["findings"] if each["severity"] == "error"]
    assert errors == [
        (4, "module other has no parameter limt"),
        (9, 'argument 1 of refuse: expects a number, not "x"'),
        (11, "argument 1 of arm: failure_route[G] does not exist"),
        (12, "function turn_awy is not known"),
        (13, "turn_away takes 1 or 2 arguments, not 0"),
    ]
    assert [path.name for path in tmp_path.glob("was-*")] == []


TEMPTING = """listen=sip.example.com
alias="other.example.com"
dns=yes
loadmodule "sl"
loadmodule "tm"
loadmodule "usrloc"
loadmodule "registrar"
modparam("usrloc", "db_url", "sqlite:////nowhere/at/all.db")
modparam("usrloc", "db_mode", 1)
route {
    if (src_ip == gateway.example.com) { forward_udp("gw.example.com", 5060); exec("touch was-run"); drop; }
    if (uri == myself) { t_relay_to_udp("a.example.com", "5060"); drop; }
    sl_reply("404", "Not Found");
}
"""
GUARDED = """
import sys

def guard(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "sqlite3.")):
        sys.stderr.write(f"touched: {event} {arguments}\\n")
        raise RuntimeError(event)

sys.addaudithook(guard)
from sipyard.cli import main
main(["check", "ser.cfg"])
"""


def test_nothing_is_connected_resolved_or_started(tmp_path: Path) -> None:
    (tmp_path / "ser.cfg").write_text(TEMPTING)
    command = [sys.executable, "-c", GUARDED]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "ser.cfg: good" in outcome.stdout


def test_the_guard_of_that_test_bites(tmp_path: Path) -> None:
    touching = GUARDED.replace("main([", "import socket; socket.getaddrinfo('127.0.0.1', 1); main([")
    command = [sys.executable, "-c", touching]
    outcome = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "touched: socket.getaddrinfo" in outcome.stderr


def test_a_module_whose_source_cannot_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from sipyard import registry

    entries = {"ghost": EntryPoint("ghost", "no_such_package.ghost:Ghost", registry.GROUP)}
    monkeypatch.setattr(registry, "_entry_points", lambda: entries)
    registry.available.cache_clear()
    try:
        (error,) = check_text('loadmodule "ghost"\nroute { log("x"); drop; }').errors
    finally:
        registry.available.cache_clear()
    assert error.message == (
        "module ghost: the source of no_such_package.ghost cannot be found without running it"
    )
