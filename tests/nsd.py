"""Debian's nsd, an authoritative DNS server, with zones of a test's own on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAM = shutil.which("nsd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_nsd = pytest.mark.skipif(PROGRAM is None, reason="nsd is not installed (tools/peers.sh installs it)")
CONFIG = """
server:
  ip-address: 127.0.0.1@{port}
  do-ip6: no
  server-count: 1
  database: ""
  username: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/nsd.pid"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  hide-version: yes
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"""
ZONE = 'zone:\n  name: "{name}"\n  zonefile: "{name}zone"\n'
HEAD = "$ORIGIN {name}\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 30\n@ NS ns\nns A 127.0.0.1\n"


def free_port() -> int:
    """A UDP port of loopback that nobody has, by TCP neither."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def serving(folder: Path, zones: Mapping[str, str], port: int = 0) -> Iterator[int]:
    """nsd with these zones (name with its dot -> lines) until the block ends; gives its port."""
    assert PROGRAM is not None
    port = port or free_port()
    config = CONFIG.format(port=port, folder=folder)
    for name, lines in zones.items():
        (folder / f"{name}zone").write_text(HEAD.format(name=name) + lines)
        config += ZONE.format(name=name)
    (folder / "nsd.conf").write_text(config)
    process = subprocess.Popen(
        [PROGRAM, "-d", "-c", folder / "nsd.conf"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        _wait_for(port, process)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(100):
        if process.poll() is not None:
            output, _ = process.communicate()
            raise RuntimeError(f"nsd did not start: {output.decode()}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)  # for a program of others to come up
        else:
            return
    raise RuntimeError("nsd does not listen")
