"""Another version of the script takes over while calls are up: who keeps which version, what is refused."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

from sipyard.errors import ConfigError
from sipyard.reload import tests_of as named_tests
from sipyard.testing import Network, SipServer

HEAD = 'loadmodule "sl"\nloadmodule "tm"\nmodparam("tm", "fr_inv_timer", 20000)\n'
FAILING = """
route {{
    if (method == "OPTIONS") {{ sl_reply("200", "{name}"); exit; }}
    t_on_failure("busy");
    t_relay_to_udp("192.0.2.2", "5060");
}}
failure_route["busy"] {{ t_reply("{status}", "{name}"); }}
"""
ONE, TWO = (HEAD + FAILING.format(name=name, status=status) for name, status in (("one", 480), ("two", 600)))
PLAIN = HEAD + 'route { sl_reply("202", "plain"); }\n'


def version_of(network: Network, server: SipServer) -> str:
    """The reason phrase that new requests get."""
    outcome = network.user_agent(f"asker{network.now}", proxy=server).request("OPTIONS", "sip:10.0.0.1")
    network.run(0.5)
    assert outcome.response is not None
    return outcome.response.reason


@pytest.mark.parametrize("successor", [TWO, PLAIN])
def test_a_transaction_runs_the_failure_route_it_armed(network: Network, successor: str) -> None:
    server = network.server(ONE)
    alice, bob = network.user_agent("alice", proxy=server), network.user_agent("bob", "192.0.2.2:5060")
    bob.rejects(486, after=5, ring=True)
    early = alice.invite("sip:bob@10.0.0.1")
    network.run(1)
    server.reload(successor)
    late = alice.invite("sip:bob@10.0.0.1")
    network.run(10)
    assert early.status == 480
    assert late.status == (600 if successor == TWO else 202)


def test_replies_pass_the_routes_of_their_request(network: Network) -> None:
    """The reply of a call that began under one version passes that version's onreply_route."""
    script = """
    route {{
        t_on_branch("b"); t_on_reply("r");
        seturi("sip:bob@bob.example.com");
        t_relay();
    }}
    branch_route["b"] {{ append_hf("X-Branch: {name}\\r\\n"); }}
    onreply_route["r"] {{ append_hf("X-Reply: {name}\\r\\n"); }}
    onsend_route {{ log(1, "sending {name}\\n"); }}
    """
    head = HEAD + 'loadmodule "textops"\n'
    network.name("bob.example.com", "192.0.2.2:5060")
    server = network.server(head + script.format(name="one"))
    alice, bob = network.user_agent("alice", proxy=server), network.user_agent("bob", "192.0.2.2:5060")
    bob.answers(after=3)
    call = alice.invite("sip:bob@10.0.0.1")
    network.run(1)
    server.reload(head + script.format(name="two"))
    network.run(5)
    assert call.response is not None
    assert call.response.header("X-Reply") == "one"
    again = alice.invite("sip:bob@10.0.0.1")
    network.run(5)
    assert again.response is not None
    assert again.response.header("X-Reply") == "two"


def test_a_route_that_waits_goes_on_in_its_own_version(network: Network, tmp_path: Path) -> None:
    """Two versions of a routes file; the first one is asleep when the second takes over."""
    text = """
import asyncio
from sipyard.registry import Modules
from sipyard.routes import branch_route, failure_route, onreply_route, onsend_route, request_route

modules = Modules()
tm, textops = modules.load("tm"), modules.load("textops")

@request_route
async def main(msg):
    tm.t_on_branch(msg, "mark")
    await asyncio.sleep(3)
    await tm.t_relay_to_udp(msg, "192.0.2.2", 5060)

@branch_route
async def mark(branch):
    branch.message.append_header("X-Branch: NAME\\r\\n")

@onsend_route
async def sending(msg):
    return 0 if "NAME" == "two" else 1
"""
    file = tmp_path / "routes.py"
    file.write_text(text.replace("NAME", "one"))
    server = network.server(file)
    alice, bob = network.user_agent("alice", proxy=server), network.user_agent("bob", "192.0.2.2:5060")
    bob.answers()
    call = alice.invite("sip:bob@10.0.0.1")
    network.run(1)
    file.write_text(text.replace("NAME", "two"))
    server.reload(file)
    network.run(5)
    assert call.is_answered
    assert bob.call.invite.header("X-Branch") == "one"
    refused = alice.invite("sip:bob@10.0.0.1")
    network.run(5)
    assert refused.status == 477  # the second version's onsend_route lets nothing pass


def test_old_versions_are_freed(network: Network) -> None:
    server = network.server(ONE)
    alice, bob = network.user_agent("alice", proxy=server), network.user_agent("bob", "192.0.2.2:5060")
    bob.rejects(486, after=5, ring=True)
    versions = []
    for script in (TWO, ONE, PLAIN) * 5:
        versions.append(weakref.ref(server.engine.routes.main))
        alice.invite("sip:bob@10.0.0.1")
        network.run(0.1)
        server.reload(script)
    network.run(4)
    assert server.engine.states
    network.run(120)
    assert not server.engine.states
    gc.collect()
    assert [ref for ref in versions if ref() is not None] == []


def test_live_parameters_are_applied(network: Network) -> None:
    server = network.server(ONE)
    alice = network.user_agent("alice", proxy=server)
    network.user_agent("bob", "192.0.2.2:5060").rings()
    changed = server.reload("check_via=yes\n" + ONE.replace("20000", "7000"))
    assert changed == ["check_via", "tm.fr_inv_timer"]
    call = alice.invite("sip:bob@10.0.0.1")
    network.run(6)
    assert call.status == 180
    network.run(2)
    assert call.status == 480
    assert server.reload(HEAD + FAILING.format(name="three", status=480)) == ["check_via", "tm.fr_inv_timer"]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (ONE.replace("t_relay_to_udp", "t_rely"), "did you mean"),
        (ONE + "route {", "error"),
        ('loadmodule "rr"\n' + ONE, "modules added: rr"),
        (HEAD.replace('loadmodule "tm"', "").replace("modparam", "#") + "route { drop; }", "removed: tm"),
        (
            ONE + 'modparam("tm", "tw_append", "a:title=msg[body]")\n',
            "parameters changed: tm.tw_append",
        ),
        ("port=5070\nlisten=udp:10.0.0.1\n" + ONE, "core parameters changed: listen, port"),
        ("#!SER 0.9\n" + 'loadmodule "sl"\nloadmodule "tm"\nroute { drop; }\n', "read as SER 0.9"),
    ],
)
def test_what_is_refused_changes_nothing(network: Network, script: str, reason: str) -> None:
    server = network.server(ONE)
    before = dict(server.engine.modules["tm"].written)
    with pytest.raises(ConfigError) as refusal:
        server.reload(script)
    assert reason in f"{refusal.value}{refusal.value.hint}"
    assert version_of(network, server) == "one"
    assert server.engine.modules["tm"].written == before


def test_a_module_that_refuses_a_value_is_put_back(network: Network) -> None:
    head = 'loadmodule "sl"\nloadmodule "rr"\n'
    route = 'route { sl_reply("200", "OK"); }\n'
    server = network.server(head + route)
    with pytest.raises(ConfigError, match=r"rr\.user_part_avp"):
        server.reload(head + 'modparam("rr", "user_part_avp", "$[[")\n' + route)
    assert server.engine.modules["rr"].user_part_avp == ""
    assert server.reload(head + 'modparam("rr", "user_part_avp", "$user")\n' + route) == ["rr.user_part_avp"]


def test_bindings_survive(network: Network) -> None:
    script = """
    loadmodule "sl"
    loadmodule "usrloc"
    loadmodule "registrar"
    {}
    route {{ save("location"); }}
    """
    server = network.server(script.format(""))
    alice = network.user_agent("alice", proxy=server)
    alice.register()
    network.run(1)
    before = [contact.uri for contact in server.engine.modules["usrloc"].table("location").all()]
    assert len(before) == 1
    changed = server.reload(script.format('modparam("registrar", "default_expires", 77)'))
    assert changed == ["registrar.default_expires"]
    assert [one.uri for one in server.engine.modules["usrloc"].table("location").all()] == before


def test_a_script_names_its_tests() -> None:
    text = "# sipyard tests: test_a.py test_b.py::test_x\n// sipyard tests: c/\nroute { } # sipyard tests\n"
    assert named_tests(text) == ["test_a.py", "test_b.py::test_x", "c/"]


SLOW = """
import asyncio
from sipyard.registry import Modules
from sipyard.routes import failure_route, request_route

modules = Modules()
tm = modules.load("tm")
settings = {"message_deadline": 4}

@request_route
async def main(msg):
    if msg.message.method == "INVITE":
        tm.t_on_failure(msg, "slow")
        return await tm.t_relay_to_udp(msg, "192.0.2.2", 5060)
    await asyncio.sleep(100)

@failure_route
async def slow(msg):
    await asyncio.sleep(100)
"""


def test_a_message_is_given_up_at_its_deadline(
    network: Network, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "routes.py"
    file.write_text(SLOW)
    server = network.server(file)
    alice, bob = network.user_agent("alice", proxy=server), network.user_agent("bob", "192.0.2.2:5060")
    bob.rejects(486)
    late, call = alice.request("MESSAGE", "sip:10.0.0.1"), alice.invite("sip:bob@10.0.0.1")
    network.run(3.5)
    assert (late.response, call.status) == (None, 100)
    network.run(1.5)
    assert late.status == 503
    assert call.status == 486  # what a failure_route would have replaced
    assert server.is_quiet
    assert server.engine.incidents.given_up == 2
    assert f"{file}:15: route: given up after waiting 4 s" in caplog.text
    assert f"{file}:19: failure_route: given up" in caplog.text


ANSWERED = """
import asyncio
from sipyard.registry import Modules
from sipyard.routes import request_route

modules = Modules()
sl = modules.load("sl")
settings = {"message_deadline": 4}

@request_route
async def main(msg):
    sl.sl_reply(msg, 200, "OK")
    if msg.message.method == "INFO":
        raise ValueError("after the answer")
    await asyncio.sleep(100)
"""


@pytest.mark.parametrize("method", ["MESSAGE", "INFO"])
def test_what_was_answered_is_not_answered_again(network: Network, tmp_path: Path, method: str) -> None:
    file = tmp_path / "routes.py"
    file.write_text(ANSWERED)
    server = network.server(file)
    alice = network.user_agent("alice", proxy=server)
    outcome = alice.request(method, "sip:10.0.0.1")
    network.run(6)
    assert [each.status for each in (*outcome.responses, *alice.strays)] == [200]
    assert server.is_quiet
