"""A server that is started on a large table: it loads, knows every binding, and needs little for each."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, sipyard, status
from sipyard.arguments import Generation
from sipyard.modules.usrloc.contact import Contact
from sipyard.modules.usrloc.rows import Clocks, rows_of
from sipyard.storage import open_database
from sipyard.storage.location import Shape, location_layout

SCRIPT = Path(__file__).parent.parent / "attacks" / "durable.cfg"
COUNT = 50_000
UNDER_WAY = 100
"""Questions sent at once; a socket's buffer of any size has room for the answers."""


def contact(number: int, ends: float) -> Contact:
    """A binding as phones make them; no two share more than the user agent."""
    ip = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return Contact(
        f"user{number:07}",
        f"sip:user{number:07}@{ip}:{1024 + number}",
        ends,
        aor=f"sip:user{number:07}@example.org",
        call_id=f"{number * 0x9E3779B97F4A7C15 & (1 << 96) - 1:024x}@{ip}",
        cseq=number % 1000 + 1,
        user_agent=f"Phone {number % 40}",
        received=f"sip:198.51.{number >> 8 & 255}.{number & 255}:5060" if number % 3 == 0 else "",
        instance=f"<urn:uuid:{number:032x}>" if number % 3 == 1 else "",
        socket="udp:127.0.0.1:5060",
    )


async def fill(path: Path) -> None:
    """Write the table as usrloc does."""
    clocks, rows = Clocks(time.monotonic), rows_of(Generation.SER_2_0)
    database = open_database(f"sqlite:///{path}?synchronous=off")
    table = database.table(location_layout("location", Shape.SER_2_0))
    ends = clocks.core() + 36_000
    for start in range(0, COUNT, 5_000):
        part = [contact(number, ends) for number in range(start, start + 5_000)]
        await table.write({rows.key(one.uid, one.uri): rows.row(one, clocks.ahead) for one in part})
    await database.close()


def resident(router: Router) -> int:
    """Resident set of a server in bytes, the pages that it shares with files left out."""
    _, pages, shared, *_ = Path(f"/proc/{router.process.pid}/statm").read_text().split()
    return (int(pages) - int(shared)) * 4096


def missing(router: Router) -> set[str]:
    """The users whose contact the server does not tell (REGISTER without Contact, RFC 3261 §10.2.3)."""
    contacts = {one.uid: one.uri for one in (contact(number, 0.0) for number in range(COUNT))}
    users, left = list(contacts), set(contacts)
    with Exchange(router.port) as asker:
        for start in range(0, COUNT, UNDER_WAY):
            part = users[start : start + UNDER_WAY]
            for user in part:
                asker.send(asker.request("REGISTER", f"sip:{user}@127.0.0.1:{router.port}", name=user))
            for _ in part:
                answer = asker.receive(5.0)
                if answer is None:
                    return left
                user = answer.partition(b"Call-ID: ")[2].partition(b"\r\n")[0].decode()
                if status(answer) == 200 and f"Contact: <{contacts[user]}>".encode() in answer:
                    left.discard(user)
    return left


@pytest.mark.timeout(120)
def test_a_restart_knows_every_binding_of_a_large_table(tmp_path: Path) -> None:
    router = sipyard(SCRIPT, tmp_path)
    empty = resident(router)
    assert router.stop() == 0
    (tmp_path / "bindings.db").unlink()
    asyncio.run(fill(tmp_path / "bindings.db"))
    router.restart()
    try:
        each = (resident(router) - empty) / COUNT
        lost = missing(router)
        assert not lost, f"{len(lost)} of {COUNT} are not known, such as {sorted(lost)[:3]}"
        assert 100 < each < 1000, f"{each:.0f} bytes a binding"
    finally:
        assert router.stop() == 0
