"""TLS between two endpoints: whom a certificate is for, and what is not used for whom."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import Authority as Issuer
from sipyard import _native as native
from sipyard._native import Endpoint
from sipyard._native.core import TlsSection
from sipyard.sip.authority import Authority

HEADERS = "From: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n"


@pytest.fixture
def authority() -> Authority:
    return Authority.create("Test")


def pem(authority: Authority, tmp_path: Path) -> bytes:
    authority.save(tmp_path / "ca.pem", tmp_path / "ca-key.pem")
    return (tmp_path / "ca.pem").read_bytes()


@pytest.fixture
def pair(authority: Authority, tmp_path: Path) -> Iterator[tuple[Endpoint, Endpoint, int]]:
    """One that calls, and one that is called and is one.example.com and two.example.com; its port."""
    with contextlib.closing(Endpoint()) as caller, contextlib.closing(Endpoint()) as callee:
        identity = authority.issue(["one.example.com", "two.example.com"])
        callee.core.set_tls([TlsSection(is_client=False, identities=[(identity, identity, [])])])
        ca = pem(authority, tmp_path)
        caller.core.set_tls([TlsSection(is_client=True, authorities=ca, verify=True)])
        port = callee.listen("tls", "127.0.0.1", 0).port
        caller.listen("tls", "127.0.0.1", 0)
        yield caller, callee, port


def outcome(caller: Endpoint, callee: Endpoint, port: int, name: str) -> int:
    """The final status of an OPTIONS to a name at an address, which is answered 200 when it arrives."""
    return outcome_and_notices(caller, callee, port, name)[0]


def outcome_and_notices(caller: Endpoint, callee: Endpoint, port: int, name: str) -> tuple[int, list[str]]:
    """As `outcome`, and what the caller says for the log."""
    notices: list[str] = []
    target = caller.core.named(caller.core.target_for("tls", "127.0.0.1", port), name)
    caller.core.request("OPTIONS", f"sip:{name};transport=tls", HEADERS, b"", [target])
    done = threading.Event()

    def answer() -> None:
        while not done.is_set():
            callee.wait(0.02)
            for kind, message, *_ in callee.core.poll_events():
                if kind == native.REQUEST and message is not None:
                    callee.core.reply(message, 200, "OK")

    answering = threading.Thread(target=answer)
    answering.start()
    try:
        end = time.monotonic() + 10
        while time.monotonic() < end:
            caller.wait(0.1)
            for kind, _, text, status, _ in caller.core.poll_events():
                if kind == native.NOTICE:
                    notices.append(str(text))
                else:
                    return status, notices
        return 0, notices
    finally:
        done.set()
        answering.join()


def test_whom_the_certificate_is_for(pair: tuple[Endpoint, Endpoint, int]) -> None:
    caller, callee, port = pair
    assert outcome(caller, callee, port, "one.example.com") == 200
    assert outcome(caller, callee, port, "ONE.example.com") == 200
    assert len(caller.core.connections()) == 1
    # The same host by its other name: what was checked for one name is not used for another.
    assert outcome(caller, callee, port, "two.example.com") == 200
    assert len(caller.core.connections()) == 2
    assert outcome(caller, callee, port, "three.example.com") == 503
    assert caller.core.counters()["connections.failed"] == 1


#: Names of a certificate, and whether one.example.com may show it (RFC 5922 §7).
CERTIFICATES = {
    "its name": (["one.example.com"], True),
    "its name in another case": (["ONE.Example.COM"], True),
    "its SIP domain": (["sip:one.example.com"], True),
    "its SIP domain beside another name": (["sip:one.example.com", "other.example.com"], True),
    "its name beside another SIP domain": (["one.example.com", "sip:other.example.com"], False),
    "its name beside a URI of another kind": (["one.example.com", "https://other.example.com"], True),
    "a user of its domain": (["sip:bob@one.example.com"], False),
    "a wildcard": (["*.example.com"], False),
    "its name as the common name alone": ([], False),
    "an address": (["127.0.0.1"], False),
    "a name that begins alike": (["one.example.com.evil.example"], False),
    "a domain above": (["example.com"], False),
}


@pytest.mark.parametrize(("names", "is_good"), CERTIFICATES.values(), ids=list(CERTIFICATES))
def test_certificates_of_every_kind(tmp_path: Path, names: list[str], is_good: bool) -> None:
    authority = Issuer(tmp_path)
    identity = authority.issue("callee.pem", "one.example.com", *names).read_bytes()
    with contextlib.closing(Endpoint()) as caller, contextlib.closing(Endpoint()) as callee:
        callee.core.set_tls([TlsSection(is_client=False, identities=[(identity, identity, [])])])
        ca = authority.file.read_bytes()
        caller.core.set_tls([TlsSection(is_client=True, authorities=ca, verify=True)])
        port = callee.listen("tls", "127.0.0.1", 0).port
        caller.listen("tls", "127.0.0.1", 0)
        status, notices = outcome_and_notices(caller, callee, port, "one.example.com")
    if is_good:
        assert (status, notices) == (200, [])
    else:
        assert status == 503
        assert notices[0].startswith(f"TLS handshake with 127.0.0.1:{port} failed: ")
        assert "not valid for name" in notices[0]


@pytest.mark.parametrize("name", ["one.example.com", "sip:one.example.com"])
@pytest.mark.parametrize("kind", ["expired", "revoked", "a stranger's", "good"])
def test_certificates_that_are_bad_whatever_their_name(tmp_path: Path, kind: str, name: str) -> None:
    authority = Issuer(tmp_path)
    issuer = Issuer(tmp_path, "Other CA") if kind == "a stranger's" else authority
    file = issuer.issue("callee.pem", "one.example.com", name, days=-1 if kind == "expired" else 30)
    other = authority.issue("other.pem", "x", "x.example.com")
    revoked = authority.revoke("crl.pem", file if kind == "revoked" else other).read_bytes()
    identity, ca = file.read_bytes(), authority.file.read_bytes()
    with contextlib.closing(Endpoint()) as caller, contextlib.closing(Endpoint()) as callee:
        callee.core.set_tls([TlsSection(is_client=False, identities=[(identity, identity, [])])])
        caller.core.set_tls([TlsSection(is_client=True, authorities=ca, verify=True, revoked=revoked)])
        port = callee.listen("tls", "127.0.0.1", 0).port
        caller.listen("tls", "127.0.0.1", 0)
        assert outcome(caller, callee, port, "one.example.com") == (200 if kind == "good" else 503)


def test_whose_authority_is_not_known(pair: tuple[Endpoint, Endpoint, int], tmp_path: Path) -> None:
    caller, callee, port = pair
    other = pem(Authority.create("Other"), tmp_path)
    caller.core.set_tls([TlsSection(is_client=True, authorities=other, verify=True)])
    assert outcome(caller, callee, port, "one.example.com") == 503
    caller.core.set_tls([TlsSection(is_client=True)])
    assert outcome(caller, callee, port, "anybody.example.com") == 200


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"identities": [(b"", b"", [])]}, "no certificate"),
        (
            {"identities": [(b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", b"", [])]},
            "certificate",
        ),
        ({"verify": True}, "no certificates of authorities"),
        ({"ciphers": ["TLS_RSA_WITH_RC4_128_MD5"]}, "none of the cipher suites is known"),
    ],
)
def test_what_is_wrong_is_said(section: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        TlsSection(is_client=False, **section)  # type: ignore[arg-type]


def test_a_key_of_another_certificate(authority: Authority) -> None:
    one, other = authority.issue(["one"]), authority.issue(["other"])
    with pytest.raises(ValueError, match="does not belong"):
        TlsSection(is_client=False, identities=[(one, other, [])])
