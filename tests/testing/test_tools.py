"""pytest, coverage.py and pdb on a script, as subprocesses: what examples/testing shows is what they do."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sipyard.testing import Network, RouteRun

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "testing"
RC = EXAMPLE / "coveragerc"


def run(*command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """A Python program in the repository's root."""
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)


def line_of(text: str) -> int:
    """The number of the first line of hotline.cfg that holds a text."""
    lines = (EXAMPLE / "hotline.cfg").read_text("utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if text in line)


@pytest.fixture(scope="module")
def coverage(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[int] | list[list[int]]]:
    """What coverage.py reports about hotline.cfg after its tests."""
    folder = tmp_path_factory.mktemp("coverage")
    data, report = folder / "data", folder / "report.json"
    pytest_run = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "examples/testing")
    done = run("-m", "coverage", "run", f"--data-file={data}", f"--rcfile={RC}", *pytest_run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    run("-m", "coverage", "json", f"--data-file={data}", f"--rcfile={RC}", "-o", report)
    files = json.loads(report.read_text("utf-8"))["files"]
    assert [Path(name).name for name in files] == ["hotline.cfg"]
    found: dict[str, list[int] | list[list[int]]] = next(iter(files.values()))
    return found


def test_coverage_reports_lines(coverage: dict[str, list[int]]) -> None:
    refused = [line_of('sl_reply("405"'), line_of('sl_reply("403"')]
    assert coverage["missing_lines"] == [line for first in refused for line in (first, first + 1)]
    assert {line_of("setflag"), line_of("route(COUNTER)"), line_of("t_check_status")} <= set(
        coverage["executed_lines"]
    )


def test_a_condition_over_two_lines_is_one(coverage: dict[str, list[int]]) -> None:
    second = line_of("nowhere.example")
    assert second - 1 in coverage["executed_lines"]
    assert second not in coverage["executed_lines"] + coverage["missing_lines"]


def test_coverage_reports_branches(coverage: dict[str, list[list[int]]]) -> None:
    vip, counter = line_of("isflagset"), line_of("route(COUNTER)")
    assert {(vip, vip + 1), (vip, counter)} <= {(start, end) for start, end in coverage["executed_branches"]}
    never = line_of("method !=")
    not_busy = line_of("t_check_status")
    assert [never, never + 1] in coverage["missing_branches"]
    assert [not_busy, -line_of("failure_route")] in coverage["missing_branches"]
    branching = {start for start, _ in coverage["executed_branches"] + coverage["missing_branches"]}
    assert line_of("xlog(") not in branching  # a call that could return 0 is no branch of the script


def test_a_script_that_nothing_loads_is_reported(tmp_path: Path) -> None:
    (tmp_path / "idle.cfg").write_text('loadmodule "sl"\nroute {\n  sl_reply("404", "No");\n}\n')
    (tmp_path / "other.cfg").write_text("[metadata]\nname = nothing of ours\n")
    (tmp_path / "nothing.py").write_text("")
    rc = tmp_path / "rc"
    rc.write_text(f"[run]\nplugins = sipyard.testing.coverage_plugin\nsource = {tmp_path}\nomit = *.py\n")
    data = tmp_path / "data"
    run("-m", "coverage", "run", f"--data-file={data}", f"--rcfile={rc}", tmp_path / "nothing.py")
    report = run("-m", "coverage", "report", f"--data-file={data}", f"--rcfile={rc}", "-m")
    assert "idle.cfg" in report.stdout
    assert report.stdout.splitlines()[-1].split()[:3] == ["TOTAL", "2", "2"]
    assert "other.cfg" not in report.stdout


def test_a_broken_script_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "bad.cfg").write_text("route {\n  nonsense();\n}\n")
    (tmp_path / "nothing.py").write_text("")
    rc = tmp_path / "rc"
    rc.write_text(f"[run]\nplugins = sipyard.testing.coverage_plugin\nsource = {tmp_path}\nomit = *.py\n")
    data = tmp_path / "data"
    run("-m", "coverage", "run", f"--data-file={data}", f"--rcfile={rc}", tmp_path / "nothing.py")
    report = run("-m", "coverage", "report", f"--data-file={data}", f"--rcfile={rc}")
    assert report.returncode != 0
    assert "nonsense" in report.stdout + report.stderr


def test_pdb_stops_in_the_script() -> None:
    line = line_of('$counter = "front"')
    script = "list\np msg.request_uri\nnext\np msg.request_uri\nnext\nwhere\np msg.request_uri\nquit\n"
    place = EXAMPLE / "place_call.py"
    stop = f"break hotline.cfg:{line}"
    done = run("-m", "pdb", "-c", stop, "-c", "continue", place, stdin=script)
    shown = done.stdout
    assert "alice" not in shown.rpartition("(Pdb)")[2]  # quit: the rest of the program does not run
    assert "Traceback" not in done.stderr
    assert f'hotline.cfg({line})route[COUNTER]()\n-> $counter = "front";' in shown
    assert f'{line} B->\t\t$counter = "front";' in shown  # list
    assert f'hotline.cfg({line + 1})route[COUNTER]()\n-> rewritehostport("192.0.2.20:5060");' in shown
    assert "route(COUNTER);" in shown  # where: the caller's line
    assert shown.index("'sip:hotline@10.0.0.1'") < shown.index("'sip:hotline@192.0.2.20:5060'")


def test_a_traceback_leads_through_the_script() -> None:
    done = run(EXAMPLE / "billing.py")
    assert done.stdout == "alice 404\nbob 500\n"
    assert 'File "billing.cfg", line 5, in route\n    if (method == "INVITE" && !is_credit_w' in done.stderr
    assert "^^^^^^^^^^^^^^^^^^" in done.stderr
    assert "ValueError: could not convert string to float: 'much'" in done.stderr


@pytest.mark.parametrize("text", ["$f.caller", "$fu.caller", "caller"])
def test_a_recorded_run_is_asked_as_a_script_asks(network: Network, text: str) -> None:
    proxy = network.server('route {\n  $fu.caller = "x";\n  $f.caller[] = 7;\n}\n', records=True)
    alice = network.user_agent("alice", proxy=proxy)
    alice.request("MESSAGE", "sip:bob@10.0.0.1")
    network.run(0.5)
    run: RouteRun = proxy.runs[0]
    assert (run.name, run.method, run.result) == ("", "MESSAGE", 1)
    assert run[text] == ("x" if text == "$fu.caller" else 7)
    assert run["$nothing"] is None
    assert run.values("$f.caller") == [7]


def test_a_server_without_records_says_so(network: Network) -> None:
    proxy = network.server("route {\n  drop;\n}\n")
    with pytest.raises(LookupError, match="records=True"):
        assert proxy.runs
