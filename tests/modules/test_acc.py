"""acc, acc_db, acc_syslog: which transactions leave a record, one each, and what is in it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import pytest

from databases import TestDatabase
from people import provision, provision_0_9
from sipyard.testing import Network, SipServer, UserAgent

NEW = """
flags ACCOUNT:1, MISSED:2;
loadmodule "sl" loadmodule "tm" loadmodule "rr" loadmodule "avp" loadmodule "domain" loadmodule "auth"
loadmodule "acc_db" loadmodule "acc_syslog"
modparam("acc_db|domain", "db_url", "{url}")
modparam("acc_db|acc_syslog", "log_flag", "ACCOUNT")
modparam("acc_db|acc_syslog", "log_missed_flag", "MISSED")
modparam("acc_db|acc_syslog", "attrs", "$f.plan,$t.lines")
{parameters}
route {{
    if (method != "ACK" || @to.tag) {{ setflag(ACCOUNT); }}
    setflag(MISSED);
    $f.plan = "gold, new";
    $t.lines = 2;
    $fu.uid = "alice";
    lookup_domain("$td", "@ruri.host");
    if (loose_route()) {{ t_relay(); drop; }}
    record_route();
    {route}
    t_relay();
}}
failure_route[ELSEWHERE] {{
    seturi("sip:mailbox@192.0.2.3");
    append_branch();
    t_relay();
}}
"""


class House(NamedTuple):
    network: Network
    server: SipServer
    alice: UserAgent
    bob: UserAgent
    database: TestDatabase

    def rows(self, columns: str, table: str = "acc") -> list[tuple[object, ...]]:
        """What is in the table, in the order of writing."""
        self.network.run(1)
        return self.database.ask(f"SELECT {columns} FROM {table} ORDER BY id")


def serve(network: Network, database: TestDatabase, *parameters: str, route: str = "") -> House:
    provision(database)
    lines = "\n".join(f'modparam("acc_db|acc_syslog", {each})' for each in parameters)
    server = network.server(NEW.format(url=database.url, parameters=lines, route=route))
    alice = network.user_agent("alice", "192.0.2.1:5060", proxy=server)
    bob = network.user_agent("bob", "192.0.2.2:5060", proxy=server)
    return House(network, server, alice, bob, database)


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spool files are written beside."""
    monkeypatch.chdir(tmp_path)


def test_a_call_has_a_start_and_a_stop(network: Network, database: TestDatabase) -> None:
    house = serve(network, database)
    house.bob.answers(after=2)
    call = house.alice.invite(house.bob.contact)
    network.run(10)
    call.hang_up()
    columns = "sip_method, sip_status, sip_callid, from_tag, to_tag, sip_cseq, in_ruri, out_ruri"
    start, stop = house.rows(columns)
    request = call.invite.request
    dialog = (request.call_id, call.dialog.local_tag, call.dialog.remote_tag)
    assert start == ("INVITE", "200", *dialog, 1, house.bob.contact, house.bob.contact)
    assert stop[:6] == ("BYE", "200", *dialog, stop[5])
    more = "from_uri, to_uri, from_uid, to_uid, to_did, from_did, attrs, src_ip, src_port, flags"
    assert house.rows(more)[0] == (
        house.alice.aor,
        house.bob.contact,
        "alice",
        None,
        None,
        None,
        "plan=gold\\, new,lines=2",
        0xC0000201,
        5060,
        6,
    )
    moments = house.rows("request_timestamp, response_timestamp")[0]
    assert str(moments[0])[:19] == "2027-01-15 08:16:40"
    assert str(moments[1])[:19] == "2027-01-15 08:16:42"
    assert house.rows("*", "missed_calls") == []


@pytest.mark.parametrize("status", [486, 404, 603])
@pytest.mark.parametrize("failed", [0, 1])
def test_a_refused_call_is_missed(network: Network, sqlite: TestDatabase, status: int, failed: int) -> None:
    house = serve(network, sqlite, f'"failed_transactions", {failed}')
    house.bob.rejects(status)
    house.alice.invite(house.bob.contact)
    network.run(5)
    assert house.rows("sip_method, sip_status", "missed_calls") == [("INVITE", str(status))]
    assert house.rows("sip_status") == ([(str(status),)] if failed else [])


def test_a_call_that_nobody_answers_is_missed_once(network: Network, database: TestDatabase) -> None:
    house = serve(network, database)
    house.bob.ignores()
    house.alice.invite(house.bob.contact)
    network.run(200)
    assert house.rows("sip_status", "missed_calls") == [("408",)]


@pytest.mark.parametrize("reported", [0, 1])
def test_a_call_that_is_given_up(network: Network, sqlite: TestDatabase, reported: int) -> None:
    house = serve(network, sqlite, f'"report_cancels", {reported}')
    call = house.alice.invite(house.bob.contact)
    call.cancel(after=1)
    network.run(5)
    assert house.rows("sip_method, sip_status", "missed_calls") == [("INVITE", "487")]
    assert house.rows("sip_method, sip_status") == ([("CANCEL", "200")] if reported else [])


def test_retransmissions_leave_no_second_record(network: Network, sqlite: TestDatabase) -> None:
    network.loss = 0.4
    house = serve(network, sqlite)
    house.bob.answers(after=1)
    call = house.alice.invite(house.bob.contact)
    network.run(40)
    assert call.is_answered
    call.hang_up()
    network.run(40)
    assert house.rows("sip_method") == [("INVITE",), ("BYE",)]


def test_a_fork_leaves_one_record_with_the_uri_that_answered(network: Network, sqlite: TestDatabase) -> None:
    house = serve(network, sqlite, route='append_branch("sip:carol@192.0.2.4");')
    carol = network.user_agent("carol", "192.0.2.4:5060")
    house.bob.rejects(486)
    carol.answers(after=1)
    house.alice.invite(house.bob.contact)
    network.run(5)
    assert house.rows("sip_status, in_ruri, out_ruri") == [("200", house.bob.contact, "sip:carol@192.0.2.4")]
    assert house.rows("*", "missed_calls") == []


def test_a_call_that_goes_on_elsewhere(network: Network, sqlite: TestDatabase) -> None:
    house = serve(network, sqlite, route='t_on_failure("ELSEWHERE");')
    mailbox = network.user_agent("mailbox", "192.0.2.3:5060")
    house.bob.rejects(486)
    mailbox.answers()
    house.alice.invite(house.bob.contact)
    network.run(5)
    assert house.rows("sip_status, out_ruri") == [("200", "sip:mailbox@192.0.2.3")]


def test_early_media_and_the_ack(network: Network, sqlite: TestDatabase) -> None:
    house = serve(network, sqlite, '"early_media", 1', '"report_ack", 1')
    house.bob.on_call(lambda call: call.ring(status=183).answer(after=1))
    house.alice.invite(house.bob.contact)
    network.run(5)
    assert house.rows("sip_method, sip_status") == [("INVITE", "183"), ("INVITE", "200"), ("ACK", "200")]


def test_an_answer_of_the_script(network: Network, sqlite: TestDatabase) -> None:
    house = serve(network, sqlite, route='t_newtran(); t_reply("480", "Away"); drop;')
    house.alice.invite(house.bob.contact)
    network.run(2)
    assert house.rows("sip_status", "missed_calls") == [("480",)]


def test_a_request_without_the_flag(network: Network, sqlite: TestDatabase) -> None:
    house = serve(network, sqlite, route="resetflag(ACCOUNT); resetflag(MISSED);")
    house.bob.answers()
    house.alice.invite(house.bob.contact)
    network.run(2)
    assert house.rows("*") == []


def test_what_a_script_records_itself(network: Network, database: TestDatabase) -> None:
    route = 'acc_db_log("202"); acc_db_missed("404"); acc_syslog_log("1"); sl_reply("200", "OK"); drop;'
    house = serve(network, database, route=route)
    house.alice.request("MESSAGE", house.bob.contact)
    network.run(1)
    assert house.rows("sip_method, sip_status") == [("MESSAGE", "202")]
    assert house.rows("sip_method, sip_status", "missed_calls") == [("MESSAGE", "404")]


def test_only_the_letters_of_log_fmt(network: Network, sqlite: TestDatabase) -> None:
    house = serve(network, sqlite, '"log_fmt", "cmS"')
    house.bob.answers()
    house.alice.invite(house.bob.contact)
    network.run(2)
    assert house.rows("sip_method, sip_status, in_ruri, attrs, from_uid") == [
        ("INVITE", "200", "", None, None)
    ]


def test_the_log_line(network: Network, sqlite: TestDatabase, caplog: pytest.LogCaptureFixture) -> None:
    house = serve(network, sqlite, '"log_fmt", "mSaI"')
    house.bob.answers()
    with caplog.at_level(logging.DEBUG, "sipyard.acc"):
        house.alice.invite(house.bob.contact)
        network.run(2)
    assert [each.message for each in caplog.records if each.name == "sipyard.acc"] == [
        r"ACC: transaction answered: method=INVITE, code=200, attrs=plan=gold\, new,lines=2, from_uid=alice"
    ]


def test_what_a_peer_sends_stays_one_line(
    network: Network, sqlite: TestDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    house = serve(network, sqlite, '"log_fmt", "f"', route='acc_syslog_log("1"); drop;')
    with caplog.at_level(logging.DEBUG, "sipyard.acc"):
        house.alice.request("MESSAGE", house.bob.contact, ["Subject: x"], to="sip:x@y;a=\u2028ACC: forged")
        network.run(1)
    assert all("\n" not in each.message for each in caplog.records)


# -- when the database is away -------------------------------------------------------------------------------


def test_records_wait_for_their_table(network: Network, database: TestDatabase, tmp_path: Path) -> None:
    house = serve(network, database)
    house.bob.answers()
    database.ask("ALTER TABLE acc RENAME TO gone")
    house.alice.invite(house.bob.contact)
    network.run(5)
    spool = tmp_path / "sipyard-acc.spool.acc"
    assert spool.read_text().count("\n") == 1
    database.ask("ALTER TABLE gone RENAME TO acc")
    network.run(60)
    assert house.rows("sip_method") == [("INVITE",)]
    assert not spool.exists()


def test_records_of_an_earlier_life_are_written_once(
    network: Network, sqlite: TestDatabase, tmp_path: Path
) -> None:
    """A crash between insertion and removal of the file leaves both."""
    house = serve(network, sqlite)
    house.bob.answers()
    sqlite.ask("ALTER TABLE acc RENAME TO gone")
    house.alice.invite(house.bob.contact)
    network.run(5)
    spool = tmp_path / "sipyard-acc.spool.acc"
    kept = spool.read_bytes()
    sqlite.ask("ALTER TABLE gone RENAME TO acc")
    network.run(60)
    house.server.stop()
    spool.write_bytes(kept + b'["cut off')
    network.server(
        NEW.format(url=sqlite.url, parameters="", route=""), address="10.0.0.2:5060", name="second"
    )
    network.run(5)
    assert house.rows("sip_method") == [("INVITE",)]
    assert not spool.exists()


def test_stopping_writes_what_waits(network: Network, sqlite: TestDatabase, tmp_path: Path) -> None:
    house = serve(network, sqlite, route='acc_db_log("200"); drop;')
    house.alice.request("MESSAGE", house.bob.contact)
    network.run(0.02)
    house.server.stop()
    assert house.rows("sip_method") == [("MESSAGE",)]


DURABLE = """
loadmodule "avp_db"
modparam("avp_db", "db_url", "{url}")
modparam("acc_db", "durable", 1)
modparam("tm", "fr_inv_timer", 2000)
failure_route[NOBODY] {{ t_reply("480", "Nobody There"); }}
"""
NEWTRAN = "t_newtran(); "
#: What a script does, what Bob answers (0: nothing), and the status that comes of it.
DURABLE_ANSWERS = {
    "answered": ("", 200, 200),
    "refused": ("", 486, 486),
    "silence": ("", 0, 408),
    "by the failure route": ('t_on_failure("NOBODY");', 486, 480),
    "by the script": (NEWTRAN + 't_reply("404", "Not Found"); drop;', 200, 404),
    "by a script that waits after it": (
        NEWTRAN + 't_reply("404", "Not Found"); load_attrs("$fu", "alice"); drop;',
        200,
        404,
    ),
    "a callee who is faster than the script": ('t_relay(); load_attrs("$fu", "alice"); drop;', 603, 603),
}


@pytest.mark.parametrize(("route", "answer", "status"), DURABLE_ANSWERS.values(), ids=list(DURABLE_ANSWERS))
def test_a_durable_answer_is_recorded(
    network: Network, sqlite: TestDatabase, route: str, answer: int, status: int
) -> None:
    provision(sqlite)
    parameters = DURABLE.format(url=sqlite.url)
    server = network.server(NEW.format(url=sqlite.url, parameters=parameters, route=route))
    alice = network.user_agent("alice", "192.0.2.1:5060", proxy=server)
    bob = network.user_agent("bob", "192.0.2.2:5060", proxy=server)
    if answer == 200:
        bob.answers(after=1)
    elif answer:
        bob.rejects(answer)
    table = "acc" if status == 200 else "missed_calls"
    seen: list[list[tuple[object, ...]]] = []
    call = alice.invite(bob.contact)
    call.invite.on_final.append(lambda: seen.append(sqlite.ask(f"SELECT sip_status FROM {table}")))
    network.run(10)
    assert call.status == status
    assert seen == [[(str(status),)]]
    assert sqlite.ask(f"SELECT sip_status FROM {table}") == [(str(status),)]


# -- SER 0.9 -------------------------------------------------------------------------------------------------

OLD = """
loadmodule "sl" loadmodule "tm" loadmodule "rr" loadmodule "acc"
modparam("acc", "db_url", "{url}")
modparam("acc", "log_flag", 1)
modparam("acc", "log_missed_flag", 2)
modparam("acc", "db_flag", 1)
modparam("acc", "db_missed_flag", 2)
modparam("acc", "log_fmt", "mU01S")
{parameters}
route {{
    setflag(1);
    setflag(2);
    if (loose_route()) {{ t_relay(); break; }};
    record_route();
    {route}
    t_relay();
}}
"""


def test_ser_0_9(network: Network, database: TestDatabase, caplog: pytest.LogCaptureFixture) -> None:
    provision_0_9(database)
    server = network.server(OLD.format(url=database.url, parameters="", route=""))
    alice = network.user_agent("alice", "192.0.2.1:5060", proxy=server)
    bob = network.user_agent("bob", "192.0.2.2:5060", proxy=server)
    bob.answers()
    with caplog.at_level(logging.DEBUG, "sipyard.acc"):
        call = alice.invite(bob.contact)
        network.run(3)
        call.hang_up()
        network.run(1)
        bob.rejects(486)
        alice.invite(bob.contact)
        network.run(3)
    columns = "sip_method, sip_status, username, domain, i_uri, o_uri"
    from_alice = ("alice", "10.0.0.1", bob.contact, bob.contact)
    rows = database.ask(f"SELECT {columns} FROM acc ORDER BY time, sip_method DESC")
    assert sorted(rows)[:3] == [
        ("ACK", "200", *from_alice),
        ("BYE", "200", *from_alice),
        ("INVITE", "200", *from_alice),
    ]
    assert database.ask("SELECT sip_status FROM missed_calls") == [("486",)]
    lines = [each.message for each in caplog.records if each.name == "sipyard.acc"]
    who = "uid=sip:alice@10.0.0.1, from_user=alice, to_user=bob"
    assert lines[0] == f"ACC: transaction answered: method=INVITE, {who}, code=200"
    assert lines[-1].startswith("ACC: call missed: method=INVITE")


def test_ser_0_9_what_a_script_records_itself(network: Network, sqlite: TestDatabase) -> None:
    provision_0_9(sqlite)
    route = 'acc_log_request("404 lost"); acc_db_request("404 lost", "missed_calls");'
    route += ' sl_send_reply("404", "Not Found"); break;'
    server = network.server(OLD.format(url=sqlite.url, parameters="", route=route))
    alice = network.user_agent("alice", "192.0.2.1:5060", proxy=server)
    alice.request("MESSAGE", "sip:bob@10.0.0.1")
    network.run(2)
    assert sqlite.ask("SELECT sip_method, sip_status FROM missed_calls") == [("MESSAGE", "404 lost")]
