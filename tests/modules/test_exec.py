"""exec: real programs, run by the real server on loopback."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sipyard._native.core import Message

SCRIPT = r"""
listen=udp:127.0.0.1:%d
loadmodule "sl" loadmodule "exec"
modparam("exec", "time_to_kill", 1)
route {
    if (method == "MESSAGE") {
        if (exec_msg("cat > body; echo \"$SIP_HF_X_EVIL|$SIP_OUSER|$SIP_SRCIP|$SIP_HF_CALL_ID\" > facts")) {
            sl_reply("200", "OK");
        } else {
            sl_reply("500", "Failed");
        }
        drop;
    }
    if (method == "INFO") {
        if (exec_dset("sleep 600 & echo $! > child; wait; echo sip:a@h #")) { sl_reply("200", "OK"); }
        else { sl_reply("504", "Late"); }
        drop;
    }
    if (exec_dset("./choose")) { sl_reply("302", "There"); } else { sl_reply("404", "No"); }
}
"""
CHOOSE = """#!/bin/sh
case "$1" in
    *fail@*) echo sip:a@192.0.2.1; exit 1;;
    *none@*) exit 0;;
    *junk@*) echo sip:a@192.0.2.1; echo no uri;;
    *) echo sip:a@192.0.2.1; echo; echo "sip:b@192.0.2.2";;
esac
"""
REQUEST = (
    "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{user}\r\nMax-Forwards: 9\r\n"
    "From: <sip:a@127.0.0.1>;tag=1\r\nTo: <sip:b@127.0.0.1>\r\ni: c{user}\r\nCSeq: 1 {method}\r\n"
    "X-Evil: '; touch made; $(touch made) `touch made`\r\nContent-Length: 2\r\n\r\nhi"
)


class Server:
    """The server's address and directory, and a phone that asks it."""

    def __init__(self, directory: Path, port: int) -> None:
        self.directory = directory
        self.port = port

    def ask(self, method: str, user: str, uri: str = "") -> Message:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
            phone.bind(("127.0.0.1", 0))
            phone.settimeout(10)
            target = uri or f"sip:{user}@127.0.0.1"
            text = REQUEST.format(method=method, uri=target, user=user, port=phone.getsockname()[1])
            phone.sendto(text.encode(), ("127.0.0.1", self.port))
            return Message.parse(phone.recv(65535))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("exec")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port = int(one.getsockname()[1])
    (directory / "ser.cfg").write_text(SCRIPT % port)
    (directory / "choose").write_text(CHOOSE)
    (directory / "choose").chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "sipyard.cli", "run", "ser.cfg"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=directory,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "Ctrl-C" in line:
                break
        else:
            pytest.fail("it did not start:\n" + "".join(seen))
        yield Server(directory, port)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_printed_uris_become_the_destinations(server: Server) -> None:
    answer = server.ask("OPTIONS", "two")
    assert (answer.status, answer.values("Contact")) == (302, ["<sip:a@192.0.2.1>", "<sip:b@192.0.2.2>"])


@pytest.mark.parametrize("user", ["fail", "none", "junk"])
def test_a_program_that_does_not_choose_changes_nothing(server: Server, user: str) -> None:
    assert server.ask("OPTIONS", user).status == 404


def test_the_message_and_its_facts_reach_the_program(server: Server) -> None:
    assert server.ask("MESSAGE", "eva").status == 200
    assert Message.parse((server.directory / "body").read_bytes()).body == b"hi"
    evil = "'; touch made; $(touch made) `touch made`"
    assert (server.directory / "facts").read_text() == f"{evil}|eva|127.0.0.1|ceva\n"


def test_no_shell_reads_what_a_message_says(server: Server) -> None:
    assert server.ask("OPTIONS", "inject", "sip:';touch$IFS'made';'@127.0.0.1").status == 302
    assert server.ask("MESSAGE", "evil").status == 200
    assert not (server.directory / "made").exists()


def test_a_late_program_is_killed_with_what_it_started(server: Server) -> None:
    assert server.ask("INFO", "late").status == 504
    child = int((server.directory / "child").read_text())
    state = Path(f"/proc/{child}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"
