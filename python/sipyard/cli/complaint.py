"""What several verbs share: the file they work on, and how an error of its author is shown."""

from __future__ import annotations

from pathlib import Path

import click

from sipyard.errors import ConfigError

FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


def complain(error: ConfigError) -> None:
    """Print the error with its place and hint to the terminal's error stream."""
    is_report = "\n" in error.message  # a script's mistakes, each with its place
    click.echo(error.message if is_report or error.place is None else str(error), err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)
