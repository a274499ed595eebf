"""A phone in a real browser: JsSIP in headless Chromium, which tells a web server here what happens to it."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlencode

import pytest

from interop.processes import HERE, ROOT, program

PAGE = HERE / "browser" / "phone.html"
MODULES = ROOT / ".venv" / "browser" / "node_modules"
_TYPES = {".js": "text/javascript", ".json": "application/json", ".html": "text/html"}


class _Handler(BaseHTTPRequestHandler):
    reports: ClassVar[queue.Queue[tuple[str, str]]]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        file = MODULES / path.removeprefix("/modules/") if path.startswith("/modules/") else PAGE
        if path != "/" and not (path.startswith("/modules/") and file.is_file() and ".." not in path):
            self.send_error(404)
            return
        data = file.read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", _TYPES.get(file.suffix, "text/plain"))
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        what, detail = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.reports.put((what, detail))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


class BrowserPhone:
    """One page in one Chromium. `options` are what the page reads of its address."""

    def __init__(self, folder: Path, **options: str) -> None:
        if not (MODULES / "jssip").is_dir():
            pytest.skip("JsSIP is not installed")
        self.reports: queue.Queue[tuple[str, str]] = queue.Queue()
        handler = type("Handler", (_Handler,), {"reports": self.reports})
        self.web = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.web.serve_forever, daemon=True).start()
        self.seen: list[tuple[str, str]] = []
        self.log = folder / "chromium.log"
        command = [
            program("chromium"),
            *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
            *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
            *("--ignore-certificate-errors", "--disable-background-networking", "--disable-sync"),
            f"--user-data-dir={folder / 'chromium'}",
            f"http://127.0.0.1:{self.web.server_address[1]}/?{urlencode(options)}",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait_for(self, what: str, seconds: float = 30.0) -> str:
        """What the page says of this event; AssertionError when it does not come."""
        end = time.monotonic() + seconds
        while True:
            try:
                found = self.reports.get(timeout=max(end - time.monotonic(), 0.01))
            except queue.Empty:
                tail = self.log.read_text(errors="replace")[-2000:]
                raise AssertionError(f"no {what!r} from the browser, but {self.seen}\n{tail}") from None
            self.seen.append(found)
            if found[0] == what:
                return found[1]

    def stop(self) -> None:
        """End the browser with all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.web.shutdown()
        self.web.server_close()
