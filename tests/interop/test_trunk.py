"""Calls by a gateway that authenticates, Kamailio: the caller never sees the challenge."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from interop.processes import Exchange, Router, free_ports, status
from interop.sipp import Sipp

Start = Callable[..., Router]


@pytest.fixture
def ports(start_kamailio: Start) -> tuple[int, int, int, int]:
    """Of the gateway, of the server, of caller and callee."""
    gateway, trunk, caller, callee = free_ports(4)
    start_kamailio("gateway", gateway, PHONE=str(callee))
    return gateway, trunk, caller, callee


def test_calls_by_a_gateway_with_a_password(
    ports: tuple[int, int, int, int], start_router: Start, sipp: Callable[..., Sipp]
) -> None:
    gateway, trunk, caller, callee = ports
    start_router("trunk", trunk, GATEWAY=str(gateway), PASSWORD="secret")
    phone = sipp("uas_answer", gateway, callee, count=20)
    sipp("uac_call", trunk, caller, count=20, rate=20, users="bob;alice;").finish()
    phone.finish()


def test_a_wrong_password_is_refused(ports: tuple[int, int, int, int], start_router: Start) -> None:
    gateway, trunk, _, _ = ports
    start_router("trunk", trunk, GATEWAY=str(gateway), PASSWORD="wrong")
    with Exchange(trunk) as phone:
        assert status(phone.ask("MESSAGE", "sip:bob@127.0.0.1")) == 407
