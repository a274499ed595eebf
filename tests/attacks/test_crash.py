"""SIGKILL in the middle of registrations: with write-through no binding that was answered 200 is lost."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, sipyard, status

SCRIPT = Path(__file__).with_name("durable.cfg")


def flood(router: Router, prefix: str, acknowledged: set[str], stop: threading.Event) -> None:
    """Register one user after the other, several under way, until told to stop."""
    with Exchange(router.port) as phone:
        number = 0
        while not stop.is_set():
            for _ in range(8):
                user = f"{prefix}-{number}"
                number += 1
                uri = f"sip:{user}@127.0.0.1:{router.port}"
                contact = f"Contact: <sip:{user}@127.0.0.1:9>;expires=3600"
                phone.send(phone.request("REGISTER", uri, contact, name=user))
            for _ in range(8):
                answer = phone.receive(0.2)
                if answer is None:  # killed, or slow: what comes late is read in the next round
                    break
                if status(answer) == 200:
                    acknowledged.add(answer.partition(b"Call-ID: ")[2].partition(b"\r\n")[0].decode())


@pytest.mark.timeout(120)
def test_nothing_answered_is_lost(tmp_path: Path) -> None:
    chance = random.Random(9)
    router = sipyard(SCRIPT, tmp_path)
    acknowledged: set[str] = set()
    for life in range(5):
        stop = threading.Event()
        names = (router, f"life{life}", acknowledged, stop)
        thread = threading.Thread(target=flood, args=names)
        thread.start()
        # At a random moment of the flood; the event is never set before, so this waits exactly so long.
        stop.wait(0.3 + chance.random())
        router.kill()
        stop.set()
        thread.join()
        router.restart()
    assert len(acknowledged) > 200
    with Exchange(router.port) as asker:
        lost = [user for user in sorted(acknowledged) if not known(asker, router, user)]
    assert router.stop() == 0
    assert not lost, f"{len(lost)} of {len(acknowledged)} lost, such as {lost[:5]}"


def known(asker: Exchange, router: Router, user: str) -> bool:
    """A REGISTER without Contact lists the bindings (RFC 3261 §10.2.3)."""
    answer = asker.ask("REGISTER", f"sip:{user}@127.0.0.1:{router.port}")
    return answer is not None and f"<sip:{user}@127.0.0.1:9>".encode() in answer
