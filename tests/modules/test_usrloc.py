"""usrloc: bindings in memory, their end, what each db_mode keeps, management commands."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from wire_peer import WirePeer, rows_of

from sipyard.arguments import Generation
from sipyard.management.registry import RpcFault
from sipyard.modules.usrloc.contact import NAT, NEVER, PERMANENT, Contact
from sipyard.modules.usrloc.expiry import Expiry
from sipyard.modules.usrloc.persistence import WriteThrough
from sipyard.modules.usrloc.rows import Clocks
from sipyard.modules.usrloc.rows import rows_of as rows_for
from sipyard.modules.usrloc.table import SHARED_TEXTS, Bindings, SharedTexts
from sipyard.storage import open_database
from sipyard.storage.location import Shape, location_layout
from sipyard.testing import Network, SipServer

# -- in memory -----------------------------------------------------------------------------------------------

ORDERS = [
    # q of each as they arrive, order by q, newest first
    ([-1, -1, -1], [0, 1, 2], [2, 1, 0]),
    ([100, 900, 500, 900], [1, 3, 2, 0], [3, 2, 1, 0]),
    ([-1, 0, 1000], [2, 1, 0], [2, 1, 0]),
]


@pytest.mark.parametrize(("qs", "by_q", "by_time"), ORDERS)
def test_order_of_contacts(qs: list[int], by_q: list[int], by_time: list[int]) -> None:
    for newest_first, expected in ((False, by_q), (True, by_time)):
        bindings = Bindings("location", 0.0, newest_first=newest_first)
        for number, q in enumerate(qs):
            bindings.add(Contact("u", str(number), 100.0, q=q))
        assert [int(contact.uri) for contact in bindings.contacts("u")] == expected


def test_bindings_against_a_plain_model() -> None:
    """Random changes; a dictionary of lists says what must be there."""
    dice = random.Random(7)
    bindings = Bindings("location", 0.0)
    model: dict[tuple[str, str], Contact] = {}
    now = 0.0
    for step in range(20_000):
        key = (f"u{dice.randrange(40)}", f"c{dice.randrange(6)}")
        known = model.get(key)
        new = Contact(*key, now + dice.choice([1, 5, 50, 500]), q=dice.randrange(3))
        match dice.randrange(4):
            case 0 if known is not None:
                bindings.apply([(known, None)])
                del model[key]
            case 1 | 2:
                bindings.apply([(known, new)])
                model[key] = known or new
            case _:
                now += dice.random()
                for ended in bindings.remove_ended(now):
                    assert ended.expires <= now
                    del model[ended.uid, ended.uri]
        if step % 500 == 0:
            assert bindings.count == len(model)
            for uid in {uid for uid, _ in model}:
                found = [contact.q for contact in bindings.contacts(uid)]
                assert found == sorted(found, reverse=True)
                assert {contact.uri for contact in bindings.contacts(uid)} == {
                    c for u, c in model if u == uid
                }
    assert {(one.uid, one.uri) for one in bindings.all()} == set(model)
    assert all(contact.expires > now - 2 for contact in model.values())


def test_a_refresh_costs_the_expiry_nothing() -> None:
    bindings = Bindings("location", 0.0)
    bindings.add(contact := Contact("u", "c", 60.0))
    for second in range(1, 1000):
        bindings.apply([(contact, Contact("u", "c", second + 60.0))])
        assert bindings.remove_ended(float(second)) == []
        assert len(bindings._expiry) == 1
    assert bindings.remove_ended(1058.5) == []
    assert bindings.remove_ended(1060.0) == [contact]
    assert (len(bindings), bindings.count, bindings.expired) == (0, 0, 1)


def test_coming_and_going_leaves_nothing_behind() -> None:
    """An attacker who registers and leaves in a loop: the dead are swept before they would have ended."""
    bindings = Bindings("location", 0.0)
    for second in range(20):
        for number in range(2_000):
            bindings.add(contact := Contact("u", str(number), second + 3600.0))
            bindings.remove(contact)
        bindings.remove_ended(float(second))
    assert len(bindings._expiry) <= 4_000


@pytest.mark.parametrize("jump", [1.0, 100.0, 1e9])
def test_the_clock_may_jump(jump: float) -> None:
    expiry = Expiry(0.0)
    contacts = [Contact("u", str(n), float(n)) for n in range(1, 200)]
    for contact in contacts:
        expiry.watch(contact)
    ended = expiry.ended(jump)
    assert {contact.uri for contact in ended} == {str(n) for n in range(1, 200) if n <= jump - 1 or n < jump}


def test_shared_texts_are_bounded() -> None:
    share = SharedTexts()
    first = share("agent")
    assert share("".join(["ag", "ent"])) is first
    for number in range(3 * SHARED_TEXTS):
        share(str(number))
    assert len(share._texts) <= SHARED_TEXTS


# -- rows ----------------------------------------------------------------------------------------------------

CONTACTS = [
    Contact("bob", "sip:b@192.0.2.1", 1000.0, aor="sip:bob@a", q=700, call_id="x", cseq=4, flags=NAT),
    Contact(
        "bob@example.org",
        "sip:b@h",
        5000.0,
        aor="sip:b@a",
        user_agent="P",
        received="sip:1.2.3.4",
        instance="<urn:x>;reg-id=1",
        path="<sip:e;lr>",
        socket="udp:10.0.0.1:5060",
    ),
    Contact("p", "sip:p", NEVER, flags=PERMANENT),
]


@pytest.mark.parametrize("generation", [Generation.SER_0_9, Generation.SER_2_0])
@pytest.mark.parametrize("contact", CONTACTS)
def test_a_binding_survives_its_row(generation: Generation, contact: Contact) -> None:
    rows = rows_for(generation)
    again = rows.contact(rows.row(contact, 1.6e9), 1.6e9)
    lost = {"aor", "instance"} if generation is Generation.SER_0_9 else set()
    for name in set(Contact.__slots__) - lost - {"next", "bucket", "target", "listener"}:
        assert getattr(again, name) == getattr(contact, name), name


# -- servers on a virtual network ----------------------------------------------------------------------------

SCRIPT = """
loadmodule "sl" loadmodule "usrloc" loadmodule "registrar"
modparam("usrloc", "db_url", "{url}")
modparam("usrloc", "db_mode", {mode})
{more}
route {{
    if (method == "REGISTER") {{ {register}; drop; }}
    if (lookup_contacts("location")) {{ sl_reply("302", "Moved"); }} else {{ sl_reply("404", "Not Found"); }}
}}
"""


def start(
    network: Network, folder: Path, mode: int, more: str = "", register: str = 'save_contacts("location")'
) -> SipServer:
    """A registrar on a SQLite file; its writes take no thread and no virtual time."""
    url = f"sqlite:///{folder}/location.db?threads=0"
    return network.server(SCRIPT.format(url=url, mode=mode, more=more, register=register))


def stored(folder: Path, what: str = "contact") -> list[str]:
    """Rows in the file, as another program sees them."""
    with sqlite3.connect(folder / "location.db") as connection:
        return [str(row[0]) for row in connection.execute(f"SELECT {what} FROM location ORDER BY contact")]


SURVIVORS = [
    # db_mode, rows in the file at once, after the timer, bindings after a crash then, after a stop then
    (0, None, None, 0, 0),
    (1, 2, 2, 2, 2),
    (2, 0, 2, 2, 2),
    (3, 0, 0, 0, 0),
]


@pytest.mark.parametrize(("mode", "at_once", "by_timer", "after_crash", "after_stop"), SURVIVORS)
def test_what_each_mode_keeps(
    network: Network,
    tmp_path: Path,
    mode: int,
    at_once: int | None,
    by_timer: int | None,
    after_crash: int,
    after_stop: int,
) -> None:
    server, peer = start(network, tmp_path, mode), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>;q=0.5")
    assert at_once is None or len(stored(tmp_path)) == at_once
    network.run(65)
    assert by_timer is None or len(stored(tmp_path)) == by_timer
    server.crash()
    server = start(network, tmp_path, mode)
    assert len(rows_of(server)) == after_crash
    peer.register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>;q=0.5", cseq=2)
    server.stop()
    server = start(network, tmp_path, mode)
    assert len(rows_of(server)) == after_stop


def test_a_restart_restores_everything(network: Network, tmp_path: Path) -> None:
    server, peer = start(network, tmp_path, 1), WirePeer(network)
    peer.register(
        '<sip:a@10.9.9.9>;q=0.3;received="sip:192.0.2.1:5060";+sip.instance="<urn:x>";expires=600',
        "<sip:b@192.0.2.1>",
        headers=["User-Agent: Phone 1", "Path: <sip:192.0.2.77;lr>"],
    )
    before = {contact.uri: contact for contact in server.engine.modules["usrloc"].table("location").all()}
    server.stop()
    server = start(network, tmp_path, 1)
    after = {contact.uri: contact for contact in server.engine.modules["usrloc"].table("location").all()}
    assert before.keys() == after.keys()
    for uri, contact in before.items():
        for name in set(Contact.__slots__) - {"expires", "next", "bucket", "target", "listener"}:
            assert getattr(after[uri], name) == getattr(contact, name), name
        assert after[uri].expires == pytest.approx(contact.expires, abs=3)
    assert peer.register("<sip:b@192.0.2.1>", cseq=1).status == 200
    late = peer.register("<sip:b@192.0.2.1>", cseq=0)
    assert late.status == 400


@pytest.mark.parametrize("mode", [1, 2])
def test_rows_of_the_ended_and_the_removed_go(network: Network, tmp_path: Path, mode: int) -> None:
    _, peer = start(network, tmp_path, mode), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>;expires=60", "<sip:b@192.0.2.1>", "<sip:c@192.0.2.1>")
    network.run(61)
    peer.register("<sip:c@192.0.2.1>;expires=0", cseq=2)
    network.run(65)
    assert stored(tmp_path) == ["sip:b@192.0.2.1"]


@pytest.mark.parametrize("mode", [1, 2])
def test_a_contact_that_moves_leaves_no_row(network: Network, tmp_path: Path, mode: int) -> None:
    _, peer = start(network, tmp_path, mode), WirePeer(network)
    for cseq in range(1, 4):
        peer.register(f'<sip:a@192.0.2.{cseq}>;+sip.instance="<urn:x>"', cseq=cseq)
    network.run(65)
    assert stored(tmp_path) == ["sip:a@192.0.2.3"]


def test_rows_that_ended_while_we_were_away_are_deleted(network: Network, tmp_path: Path) -> None:
    server, peer = start(network, tmp_path, 1), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>", "<sip:b@192.0.2.1>")
    server.stop()
    with sqlite3.connect(tmp_path / "location.db") as connection:
        connection.execute("UPDATE location SET expires = '2020-01-01 00:00:00' WHERE contact LIKE '%a@%'")
    server = start(network, tmp_path, 1)
    assert rows_of(server) == ["sip:b@192.0.2.1"]
    network.run(1)
    assert stored(tmp_path) == ["sip:b@192.0.2.1"]


@pytest.mark.parametrize("function", ["save_memory", "save_mem_nr"])
def test_memory_only_contacts(network: Network, tmp_path: Path, function: str) -> None:
    register = f'{function}("location"); sl_reply("200", "OK")'
    server, peer = start(network, tmp_path, 1, register=register), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>")
    assert rows_of(server) == ["sip:a@192.0.2.1"]
    assert stored(tmp_path) == []


def test_a_store_that_fails_is_answered_503_and_changes_nothing(network: Network, tmp_path: Path) -> None:
    """attacks.md, database outage: never a false 200; calls to known contacts go on; it recovers by
    itself."""
    url = f"sqlite:///{tmp_path}/location.db?threads=0&timeout=0"
    text = SCRIPT.format(url=url, mode=1, more="", register='save_contacts("location")')
    server, peer = network.server(text), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>")
    other = sqlite3.connect(tmp_path / "location.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    answer = peer.register("<sip:b@192.0.2.1>", "<sip:a@192.0.2.1>;expires=0", cseq=2)
    assert answer.status == 503
    assert answer.has_header("Retry-After")
    assert rows_of(server) == ["sip:a@192.0.2.1"]
    assert peer.ask(peer.request("MESSAGE")).status == 302
    other.execute("ROLLBACK")
    other.close()
    assert peer.register("<sip:b@192.0.2.1>", cseq=3).status == 200


@pytest.mark.parametrize("mode", [1, 2])
def test_a_store_that_is_away_at_start(network: Network, tmp_path: Path, mode: int) -> None:
    """Never "not registered" for who may be in the database; it is read as soon as it is there."""
    folder, later = tmp_path / "now", tmp_path / "later"
    folder.mkdir()
    server, peer = start(network, folder, 1), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>")
    server.stop()
    url = f"sqlite:///{later}/location.db?threads=0"
    register = """save_contacts("location"); drop; }
    if (method == "MESSAGE") {
        lookup_contacts("location");
        if ($? == -2) { sl_reply("500", "Away"); } else { sl_reply("302", "Moved"); }"""
    server = network.server(SCRIPT.format(url=url, mode=mode, more="", register=register))
    assert peer.ask(peer.request("MESSAGE")).status == 500
    assert peer.register(cseq=2).status == 503  # a query
    assert peer.register("<sip:b@192.0.2.1>", cseq=3).status == (503 if mode == 1 else 200)
    folder.rename(later)
    network.run(65)
    expected = ["sip:a@192.0.2.1"] if mode == 1 else ["sip:a@192.0.2.1", "sip:b@192.0.2.1"]
    assert sorted(rows_of(server)) == expected
    assert peer.ask(peer.request("MESSAGE")).status == 302


def test_two_tables(network: Network, tmp_path: Path) -> None:
    more = 'modparam("usrloc", "preload", "location, aliases")'
    _, peer = start(network, tmp_path, 1, more, 'save_contacts("aliases")'), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>")
    assert stored(tmp_path) == []
    assert peer.ask(peer.request("MESSAGE")).status == 404


# -- registration attributes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["", "attrs"])
def test_registration_attributes(network: Network, tmp_path: Path, column: str) -> None:
    """In a table of their own, or in a column of the location table."""
    more = f'modparam("usrloc", "reg_avp_column", "{column}")' if column else ""
    text = f"""
    {more}
    avpflags kept;
    loadmodule "sl" loadmodule "usrloc" loadmodule "registrar" loadmodule "textops"
    modparam("usrloc", "db_url", "sqlite:///{tmp_path}/a.db?threads=0")
    modparam("usrloc", "db_mode", 1)
    modparam("usrloc", "reg_avp_flag", "kept")
    route {{
        if (method == "REGISTER") {{
            $lang = @msg.x_lang;
            setavpflag($lang, "kept");
            $left = "behind";
            save_contacts("location");
            drop;
        }}
        lookup_contacts("location");
        read_reg_avps("location", "bob");
        append_to_reply("X-Lang: %$tr.lang\\r\\n");
        sl_reply("200", "OK");
    }}
    """
    server, peer = network.server(text), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>", headers=["X-Lang: cs"])
    assert peer.ask(peer.request("MESSAGE")).header("X-Lang") == "cs"
    server.stop()
    server = network.server(text)
    assert peer.ask(peer.request("MESSAGE", cseq=2)).header("X-Lang") == "cs"
    peer.register("<sip:a@192.0.2.1>", cseq=2, headers=["X-Lang: en"])
    assert peer.ask(peer.request("MESSAGE", cseq=3)).header("X-Lang") == "en"
    with sqlite3.connect(tmp_path / "a.db") as connection:
        if column:
            kept = connection.execute("SELECT attrs FROM location").fetchall()
            assert kept == [('[["lang","en",1]]',)]
        else:
            kept = connection.execute("SELECT name, value FROM contact_attrs").fetchall()
            assert kept == [("lang", "en")]


@pytest.mark.parametrize(
    "spoilt", ["[", "7", '[["lang"]]', '[[1, "x", 0]]', '[["lang", null, 0]]', '{"a": 1}']
)
def test_a_spoilt_column_of_attributes_costs_only_them(
    network: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture, spoilt: str
) -> None:
    more = (
        'avpflags kept; modparam("usrloc", "reg_avp_flag", "kept") modparam("usrloc", "reg_avp_column", "a")'
    )
    server, peer = start(network, tmp_path, 1, more), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>")
    server.stop()
    with sqlite3.connect(tmp_path / "location.db") as connection:
        connection.execute("UPDATE location SET a = ?", (spoilt,))
    server = start(network, tmp_path, 1, more)
    assert rows_of(server) == ["sip:a@192.0.2.1"]
    assert "a of sip:a@192.0.2.1 is not read" in caplog.text


# -- methods -------------------------------------------------------------------------------------------------

METHODS = [
    ("<sip:a@192.0.2.1>", ["Allow: INVITE, ACK", "Allow: BYE, UPDATE"], 1 + 4 + 8 + 256),
    ('<sip:a@192.0.2.1>;methods="invite, CANCEL"', ["Allow: BYE"], 1 + 2),
    ("<sip:a@192.0.2.1>", [], None),
]


@pytest.mark.parametrize("mode", [1, 2])
@pytest.mark.parametrize(("contact", "headers", "mask"), METHODS)
def test_methods_are_kept_where_a_parameter_says(
    network: Network, tmp_path: Path, mode: int, contact: str, headers: list[str], mask: int | None
) -> None:
    more = 'modparam("usrloc", "method_column", "methods")'
    server, peer = start(network, tmp_path, mode, more), WirePeer(network)
    peer.register(contact, headers=headers)
    server.stop()
    assert stored(tmp_path, "methods") == [str(mask)]
    server = start(network, tmp_path, mode, more)
    assert [one.methods for one in server.engine.modules["usrloc"].table("location").contacts("bob")] == [
        mask or 0
    ]


def test_a_table_without_the_column_is_used_without(
    network: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start(network, tmp_path, 1).stop()
    server = start(network, tmp_path, 1, 'modparam("usrloc", "method_column", "methods")')
    assert "table location has no column methods" in caplog.text
    WirePeer(network).register("<sip:a@192.0.2.1>", headers=["Allow: INVITE"])
    server.stop()
    assert stored(tmp_path) == ["sip:a@192.0.2.1"]


# -- management ----------------------------------------------------------------------------------------------


def test_commands(network: Network, tmp_path: Path) -> None:
    server, peer = start(network, tmp_path, 1), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>;expires=100;q=0.5")
    server.rpc("usrloc.add_contact", "location", "bob", "sip:gw@192.0.2.9", 0, 1.0, 0)
    server.rpc("ul_add", "location", "eva", "sip:e@192.0.2.9", 60, -1.0, 0, 1)
    assert server.rpc("usrloc.show_contacts", "location", "bob") == [
        {"contact": "sip:gw@192.0.2.9", "q": 1.0, "expires": -1},
        {"contact": "sip:a@192.0.2.1", "q": 0.5, "expires": pytest.approx(100, abs=1)},
    ]
    assert server.rpc("usrloc.stats") == [{"domain": "location", "users": 2, "expired": 0, "contacts": 3}]
    assert len(server.rpc("usrloc.dump")) == 3
    assert len(server.rpc("usrloc.dump", 1)) == 1
    server.rpc("usrloc.delete_contact", "location", "bob", "sip:a@192.0.2.1")
    assert stored(tmp_path) == ["sip:e@192.0.2.9", "sip:gw@192.0.2.9"]
    network.run(5_000)
    assert rows_of(server) == ["sip:gw@192.0.2.9"]  # a permanent contact never ends
    server.rpc("usrloc.delete_uid", "location", "bob")
    assert stored(tmp_path) == []


def test_flush(network: Network, tmp_path: Path) -> None:
    server, peer = start(network, tmp_path, 2), WirePeer(network)
    peer.register("<sip:a@192.0.2.1>")
    assert stored(tmp_path) == []
    server.rpc("usrloc.flush")
    assert stored(tmp_path) == ["sip:a@192.0.2.1"]


FAULTS: list[tuple[Sequence[object], int]] = [
    (("usrloc.show_contacts", "location", "nobody"), 404),
    (("usrloc.show_contacts", "nowhere", "bob"), 404),
    (("usrloc.delete_uid", "location", "nobody"), 404),
    (("usrloc.delete_contact", "location", "bob", "sip:x"), 404),
    (("usrloc.add_contact", "location", "bob", "not a uri", 60, 1.0, 0), 400),
    (("usrloc.add_contact", "location", "bob", "sip:x@h", 60, 2.0, 0), 400),
    (("usrloc.add_contact", "location", "bob", "sip:x@h", "soon", 1.0, 0), 400),
]


@pytest.mark.parametrize(("call", "code"), FAULTS)
def test_commands_that_are_refused(network: Network, tmp_path: Path, call: list[object], code: int) -> None:
    server = start(network, tmp_path, 0)
    with pytest.raises(RpcFault) as refused:
        server.rpc(*call)
    assert refused.value.code == code


# -- write-through on a real thread --------------------------------------------------------------------------


def test_changes_of_one_user_wait_for_each_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        database = open_database(f"sqlite:///{tmp_path}/a.db")
        clocks = Clocks(lambda: 0.0)
        bindings = Bindings("location", 0.0)
        table = database.table(location_layout("location", Shape.SER_2_0))
        store = WriteThrough(bindings, clocks, table, rows_for(Generation.SER_2_0))

        async def add(number: int) -> None:
            await store.settled("u")
            assert bindings.count == len(list(bindings.contacts("u")))
            waiting = store.change("u", [(None, Contact("u", str(number), 1000.0))])
            assert waiting is not None
            await waiting

        given_up = asyncio.ensure_future(add(99))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(*map(add, range(30)), given_up, return_exceptions=True)
        assert not store.busy
        # Whoever gave up waiting did not make memory and database differ.
        assert {contact.uri for contact in bindings.contacts("u")} == {str(n) for n in (*range(30), 99)}
        assert await table.count() == 31
        await database.close()

    asyncio.run(scenario())


SERVER = """
import asyncio, sys
from sipyard.modules.usrloc.persistence import WriteThrough
from sipyard.modules.usrloc.rows import Clocks, rows_of
from sipyard.modules.usrloc.contact import Contact
from sipyard.modules.usrloc.table import Bindings
from sipyard.arguments import Generation
from sipyard.storage import open_database
from sipyard.storage.location import Shape, location_layout
import time

async def phone(store, name):
    for n in range(100000):
        uid = f"{name}-{n}"
        await store.settled(uid)
        await store.change(uid, [(None, Contact(uid, f"sip:{uid}@h", time.monotonic() + 3600))])
        sys.stdout.write(f"{uid}\\n")
        sys.stdout.flush()

async def main():
    clocks = Clocks(time.monotonic)
    table = open_database(sys.argv[1]).table(location_layout("location", Shape.SER_2_0))
    store = WriteThrough(Bindings("location", clocks.core()), clocks, table, rows_of(Generation.SER_2_0))
    await asyncio.gather(*(phone(store, k) for k in range(30)))

asyncio.run(main())
"""


@pytest.mark.parametrize("after", [3, 100, 900])
def test_sigkill_loses_no_binding_that_was_confirmed(tmp_path: Path, network: Network, after: int) -> None:
    """The server that is started next knows everything that was confirmed."""
    url = f"sqlite:///{tmp_path}/location.db"
    process = subprocess.Popen([sys.executable, "-c", SERVER, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(after)]
    process.kill()
    rest = process.stdout.read().splitlines(keepends=True)
    process.stdout.close()
    process.wait()
    confirmed = {line.strip() for line in [*lines, *rest] if line.endswith("\n")}
    assert len(confirmed) >= after
    server = start(network, tmp_path, 1)
    assert confirmed <= server.engine.modules["usrloc"].table("location").first.keys()
