"""`sipyard explain`: the real script on a request that nobody sent."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sipyard.engine import Engine
from sipyard.errors import ConfigError
from sipyard.explain import Block, Hypothesis, Packet, Story, explain, sandbox
from sipyard.explain.report import as_text
from sipyard.explain.trial import TrialModules
from sipyard.module import Module
from sipyard.registry import Modules
from sipyard.script import load_script, load_text
from sipyard.site import Site
from sipyard.testing import Network

ROOT = Path(__file__).parents[2]
HOTLINE = ROOT / "examples" / "testing" / "hotline.cfg"
LOADS = "".join(f'loadmodule "{name}"\n' for name in ("sl", "tm", "xlog", "textops", "usrloc", "registrar"))

Explainer = Callable[..., Story]
BUSY = """from 198.51.100.1:5060:  INVITE sip:bob@10.0.0.1 SIP/2.0

route  sip:bob@10.0.0.1
   17  if (method != "INVITE")
         method != "INVITE" = false   (method is 'INVITE')
   21  $f.caller = @from.uri.user
         $f.caller: 'alice'
   22  if ($f.caller == "president")
         $f.caller == "president" = false   ($f.caller is 'alice')
   25  if (isflagset(VIP))
         isflagset(VIP) = -1
   28  route(COUNTER)
       route[COUNTER]:
   36  if ($f.caller == "nobody" || @from.uri.host == "nowhere.example")
         $f.caller == "nobody" = false   ($f.caller is 'alice')
         @from.uri.host == "nowhere.example" = false   (@from.uri.host is 'example.com')
   41  $counter = "front"
         $f.counter: 'front'
   42  rewritehostport("192.0.2.20:5060")
         = 1
         request URI: sip:bob@10.0.0.1 -> sip:bob@192.0.2.20:5060
   43  t_on_failure("NIGHT")
         = 1
         armed failure_route: NIGHT
       route:
   30  xlog("L_INFO", "%$f.caller goes to %ru\\n")
         = 1
         log: alice goes to sip:bob@192.0.2.20:5060
   31  t_relay()
         = 1
         transaction: made

answered to 198.51.100.1:5060:  SIP/2.0 100 trying -- your call is important to us

sent to 192.0.2.20:5060:  INVITE sip:bob@192.0.2.20:5060 SIP/2.0

received from 192.0.2.20:5060:  SIP/2.0 486 Busy Here

failure_route[NIGHT]  after 486
   47  if (t_check_status("486|408"))
         t_check_status("486|408") = 1
   48  $counter = "night"
         $f.counter: 'front' -> 'night'
   49  log(3, "the counter is busy\\n")
         = 1
         log: the counter is busy
   50  append_branch("sip:night@192.0.2.30:5060")
         = 1
         branch 1: sip:night@192.0.2.30:5060
   51  t_relay()
         = 1
         branch 1: none any more (was sip:night@192.0.2.30:5060)

sent to 192.0.2.30:5060:  INVITE sip:night@192.0.2.30:5060 SIP/2.0

received from 192.0.2.30:5060:  SIP/2.0 200 OK

answered to 198.51.100.1:5060:  SIP/2.0 200 OK"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Explainer:
    """Writes a script and explains a request to it."""
    monkeypatch.chdir(tmp_path)

    def write(routes: str, method: str = "INVITE", uri: str = "sip:bob@10.0.0.1", **options: object) -> Story:
        (tmp_path / "ser.cfg").write_text(f"{LOADS}listen=10.0.0.1\n{routes}")
        return explain(tmp_path / "ser.cfg", Hypothesis(method, uri, **options))  # type: ignore[arg-type]

    return write


def run(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sipyard.cli", "explain", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def values(story: Story) -> dict[str, str]:
    """Every value by the text that gave it, the last one if it gave several."""
    blocks = [event for event in story.events if isinstance(event, Block)]
    return {value.text: value.value for block in blocks for step in block.steps for value in step.values}


def changes(story: Story) -> list[tuple[str, str | None, str | None]]:
    blocks = [event for event in story.events if isinstance(event, Block)]
    steps = [step for block in blocks for step in block.steps]
    return [(change.what, change.before, change.after) for step in steps for change in step.changes]


def notes(story: Story) -> list[str]:
    blocks = [event for event in story.events if isinstance(event, Block)]
    return [note for block in blocks for step in block.steps for note in step.notes]


def sent(story: Story) -> list[tuple[str, str]]:
    return [
        (event.address, event.first_line)
        for event in story.events
        if isinstance(event, Packet) and event.is_sent and " 100 " not in event.first_line
    ]


# -- what it prints ------------------------------------------------------------------------------------------


def test_the_path_line_by_line() -> None:
    """Lines, values, attributes, the target, log lines, and the failure route with what follows."""
    done = run("-f", str(HOTLINE), "INVITE", "sip:bob@10.0.0.1", "--reply", "486", "--reply", "200")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if "+ Via:" not in line]
    assert "\n".join(lines) == BUSY


def test_json() -> None:
    done = run("-f", str(HOTLINE), "MESSAGE", "sip:bob@10.0.0.1", "--json")
    story = json.loads(done.stdout)
    assert story["request"] == "MESSAGE sip:bob@10.0.0.1 SIP/2.0"
    block, answer = story["events"]
    assert (block["type"], block["title"], block["result"]) == ("block", "route", 0)
    assert [step["line"] for step in block["steps"]] == [17, 18, 19]
    assert block["steps"][0]["values"] == [
        {"text": 'method != "INVITE"', "value": "true", "because": "method is 'MESSAGE'"}
    ]
    assert (answer["type"], answer["first_line"]) == (
        "answered" if False else "sent",
        "SIP/2.0 405 Method Not Allowed",
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["INVITE", "sip:b@h", "--reply", "busy"], "'busy' is no status"),
        (["INVITE", "sip:b@h", "--header", "nonsense"], "'nonsense' is no header line"),
        (["INVITE", "sip:b@h", "--binding", "sip:b@h"], "is not of the form"),
        (["INVITE", "sip:b@h", "--binding", "sip:b@h=sip:b@c"], "does not load usrloc"),
        (["INVITE", "sip:b@h", "--source", "nowhere"], "--source"),
    ],
)
def test_what_makes_no_sense_is_said(words: list[str], complaint: str) -> None:
    done = run("-f", str(HOTLINE), *words)
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_script_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.cfg").write_text("route {\n nonsense();\n}\n")
    done = run("-f", "bad.cfg", "INVITE", "sip:b@h", cwd=tmp_path)
    assert done.returncode == 1
    assert "bad.cfg:2:2: error: function nonsense is not known" in done.stderr


# -- what may be supposed ------------------------------------------------------------------------------------


def test_a_pretended_registration(script: Explainer) -> None:
    body = 'route {\n if (!lookup_contacts("location")) { sl_reply("404", "No"); drop; }\n t_relay();\n}\n'
    assert sent(script(body)) == [("198.51.100.1:5060", "SIP/2.0 404 No")]
    bindings = [("sip:Bob@10.0.0.1", "sip:bob@192.0.2.7:5062"), ("sip:bob@10.0.0.1", "sip:bob@192.0.2.8")]
    story = script(body, bindings=bindings)
    assert {address for address, _ in sent(story)} == {"192.0.2.7:5062", "192.0.2.8:5060"}
    assert any(what == "request URI" for what, _, _ in changes(story))


def test_source_headers_and_body(script: Explainer) -> None:
    body = (
        'route {\n xlog("L_INFO", "%si %sp %{Subject} %ua %fu %tu %ml");\n if (search("needle")) drop;\n}\n'
    )
    story = script(
        body,
        "MESSAGE",
        source="192.0.2.77:7777",
        from_uri="sip:carol@example.com",
        to_uri="sip:dave@example.com",
        headers=["Subject: hello", "User-Agent: x", "Max-Forwards: 5"],
        body="a needle",
    )
    assert notes(story)[0].startswith(
        "log: 192.0.2.77 7777 hello x sip:carol@example.com sip:dave@example.com"
    )
    assert values(story)['search("needle")'] == "1"


def test_names_are_not_asked_of_dns(script: Explainer) -> None:
    body = "route {\n t_relay();\n}\n"
    story = script(body, uri="sip:bob@biloxi.example")
    assert sent(story) == [("203.0.113.1:5060", "INVITE sip:bob@biloxi.example SIP/2.0")]
    assert "sent to 203.0.113.1:5060 (biloxi.example):" in as_text(story)
    told = script(body, uri="sip:bob@biloxi.example", names={"biloxi.example": "192.0.2.44"})
    assert sent(told)[0][0] == "192.0.2.44:5060"


def test_nobody_answers(script: Explainer) -> None:
    body = """route {
  rewritehostport("192.0.2.9");
  t_on_failure("F");
  t_relay();
}
failure_route[F] {
  t_reply("480", "Gone Home");
}
"""
    story = script(body, answers=["none"])
    titles = [event.title for event in story.events if isinstance(event, Block)]
    assert titles == ["route", "failure_route[F]"]
    assert sent(story)[-1] == ("198.51.100.1:5060", "SIP/2.0 480 Gone Home")
    assert len(sent(story)) == 2  # retransmissions are told once


def test_a_failing_line(script: Explainer, capsys: pytest.CaptureFixture[str]) -> None:
    story = script("route {\n route(1);\n}\nroute[1] {\n route(1);\n}\n")
    block = story.events[0]
    assert isinstance(block, Block)
    assert "more than 100 routes are nested" in block.error
    assert sent(story) == [("198.51.100.1:5060", "SIP/2.0 500 Server Internal Error")]


def test_nothing_is_sent(script: Explainer) -> None:
    assert as_text(script("route {\n drop;\n}\n")).endswith("nothing is sent\n")


# -- no side effects -----------------------------------------------------------------------------------------


def test_programs_do_not_run(script: Explainer, tmp_path: Path) -> None:
    story = script(f'route {{\n exec("touch {tmp_path}/made");\n sl_reply("404", "No");\n}}\n')
    assert notes(story) == [f"not done: would run touch {tmp_path}/made"]
    assert not (tmp_path / "made").exists()
    assert sent(story)[0][1] == "SIP/2.0 404 No"


def test_fifos_are_not_written(script: Explainer, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        story = script(f'route {{\n t_write_req("{tmp_path}/fifo", "app");\n}}\n')
        assert os.read(reader, 1) == b""  # no writer ever came
    finally:
        os.close(reader)
    assert notes(story) == [f"not done: would write {tmp_path}/fifo"]


def test_databases_are_read_and_not_changed(script: Explainer, tmp_path: Path) -> None:
    file = tmp_path / "own.db"
    body = f"""modparam("usrloc", "db_url", "sqlite:///{file}")
modparam("usrloc", "db_mode", 1)
route {{
  if (method == "REGISTER") {{ save_contacts("location"); drop; }}
  if (!lookup_contacts("location")) {{ sl_reply("404", "No"); drop; }}
  t_relay();
}}
"""
    text = f"{LOADS}listen=10.0.0.1\n{body}".replace(f"{file}", f"{file}?threads=0")
    with Network() as network:
        server = network.server(text, address="10.0.0.1:5060")
        bob = network.user_agent("bob", "192.0.2.55:5060", proxy=server)
        assert bob.register()
        network.run(1)
        server.stop()
    before = file.read_bytes()
    assert sent(script(body))[0] == ("192.0.2.55:5060", "INVITE sip:bob@192.0.2.55 SIP/2.0")
    registered = script(body, "REGISTER", "sip:10.0.0.1", from_uri="sip:carol@10.0.0.1")
    assert sent(registered) == [("198.51.100.1:5060", "SIP/2.0 200 OK")]
    answer = registered.events[-1]
    assert isinstance(answer, Packet)
    assert any(line.startswith("Contact: <sip:carol@198.51.100.1:5060>") for line in answer.added)
    assert file.read_bytes() == before
    with sqlite3.connect(file) as database:
        assert database.execute("select count(*) from location").fetchone() == (1,)
    database.close()


def test_a_database_that_is_not_there_is_not_made(script: Explainer, tmp_path: Path) -> None:
    script('modparam("usrloc", "db_mode", 1)\nroute {\n save_contacts("location");\n}\n', "REGISTER")
    assert not (tmp_path / "sipyard.db").exists()


def test_the_sandbox_refuses_what_is_seen_outside(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    with sandbox.closed(inside):
        with pytest.raises(sandbox.SideEffect, match="would make a FIFO"):
            os.mkfifo(tmp_path / "fifo")
        (inside / "file").write_text("may be written")
        for attempt in (
            lambda: subprocess.run(["true"], check=False),
            lambda: os.system("true"),
            lambda: (tmp_path / "outside").write_text("x"),
            lambda: (inside / "file").rename(tmp_path / "outside"),
            lambda: sqlite3.connect(tmp_path / "outside.db"),
        ):
            with pytest.raises(sandbox.SideEffect, match="would"):
                attempt()
        for reach in (
            lambda: socket.create_connection(("127.0.0.1", 9)),
            lambda: socket.getaddrinfo("localhost", 9),
        ):
            with pytest.raises(OSError, match="no network"):
                reach()
    assert [path.name for path in tmp_path.iterdir()] == ["inside"]
    (tmp_path / "outside").write_text("open again")


class Controlled(Module):
    """controlled: wants a socket of its own."""

    name = "controlled"

    async def start(self, engine: Engine) -> None:
        """Bind it."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("controlled.sock")


def test_a_module_that_cannot_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    modules, told = Modules(), list[str]()
    modules.add(Controlled())
    site = Site.of_script("ser.cfg", load_text("route {\n drop;\n}\n", modules=modules))
    site = replace(site, modules=TrialModules(modules, told))
    with sandbox.closed(tmp_path / "nothing"), Network() as network:
        network.server(site)
    assert told == [
        "module controlled did not start: [Errno 101] sipyard explain has no network (socket.bind)"
    ]
    assert list(tmp_path.iterdir()) == []


# -- the rest -----------------------------------------------------------------------------------------------


def test_serving_knows_nothing_of_telling() -> None:
    """No cost when nobody explains: the routes of a server call no teller."""
    main = load_script(HOTLINE).main
    assert main is not None
    names = main.__code__.co_names  # type: ignore[attr-defined]
    assert not [name for name in names if name.startswith(("tell", "seen"))]


def test_scripts_with_mistakes_raise(script: Explainer) -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        script("route {\n nonsense();\n}\n")


def test_programs_of_the_exec_module_do_not_run(script: Explainer, tmp_path: Path) -> None:
    body = f'exec_msg("touch {tmp_path}/made");\n sl_reply("404", "No");'
    story = script(f'loadmodule "exec"\nroute {{\n {body}\n}}\n')
    assert notes(story) == [f"not done: would run /bin/sh -c touch {tmp_path}/made"]
    assert not (tmp_path / "made").exists()
    assert sent(story)[0][1] == "SIP/2.0 404 No"  # also after the route has waited


def test_a_script_of_macros_is_told_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "ser.m4"
    file.write_text('define(`SAY\', `sl_reply("200", "$1")\')\nloadmodule "sl"\nroute {\n\tSAY(Hello);\n}\n')
    done = run("-f", str(file), "OPTIONS", "sip:x@127.0.0.1")
    assert done.returncode == 0, done.stderr
    assert "4  SAY(Hello);" in done.stdout
    assert "SIP/2.0 200 Hello" in done.stdout
