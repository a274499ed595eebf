"""`make run` as a person meets it: it starts, says where it listens, two phones register and call."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interop.baresip import Baresip
from interop.processes import ROOT, Exchange, free_port, lines_until, program, status

PASSWORDS = {"alice": "wonderland", "bob": "zanzibar"}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`make run` on a free port instead of 5060, with its database in a folder of the test."""
    port = free_port()
    command = ["make", "--no-print-directory", "run", f"PORT={port}", f"VAR={tmp_path}"]
    process = subprocess.Popen(
        [program(command[0]), *command[1:]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    yield process, port
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
    assert process.stdout is not None
    process.stdout.close()


@pytest.mark.timeout(900)
def test_two_phones(
    served: tuple[subprocess.Popen[bytes], int], phone: Callable[..., Baresip], tmp_path: Path
) -> None:
    process, port = served
    # In a clean checkout this compiles the core first.
    lines = lines_until(process, lambda line: "Ctrl-C" in line, 800)
    assert any(re.search(rf"127\.0\.0\.1:{port}\b", line) for line in lines), lines
    with Exchange(port) as person:
        assert status(person.ask("OPTIONS", f"sip:127.0.0.1:{port}")) == 200
    add = next(line.partition(":  ")[2].split() for line in lines if "user add" in line)
    for name, password in PASSWORDS.items():
        command = [*add[:-1], f"{name}@127.0.0.1", "--password-file", "-"]
        subprocess.run(command, cwd=ROOT, input=password.encode(), check=True)
    alice, bob = (phone(name, port, password=password) for name, password in PASSWORDS.items())
    alice.registered()
    bob.registered()
    alice.tell("dial", f"sip:bob@127.0.0.1:{port}")
    bob.wait_for("CALL_INCOMING")
    bob.tell("accept")
    alice.wait_for("CALL_ESTABLISHED")
    bob.wait_for("CALL_ESTABLISHED")
    alice.tell("hangup")
    bob.wait_for("CALL_CLOSED")
    assert list(tmp_path.glob("*.db")), "the database is in its folder"
    mallory = phone("mallory", port, password="guess")
    mallory.wait_for("REGISTER_FAIL")
