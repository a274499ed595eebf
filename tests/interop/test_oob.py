"""A configuration in the class of SER 2.0's ser-oob.cfg, whole: phones, databases, media relay and doors."""

from __future__ import annotations

import subprocess
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from databases import TestDatabase
from interop.baresip import Baresip
from interop.processes import Exchange, Router, program, status
from interop.rtpproxy import RtpProxy
from people import with_users
from sipyard.storage.provisioning import Provisioning

DOMAIN = "127.0.0.1"
PASSWORDS = {"alice": "wonderland", "bob": "zanzibar"}


class House:
    """The server, its phones and its relay."""

    def __init__(
        self,
        folder: Path,
        database: TestDatabase,
        relay: RtpProxy,
        start: Callable[..., Router],
        phone: Callable[..., Baresip],
    ) -> None:
        self.folder, self.database, self.relay = folder, database, relay
        self.router = start("oob", DATABASE=database.url, RELAY=relay.address)
        self._phone = phone

    def phone(self, name: str, **options: str) -> Baresip:
        """A phone that has registered."""
        made = self._phone(name, self.router.port, password=PASSWORDS[name], **options)
        made.registered()
        return made

    def rows(self, columns: str, table: str = "acc", count: int = 1) -> list[tuple[object, ...]]:
        """What is in a table, when there is that much."""
        end = time.monotonic() + 10
        while True:
            found = self.database.ask(f"SELECT {columns} FROM {table} ORDER BY id")
            if len(found) >= count or time.monotonic() > end:
                return [tuple(str(each) for each in row) for row in found]
            time.sleep(0.1)  # another program writes it


async def furnish(people: Provisioning) -> None:
    """What the users want of the server."""
    await people.set_attribute("bob@127.0.0.1", "fwd_busy_target", "sip:mailbox@192.0.2.9")


@pytest.fixture
def house(
    tmp_path: Path,
    database: TestDatabase,
    start_router: Callable[..., Router],
    phone: Callable[..., Baresip],
) -> Iterator[House]:
    with_users(database.url, DOMAIN, furnish, **PASSWORDS)
    relay = RtpProxy(tmp_path)
    yield House(tmp_path, database, relay, start_router, phone)
    relay.stop()


@pytest.mark.timeout(120)
def test_a_day_in_the_life(house: House) -> None:
    alice, bob = house.phone("alice"), house.phone("bob")
    alice.tell("dial", f"sip:bob@{DOMAIN}:{house.router.port}")
    bob.wait_for("CALL_INCOMING")
    bob.tell("accept")
    alice.wait_for("CALL_ESTABLISHED")
    bob.wait_for("CALL_ESTABLISHED")
    alice.tell("hangup")
    bob.wait_for("CALL_CLOSED")
    assert house.rows("sip_method, sip_status", count=2) == [("INVITE", "200"), ("BYE", "200")]
    assert house.rows("from_uid, sip_method", count=2)[0] == ("alice@127.0.0.1", "INVITE")
    assert int(house.relay.ask("G nsess_created")) == 1
    assert house.relay.sessions() == 0

    # Bob is busy: the caller is told who takes his calls then.
    alice.tell("dial", f"sip:bob@{DOMAIN}:{house.router.port}")
    bob.wait_for("CALL_INCOMING")
    bob.tell("hangup")
    alice.wait_for("CALL_CLOSED")
    assert ("INVITE", "302") in house.rows("sip_method, sip_status", "missed_calls")


def test_nobody_calls_in_the_name_of_another(house: House) -> None:
    with Exchange(house.router.port) as stranger:
        uri = f"sip:bob@{DOMAIN}:{house.router.port}"
        forged = stranger.request("INVITE", uri, name="x").replace(b"sip:tester@", b"sip:alice@")
        stranger.send(forged)
        assert status(stranger.receive(3)) == 407
        foreign = forged.replace(b"sip:alice@127.0.0.1", b"sip:alice@elsewhere.example")
        stranger.send(foreign.replace(b"z9hG4bKx", b"z9hG4bKy"))
        assert status(stranger.receive(3)) == 480
        stranger.send(foreign.replace(b"z9hG4bKx", b"z9hG4bKz").replace(uri.encode(), b"sip:bob@192.0.2.77"))
        assert status(stranger.receive(3)) == 404


def test_every_door_is_open(house: House) -> None:
    place = f"unixs:{house.folder}/ser_ctl"
    done = subprocess.run(
        [program("kamcmd"), "-s", place, "domain.dump"],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    assert DOMAIN in done.stdout
    rpc = xmlrpc.client.ServerProxy(f"http://127.0.0.1:{house.router.port}/RPC2")
    assert rpc.tm.stats()["current"] == 0


def test_who_changes_domains_in_the_database_is_heard(house: House) -> None:
    """The timer's route finds the note and has the domains read again."""
    with Exchange(house.router.port) as stranger:

        def answer() -> int:
            name = f"o{time.monotonic_ns()}"
            request = stranger.request("OPTIONS", "sip:new.example", name=name)
            stranger.send(request.replace(b"sip:tester@127.0.0.1", b"sip:tester@elsewhere.example"))
            return status(stranger.receive(3))

        assert answer() == 404
        house.database.ask("INSERT INTO domain (did, domain, flags) VALUES ('n', 'new.example', 33)")
        house.database.ask(
            "INSERT INTO global_attrs (name, type, value, flags) VALUES ('domain_data_version', 2, '1', 32)"
        )
        end = time.monotonic() + 15
        while answer() != 200:
            assert time.monotonic() < end, house.router.text()[-3000:]
            time.sleep(0.2)
    assert house.database.ask("SELECT name FROM global_attrs WHERE name='domain_data_version'") == []
