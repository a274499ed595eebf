"""Every command in the guides about tools prints what the guide shows; `...` stands for anything."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "docs" / "guides" / name for name in ("explain.md", "translate.md", "testing.md")]
SESSIONS = [
    (guide, number, session)
    for guide in GUIDES
    for number, session in enumerate(re.findall(r"```console\n(.*?)```", guide.read_text("utf-8"), re.DOTALL))
]


def commands(session: str) -> list[tuple[str, str]]:
    """Commands of a session with what they print."""
    parts = re.split(r"^\$ (.*)\n", session, flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def printed(command: str, folder: Path) -> str:
    """Both streams of a command, which runs where its examples are."""
    words = shlex.split(command)
    if words[0] == "python":
        words = words[1:]
    else:
        module = {"sipyard": "sipyard.cli", "coverage": "coverage"}[words[0]]
        words = ["-m", module, *words[1:]]
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT / 'python'}",
        "COVERAGE_FILE": str(folder / ".coverage"),
    }
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout


def fits(shown: str, output: str) -> bool:
    """Whether the guide's text is the output, `...` standing for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.strip("\n").split("..."))
    return re.fullmatch(pattern, output.strip("\n"), re.DOTALL) is not None


@pytest.mark.parametrize(
    ("guide", "number", "session"), SESSIONS, ids=lambda value: getattr(value, "stem", None)
)
def test_session(guide: Path, number: int, session: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for command, shown in commands(session):
        output = printed(command, tmp_path)
        assert fits(shown, output), f"{command} printed:\n{output}"


def test_a_wrong_output_would_be_seen() -> None:
    assert fits("a\n...\nc\n", "a\nb\nc\n")
    assert not fits("a\n...\nd\n", "a\nb\nc\n")


def test_the_options_of_explain_are_those_of_the_table() -> None:
    from sipyard.cli.explain import explain

    rows = re.findall(r"^\| (`--.*?) \|", GUIDES[0].read_text("utf-8"), re.MULTILINE)
    shown = {option for row in rows for option in re.findall(r"--[a-z]+", row)}
    real = {option for parameter in explain.params for option in parameter.opts if option.startswith("--")}
    assert shown == real - {"--file", "--json"}
