"""Core statements on a message (ser-inventory A.5, ser-semantics §5)."""

from __future__ import annotations

import pytest

from sipyard._native.core import Message, OfflineEndpoint
from sipyard.arguments import RouteKind
from sipyard.context import Context, q_of, uri_at
from sipyard.engine import Engine
from sipyard.fault import Fault
from sipyard.routes import PythonRoutes
from sipyard.sip.hostport import split_hostport

OPTIONS = (
    b"OPTIONS %s SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    b"From: <sip:alice@192.0.2.1>;tag=1\r\n"
    b"To: <sip:bob@10.0.0.1>\r\n"
    b"Call-ID: 1@192.0.2.1\r\n"
    b"CSeq: 1 OPTIONS\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def context(
    uri: str = "sip:bob:secret@example.com:5070;a=b?h=v", kind: RouteKind = RouteKind.REQUEST
) -> Context:
    """A message in a route of an engine that runs nothing."""
    endpoint = OfflineEndpoint(seed=1)
    endpoint.listen("udp", "10.0.0.1", 5060)
    endpoint.listen("udp", "10.0.0.2", 5080)
    engine = Engine(endpoint.core, PythonRoutes())
    return Context(engine, Message.parse(OPTIONS % uri.encode()), kind)


@pytest.mark.parametrize(
    ("method", "argument", "uri"),
    [
        ("rewrite_user", "carol", "sip:carol:secret@example.com:5070;a=b?h=v"),
        ("rewrite_userpass", "carol:new", "sip:carol:new@example.com:5070;a=b?h=v"),
        ("rewrite_userpass", "carol", "sip:carol@example.com:5070;a=b?h=v"),
        ("rewrite_host", "example.org", "sip:bob:secret@example.org:5070;a=b?h=v"),
        ("rewrite_hostport", "example.org", "sip:bob:secret@example.org;a=b?h=v"),
        ("rewrite_hostport", "[2001:db8::1]:5090", "sip:bob:secret@[2001:db8::1]:5090;a=b?h=v"),
        ("rewrite_port", "5099", "sip:bob:secret@example.com:5099;a=b?h=v"),
        ("rewrite_port", "", "sip:bob:secret@example.com;a=b?h=v"),
        ("prefix", "9", "sip:9bob:secret@example.com:5070;a=b?h=v"),
        ("strip", 1, "sip:ob:secret@example.com:5070;a=b?h=v"),
        ("strip_tail", 1, "sip:bo:secret@example.com:5070;a=b?h=v"),
        ("rewrite_uri", "sip:else@where", "sip:else@where"),
    ],
)
def test_rewriting(method: str, argument: str | int, uri: str) -> None:
    msg = context()
    assert getattr(msg, method)(argument) == 1
    assert msg.request_uri == uri
    assert msg.revert_uri() == 1
    assert msg.request_uri == "sip:bob:secret@example.com:5070;a=b?h=v"


@pytest.mark.parametrize("method", ["strip", "strip_tail"])
def test_too_much_stripping_empties_the_user(method: str) -> None:
    msg = context("sip:bob@example.com")
    assert getattr(msg, method)(10) == 1
    assert msg.request_uri == "sip:example.com"


@pytest.mark.parametrize(
    ("method", "argument"),
    [
        ("rewrite_hostport", "host:port"),
        ("rewrite_port", "x"),
        ("rewrite_uri", "sip:" + "x" * 1100),
        ("rewrite_user", "y" * 1100),
        ("rewrite_host", "two words"),
    ],
)
def test_a_bad_part_leaves_the_uri_alone(method: str, argument: str) -> None:
    msg = context("sip:bob@example.com")
    assert getattr(msg, method)(argument) == -1
    assert msg.request_uri == "sip:bob@example.com"
    assert msg.error == Fault.BAD_URI


def test_sips_is_not_downgraded() -> None:
    msg = context("sips:bob@example.com")
    msg.rewrite_user("carol")
    assert msg.request_uri == "sips:carol@example.com"


def test_rewriting_forgets_the_target_but_not_the_next_hop() -> None:
    msg = context("sip:bob@192.0.2.7")
    msg.dst_uri = "sip:10.9.9.9;lr"
    msg.target = msg.core.target(msg.next_hop)
    msg.rewrite_user("carol")
    assert msg.target is None
    assert msg.next_hop == "sip:10.9.9.9;lr"


def test_flags() -> None:
    msg = context()
    assert msg.is_flag_set(31) == -1
    msg.set_flag(31)
    msg.set_flag(0)
    msg.reset_flag(0)
    assert (msg.is_flag_set(31), msg.is_flag_set(0)) == (1, -1)


def test_branches() -> None:
    msg = context("sip:bob@example.com")
    assert msg.append_branch("sip:a@192.0.2.1", "0.5") == 1
    assert msg.append_branch() == 1
    assert [(branch.uri, branch.q) for branch in msg.branches] == [
        ("sip:a@192.0.2.1", 500),
        ("sip:bob@example.com", -1),
    ]
    assert msg.append_branch("not a uri") == -1
    assert msg.error == Fault.BAD_URI
    assert msg.append_branch("sip:a@b", "7") == -1
    assert msg.error == Fault.BAD_Q
    while msg.append_branch("sip:more@192.0.2.1") == 1:
        pass
    assert len(msg.branches) == 11
    assert msg.error == Fault.TOO_MANY_BRANCHES


def test_sockets_are_found_by_name() -> None:
    msg = context()
    assert msg.force_send_socket("udp:10.0.0.2:5080") == 1
    assert msg.listener_index == 1
    assert msg.force_send_socket("10.0.0.1") == 1
    assert msg.listener_index == 0
    assert msg.force_send_socket("tcp:10.0.0.1") == -1


@pytest.mark.parametrize(
    ("text", "q"), [("0.5", 500), ("1", 1000), ("1.0", 1000), (".25", 250), ("", -1), (None, -1)]
)
def test_q(text: str | None, q: int) -> None:
    assert q_of(text) == q


@pytest.mark.parametrize("text", ["1.5", "2", "-1", "0.1234", "x", "."])
def test_bad_q(text: str) -> None:
    with pytest.raises(ValueError, match=r"q value|above 1"):
        q_of(text)


def test_hosts_and_ports() -> None:
    assert split_hostport("host:5060") == ("host", "5060")
    assert split_hostport("[::1]:5060") == ("[::1]", "5060")
    assert split_hostport("::1") == ("[::1]", None)
    assert split_hostport("host") == ("host", None)
    assert uri_at("::1", 5070, "udp") == "sip:[::1]:5070;transport=udp"
