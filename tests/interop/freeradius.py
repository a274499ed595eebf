"""A FreeRADIUS of our own: on free ports, with users of the test, ended by its id."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

import pytest

from interop.processes import free_ports, program

CONFIG = """
prefix = /usr
exec_prefix = /usr
name = freeradius
raddbdir = {folder}
run_dir = {folder}
db_dir = {folder}
logdir = {folder}
libdir = /usr/lib/freeradius
pidfile = {folder}/pid
max_request_time = 5
cleanup_delay = 1
security {{
    reject_delay = 0
    status_server = no
}}
client here {{
    ipaddr = 127.0.0.1
    secret = {secret}
    require_message_authenticator = yes
}}
modules {{
    digest {{
    }}
    files {{
        usersfile = {folder}/users
    }}
    detail {{
        filename = {folder}/detail
    }}
}}
server default {{
    listen {{
        type = auth
        ipaddr = 127.0.0.1
        port = {auth}
    }}
    listen {{
        type = acct
        ipaddr = 127.0.0.1
        port = {acct}
    }}
    authorize {{
        digest
        files
    }}
    authenticate {{
        digest
    }}
    post-auth {{
        update reply {{
            Message-Authenticator := 0x00
        }}
        Post-Auth-Type REJECT {{
            update reply {{
                Message-Authenticator := 0x00
            }}
        }}
    }}
    accounting {{
        detail
    }}
}}
"""
DICTIONARY = """
$INCLUDE /usr/share/freeradius/dictionary
ATTRIBUTE Sip-Uri-User 208 string
ATTRIBUTE Sip-Group 211 string
ATTRIBUTE SIP-AVP 225 string
"""
USERS = """
bob@example.org Service-Type == 31, Auth-Type := Accept
    SIP-AVP += "plan:silver"

bob@example.org Service-Type == 12, Sip-Group == "ld", Auth-Type := Accept

bob@example.org Cleartext-Password := "zanzibar"
    SIP-AVP += "uid:bob-of-radius",
    SIP-AVP += "lines#7"

bob Service-Type == 30, Auth-Type := Accept
    SIP-AVP += "plan:gold"

alice@example.org Service-Type == 10, Auth-Type := Accept

bob@127.0.0.1 Service-Type == 12, Sip-Group == "ld", Auth-Type := Accept

DEFAULT Auth-Type := Reject
"""


class FreeRadius:
    """One server; `detail` is what it was told by Accounting-Requests."""

    def __init__(self, folder: Path, secret: str = "testing123") -> None:
        self.auth, self.acct = free_ports(2)
        self.secret = secret
        self.folder = folder / f"radius-{self.auth}"
        self.folder.mkdir()
        text = CONFIG.format(folder=self.folder, secret=secret, auth=self.auth, acct=self.acct)
        (self.folder / "radiusd.conf").write_text(text)
        (self.folder / "dictionary").write_text(DICTIONARY)
        (self.folder / "users").write_text(USERS)
        self.log = self.folder / "log"
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Run it until it is ready."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [program("freeradius"), "-f", "-l", "stdout", "-xx", "-d", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + 20
        while "Ready to process requests" not in self.text():
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"FreeRADIUS does not start:\n{self.text()[-3000:]}")
            time.sleep(0.05)  # for a program of others to come up
        return process

    def text(self) -> str:
        """Its log so far."""
        return self.log.read_text(errors="replace")

    def stop(self) -> None:
        """End it."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)
        self.log.write_text("")

    def detail(self) -> list[dict[str, str]]:
        """The Accounting-Requests that it has taken, in order."""
        path = self.folder / "detail"
        if not path.exists():
            return []
        blocks = path.read_text().strip().split("\n\n")
        return [
            {
                name.strip(): value.strip().strip('"')
                for name, _, value in (line.partition("=") for line in block.splitlines()[1:])
            }
            for block in blocks
        ]


def silent_port() -> tuple[socket.socket, int]:
    """A port where somebody listens and never answers."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(("127.0.0.1", 0))
    return one, int(one.getsockname()[1])
