"""exec on the virtual network: real programs, whose time does not pass there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from wire_peer import WirePeer

from sipyard._native.core import Message
from sipyard.modules.exec import OUTPUT_LIMIT
from sipyard.testing import Network

SCRIPT = """
loadmodule "sl" loadmodule "tm" loadmodule "textops" loadmodule "exec"
{parameters}
route {{
    {statements}
}}
"""
RESULT = ' { sl_reply("200", "true"); } else { sl_reply("400", "false"); }'


def peer_of(network: Network, statements: str, parameters: str = "") -> WirePeer:
    network.server(SCRIPT.format(statements=statements, parameters=parameters))
    return WirePeer(network)


def answered(network: Network, call: str, parameters: str = "", **options: object) -> Message:
    """The answer of a script that says whether a call was true."""
    peer = peer_of(network, f"if ({call}){RESULT}", parameters)
    return peer.ask(peer.request("MESSAGE", **options))  # type: ignore[arg-type]


RESULTS = [
    ("exec_msg('exit 0')", True),
    ("exec_msg('exit 1')", False),
    ("exec_msg('/no/such/program 2>/dev/null')", False),
    ("exec_msg('cat > /dev/null')", True),
    ("exec_msg('grep -q ^Subject: && ! grep -q Nothing')", True),
    ("exec_dset('echo sip:eva@192.0.2.1 #')", True),
    ("exec_dset('true')", False),  # it names nobody
    ("exec_dset('echo not a uri #')", False),
    ("exec_dset('echo sip:eva@192.0.2.1; exit 1 #')", False),
]


@pytest.mark.parametrize(("call", "result"), RESULTS)
def test_results(network: Network, call: str, result: bool) -> None:
    assert answered(network, call, headers=["Subject: x"]).reason == str(result).lower()


def test_the_message_is_on_standard_input(network: Network, tmp_path: Path) -> None:
    peer = peer_of(network, f'exec_msg(\'cat > {tmp_path}/message\'); sl_reply("200", "OK");')
    text = peer.request("MESSAGE", headers=["Subject: $(id)"], body="hello")
    peer.ask(text)
    assert (tmp_path / "message").read_bytes() == text.replace("\n", "\r\n").encode()


DUMP = "import json, os, sys; json.dump(dict(os.environ, ARGV=sys.argv[2:]), open(sys.argv[1], 'w'))"


def told(network: Network, path: Path, parameters: str = "", statements: str = "") -> dict[str, str]:
    """What a program learns of a request with some headers."""
    (path / "dump.py").write_text(DUMP)
    command = f"{sys.executable} {path}/dump.py {path}/told.json"
    peer = peer_of(network, f'{statements} exec_dset(\'{command}\'); sl_reply("200", "OK");', parameters)
    headers = ["Contact: <sip:a@192.0.2.9>", "m: <sip:b@192.0.2.9>", "s: folded\n line", "P-X.y: 1; rm -rf /"]
    peer.ask(peer.request("MESSAGE", "sip:bob@10.0.0.1;x='$(id)'", headers=headers))
    found: dict[str, str] = json.loads((path / "told.json").read_text())
    return found


def test_programs_are_told_about_the_message(network: Network, tmp_path: Path) -> None:
    found = told(network, tmp_path, statements='rewriteuser("eva");')
    assert found["SIP_HF_CONTACT"] == "<sip:a@192.0.2.9>,<sip:b@192.0.2.9>"
    assert found["SIP_HF_SUBJECT"] == "folded line"
    assert found["SIP_HF_P_X_Y"] == "1; rm -rf /"
    assert found["SIP_HF_CALL_ID"] == "c1"
    assert found["SIP_SRCIP"] == "192.0.2.9"
    assert (found["SIP_ORURI"], found["SIP_OUSER"]) == ("sip:bob@10.0.0.1;x='$(id)'", "bob")
    assert (found["SIP_RURI"], found["SIP_USER"]) == ("sip:eva@10.0.0.1;x='$(id)'", "eva")
    assert found["SIP_DID"] == ""
    assert found["ARGV"] == ["sip:eva@10.0.0.1;x='$(id)'"]
    assert "PATH" in found


def test_variables_can_be_left_out(network: Network, tmp_path: Path) -> None:
    found = told(network, tmp_path, 'modparam("exec", "setvars", 0)')
    assert not [name for name in found if name.startswith("SIP_")]
    assert found["ARGV"] == ["sip:bob@10.0.0.1;x='$(id)'"]


def test_a_transaction_has_one_identifier(network: Network, tmp_path: Path) -> None:
    """A CANCEL has that of its INVITE, another request another."""
    peer = peer_of(network, f'exec_msg(\'echo $SIP_TID >> {tmp_path}/ids\'); sl_reply("200", "OK");')
    for method, cseq in (("INVITE", 1), ("CANCEL", 1), ("INVITE", 2)):
        peer.ask(peer.request(method, cseq=cseq))
    first, cancel, other = (tmp_path / "ids").read_text().split()
    assert first == cancel != other


def test_lines_become_destinations(network: Network) -> None:
    call = "exec_dset('echo sip:eva@192.0.2.1; echo; echo \"sip:ema@192.0.2.2;x=y\"; #')"
    peer = peer_of(network, f'if ({call}) {{ sl_reply("302", "Moved"); }}')
    answer = peer.ask(peer.request("MESSAGE"))
    assert answer.values("Contact") == ["<sip:eva@192.0.2.1>", "<sip:ema@192.0.2.2;x=y>"]


def test_too_much_is_refused(network: Network) -> None:
    """A program that never stops writing is cut off, and nothing of it is used."""
    call = f"exec_dset('yes sip:eva@192.0.2.1 | head -c {OUTPUT_LIMIT * 9} #')"
    assert answered(network, call).reason == "false"


def test_the_failure_is_answered_for(network: Network) -> None:
    peer = peer_of(network, "if (!exec_msg('exit 1')) { sl_reply_error(); }")
    assert peer.ask(peer.request("MESSAGE")).status == 500


def test_only_so_many_run_at_once(network: Network) -> None:
    parameters = 'modparam("exec", "max_programs", 2)'
    statements = f"if (exec_msg('exit 0')){RESULT}"
    server = network.server(SCRIPT.format(statements=statements, parameters=parameters))
    peer = WirePeer(network)
    for number in range(4):  # all in one batch
        text = peer.request("MESSAGE", call_id=f"c{number}").replace("\n", "\r\n")
        server.receive(text.encode(), peer.address, server.addresses[0])
    network.run_until(lambda: len(peer.messages) == 4, within=10)
    assert sorted(one.reason for one in peer.messages) == ["false", "false", "true", "true"]


def test_a_failure_route_may_ask_a_program(network: Network) -> None:
    script = """
    loadmodule "sl" loadmodule "tm" loadmodule "exec"
    route { t_on_failure("1"); rewritehostport("192.0.2.50:5060"); t_relay(); }
    failure_route[1] { if (exec_dset('echo sip:vm@192.0.2.51 #')) { append_branch(); t_relay(); } }
    """
    server = network.server(script)
    alice = network.user_agent("alice", proxy=server)
    network.user_agent("bob", "192.0.2.50:5060").rejects(486)
    mailbox = network.user_agent("mailbox", "192.0.2.51:5060")
    mailbox.answers()
    call = alice.invite("sip:bob@10.0.0.1")
    network.run(5)
    assert call.is_answered
    assert len(mailbox.calls) == 1
