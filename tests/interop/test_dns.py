"""`sipyard run`, nsd and phones in namespaces of their own, where /etc/resolv.conf is the test's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nsd import needs_nsd

pytestmark = needs_nsd
WORLD = Path(__file__).with_name("dns_world.py")
# What is mounted and who listens ends with the child.
UNSHARE = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare or ip is not installed")
    tried = subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no namespaces here: {tried.stderr.decode().strip()}")
    command = [*UNSHARE, sys.executable, str(WORLD), str(tmp_path_factory.mktemp("world"))]
    path = os.pathsep.join([str(WORLD.parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    child = subprocess.run(command, capture_output=True, text=True, timeout=55, check=False, env=environment)
    assert child.returncode == 0, child.stderr
    found: dict[str, Any] = json.loads(child.stdout)
    return found


def test_a_silent_name_server_costs_one_wait(seen: dict[str, Any]) -> None:
    assert 1 <= seen["first"]["seconds"] < 1.5
    assert seen["first"]["answered"]


def test_a_closed_port_costs_nothing(seen: dict[str, Any]) -> None:
    """ICMP says so, and the next SRV record is tried."""
    for call in ("closed", "cached"):
        assert seen[call]["answered"]
        assert seen[call]["seconds"] < 0.5


def test_a_silent_host_costs_one_timeout(seen: dict[str, Any]) -> None:
    assert seen["silent"]["answered"]
    assert 1 <= seen["silent"]["seconds"] < 1.5


def test_a_number_is_called_by_enum(seen: dict[str, Any]) -> None:
    assert seen["enum"]["uri"] == "sip:2079460123@phone.example.test"
    assert seen["enum"]["answered"]


def test_where_a_uri_leads(seen: dict[str, Any]) -> None:
    places = [(one["ip"], one["port"]) for one in seen["resolve"]]
    assert places == [("127.0.0.13", 5060), ("127.0.0.12", 5060)]


def test_a_dead_dns_holds_up_nobody_else(seen: dict[str, Any]) -> None:
    assert seen["dead"]["worst"] < 0.5
