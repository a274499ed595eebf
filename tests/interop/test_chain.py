"""Kamailio → Sipyard → Kamailio, in both directions, hung up from either side."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from interop.processes import Router, free_ports
from interop.sipp import Sipp

Start = Callable[..., Router]


@pytest.fixture
def chain(start_router: Start, start_kamailio: Start) -> dict[str, int]:
    """Ports of a chain: phone a – Kamailio left – Sipyard – Kamailio right – phone b."""
    left, middle, right, a, b = free_ports(5)
    start_kamailio("edge", left, NEXT=str(middle), PHONE=str(a))
    start_kamailio("edge", right, NEXT=str(middle), PHONE=str(b))
    start_router("middle", middle, LEFT=str(left), RIGHT=str(right))
    return {"left": left, "right": right, "a": a, "b": b}


@pytest.mark.parametrize(("caller", "callee"), [("a", "b"), ("b", "a")])
@pytest.mark.parametrize(
    ("calling", "answering"), [("uac_call", "uas_answer"), ("uac_waits_for_bye", "uas_hangs_up")]
)
def test_calls_cross_three_proxies(
    chain: dict[str, int], sipp: Callable[..., Sipp], caller: str, callee: str, calling: str, answering: str
) -> None:
    edges = {"a": chain["left"], "b": chain["right"]}
    phone = sipp(answering, edges[callee], chain[callee], count=10)
    table = f"{callee}ob;{caller}lice;"
    sipp(calling, edges[caller], chain[caller], count=10, rate=20, users=table).finish()
    phone.finish()


def test_a_cancel_crosses_three_proxies(chain: dict[str, int], sipp: Callable[..., Sipp]) -> None:
    phone = sipp("uas_cancelled", chain["right"], chain["b"], count=5)
    sipp("uac_cancel", chain["left"], chain["a"], count=5, rate=20, users="bob;alice;").finish()
    phone.finish()
