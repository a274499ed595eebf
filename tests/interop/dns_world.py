"""A world with DNS of its own: run inside a namespace for network and mounts, prints what came of it as JSON.

nsd is the second name server of /etc/resolv.conf; at the first one's address somebody listens and says
nothing. The server is `sipyard run`, the phones are sockets.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nsd

PORT = 5070
SCRIPT = f"""#!SER 2.0
listen=udp:127.0.0.1:{PORT}
dns_retr_time=1
dns_retr_no=1
dns_deadline=3
loadmodule "sl"
loadmodule "tm"
loadmodule "enum"
modparam("tm", "fr_timer", 1000)
modparam("enum", "domain_suffix", "e164.test.")
route {{
    if (uri =~ "^sip:\\+") enum_query();
    t_relay();
}}
"""
ZONE = """
_sip._udp.closed  SRV 10 1 5060 closed
_sip._udp.closed  SRV 20 1 5060 phone
_sip._udp.silent  SRV 10 1 5060 silent
_sip._udp.silent  SRV 20 1 5060 phone
closed            A 127.0.0.11
phone             A 127.0.0.12
silent            A 127.0.0.13
"""
ENUM = '3.2.1.0.6.4.9.7.0.2.4.4 NAPTR 1 1 "u" "E2U+sip" "!^\\\\+44(.*)$!sip:\\\\1@phone.example.test!" .\n'
SILENT_SERVER = "127.0.0.53"


def listener(ip: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((ip, port))
    made.settimeout(5)
    return made


class World:
    """The phones and what they see."""

    def __init__(self) -> None:
        self.alice = listener("127.0.0.1", 5099)
        self.phone = listener("127.0.0.12", 5060)
        self.number = 0

    def send(self, method: str, uri: str) -> bytes:
        self.number += 1
        name = f"x{self.number}"
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:5099;branch=z9hG4bK{name}",
            "Max-Forwards: 70",
            f"From: <sip:alice@127.0.0.1>;tag={name}",
            f"To: <{uri}>",
            f"Call-ID: {name}",
            f"CSeq: 1 {method}",
            "Contact: <sip:alice@127.0.0.1:5099>",
            "Content-Length: 0",
        ]
        self.alice.sendto("\r\n".join([*lines, "", ""]).encode(), ("127.0.0.1", PORT))
        return name.encode()

    def call(self, uri: str) -> dict[str, Any]:
        """Call; the phone answers at once. What it was asked for, and after how many seconds."""
        begun = time.monotonic()
        self.send("INVITE", uri)
        request, proxy = self.phone.recvfrom(65535)
        seconds = time.monotonic() - begun
        self.answer(request, proxy)
        return {"uri": request.split()[1].decode(), "seconds": seconds, "answered": self.answered(b"200")}

    def answer(self, request: bytes, proxy: Any) -> None:
        """200 from the phone."""
        wanted = ("via:", "from:", "to:", "call-id:", "cseq:")
        lines = [one for one in request.decode().splitlines() if one.lower().startswith(wanted)]
        lines = [f"{one};tag=phone" if one.lower().startswith("to:") else one for one in lines]
        more = ["Contact: <sip:bob@127.0.0.12>", "Content-Length: 0"]
        self.phone.sendto("\r\n".join(["SIP/2.0 200 OK", *lines, *more, "", ""]).encode(), proxy)

    def answered(self, status: bytes) -> bool:
        while not (data := self.alice.recv(65535)).startswith(b"SIP/2.0 " + status):
            if data.startswith(b"SIP/2.0 4"):
                return False
        return True

    def others_while_the_dns_is_dead(self) -> dict[str, float]:
        """Round trips of requests to a numeric host while a hundred wait for the DNS."""
        for number in range(100):
            self.send("OPTIONS", f"sip:x@n{number}.example.test")
        worst = 0.0
        for _ in range(100):
            begun = time.monotonic()
            name = self.send("OPTIONS", "sip:bob@127.0.0.12")
            request, proxy = self.phone.recvfrom(65535)
            worst = max(worst, time.monotonic() - begun)
            self.answer(request, proxy)
            while name not in self.alice.recv(65535):
                pass
        return {"worst": worst}


def ctl(folder: Path, *words: str) -> str:
    command = [sys.executable, "-m", "sipyard.cli", "ctl", "--json", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def main(folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    conf = folder / "resolv.conf"
    conf.write_text(f"nameserver {SILENT_SERVER}\nnameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", conf, "/etc/resolv.conf"], check=True)
    (folder / "ser.cfg").write_text(SCRIPT)
    found: dict[str, Any] = {}
    zones = {"example.test.": ZONE, "e164.test.": ENUM}
    with nsd.serving(folder, zones, 53) as _port, listener(SILENT_SERVER, 53), listener("127.0.0.13", 5060):
        log = (folder / "log").open("wb")
        server = subprocess.Popen(
            [sys.executable, "-m", "sipyard.cli", "run", "ser.cfg"], cwd=folder, stdout=log, stderr=log
        )
        try:
            world = World()
            wait_until_it_answers(world)
            found["first"] = world.call("sip:bob@phone.example.test:5060")
            found["closed"] = world.call("sip:bob@closed.example.test")
            found["silent"] = world.call("sip:bob@silent.example.test")
            found["enum"] = world.call("sip:+442079460123@127.0.0.1")
            found["resolve"] = json.loads(ctl(folder, "dns.resolve", "sip:silent.example.test"))
            found["cached"] = world.call("sip:bob@closed.example.test")
            conf.write_text(f"nameserver {SILENT_SERVER}\n")
            time.sleep(5.5)  # the file is looked at every 5 s
            found["dead"] = world.others_while_the_dns_is_dead()
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(10)
    print(json.dumps(found))


def wait_until_it_answers(world: World) -> None:
    world.alice.settimeout(0.2)
    for _ in range(100):
        name = world.send("OPTIONS", f"sip:127.0.0.11:{PORT + 1}")
        try:
            while name not in world.alice.recv(65535):
                pass
        except (TimeoutError, ConnectionRefusedError):
            continue
        break
    world.alice.settimeout(8)


if __name__ == "__main__":
    os.environ.pop("SIPYARD_DB", None)
    main(Path(sys.argv[1]))
