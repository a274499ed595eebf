"""Every finding of `make fuzz`, and the seeds that it begins with, through the parsers as Python has them.

A finding in `fuzz/artifacts/TARGET` is copied to the folder of the same name here, under a name that says
what it is.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from sipyard._native.core import Message, ParseError, Uri
from sipyard.script import check_text

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def files(*patterns: str) -> list[Path]:
    """All files of these patterns under the project."""
    found = [path for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    return [path for path in found if path.is_file() and path.name != ".gitkeep"]


def name(path: Path) -> str:
    """How a test is called."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", files("tests/fuzz_findings/message/*", "tests/torture/rfc*/*.dat"), ids=name)
def test_message(path: Path) -> None:
    """Taken or refused; what is taken leaves as it came."""
    try:
        message = Message.parse(path.read_bytes())
    except ParseError:
        return
    assert len(message.all_headers()) == len(Message.parse(message.to_bytes()).all_headers())


@pytest.mark.parametrize("path", files("tests/fuzz_findings/uri/*", "fuzz/seeds/uri/*"), ids=name)
def test_uri(path: Path) -> None:
    """A URI or not; one that is equals itself."""
    for line in path.read_text("utf-8", "surrogateescape").splitlines():
        try:
            uri = Uri(line)
        except ParseError:
            continue
        assert uri.equivalent(Uri(str(uri)))


@pytest.mark.parametrize("path", files("tests/fuzz_findings/script/*", "examples/*.cfg"), ids=name)
def test_script(path: Path) -> None:
    """A report and no exception, in time that the length explains."""
    data = path.read_bytes()
    start = time.process_time()
    check_text(data.decode("utf-8", "surrogateescape"), path.name)
    assert time.process_time() - start < 1.0 + len(data) / 2000
