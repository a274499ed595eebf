"""What several verbs share: the file they work on, and how an error of its author is shown."""

from __future__ import annotations

from pathlib import Path

import click

from sipyard.arguments import Generation
from sipyard.errors import ConfigError

GENERATIONS = ("0.9", "2.0")
FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


def complain(error: ConfigError) -> None:
    """Print the error with its place and hint to the terminal's error stream."""
    is_report = "\n" in error.message  # a script's mistakes, each with its place
    click.echo(error.message if is_report or error.place is None else str(error), err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)


def generation_of(text: str | None) -> Generation | None:
    """The generation that `--ser` names."""
    return None if text is None else Generation.SER_0_9 if text == "0.9" else Generation.SER_2_0
