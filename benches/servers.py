"""The two servers as processes: started on a free port, ready when they answer, ended by their id."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benches.processes import cpu_seconds, pss_bytes, tree
from benches.subscribers import FILE, USERS, write_subscribers

HERE = Path(__file__).parent
LISTEN = re.compile(r"^listen=.*$", re.MULTILINE)


def free_port() -> int:
    """A UDP port of the loopback address that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def kamailio() -> str | None:
    """Kamailio's program, if it is here."""
    return shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin")


def sipyard() -> str | None:
    """Sipyard's program of this environment, if it is built."""
    program = Path(sys.executable).with_name("sipyard")
    return str(program) if program.exists() else None


def version(name: str) -> str:
    """The first line with which a server names its version."""
    command = {"kamailio": [kamailio() or "", "-v"], "sipyard": [sipyard() or "", "--version"]}[name]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return lines[0].removeprefix("version: ").strip()


class Server:
    """A running server: `name` is kamailio or sipyard, `config` the name of one of its scripts here; `store`
    the database file that it works on instead of one of its own; `patience` seconds until it must answer;
    `files` are put beside its script."""

    def __init__(
        self,
        name: str,
        config: str,
        folder: Path,
        *,
        store: Path | None = None,
        patience: float = 20.0,
        transports: Sequence[str] = ("udp",),
        files: Sequence[Path] = (),
    ) -> None:
        self.name, self.port, self.tls_port = name, free_port(), free_port()
        self.folder = folder / f"{name}-{config}-{self.port}"
        self.folder.mkdir(parents=True)
        script = self.folder / f"{config}.cfg"
        text = (HERE / name / f"{config}.cfg").read_text()
        ports = {each: self.tls_port if each == "tls" else self.port for each in transports}
        listens = "\n".join(f"listen={each}:127.0.0.1:{port}" for each, port in ports.items())
        script.write_text(LISTEN.sub(listens, text))
        for file in files:
            shutil.copy(file, self.folder)
        if store is not None:
            store.rename(self.folder / FILE)
        elif FILE in text:
            write_subscribers(self.folder, USERS, sipyard() if name == "sipyard" else None)
        self.log = self.folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(script), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )
        self.wait_for(b"SIP/2.0 ", "OPTIONS", "nobody", patience)

    def command(self, script: Path) -> list[str]:
        """The command line, with the memory allocator that makes the comparison fair to Kamailio."""
        if self.name == "kamailio":
            memory = ["-m", "4096", "-M", "4000"] if script.stem.endswith("_db") else ["-m", "2048"]
            place = ["-w", str(self.folder), "-Y", str(self.folder)]
            return [kamailio() or "", "-f", str(script), "-DD", "-E", "-x", "fm", *memory, *place]
        return [sipyard() or "", "run", str(script)]

    def wait_for(self, answer: bytes, method: str, user: str, seconds: float) -> None:
        """Ask for `user` until an answer begins with `answer`.

        :raises RuntimeError: none did within `seconds`.
        """
        end = time.monotonic() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            probe.settimeout(0.1)
            while time.monotonic() < end and self.process.poll() is None:
                probe.sendto(self.request(method, user, probe.getsockname()[1]), ("127.0.0.1", self.port))
                try:
                    if probe.recv(4096).startswith(answer):
                        return
                except OSError:
                    continue  # not there yet
        self.stop()
        raise RuntimeError(f"{self.name} does not answer; its log: {self.log.read_text()[-2000:]}")

    def request(self, method: str, user: str, port: int) -> bytes:
        """A request of somebody on a port of loopback."""
        own = f"127.0.0.1:{port}"
        text = (
            f"{method} sip:{user}@127.0.0.1:{self.port} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {own};branch=z9hG4bK{time.monotonic_ns()}\r\n"
            f"From: <sip:probe@{own}>;tag=1\r\nTo: <sip:{user}@127.0.0.1:{self.port}>\r\n"
            f"Call-ID: {time.monotonic_ns()}\r\nCSeq: 1 {method}\r\nMax-Forwards: 9\r\n"
            f"Contact: <sip:probe@{own}>\r\nContent-Length: 0\r\n\r\n"
        )
        return text.encode()

    def cpu(self) -> float:
        """CPU seconds of all its processes so far."""
        return cpu_seconds(tree(self.process.pid))

    def pss(self) -> int:
        """Bytes of memory of all its processes."""
        return pss_bytes(tree(self.process.pid))

    def stop(self) -> None:
        """End it, by force if it does not end by itself."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            for pid in tree(self.process.pid):
                subprocess.run(["kill", "-KILL", str(pid)], check=False)
            self.process.wait()
