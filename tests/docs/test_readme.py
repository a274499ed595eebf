"""README's script runs, its mistake is found as shown, its commands exist, its session is what is printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
SCRIPT = next(block for block in re.findall(r"```c\n(.*?)```", README, re.DOTALL) if "route {" in block)


def check(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    (folder / "ser.cfg").write_text(script)
    command = [sys.executable, "-m", "sipyard.cli", "check", "ser.cfg"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_script_is_good_and_short(tmp_path: Path) -> None:
    outcome = check(tmp_path, SCRIPT)
    assert outcome.returncode == 0, outcome.stdout
    assert len([line for line in SCRIPT.splitlines() if line.strip()]) <= 16


def test_the_mistake_is_reported_as_shown(tmp_path: Path) -> None:
    shown = re.search(r"\$ sipyard check ser.cfg\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    outcome = check(tmp_path, SCRIPT.replace("!lookup", "!lokup"))
    assert outcome.returncode != 0
    assert outcome.stdout == shown[1]


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z]+)", README))))
def test_each_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_the_session_is_what_the_server_prints() -> None:
    from sipyard import __version__

    session = re.search(r"```text\n(.*?)```", README, re.DOTALL)
    assert session is not None
    assert session[1].startswith(f"Sipyard {__version__} serves examples/ser.cfg\n")
