"""How long a caller waits for the first answer, measured beside a running load with the kernel's clock.

A hundred times a second one request goes to the server; the kernel stamps its answer on arrival. The
probe's own user answers its INVITE with 486, so that every probe ends like a call that was refused.
"""

from __future__ import annotations

import selectors
import socket
import struct
import time

SO_TIMESTAMPNS = 35
SO_BUSY_MARGIN = 0.25


def listening_socket() -> socket.socket:
    """A UDP socket whose datagrams carry the time of their arrival."""
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", 0))
    udp.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    udp.setblocking(False)
    return udp


def header(lines: list[str], name: str) -> list[str]:
    """All header lines of one name."""
    return [line for line in lines if line.lower().startswith(name.lower() + ":")]


class Prober:
    """Sends probes to the server on `port`, for at most `seconds`."""

    def __init__(self, port: int, *, invites: bool) -> None:
        self.server = ("127.0.0.1", port)
        self.method = "INVITE" if invites else "REGISTER"
        self.caller, self.callee = listening_socket(), listening_socket()
        self.sent: dict[str, float] = {}
        self.waits: list[float] = []
        self.requests: dict[str, str] = {}

    def request(self, method: str, name: str) -> str:
        """A request of the probe's user to itself."""
        own = f"127.0.0.1:{self.caller.getsockname()[1]}"
        contact = f"127.0.0.1:{self.callee.getsockname()[1]}"
        aor = f"sip:probe@127.0.0.1:{self.server[1]}"
        uri = aor if method != "REGISTER" else f"sip:127.0.0.1:{self.server[1]}"
        return (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {own};branch=z9hG4bK{name}\r\n"
            f"From: <{aor}>;tag={name}\r\nTo: <{aor}>\r\nCall-ID: {name}\r\nCSeq: 1 {method}\r\n"
            f"Contact: <sip:probe@{contact}>\r\nMax-Forwards: 70\r\n"
            f"{'Expires: 3600' + chr(13) + chr(10) if method == 'REGISTER' else ''}Content-Length: 0\r\n\r\n"
        )

    def register(self) -> None:
        """Bind the probe's user to the answering socket."""
        self.caller.setblocking(True)
        self.caller.settimeout(5)
        self.caller.sendto(self.request("REGISTER", f"r{time.monotonic_ns()}").encode(), self.server)
        answer = self.caller.recv(4096)
        if not answer.startswith(b"SIP/2.0 200"):
            raise RuntimeError(f"the probe could not register: {answer[:60]!r}")
        self.caller.setblocking(False)

    def run(self, seconds: float, per_second: int = 100) -> list[float]:
        """Probe at an even pace; the waits in microseconds."""
        self.register()
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.caller, selectors.EVENT_READ, self.answered)
            waiting.register(self.callee, selectors.EVENT_READ, self.offered)
            start, number = time.monotonic(), 0
            while time.monotonic() < start + seconds + SO_BUSY_MARGIN:
                due = start + number / per_second
                for key, _ in waiting.select(max(0.0, due - time.monotonic())):
                    key.data()
                if time.monotonic() >= due and due < start + seconds:
                    self.probe(f"p{time.monotonic_ns()}")
                    number += 1
        self.caller.close()
        self.callee.close()
        return self.waits

    def probe(self, name: str) -> None:
        """Send one and note when."""
        text = self.request(self.method, name)
        self.requests[name] = text
        self.sent[name] = time.clock_gettime(time.CLOCK_REALTIME)
        self.caller.sendto(text.encode(), self.server)

    def answered(self) -> None:
        """The first answer ends the wait; a refusal is acknowledged."""
        data, ancillary, _, _ = self.caller.recvmsg(8192, 64)
        lines = data.decode(errors="replace").split("\r\n")
        name = header(lines, "Call-ID")[0].partition(":")[2].strip()
        if name in self.sent:
            seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
            self.waits.append((seconds + nanoseconds / 1e9 - self.sent.pop(name)) * 1e6)
        if self.method == "INVITE" and not lines[0].startswith("SIP/2.0 1"):
            ack = self.request("ACK", name).split("\r\n")
            ack[3] = header(lines, "To")[0]
            self.caller.sendto("\r\n".join(ack).encode(), self.server)

    def offered(self) -> None:
        """Refuse the probe's own call."""
        lines = self.callee.recv(8192).decode(errors="replace").split("\r\n")
        if not lines[0].startswith("INVITE"):
            return
        kept = [line for name in ("Via", "From", "To", "Call-ID", "CSeq") for line in header(lines, name)]
        kept = [line + ";tag=callee" if line.startswith("To:") else line for line in kept]
        reply = "\r\n".join(["SIP/2.0 486 Busy Here", *kept, "Content-Length: 0", "", ""])
        self.callee.sendto(reply.encode(), self.server)
