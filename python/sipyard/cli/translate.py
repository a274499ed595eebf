"""`sipyard translate FILE`: a script as routes in Python."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import click

from sipyard.cli.complaint import FILE, GENERATIONS, complain, generation_of
from sipyard.errors import ConfigError


@click.command()
@FILE
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write here instead of printing.")
@click.option("--ser", type=click.Choice(GENERATIONS), help="Read FILE as this generation of SER.")
def translate(file: Path, output: Path | None, ser: str | None) -> None:
    """Write FILE, a SER script, as routes in Python that do the same; comments are kept."""
    from sipyard.script.translate import translate_file

    try:
        if file.suffix == ".py":
            raise ConfigError(f"{file} is a routes file; translate reads scripts in SER's language")
        source = _laid_out(translate_file(file, generation_of(ser)))
    except ConfigError as error:
        complain(error)
        sys.exit(1)
    if output is None:
        click.echo(source, nl=False)
    else:
        output.write_text(source, "utf-8")


def _laid_out(source: str) -> str:
    """Formatted by ruff, in its own default style, when it is installed."""
    if importlib.util.find_spec("ruff") is None:
        click.echo("ruff is not installed: long lines are left as they are", err=True)
        return source
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--stdin-filename", "routes.py", "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise ConfigError(f"ruff cannot format the translation: {done.stderr.strip()}")
    return done.stdout
