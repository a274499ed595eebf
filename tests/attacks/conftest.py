"""One server for a module of attacks: what an attack leaves behind shows in the next one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, sipyard

SCRIPT = Path(__file__).with_name("target.cfg")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """The server; at the end it has logged no fault of its own and stops in good order."""
    router = sipyard(SCRIPT, tmp_path_factory.mktemp("target"))
    yield router
    status, log = router.stop(), router.text()
    assert status == 0
    assert "Traceback" not in log, log[-3000:]
    assert "panicked" not in log, log[-3000:]


@pytest.fixture
def attacker(target: Router) -> Iterator[Exchange]:
    """Who attacks; after each attack the server answers others at once."""
    with Exchange(target.port) as exchange:
        yield exchange
    assert target.ping() < 0.1
