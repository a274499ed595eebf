"""S1 at the limit: strangers fill the table of bindings, and calls and users from before are served."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, sipyard, status

from .peers import Phone, header, within_dialog
from .test_dialogs import established, register, until_final
from .test_state import drain, resident

BINDINGS = 2000


@pytest.fixture
def bounded(tmp_path: Path) -> Iterator[Router]:
    """A server with room for 2 000 bindings."""
    router = sipyard(Path(__file__).with_name("bounded.cfg"), tmp_path, BINDINGS=str(BINDINGS))
    yield router
    assert router.stop() == 0


def flood(bounded: Router, stranger: Exchange, first: int, last: int) -> list[bytes]:
    """Answers to registrations of so many different users."""
    answers: list[bytes] = []
    for number in range(first, last):
        uri = f"sip:flood{number}@127.0.0.1:{bounded.port}"
        stranger.send(stranger.request("REGISTER", uri, f"Contact: <sip:{number}@127.0.0.1:9>"))
        if number % 100 == 99:
            answers += drain(stranger, 100)
    return answers


def test_s1_a_full_table_of_bindings(bounded: Router) -> None:
    """Beyond the limit 503, no more memory; calls and users from before are served."""
    with Exchange(bounded.port) as stranger, Exchange(bounded.port) as caller, Phone(bounded.port) as phone:
        answer = established(bounded, caller, phone)
        filled = flood(bounded, stranger, 0, BINDINGS + 1000)
        assert sum(status(data) == 200 for data in filled) == BINDINGS - 1
        assert all(header(data, "Retry-After") for data in filled if status(data) == 503)
        before = resident(bounded)
        refused = flood(bounded, stranger, 10_000, 20_000)
        assert {status(data) for data in refused} == {503}
        assert len(refused) > 9900
        assert resident(bounded) - before < 4_000_000
        address = register(bounded, phone)
        caller.send(within_dialog(caller, "BYE", answer, header(answer, "Record-Route")))
        phone.answer(phone.take("BYE"), "200 OK")
        assert status(until_final(caller)) == 200
        caller.send(caller.request("INVITE", address))
        phone.answer(phone.take("INVITE"), "486 Busy Here")
        assert status(until_final(caller)) == 486
