"""`sipyard check FILE`: every mistake of a script and what it hardly means, without running anything."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sipyard.cli.complaint import FILE, GENERATIONS, complain, generation_of
from sipyard.errors import ConfigError


@click.command()
@FILE
@click.option("--ser", type=click.Choice(GENERATIONS), help="Read FILE as this generation of SER.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON, for editors and CI.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
def check(file: Path, ser: str | None, as_json: bool, strict: bool) -> None:
    """Report every mistake in FILE and what it can hardly mean.

    Exit status 0 when it can be run, 1 when it cannot (with --strict: or has warnings), 2 when it cannot be
    read. No module is started and nothing is sent.
    """
    if file.suffix == ".py":
        if as_json:
            raise click.UsageError("--json is for scripts in SER's language")
        _check_routes(file)
        return
    from sipyard.cli import findings
    from sipyard.script import check_file

    try:
        report = check_file(file, generation_of(ser))
    except OSError as error:
        click.echo(f"{file} cannot be read: {error.strerror}", err=True)
        sys.exit(2)
    except ConfigError as error:
        complain(error)
        sys.exit(2)
    if as_json:
        click.echo(findings.as_json(report))
    else:
        findings.show(report)
    sys.exit(0 if report.is_good and not (strict and report.warnings) else 1)


def _check_routes(file: Path) -> None:
    """A routes file is Python: loading it is what checks it."""
    from sipyard.routes import load_routes

    try:
        load_routes(file)
    except ConfigError as error:
        complain(error)
        sys.exit(1)
    click.echo(f"{file}: good")
