"""SIGKILL in the middle of calls: with durable accounting each call whose answer was seen has one record."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from interop.processes import Router, sipyard, status
from sipyard.storage import DatabaseUrl
from sipyard.storage.administration import upgrade

from .peers import Phone, header

SCRIPT = Path(__file__).with_name("accounting.cfg")


def answer(callee: Phone, stop: threading.Event) -> None:
    """Answer every INVITE, also the repeated ones; refuse every third."""
    while not stop.is_set():
        data = callee.receive(0.1)
        if data is not None and data.startswith(b"INVITE "):
            is_refused = int(header(data, "Call-ID").rpartition("-")[2]) % 3 == 0
            callee.answer(data, "486 Busy Here" if is_refused else "200 OK")


def call(router: Router, callee: Phone, prefix: str, seen: set[str], stop: threading.Event) -> None:
    """Call again and again, several calls under way, until told to stop."""
    with Phone(router.port) as caller:
        number = 0
        while not stop.is_set():
            for _ in range(8):
                caller.send(caller.request("INVITE", callee.contact, name=f"{prefix}-{number}"))
                number += 1
            for _ in range(16):
                data = caller.receive(0.2)
                if data is None:
                    break
                if status(data) in (200, 486):
                    seen.add(header(data, "Call-ID"))


@pytest.mark.timeout(180)
def test_an_answer_that_was_seen_is_recorded_once(tmp_path: Path) -> None:
    chance = random.Random(4)
    asyncio.run(upgrade(DatabaseUrl.parse(f"sqlite:///{tmp_path}/records.db"), "2.0"))
    router = sipyard(SCRIPT, tmp_path)
    seen: set[str] = set()
    ended = threading.Event()
    with Phone(router.port) as callee:
        answering = threading.Thread(target=answer, args=(callee, ended))
        answering.start()
        for life in range(5):
            stop = threading.Event()
            calling = threading.Thread(target=call, args=(router, callee, f"life{life}", seen, stop))
            calling.start()
            # At a random moment of the calls; the event is never set before, so this waits exactly so long.
            stop.wait(0.3 + chance.random())
            router.kill()
            stop.set()
            calling.join()
            router.restart()
        ended.set()
        answering.join()
    assert router.stop() == 0
    with closing(sqlite3.connect(tmp_path / "records.db")) as connection:
        rows = Counter(call_id for (call_id,) in connection.execute("SELECT sip_callid FROM acc"))
        refused = {
            call_id
            for (call_id,) in connection.execute("SELECT sip_callid FROM acc WHERE sip_status = '486'")
        }
    assert len(seen) > 200
    assert len(seen & refused) > 50
    lost = seen - set(rows)
    assert not lost, f"{len(lost)} of {len(seen)} lost"
    assert [call_id for call_id, count in rows.items() if count > 1] == []
