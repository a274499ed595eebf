"""sanity: each bit, what it answers, and that a failed check ends the script."""

from __future__ import annotations

import pytest
from wire_peer import WirePeer

from sipyard._native.core import Message
from sipyard.modules import sanity
from sipyard.testing import Network

SCRIPT = """
loadmodule "sl" loadmodule "sanity"
{parameters}
route {{
    if (sanity_check({arguments})) {{ sl_reply("200", "sane"); }} else {{ sl_reply("299", "went on"); }}
}}
"""


def ask(
    network: Network, *headers: str, arguments: str = "", parameters: str = "", uri: str = "sip:bob@10.0.0.1"
) -> Message | None:
    """The answer to a MESSAGE with these headers; None when there is none."""
    network.server(SCRIPT.format(arguments=arguments, parameters=parameters))
    peer = WirePeer(network)
    peer.post(peer.request("MESSAGE", uri, headers=headers))
    network.run(2)
    return peer.messages[0] if peer.messages else None


DIGEST = 'Digest username="b", realm="r", nonce="n", uri="sip:h", response="00"'
CASES = [
    # arguments, headers, status (None: no answer)
    ("", [], 200),
    ("", ["Expires: 3600"], 200),
    ("", ["Expires: 4294967295"], 200),
    ("", ["Expires: 4294967296"], 400),
    ("", ["Expires: soon"], 400),
    ("", ["Expires: -1"], 400),
    ("255", ["Expires: soon"], 200),  # bit 256 is not set
    ("", ["Proxy-Require: telepathy"], 420),
    ("511", ["Proxy-Require: telepathy"], 200),
    ("", [f"Authorization: {DIGEST}"], 200),
    ("", [f'Proxy-Authorization: {DIGEST}, opaque="a,b\\"c"'], 200),
    ("", ['Authorization: Digest username="b"'], None),
    ("", [f"Authorization: {DIGEST},"], None),
    ("", [f"Authorization: {DIGEST} trailing"], None),
    ("", ["Authorization: Basic eA=="], 200),
    ("1024,8", ["Contact: <sip:b@192.0.2.1>"], 200),
    ("1024,8", ["Contact: <sip:b@192.0.2.1:99999>"], 400),
    ("1024,7", ["Contact: <sip:b@192.0.2.1:99999>"], 200),
    ("0", ["Expires: soon", "Proxy-Require: x"], 200),
]


@pytest.mark.parametrize(("arguments", "headers", "status"), CASES)
def test_checks(network: Network, arguments: str, headers: list[str], status: int | None) -> None:
    arguments = ", ".join(f'"{one}"' for one in arguments.split(",") if one)
    answer = ask(network, *headers, arguments=arguments)
    assert (None if answer is None else answer.status) == status


def test_what_proxy_require_may_ask_for(network: Network) -> None:
    parameters = 'modparam("sanity", "proxy_require", "path, privacy")'
    answer = ask(network, "Proxy-Require: Privacy, telepathy", parameters=parameters)
    assert answer is not None
    assert (answer.status, answer.header("Unsupported")) == (420, "telepathy")


def test_parameters_set_what_is_checked(network: Network) -> None:
    answer = ask(network, "Expires: soon", parameters='modparam("sanity", "default_checks", 1)')
    assert answer is not None
    assert answer.status == 200


def test_default_is_ser_s() -> None:
    assert sanity.DEFAULT_CHECKS == 3047


MESSAGE = "MESSAGE {uri} {version}\r\nVia: {via}\r\nCSeq: {cseq}\r\nContent-Length: 0\r\n\r\n"
GOOD = {"uri": "sip:b@h", "version": "SIP/2.0", "via": "SIP/2.0/UDP h;branch=z9hG4bK1", "cseq": "1 MESSAGE"}
MISTAKES = [
    # The core answers some of these before any script; the checks hold without that as well.
    (sanity.ruri_version, {}, None),
    (sanity.ruri_scheme, {"uri": "http://h/"}, 416),
    (sanity.ruri_scheme, {"uri": "tel:+420123"}, None),
    (sanity.via_version, {}, None),
    (sanity.via_version, {"via": "SIP/1.9/UDP h"}, 505),
    (sanity.via_protocol, {"via": "SIP/2.0/TCP h"}, 400),
    (sanity.cseq_method, {"cseq": "1 INVITE"}, 400),
    (sanity.cseq_method, {}, None),
    (sanity.cseq_number, {"cseq": f"{2**31} MESSAGE"}, 400),
    (sanity.cseq_number, {"cseq": "x MESSAGE"}, 400),
    (sanity.cseq_number, {"cseq": f"{2**31 - 1} MESSAGE"}, None),
]


@pytest.mark.parametrize(("check", "facts", "status"), MISTAKES)
def test_single_checks(check: sanity.Check, facts: dict[str, str], status: int | None) -> None:
    failed = check(Message.parse(MESSAGE.format(**{**GOOD, **facts}).encode()))
    assert (None if failed is None else failed.status) == status


def test_headers_are_looked_at_in_the_message() -> None:
    message = Message.parse(b"MESSAGE sip:b@h SIP/2.0\r\nVia: SIP/1.9/TCP h\r\nFrom: <sip:a@h>\r\n\r\n")
    assert sanity.required_headers(message) is not None
    assert sanity.content_length(message) is None


def test_long_nonsense_is_cheap(network: Network) -> None:
    """attacks.md P6: credentials of 60 kB that almost match."""
    answer = ask(
        network,
        "Authorization: Digest " + 'a="' + "\\\\" * 20_000,
        "Proxy-Authorization: Digest x=1," + ",x=1" * 5_000,
    )
    assert answer is None
