"""sipsak: ping, unknown user, registration, flood."""

from __future__ import annotations

import subprocess
from pathlib import Path

from interop.processes import Router, free_port, program


def sipsak(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run sipsak to its end."""
    command = [program("sipsak"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=folder, check=False)


def test_options(router: Router, tmp_path: Path) -> None:
    done = sipsak(tmp_path, "-vv", "-s", f"sip:127.0.0.1:{router.port}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "200 OK" in done.stdout


def test_unknown_user(router: Router, tmp_path: Path) -> None:
    done = sipsak(tmp_path, "-vv", "-s", f"sip:nobody@127.0.0.1:{router.port}")
    assert "404" in done.stdout, done.stdout + done.stderr


def test_usrloc(router: Router, tmp_path: Path) -> None:
    """-U: register a contact, ask for the list, remove all.

    sipsak's further modes, in which it also calls the users (-I, -M), end in a fault of its own in
    Debian's version.
    """
    server = f"sip:test@127.0.0.1:{router.port}"
    contact = f"sip:test@127.0.0.1:{free_port()}"
    for asked, answered in ((contact, contact), ("empty", contact), ("*", "200 OK"), ("empty", "200 OK")):
        expires = "0" if asked == "*" else "60"
        done = sipsak(tmp_path, "-U", "-C", asked, "-x", expires, "-vvv", "-s", server)
        assert done.returncode == 0, done.stdout + done.stderr
        assert answered in done.stdout
    assert contact not in done.stdout, "the last list is empty"


def test_many_requests_at_once(router: Router, tmp_path: Path) -> None:
    """-F: a flood of a thousand requests; the server answers afterwards as before."""
    done = sipsak(tmp_path, "-F", "-e", "1000", "-s", f"sip:127.0.0.1:{router.port}")
    assert done.returncode == 0, done.stdout + done.stderr
    router.ping()
