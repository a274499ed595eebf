"""Scripts written with m4, run through the real m4."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sipyard.errors import ConfigError
from sipyard.script import check_file
from sipyard.site import Site
from sipyard.testing import Network

HEAD = """divert(-1)
define(`FAREWELL', `sl_send_reply("$1", "$2"); break')
define(`GATEWAY', 192.0.2.200)
divert(0)dnl
loadmodule "sl"
include(`limits.inc')dnl

route {
"""

needs_m4 = pytest.mark.skipif(shutil.which("m4") is None, reason="m4 is not installed")


def written(folder: Path, body: str) -> Path:
    """A script of two files: line 9 is the first of `body`."""
    (folder / "limits.inc").write_text('loadmodule "maxfwd"\n# one more line\n')
    script = folder / "ser.m4"
    script.write_text(f"{HEAD}{body}\n}}\n")
    return script


@needs_m4
def test_macros_are_expanded_before_the_script_runs(network: Network, tmp_path: Path) -> None:
    body = "\tif (src_ip == GATEWAY) { FAREWELL(403, Not You); }\n\tFAREWELL(`404', Gone);"
    script = written(tmp_path, body)
    server = network.server(Site.load(script))
    call = network.user_agent("alice", "192.0.2.1:5060", proxy=server).request("OPTIONS", "sip:x@10.0.0.1")
    gateway = network.user_agent("gateway", "192.0.2.200:5060", proxy=server)
    refused = gateway.request("OPTIONS", "sip:x@10.0.0.1")
    network.run(1)
    assert (call.status, refused.status) == (404, 403)


@needs_m4
def test_a_mistake_is_shown_where_it_was_written(tmp_path: Path) -> None:
    body = "\tif (method == OPTIONS) {\n\t\tsl_sent_reply(`200', `OK');\n\t}"
    report = check_file(written(tmp_path, body))
    (error,) = report.errors
    assert (error.place.file, error.place.line) == (str(tmp_path / "ser.m4"), 10)
    assert "sl_sent_reply(`200', `OK');" in report.text()


@needs_m4
def test_a_mistake_in_an_included_file_names_that_file(tmp_path: Path) -> None:
    script = written(tmp_path, "\tdrop;")
    (tmp_path / "limits.inc").write_text('\nloadmodule "maxfwt"\n')
    (error,) = check_file(script).errors
    assert (Path(error.place.file).name, error.place.line) == ("limits.inc", 2)


@needs_m4
def test_what_m4_complains_about_is_said_with_its_place(tmp_path: Path) -> None:
    script = tmp_path / "ser.m4"
    script.write_text("# first\ninclude(`nowhere.inc')\n")
    with pytest.raises(ConfigError, match=r"ser\.m4:2.*nowhere\.inc"):
        check_file(script)


def test_without_m4_it_says_what_is_missing(tmp_path: Path) -> None:
    script = written(tmp_path, "\tdrop;")
    command = [sys.executable, "-m", "sipyard.cli", "check", str(script)]
    env = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "written with m4, which is not here" in done.stderr
