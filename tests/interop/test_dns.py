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

from interop.processes import program
from nsd import needs_nsd

pytestmark = needs_nsd
HERE = Path(__file__).parent
# What is mounted and who listens ends with the child.
UNSHARE = ["unshare", "--net", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]


def inside(world: str, folder: Path) -> Any:
    """What a program prints that has a network and mounts of its own."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare or ip is not installed")
    tried = subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no namespaces here: {tried.stderr.decode().strip()}")
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    child = subprocess.run(
        [*UNSHARE, sys.executable, str(HERE / world), str(folder)],
        capture_output=True,
        text=True,
        timeout=55,
        check=False,
        env=os.environ | {"PYTHONPATH": path},
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found: dict[str, Any] = inside("dns_world.py", tmp_path_factory.mktemp("world"))
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


def test_enum_finds_what_kamailio_finds(tmp_path: Path) -> None:
    """The same URIs with the same q in the same order, of twenty questions to one zone."""
    program("kamailio")
    answers = inside("enum_world.py", tmp_path)
    assert len(answers) == 20
    for user, service, ours, theirs in answers:
        assert (user, service, ours) == (user, service, theirs)
    assert sum(bool(ours) for _, _, ours, _ in answers) == 13
