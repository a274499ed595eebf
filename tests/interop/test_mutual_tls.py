"""Kamailio and Sipyard over TLS, each with a certificate that the other demands; phones on UDP behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from certificates import Authority
from interop.processes import Exchange, Router, free_ports, status
from interop.sipp import Sipp

Start = Callable[..., Router]
DEMANDS = """
[{side}:default]
method = TLSv1.2+
verify_certificate = yes
require_certificate = yes
certificate = {certificate}
private_key = {certificate}
ca_list = {authority}
"""


def config(folder: Path, name: str, authority: Authority, trusted: Authority) -> Path:
    """A tls.cfg with a certificate for `name` that demands one of `trusted`."""
    certificate = authority.issue(f"{name}.pem", name, "127.0.0.1")
    words = {"certificate": certificate, "authority": trusted.file}
    file = folder / f"{name}.tls.cfg"
    file.write_text("".join(DEMANDS.format(side=side, **words) for side in ("server", "client")))
    return file


class Pair:
    """Both servers, and the ports of the phones behind them: a behind Kamailio, b behind Sipyard."""

    def __init__(
        self,
        start_router: Start,
        start_kamailio: Start,
        folder: Path,
        name: str,
        issuer: Authority | None = None,
    ) -> None:
        authority = Authority(folder)
        self.kamailio, kamailio_tls, self.sipyard, sipyard_tls, self.a, self.b = free_ports(6)
        theirs = config(folder, name, issuer or authority, authority)
        ours = config(folder, "sipyard", authority, authority)
        start_kamailio(
            "edge_tls",
            self.kamailio,
            TLS=str(kamailio_tls),
            NEXT=str(sipyard_tls),
            PHONE=str(self.a),
            CONFIG=str(theirs),
        )
        words = {"KAMAILIO": str(kamailio_tls), "PHONE": str(self.b), "CONFIG": str(ours)}
        self.router = start_router("middle_tls", self.sipyard, TLS=str(sipyard_tls), **words)


@pytest.fixture
def pair(start_router: Start, start_kamailio: Start, tmp_path: Path) -> Pair:
    return Pair(start_router, start_kamailio, tmp_path, "kamailio")


@pytest.mark.parametrize(
    ("calling", "answering"), [("uac_call", "uas_answer"), ("uac_waits_for_bye", "uas_hangs_up")]
)
@pytest.mark.parametrize("from_kamailio", [True, False])
def test_calls_either_way(
    pair: Pair, sipp: Callable[..., Sipp], from_kamailio: bool, calling: str, answering: str
) -> None:
    ends = [(pair.kamailio, pair.a, "alice"), (pair.sipyard, pair.b, "bob")]
    caller, callee = ends if from_kamailio else reversed(ends)
    phone = sipp(answering, callee[0], callee[1], count=10)
    table = f"{callee[2]};{caller[2]};"
    sipp(calling, caller[0], caller[1], count=10, rate=20, users=table).finish()
    phone.finish()


@pytest.mark.parametrize("is_known", [False, True], ids=["of an unknown authority", "with another name"])
def test_who_is_not_served(
    start_router: Start, start_kamailio: Start, tmp_path: Path, is_known: bool
) -> None:
    """A certificate that is checked and bad ends the handshake; one that says somebody else gets our 403."""
    issuer = None if is_known else Authority(tmp_path, "Other CA")
    pair = Pair(start_router, start_kamailio, tmp_path, "somebody", issuer)
    with Exchange(pair.kamailio) as phone:
        answer = phone.ask("MESSAGE", "sip:bob@127.0.0.1", seconds=4)
    # Kamailio keeps trying, or gives up by itself: the request never reaches us.
    assert status(answer) in ([403] if is_known else [0, 408, 477, 503])
