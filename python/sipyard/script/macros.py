"""Scripts written with m4, as many of SER's installations do: `FILE.m4` is run through m4 before it is read.

m4's synchronization lines (`m4 -s`) say which line of which file each line came from, so that errors,
tracebacks and coverage point into what the author wrote; columns are those of the expanded text. A script in
m4 is a program: whoever checks it runs its macros.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from sipyard.errors import ConfigError, Place
from sipyard.script.source import Origin, Source

SUFFIX: Final = ".m4"
PATIENCE: Final = 30.0
"""Seconds that m4 may take."""
_SYNC: Final = re.compile(r'#line (\d+)(?: "(.*)")?$')
_COMPLAINT: Final = re.compile(r"m4:(?P<file>.+?):(?P<line>\d+): (?P<message>.*)")


def source_of(path: str | Path) -> Source:
    """The text of a script file, with its macros expanded when its name ends in ``.m4``; bytes that are not
    UTF-8 survive.

    :raises ConfigError: m4 is not here, fails or does not come to an end. OSError: the file cannot be read.
    """
    path = Path(path)
    written = path.read_text("utf-8", "surrogateescape")
    if path.suffix != SUFFIX:
        return Source(str(path), written)
    return Source(str(path), *_with_origins(_expanded(path), str(path)), written=written)


def _expanded(path: Path) -> str:
    program = shutil.which("m4")
    if program is None:
        raise ConfigError(f"{path} is written with m4, which is not here", hint="Debian: apt-get install m4")
    try:
        done = subprocess.run(  # noqa: S603 (the operator's own file, no shell)
            [program, "-s", f"-I{path.parent}", str(path)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"m4 did not come to an end with {path} in {PATIENCE:.0f} s") from None
    complaints = done.stderr.splitlines()
    if done.returncode != 0 or complaints:
        raise _complaint(complaints, path)
    return done.stdout


def _complaint(lines: list[str], path: Path) -> ConfigError:
    """m4's first words, with their place."""
    first = lines[0] if lines else "it failed without a word"
    found = _COMPLAINT.match(first)
    if found is None:
        return ConfigError(f"m4: {first}", Place(str(path), 1))
    return ConfigError(f"m4: {found['message']}", Place(found["file"], int(found["line"])))


def _with_origins(text: str, file: str) -> tuple[str, list[Origin]]:
    """The text without synchronization lines, and where each of its lines came from."""
    lines: list[str] = []
    origins: list[Origin] = []
    origin = Origin(file, 1)
    for line in text.split("\n"):
        sync = _SYNC.match(line)
        if sync is not None:
            origin = Origin(sync[2] or origin.file, int(sync[1]))
            continue
        lines.append(line)
        origins.append(origin)
        origin = Origin(origin.file, origin.line + 1)
    return "\n".join(lines), origins
