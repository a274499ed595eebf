"""Bytes a binding, and how long a restart takes to load them.

    python benches/usrloc_memory.py [bindings=1000000]

Bindings look like real ones: a user, a contact with an address of its own, a random Call-ID, one of a few
user agents, every third behind NAT with a received URI, every third with +sip.instance. The growth of the
resident set is divided by their number. For comparison: Kamailio 5.6.3 takes 928 bytes (growth of PSS, 20,000
plain bindings; its own pool counts 416), SER 2.0 483, SER 0.9.7 384, OpenSIPS 1144.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sipyard.arguments import Generation
from sipyard.modules.usrloc.contact import Contact
from sipyard.modules.usrloc.loading import load
from sipyard.modules.usrloc.rows import Clocks, rows_of
from sipyard.modules.usrloc.table import Bindings, SharedTexts
from sipyard.storage import open_database
from sipyard.storage.location import Shape, location_layout

AGENTS = [f"Phone {n} 4.{n}.1 00:04:13" for n in range(40)]


def texts(n: int, plain: bool, random_: random.Random) -> dict[str, str]:
    """What binding number n says, as fresh strings (as they come off the wire)."""
    ip = f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
    port = 1024 + n % 60000
    return {
        "uid": f"user{n:07}",
        "aor": f"sip:user{n:07}@example.org",
        "uri": f"sip:user{n:07}@{ip}:{port}",
        "call_id": f"{random_.getrandbits(96):024x}@{ip}",
        "user_agent": "".join(AGENTS[n % len(AGENTS)]),
        "received": f"sip:198.51.{n >> 8 & 255}.{n & 255}:{port}" if not plain and n % 3 == 0 else "",
        "instance": f"<urn:uuid:{random_.getrandbits(128):032x}>" if not plain and n % 3 == 1 else "",
        "socket": "udp:192.0.2.1:5060",
    }


def contacts(count: int, plain: bool, now: float) -> Iterator[Contact]:
    random_, share = random.Random(1), SharedTexts()
    for n in range(count):
        said = texts(n, plain, random_)
        said["user_agent"], said["socket"] = share(said["user_agent"]), share(said["socket"])
        uid, uri = said.pop("uid"), said.pop("uri")
        yield Contact(uid, uri, now + 60 + n % 3600, q=-1, cseq=n % 1000 + 1, **said)


def resident() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * 4096


def measure(count: int, plain: bool) -> None:
    gc.collect()
    before, now = resident(), time.monotonic()
    bindings = Bindings("location", now)
    started = time.process_time()
    for contact in contacts(count, plain, now):
        bindings.add(contact)
    took = time.process_time() - started
    each = (resident() - before) / count
    kind = "plain" if plain else "mixed (NAT, +sip.instance)"
    print(f"{count} {kind} bindings: {each:.0f} bytes a binding, {took / count * 1e6:.2f} us to make and add")


async def measure_loading(count: int) -> None:
    clocks = Clocks(time.monotonic)
    rows = rows_of(Generation.SER_2_0)
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/location.db?synchronous=off")
        table = database.table(location_layout("location", Shape.SER_2_0))
        batch = {}
        for contact in contacts(count, False, clocks.core() + 36_000):
            batch[rows.key(contact.uid, contact.uri)] = rows.row(contact, clocks.ahead)
            if len(batch) == 5_000:
                await table.write(batch)
                batch = {}
        await table.write(batch)
        bindings = Bindings("location", clocks.core())
        started = time.perf_counter()
        load(bindings, table, rows, clocks)
        print(f"{bindings.count} rows loaded in {time.perf_counter() - started:.1f} s")
        await database.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    measure(wanted, plain=True)
    measure(wanted, plain=False)
    asyncio.run(measure_loading(wanted))
