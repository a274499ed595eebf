"""Digest hashes by the examples of the RFCs, and what is no digest."""

from __future__ import annotations

import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipyard.errors import PeerError
from sipyard.sip.digest import (
    answer_challenge,
    challenge,
    ha1_of,
    is_right,
    parse_challenge,
    parse_credentials,
    quoted,
    realm_of,
)

RFC_2617 = (
    'Digest username="Mufasa", realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
    'uri="/dir/index.html", qop=auth, nc=00000001, cnonce="0a4f113b", '
    'response="6629fae49393a05397450978507c4ef1", opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)
_RFC_7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={algorithm}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{response}", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
EXAMPLES = [
    (RFC_2617, "Circle Of Life"),
    (_RFC_7616.format(algorithm="MD5", response="8ca523f5e9506fed4657c9700eebdbec"), "Circle of Life"),
    (
        _RFC_7616.format(
            algorithm="SHA-256",
            response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        ),
        "Circle of Life",
    ),
]


@pytest.mark.parametrize(("value", "password"), EXAMPLES)
def test_examples_of_the_rfcs(value: str, password: str) -> None:
    """RFC 2617 §3.5, RFC 7616 §3.9.1."""
    found = parse_credentials("Authorization", value)
    ha1 = ha1_of(found.algorithm, found.username, found.realm, password)
    assert is_right(found, ha1, "GET")
    assert not is_right(found, ha1, "POST")
    assert not is_right(found, ha1_of(found.algorithm, found.username, found.realm, "x"), "GET")


SIGNED = ["MD5", "MD5-sess", "SHA-256", "SHA-512-256", "SHA-512-256-sess"]


@pytest.mark.parametrize("algorithm", SIGNED)
@pytest.mark.parametrize("qop", ["auth", ""])
def test_an_answer_fits_its_challenge(algorithm: str, qop: str) -> None:
    asked = parse_challenge("WWW-Authenticate", challenge("example.org", "abc", qop=qop, algorithm=algorithm))
    proof = answer_challenge(asked, "REGISTER", "sip:example.org", "bob", "zanzibar", cnonce="c", count=3)
    read = parse_credentials("Authorization", proof.value)
    assert (read.nc, read.qop, read.is_session) == (3 if qop else 0, qop, algorithm.endswith("-sess"))
    assert is_right(read, ha1_of(read.algorithm, "bob", "example.org", "zanzibar"), "REGISTER")


def test_auth_int_counts_the_body() -> None:
    found = parse_credentials("Authorization", RFC_2617.replace("qop=auth", "qop=auth-int"))
    ha1 = ha1_of("MD5", "Mufasa", "testrealm@host.com", "Circle Of Life")

    def md5(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    # RFC 2617 §3.2.2.3
    ha2 = md5(f"GET:/dir/index.html:{md5('v=0')}")
    right = md5(f"{ha1}:{found.nonce}:00000001:0a4f113b:auth-int:{ha2}")
    assert is_right(found._replace(response=right), ha1, "GET", b"v=0")
    assert not is_right(found._replace(response=right), ha1, "GET", b"v=1")


BAD = [
    "Basic dXNlcjpw",
    "Digest",
    'Digest username="a", realm="r", nonce="n", uri="u"',
    'Digest username="", realm="r", nonce="n", uri="u", response="x"',
    'Digest username="a", realm="r", nonce="n", uri="u", response="x", response="y"',
    'Digest username="a", realm="r", nonce="n", uri="u", response="x", algorithm=SHA-1',
    'Digest username="a", realm="r", nonce="n", uri="u", response="x", qop=auth',
    'Digest username="a", realm="r", nonce="n", uri="u", response="x", qop=auth, nc=1, cnonce="c"',
    'Digest username="a", realm="r", nonce="n", uri="u", response="x", qop=token, nc=00000001, cnonce="c"',
    'Digest username="a, realm="r", nonce="n", uri="u", response="x"',
    'Digest username="a" realm="r", nonce="n", uri="u", response="x"',
]


@pytest.mark.parametrize("value", BAD)
def test_what_is_no_response_is_a_peers_fault(value: str) -> None:
    with pytest.raises(PeerError):
        parse_credentials("Authorization", value)


@given(st.text(max_size=80))
def test_a_quoted_text_stays_one_parameter(text: str) -> None:
    value = f"Digest realm={quoted(text)}, nonce=n"
    assert not set("\r\n") & set(value)
    assert parse_challenge("WWW-Authenticate", value).nonce == "n"


@given(st.text(alphabet='Digest =,"\\\r\n\tanoceurlm', max_size=200))
def test_nothing_that_is_sent_raises_anything_else(text: str) -> None:
    realm_of(text)
    for read in (parse_credentials, parse_challenge):
        with contextlib.suppress(PeerError):
            read("Authorization", f"Digest {text}")
