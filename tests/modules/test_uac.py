"""uac: gateways that authenticate get an answer, everybody else gets none (attack A6)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from sipyard.errors import ConfigError
from sipyard.sip.digest import challenge, ha1_of, is_right, parse_credentials
from sipyard.testing import Network, UserAgent
from sipyard.testing.call import IncomingCall

SCRIPT = """
loadmodule "tm" loadmodule "uac"
modparam("uac", "credential", "sipyard:gw.example.net:pass:word")
modparam("uac", "credential", "other:open.example.net:secret")
modparam("uac", "credential_source", "gw.example.net=192.0.2.77,198.51.100.0/24")
route { t_on_failure("ASKED"); t_relay(); }
failure_route[ASKED] {
    if (t_check_status("401|407") && uac_auth()) {
        t_on_failure("ASKED");
        append_branch();
        t_relay();
    }
}
"""
REALM, PASSWORD = "gw.example.net", "pass:word"


@dataclass
class Gateway:
    """Rejects calls with challenges until one brings credentials; `stale` many of them are too old."""

    agent: UserAgent
    headers: list[str]
    status: int = 407
    stale: int = 0
    answers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.agent.on_call(self.judge)

    @property
    def names(self) -> tuple[str, str]:
        if self.status == 401:
            return "WWW-Authenticate", "Authorization"
        return "Proxy-Authenticate", "Proxy-Authorization"

    def judge(self, call: IncomingCall) -> None:
        given = [value for value in call.invite.headers(self.names[1]) if "Digest" in value]
        self.answers += given
        if given and self.stale:
            self.stale -= 1
            value = challenge(REALM, f"new{self.stale}", stale=True)
            call.reject(self.status, headers=[(self.names[0], value)])
        elif given and self.is_right(call, given[-1]):
            call.answer()
        else:
            call.reject(self.status, headers=[(self.names[0], value) for value in self.headers])

    def is_right(self, call: IncomingCall, value: str) -> bool:
        credentials = parse_credentials(self.names[1], value)
        expected = ha1_of(credentials.algorithm, "sipyard", REALM, PASSWORD)
        return credentials.uri == call.invite.request_uri and is_right(credentials, expected, "INVITE")


def called(
    network: Network,
    *headers: str,
    address: str = "192.0.2.77:5060",
    own: list[str] | None = None,
    **how: int,
) -> tuple[Gateway, int]:
    """The gateway and what it came to when Alice called it."""
    proxy = network.server(SCRIPT)
    alice = network.user_agent("alice", "192.0.2.1:5060", proxy=proxy)
    gateway = Gateway(network.user_agent("gateway", address, refuses_merged=False), list(headers), **how)
    call = alice.invite(gateway.agent.contact, headers=[("Proxy-Authorization", one) for one in own or []])
    network.run(3)
    return gateway, call.status


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize("algorithm", [None, "MD5", "SHA-256", "SHA-512-256"])
def test_a_gateway_gets_its_answer(network: Network, status: int, algorithm: str | None) -> None:
    asked = challenge(REALM, "n1", algorithm=algorithm)
    gateway, outcome = called(network, asked, status=status)
    assert outcome == 200
    assert len(gateway.answers) == 1


def test_of_many_challenges_the_strongest_of_a_realm_that_is_known(network: Network) -> None:
    gateway, outcome = called(
        network,
        "Basic realm=gw.example.net",
        challenge("elsewhere.example", "n0", algorithm="SHA-512-256"),
        challenge(REALM, "n1"),
        challenge(REALM, "n2", algorithm="SHA-256"),
    )
    assert outcome == 200
    assert ['nonce="n2"' in value for value in gateway.answers] == [True]


EVIL = {
    "a foreign realm": [challenge("elsewhere.example", "n")],
    "Basic": ["Basic realm=gw.example.net"],
    "no nonce": [f'Digest realm="{REALM}"'],
    "a hash nobody knows": [challenge(REALM, "n", algorithm="MD4")],
    "the body's protection only": [challenge(REALM, "n", qop="auth-int")],
    "no parameters": ["Digest"],
    "more than anybody reads": [challenge(f"r{n}.example", "n") for n in range(40)] + [challenge(REALM, "n")],
    "the realm in another letter case": [challenge(REALM.upper(), "n")],
}


@pytest.mark.parametrize("asked", EVIL.values(), ids=EVIL.keys())
def test_what_gets_no_answer(network: Network, asked: list[str]) -> None:
    gateway, outcome = called(network, *asked)
    assert outcome == 407
    assert gateway.answers == []


def test_a_stranger_who_names_the_realm_gets_no_answer(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    gateway, outcome = called(network, challenge(REALM, "n"), address="203.0.113.9:5060")
    assert outcome == 407
    assert gateway.answers == []
    assert f"uac_auth: 203.0.113.9 may not ask for realm {REALM}" in caplog.text


def test_what_a_gateway_says_stays_in_one_line_of_the_log(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    asked = 'Digest realm="gw.example.net", nonce="n", algorithm="\x1b[2J\x7f"'
    assert called(network, asked)[1] == 407
    assert "uac_auth: 192.0.2.77: " in caplog.text
    assert "\\x1b[2J" in caplog.text
    assert "\x1b" not in caplog.text


def test_an_address_of_a_network_that_may_ask(network: Network) -> None:
    assert called(network, challenge(REALM, "n"), address="198.51.100.7:5060")[1] == 200


def test_refused_credentials_are_not_sent_again(network: Network) -> None:
    gateway, outcome = called(network, challenge("open.example.net", "n"))
    assert outcome == 407
    assert len(gateway.answers) == 1


@pytest.mark.parametrize(("stale", "outcome", "answers"), [(1, 200, 2), (5, 407, 2)])
def test_a_nonce_that_is_too_old_is_answered_once_more(
    network: Network, stale: int, outcome: int, answers: int
) -> None:
    gateway, status = called(network, challenge(REALM, "n"), stale=stale)
    assert (status, len(gateway.answers)) == (outcome, answers)


def test_the_callers_credentials_for_the_realm_make_room_and_others_stay(network: Network) -> None:
    """The caller's other credentials are for somebody behind."""
    fake = f'Digest username="sipyard", realm="{REALM}", nonce="n", uri="sip:x", response="{"0" * 32}"'
    elsewhere = fake.replace(REALM, "elsewhere.example")
    gateway, outcome = called(network, challenge(REALM, "n"), own=[elsewhere, fake])
    assert outcome == 200
    assert [elsewhere in gateway.answers[-2:], fake in gateway.answers[-2:]] == [True, False]


def test_less_guarded_credentials_are_named_at_start(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    network.server(SCRIPT)
    assert "whoever asks for realm open.example.net gets an answer" in caplog.text
    assert "gw.example.net" not in caplog.text


@pytest.mark.parametrize(
    "line", ['"credential", "alice"', '"credential", ":r:p"', '"credential_source", "r=host"']
)
def test_a_parameter_that_means_nothing(network: Network, line: str) -> None:
    with pytest.raises(ConfigError, match="is expected"):
        network.server(f'loadmodule "uac" modparam("uac", {line}) \nroute {{ drop; }}')
