"""A2, A3, A7 and A8 on the default script as it is served: enumeration by time, guessing, downgrades,
injection.

A1, A4 and A5 are in tests/callflows/test_default_server.py; here is what needs a real clock or a real
process.
"""

from __future__ import annotations

import random
import sqlite3
import statistics
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, sipyard, status
from people import with_users
from sipyard.sip.digest import Challenge, answer_challenge, parse_challenge

SCRIPT = Path(__file__).parents[2] / "examples" / "ser.cfg"
HOME = "127.0.0.1"
URI = f"sip:{HOME}"


def serve(folder: Path, guess_limit: int) -> Router:
    text = SCRIPT.read_text().replace("127.0.0.1:5060", "127.0.0.1:@PORT@")
    assert '"guess_limit", 10)' in text
    text = text.replace('"guess_limit", 10)', f'"guess_limit", {guess_limit})')
    (folder / "default.cfg").write_text(text)
    passwords = {f"user{n}": f"password{n}" for n in range(20)}
    with_users(f"sqlite:///{folder}/sipyard.db", HOME, None, **passwords)
    return sipyard(folder / "default.cfg", folder)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Router]:
    """The default script, with nobody slowed down."""
    router = serve(tmp_path, 0)
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.text()


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Router]:
    """The default script as it is."""
    router = serve(tmp_path, 10)
    yield router
    assert router.stop() == 0


def challenge_of(answer: bytes | None) -> Challenge:
    assert answer is not None
    value = answer.partition(b"WWW-Authenticate: ")[2].partition(b"\r\n")[0].decode()
    return parse_challenge("WWW-Authenticate", value)


def asked(phone: Exchange, user: str = "user1") -> Challenge:
    return challenge_of(phone.ask("REGISTER", URI, f"Contact: <sip:{user}@127.0.0.1:9>"))


def attempt(phone: Exchange, challenge: Challenge, user: str, password: str, count: int = 1) -> bytes:
    proof = answer_challenge(challenge, "REGISTER", URI, user, password, cnonce="c", count=count)
    answer = phone.ask("REGISTER", URI, f"Authorization: {proof.value}", seconds=10)
    assert answer is not None
    return answer


# -- A2 ------------------------------------------------------------------------------------------------------


def test_a2_users_cannot_be_told_from_strangers(served: Router) -> None:
    """The same answer, and the same time: Welch's t of the two halves is what chance makes of it."""
    chance = random.Random(2)
    times: dict[bool, list[float]] = {True: [], False: []}
    answers: set[bytes] = set()
    with Exchange(served.port) as phone:
        challenge = asked(phone)
        for number in range(900):
            is_user = chance.random() < 0.5
            name = f"user{number % 20}" if is_user else f"nobd{number % 20}"
            begun = time.perf_counter()
            answer = attempt(phone, challenge, name, "guess")
            if number >= 100:
                times[is_user].append(time.perf_counter() - begun)
            answers.add(answer.split(b"\r\n")[0])
    assert answers == {b"SIP/2.0 401 Unauthorized"}
    halves = [sorted(each)[: int(len(each) * 0.8)] for each in times.values()]  # without what the machine did
    means = [statistics.fmean(each) for each in halves]
    spread = sum(statistics.variance(each) / len(each) for each in halves) ** 0.5
    difference = abs(means[0] - means[1])
    assert difference / spread < 3.5, (means, difference / spread)


# -- A3 ------------------------------------------------------------------------------------------------------


def test_a3_guessing_is_held_up_and_the_owner_is_not(guarded: Router) -> None:
    with Exchange(guarded.port) as phone:
        begun = time.monotonic()
        for number in range(13):
            assert status(attempt(phone, asked(phone), "user2", f"guess{number}")) == 401
        assert time.monotonic() - begun > 1.5
        assert status(attempt(phone, asked(phone), "user2", "password2")) in (200, 401, 404)


# -- A7 ------------------------------------------------------------------------------------------------------


def test_a7_no_qop_and_other_algorithms(guarded: Router) -> None:
    """qop was offered and algorithms other than MD5 were not."""
    with Exchange(guarded.port) as phone:
        challenge = asked(phone, "user3")
        for weaker in (challenge._replace(qops=()), challenge._replace(algorithm="SHA-256")):
            assert status(attempt(phone, weaker, "user3", "password3")) == 401
        assert "not offered" in guarded.text()
        assert "it was offered" in guarded.text()


# -- A8 ------------------------------------------------------------------------------------------------------

HOSTILE = [
    "'; DROP TABLE credentials; --",
    '" OR "1"="1',
    "x' UNION SELECT ha1 FROM credentials --",
    "$(touch injected)`touch injected`|touch injected",
    "%s%n%$fu.uid%@from.uri",
    "a\\' OR 1=1 --",
    "\u2028INFO forged line",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_a8_hostile_texts_in_every_field(served: Router, text: str) -> None:
    """Nothing is carried out, nothing is let in, and no line of the log is begun by a peer."""
    escaped = "".join(f"%{byte:02X}" for byte in text.encode())
    with Exchange(served.port) as phone:
        challenge = asked(phone)
        assert status(attempt(phone, challenge, text.replace('"', ""), "x")) in (400, 401)
        for method, uri, extra in (
            ("MESSAGE", f"sip:{escaped}@{HOME}", ""),
            ("INVITE", f"sip:{escaped}@{HOME}", f"Subject: {text}"),
            ("REGISTER", URI, f"User-Agent: {text}"),
            ("MESSAGE", f"sip:user1@{HOME}", f"P-Asserted-Identity: {text}"),
        ):
            answer = phone.ask(method, uri, *([extra] if extra else []))
            assert 400 <= status(answer) < 500
        assert served.ping() < 1
    with closing(sqlite3.connect(served.folder / "sipyard.db")) as connection:
        assert connection.execute("SELECT count(*) FROM credentials").fetchone() == (20,)
        assert connection.execute("SELECT count(*) FROM location").fetchone() == (0,)
    assert not (served.folder / "injected").exists()
    assert not [line for line in served.text().splitlines() if line.startswith("INFO forged")]
