"""Servers and peers for these tests.

ROUTER=kamailio runs them against Kamailio, to prove the tests themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from interop.baresip import Baresip
from interop.processes import HERE, Router, kamailio, sipyard
from interop.sipp import Sipp

AGAINST_KAMAILIO = os.environ.get("ROUTER") == "kamailio"


@pytest.fixture
def start_router(tmp_path: Path) -> Iterator[Callable[..., Router]]:
    """Starts the server under test with a script of `scripts/` (or, to prove a test, of `kamailio/`)."""
    started: list[Router] = []

    def start(name: str, port: int = 0, **words: str) -> Router:
        if AGAINST_KAMAILIO:
            script = HERE / "kamailio" / f"{name}.cfg"
            if not script.exists():
                pytest.skip(f"no script of Kamailio does the same as {name}.cfg")
            router = kamailio(script, tmp_path, port, **words)
        else:
            router = sipyard(HERE / "scripts" / f"{name}.cfg", tmp_path, port, **words)
        started.append(router)
        return router

    yield start
    for router in started:
        router.stop()
    for router in started:
        assert "Traceback" not in router.text(), router.text()[-3000:]


@pytest.fixture
def start_kamailio(tmp_path: Path) -> Iterator[Callable[..., Router]]:
    """Starts Kamailio as a peer, with a script of `kamailio/`."""
    started: list[Router] = []

    def start(name: str, port: int = 0, **words: str) -> Router:
        started.append(kamailio(HERE / "kamailio" / f"{name}.cfg", tmp_path, port, **words))
        return started[-1]

    yield start
    for router in started:
        router.stop()


@pytest.fixture
def router(start_router: Callable[..., Router]) -> Router:
    """Registrar and record-routing proxy."""
    return start_router("router")


@pytest.fixture
def sipp(tmp_path: Path) -> Iterator[Callable[..., Sipp]]:
    """Starts sipp with a scenario."""
    started: list[Sipp] = []

    def start(name: str, server: int, port: int, **options: Any) -> Sipp:
        started.append(Sipp(name, server, tmp_path, port, **options))
        return started[-1]

    yield start
    for process in started:
        process.stop()


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Callable[..., Baresip]]:
    """Starts a baresip phone."""
    started: list[Baresip] = []

    def start(user: str, server: int, **options: str) -> Baresip:
        started.append(Baresip(user, server, tmp_path, **options))
        return started[-1]

    yield start
    for one in started:
        one.stop()
