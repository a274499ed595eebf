"""A baresip phone without a person: no sound device, driven over its control port with JSON netstrings."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from interop.processes import free_pair, free_ports, program

CONFIG = """\
poll_method epoll
sip_listen 127.0.0.1:{sip}
module_path {modules}
module g711.so
module aubridge.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:{control}
audio_player aubridge,nil
audio_source aubridge,nil
audio_alert aubridge,nil
call_local_timeout 120
call_max_calls 4
net_interface 127.0.0.1
rtp_ports {rtp}-{rtp_end}
"""

ACCOUNT = (
    "<sip:{user}@127.0.0.1:{server};transport={transport}>"
    ";regint=60;auth_pass={password};answermode={answer}\n"
)
MODULES = "/usr/lib/baresip/modules"


class Baresip:
    """One phone of `user` at the server on port `server`; answers calls when told to."""

    def __init__(
        self,
        user: str,
        server: int,
        folder: Path,
        answer: str = "manual",
        password: str = "none",
        transport: str = "udp",
    ) -> None:
        self.user = user
        home = folder / f"baresip-{user}"
        home.mkdir()
        sip = free_pair()
        control, rtp = free_ports(2)
        text = CONFIG.format(sip=sip, control=control, rtp=rtp, rtp_end=rtp + 10, modules=MODULES)
        (home / "config").write_text(text)
        (home / "accounts").write_text(
            ACCOUNT.format(user=user, server=server, answer=answer, password=password, transport=transport)
        )
        (home / "contacts").write_text("")
        self.log = home / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [program("baresip"), "-f", str(home), "-4"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=home,
            )
        self.buffer = b""
        self.events: list[dict[str, Any]] = []
        self.control = self._connect(control)

    def _connect(self, port: int) -> socket.socket:
        end = time.monotonic() + 10
        while time.monotonic() < end and self.process.poll() is None:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=1)
            except OSError:
                # Not listening yet; a closed pipe or the process's end would wake us, so wait for that.
                try:
                    self.process.wait(0.05)
                except subprocess.TimeoutExpired:
                    continue
        self.stop()
        pytest.fail(f"baresip gives no control port:\n{self.text()}")

    def text(self) -> str:
        """Its output so far."""
        return self.log.read_text(errors="replace")[-4000:]

    def tell(self, command: str, parameters: str = "") -> None:
        """Give it a command, such as dial, accept or hangup."""
        words = json.dumps({"command": command, "params": parameters, "token": command})
        self.control.sendall(f"{len(words)}:{words},".encode())

    def registered(self, seconds: float = 15.0) -> None:
        """Wait for its registration, which may have happened before the control port was there."""
        end = time.monotonic() + seconds
        while "200 OK" not in self.text():
            if time.monotonic() > end:
                pytest.fail(f"{self.user} did not register:\n{self.text()}")
            self._receive(0.1)

    def wait_for(self, kind: str, seconds: float = 15.0) -> dict[str, Any]:
        """The next event of this type, such as REGISTER_OK or CALL_ESTABLISHED."""
        end = time.monotonic() + seconds
        while True:
            for at, event in enumerate(self.events):
                if event.get("type") == kind:
                    del self.events[: at + 1]
                    return event
            left = end - time.monotonic()
            if left <= 0:
                pytest.fail(f"{self.user}: no {kind}; seen {self.events}; output:\n{self.text()}")
            self._receive(left)

    def _receive(self, seconds: float) -> None:
        """Take in events, waiting at most that long."""
        self.control.settimeout(seconds)
        try:
            self.buffer += self.control.recv(65536)
        except TimeoutError:
            return
        self._split()

    def _split(self) -> None:
        """Cut netstrings off the buffer: "<length>:<text>,"."""
        while b":" in self.buffer:
            length, _, rest = self.buffer.partition(b":")
            if len(rest) <= int(length):
                return
            message = json.loads(rest[: int(length)])
            self.buffer = rest[int(length) + 1 :]
            if message.get("event"):
                self.events.append(message)

    def stop(self) -> None:
        """End it by its id."""
        if hasattr(self, "control"):
            self.control.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
