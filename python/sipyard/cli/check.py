"""`sipyard check FILE`: every mistake of a script, without running anything."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sipyard.cli.complaint import FILE, complain
from sipyard.errors import ConfigError


@click.command()
@FILE
@click.option("--ser", type=click.Choice(["0.9", "2.0"]), help="Read FILE as this generation of SER.")
def check(file: Path, ser: str | None) -> None:
    """Report every mistake in FILE; exit status 0 when it can be run."""
    if file.suffix == ".py":
        from sipyard.routes import load_routes

        try:
            load_routes(file)
        except ConfigError as error:
            complain(error)
            sys.exit(1)
        click.echo(f"{file}: good")
        return
    from sipyard.arguments import Generation
    from sipyard.script import check_file

    generations = {"0.9": Generation.SER_0_9, "2.0": Generation.SER_2_0}
    report = check_file(file, generations.get(ser or ""))
    click.echo(report.text(), nl=False)
    sys.exit(0 if report.is_good else 1)
