"""Fuzz the script's front end: any text is checked without an exception and in time that its length explains.

Usage: script.py SECONDS CORPUS ARTIFACTS. With atheris installed it is guided by coverage, otherwise it
mutates at random from a seed. A finding is written to ARTIFACTS and ends the run.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORDS = (
    *(
        "route",
        "failure_route",
        "onreply_route",
        "branch_route",
        "if",
        "else",
        "while",
        "switch",
        "case",
        "{",
        "}",
    ),
    *(
        "(",
        ")",
        ";",
        "[",
        "]",
        "=",
        "==",
        "=~",
        "!",
        "&&",
        "||",
        "+=",
        "$f.did",
        "$tu.uid",
        "@to.uri.host",
        "%",
        '"',
    ),
    *(
        "'",
        "/*",
        "*/",
        "//",
        "#",
        "\\",
        "loadmodule",
        "modparam",
        "listen=",
        "udp:",
        "127.0.0.1",
        ":5060",
        "0x",
        "-1",
    ),
    *(
        "method",
        "uri",
        "myself",
        "msg:len",
        "max_len",
        "drop",
        "break",
        "return",
        "t_relay()",
        "\n",
        "\r\n",
        "\0",
        "é",
    ),
    *(
        "99999999999999999999",
        "import_file",
        "include_file",
        "#!SER",
        "#!define",
        "#!ifdef",
        "flags",
        "attrs",
    ),
)


def seeds() -> list[bytes]:
    """Scripts to begin with: examples, and tests with what was found before."""
    places = [*ROOT.glob("examples/*.cfg"), *ROOT.glob("tests/**/*.cfg"), *ROOT.glob("benches/sipyard/*.cfg")]
    return [path.read_bytes() for path in places if path.is_file()]


def check(data: bytes) -> None:
    """Check one text; whatever is wrong with it must come out as a report."""
    from sipyard.script import check_text

    text = data.decode("utf-8", "surrogateescape")
    start = time.process_time()
    check_text(text, "fuzz.cfg")
    spent = time.process_time() - start
    if spent > 1.0 + len(data) / 2000:
        raise RuntimeError(f"{len(data)} bytes took {spent:.1f} s")


def mutate(data: bytes, chance: random.Random, others: list[bytes]) -> bytes:
    """A script with some words moved, doubled, lost or made up."""
    made = bytearray(data)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(made) + 1)
        match chance.randrange(5):
            case 0:
                made[at:at] = chance.choice(WORDS).encode()
            case 1:
                del made[at : at + chance.randrange(1, 40)]
            case 2:
                other = chance.choice(others)
                start = chance.randrange(len(other) + 1)
                made[at:at] = other[start : start + chance.randrange(1, 200)]
            case 3:
                made[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                made[at:at] = chance.choice(WORDS).encode() * chance.randrange(1, 400)
    return bytes(made[:20_000])


def at_random(seconds: int, folder: Path, artifacts: Path) -> int:
    """Mutate from a seed until the time is up."""
    kept = [path.read_bytes() for path in folder.glob("*") if path.is_file()]
    chance, known = random.Random(time.time_ns()), seeds() + kept
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        data = mutate(chance.choice(known), chance, known)
        count += 1
        try:
            check(data)
        except Exception as error:
            path = artifacts / f"script-{count}.cfg"
            path.write_bytes(data)
            print(f"{type(error).__name__}: {error}; the text is in {path}", file=sys.stderr)
            return 1
    print(f"script: {count} texts at random, no finding")
    return 0


def guided(seconds: int, folder: Path, artifacts: Path) -> None:
    """Let atheris look for texts that reach new code."""
    import atheris

    with atheris.instrument_imports(include=["sipyard.script"]):
        import sipyard.script  # noqa: F401
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(seeds()):
        (folder / f"seed-{number}").write_bytes(data)
    words = artifacts / "words.dict"
    words.write_text(
        "".join('"' + "".join(f"\\x{byte:02x}" for byte in word.encode()) + '"\n' for word in WORDS)
    )
    limits = [
        f"-max_total_time={seconds}",
        "-max_len=20000",
        "-timeout=20",
        "-print_final_stats=1",
        f"-dict={words}",
    ]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={artifacts}/", str(folder)], check)
    atheris.Fuzz()


def main() -> int:
    """Fuzz as well as this environment can."""
    seconds, folder, artifacts = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
    folder.mkdir(parents=True, exist_ok=True)
    artifacts.mkdir(parents=True, exist_ok=True)
    try:
        import atheris  # noqa: F401
    except ImportError:
        return at_random(seconds, folder, artifacts)
    guided(seconds, folder, artifacts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
