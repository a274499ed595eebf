"""permissions: files of rules, trusted sources, addresses."""

from __future__ import annotations

from pathlib import Path

import pytest
from wire_peer import WirePeer

from databases import TestDatabase
from people import provision, provision_0_9
from sipyard.errors import ConfigError
from sipyard.management.registry import RpcFault
from sipyard.modules.permissions.rules import matches, read_rules
from sipyard.testing import Network, SipServer

SCRIPT = """
{directive}
loadmodule "sl" loadmodule "tm" loadmodule "permissions"
{parameters}
route {{
    {before}
    if ({call}) {{ sl_send_reply("200", "OK"); }} else {{ sl_send_reply("403", "Forbidden"); }}
}}
"""
RULES = r"""
# who may call whom
ALL : "^sip:1[0-9]{2}@"
"^sip:boss@", "^sip:.*@office" EXCEPT "^sip:trainee@" : ALL EXCEPT "^sip:00"
"""


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def serve(
    network: Network, call: str, *parameters: str, before: str = "", old: bool = False
) -> tuple[SipServer, WirePeer]:
    lines = "\n".join(f'modparam("permissions", {each})' for each in parameters)
    directive = "#!SER 0.9" if old else "#!SER 2.0"
    text = SCRIPT.format(call=call, parameters=lines, before=before, directive=directive)
    return network.server(text), WirePeer(network)


# -- rules ---------------------------------------------------------------------------------------------------

RULE_CASES = [
    ("sip:x@y", "sip:123@here", True),
    ("sip:x@y", "sip:1234@here", False),
    ("sip:BOSS@y", "sip:anybody@here", True),
    ("sip:boss@y", "sip:0042@here", False),
    ("sip:a@office", "sip:anybody@here", True),
    ("sip:trainee@office", "sip:anybody@here", False),
]


@pytest.mark.parametrize(("left", "right", "found"), RULE_CASES)
def test_rules(tmp_path: Path, left: str, right: str, found: bool) -> None:
    (tmp_path / "rules").write_text(RULES)
    assert matches(read_rules(tmp_path / "rules"), left, right) is found


BAD = ['"a"', '"a" : "b" : "c"', "a : b", '"a" EXCEPT : ALL', ': "a"', '"(" : ALL', "EXCEPT ALL : ALL"]


@pytest.mark.parametrize("line", BAD)
def test_a_line_that_is_no_rule_has_a_place(tmp_path: Path, line: str) -> None:
    (tmp_path / "rules").write_text(f"# fine\n{line}\n")
    with pytest.raises(ConfigError) as refused:
        read_rules(tmp_path / "rules")
    assert refused.value.place is not None
    assert refused.value.place.line == 2


ROUTING = [
    # allowed, refused, Request-URI, status
    ("", "", "sip:bob@h", 200),
    ("", "ALL : ALL", "sip:bob@h", 403),
    ('ALL : "^sip:bob@"', "ALL : ALL", "sip:bob@h", 200),
    ('ALL : "^sip:bob@"', "ALL : ALL", "sip:carol@h", 403),
    ("", 'ALL : "^sip:bob@"', "sip:bob@h;x=y", 403),
]


@pytest.mark.parametrize("call", ["allow_routing()", 'allow_routing("permissions")'])
@pytest.mark.parametrize(("allow", "deny", "uri", "status"), ROUTING)
@pytest.mark.parametrize("old", [False, True])
def test_allow_routing(
    network: Network, call: str, allow: str, deny: str, uri: str, status: int, old: bool
) -> None:
    if allow:
        Path("permissions.allow").write_text(allow)
    Path("permissions.deny").write_text(deny)
    _, peer = serve(network, call, old=old)
    assert peer.ask(peer.request(uri=uri)).status == status


@pytest.mark.parametrize(("every", "status"), [(1, 403), (0, 200)])
def test_branches_are_checked_too(network: Network, every: int, status: int) -> None:
    Path("no").write_text('ALL : "^sip:bad@"')
    branch = 'append_branch("sip:bad@192.0.2.1");'
    _, peer = serve(network, 'allow_routing("yes", "no")', f'"check_all_branches", {every}', before=branch)
    assert peer.ask(peer.request(uri="sip:good@h")).status == status


@pytest.mark.parametrize(
    ("contacts", "status"),
    [
        (["<sip:b@192.0.2.1>"], 200),
        (["<sip:b@192.0.2.1>", "sip:gw@10.0.0.1"], 403),
        (["*"], 200),
        (["<<"], 400),
    ],
)
def test_allow_register(network: Network, contacts: list[str], status: int) -> None:
    Path("reg.deny").write_text(r'ALL : "@10\.0\.0\."')
    _, peer = serve(network, 'allow_register("reg")')
    lines = [f"Contact: {each}" for each in contacts]
    assert peer.ask(peer.request("REGISTER", "sip:h", headers=lines)).status == status


@pytest.mark.parametrize(("target", "status"), [("<sip:ok@h>", 200), ("<sip:900@h>", 403), (None, 403)])
def test_allow_refer_to(network: Network, target: str | None, status: int) -> None:
    Path("refer.deny").write_text('ALL : "^sip:900@"')
    _, peer = serve(network, 'allow_refer_to("refer")')
    lines = [] if target is None else [f"Refer-To: {target}"]
    assert peer.ask(peer.request("REFER", headers=lines)).status == status


def test_a_bad_file_costs_its_message(network: Network) -> None:
    Path("bad.allow").write_text("nonsense")
    _, peer = serve(network, 'allow_routing("bad")')
    assert peer.ask(peer.request()).status == 500


# -- trusted sources -----------------------------------------------------------------------------------------

TRUSTED = [
    ("192.0.2.9", "any", "", 200),
    ("192.0.2.9", "udp", "^sip:.*@example.org$", 200),
    ("192.0.2.9", "tcp", "", 403),
    ("192.0.2.9", "any", "^sip:boss@", 403),
    ("192.0.2.8", "any", "", 403),
]


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize(("source", "protocol", "pattern", "status"), TRUSTED)
@pytest.mark.parametrize("old", [False, True])
def test_allow_trusted(
    network: Network,
    sqlite: TestDatabase,
    mode: int,
    source: str,
    protocol: str,
    pattern: str,
    status: int,
    old: bool,
) -> None:
    provision_0_9(sqlite) if old else provision(sqlite)
    sqlite.ask(f"INSERT INTO trusted VALUES ('{source}', '{protocol}', '{pattern}')")
    _, peer = serve(network, "allow_trusted()", f'"db_url", "{sqlite.url}"', f'"db_mode", {mode}', old=old)
    assert peer.ask(peer.request()).status == status


def test_trusted_sources_are_read_anew(network: Network, database: TestDatabase) -> None:
    provision(database)
    server, peer = serve(network, "allow_trusted()", f'"db_url", "{database.url}"', '"db_mode", 1')
    database.ask("INSERT INTO trusted (src_ip, proto, from_pattern) VALUES ('192.0.2.9', 'any', '^sip:a')")
    assert peer.ask(peer.request()).status == 403
    server.rpc("trusted.reload")
    assert peer.ask(peer.request()).status == 200
    assert server.rpc("trusted.dump") == [{"src_ip": "192.0.2.9", "proto": "any", "pattern": "^sip:a"}]


def test_commands_need_the_memory(network: Network) -> None:
    server, _ = serve(network, "allow_trusted()")
    for command in ("trusted.reload", "trusted.dump", "ipmatch.reload"):
        with pytest.raises(RpcFault):
            server.rpc(command)


# -- addresses -----------------------------------------------------------------------------------------------

ENTRIES = [
    # row, call, status
    ("192.0.2.9", 'ipmatch("src")', 200),
    ("192.0.2.0/24", 'ipmatch("src")', 200),
    ("192.0.3.0/24", 'ipmatch("src")', 403),
    ("192.0.2.9:5060", 'ipmatch("src")', 200),
    ("192.0.2.9:5061", 'ipmatch("src")', 403),
    ("[2001:db8::]/32", 'ipmatch("src")', 403),
    ("203.0.113.7", 'ipmatch("@ruri.host")', 200),
    ("203.0.113.7", 'ipmatch("$f.where")', 403),
    ("nonsense", 'ipmatch("src")', 403),
    ("198.51.100.1", 'ipmatch("via2")', 200),
]


@pytest.mark.parametrize(("row", "call", "status"), ENTRIES)
def test_ipmatch(network: Network, sqlite: TestDatabase, row: str, call: str, status: int) -> None:
    provision(sqlite)
    sqlite.ask(f"INSERT INTO ipmatch (ip, avp_val, mark, flags) VALUES ('{row}', 'v', 1, 1)")
    _, peer = serve(network, call, f'"db_url", "{sqlite.url}"', '"db_mode", 1')
    via = ["Via: SIP/2.0/UDP 198.51.100.1;branch=z9hG4bKfirst"]
    assert peer.ask(peer.request(uri="sip:b@203.0.113.7", headers=via)).status == status


@pytest.mark.parametrize("mode", [0, 1])
def test_marks_and_the_value(network: Network, database: TestDatabase, mode: int) -> None:
    provision(database)
    row = "INSERT INTO ipmatch (ip, avp_val, mark, flags) VALUES"
    database.ask(f"{row} ('192.0.2.0/24', 'first', 1, 1)")
    database.ask(f"{row} ('192.0.2.9', 'second', 2, 1)")
    call = 'ipmatch_filter(2) && ipmatch("src", "$f.who") && $f.who == "second"'
    _, peer = serve(network, call, f'"db_url", "{database.url}"', f'"db_mode", {mode}')
    assert peer.ask(peer.request()).status == 200


@pytest.mark.parametrize(("row", "is_sent"), [("192.0.2.50", True), ("192.0.2.51", False)])
def test_where_a_request_may_go(network: Network, sqlite: TestDatabase, row: str, is_sent: bool) -> None:
    provision(sqlite)
    sqlite.ask(f"INSERT INTO ipmatch (ip, mark, flags) VALUES ('{row}', 1, 1)")
    text = f"""
    loadmodule "sl" loadmodule "tm" loadmodule "permissions"
    modparam("permissions", "db_url", "{sqlite.url}") modparam("permissions", "db_mode", 1)
    route {{ t_relay_to_udp("192.0.2.50", "5060"); }}
    onsend_route {{ if (!ipmatch_onsend("dst")) drop; }}
    """
    network.server(text)
    peer, callee = WirePeer(network), WirePeer(network, "callee", "192.0.2.50:5060")
    peer.post(peer.request())
    network.run(1)
    assert bool(callee.messages) is is_sent
