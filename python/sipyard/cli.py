"""The command line: `sipyard run FILE`, `sipyard check FILE`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sipyard import __version__
from sipyard.errors import ConfigError

if TYPE_CHECKING:
    from sipyard._native.core import Listener

_FILE = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="Sipyard")
def main() -> None:
    """SIP Express Router anew: registrar, redirect server and proxy."""


@main.command()
@_FILE
@click.option(
    "-l", "--listen", multiple=True, metavar="[PROTO:]ADDR[:PORT]", help="Listen here instead; repeatable."
)
@click.option("--threads", default=0, show_default=True, help="I/O threads; 0: the loop does the I/O itself.")
@click.option("-d", "--debug", count=True, help="Print more; each one raises the script's `debug` by 1.")
@click.option("-E", "--stderr/--syslog", default=True, show_default=True, help="Where to log.")
@click.option("--pid-file", type=click.Path(path_type=Path), help="Write the process id here.")
def run(
    file: Path, listen: Sequence[str], threads: int, debug: int, stderr: bool, pid_file: Path | None
) -> None:
    """Serve FILE, a SER script or a routes file in Python, until TERM or Ctrl-C."""
    from sipyard.server import Options, Server, how_to_try  # `check` needs no server
    from sipyard.site import Site

    def announce(listeners: Sequence[Listener]) -> None:
        click.echo(f"Sipyard {__version__} serves {file}")
        for listener in listeners:
            click.echo(f"  listening on {listener.uri} ({listener.protocol}, {listener.ip}:{listener.port})")
        click.echo(how_to_try(listeners[0]))
        click.echo("Ctrl-C stops it.")

    try:
        server = Server(Site.load(file), Options(listen, threads, debug, stderr), click.echo)
        if pid_file is not None:
            import os

            pid_file.write_text(f"{os.getpid()}\n", "ascii")
        server.run(announce)
    except ConfigError as error:
        _complain(error)
        sys.exit(1)
    finally:
        if pid_file is not None:
            pid_file.unlink(missing_ok=True)


@main.command()
@_FILE
@click.option("--ser", type=click.Choice(["0.9", "2.0"]), help="Read FILE as this generation of SER.")
def check(file: Path, ser: str | None) -> None:
    """Report every mistake in FILE; exit status 0 when it can be run."""
    if file.suffix == ".py":
        from sipyard.routes import load_routes

        try:
            load_routes(file)
        except ConfigError as error:
            _complain(error)
            sys.exit(1)
        click.echo(f"{file}: good")
        return
    from sipyard.arguments import Generation
    from sipyard.script import check_file

    generations = {"0.9": Generation.SER_0_9, "2.0": Generation.SER_2_0}
    report = check_file(file, generations.get(ser or ""))
    click.echo(report.text(), nl=False)
    sys.exit(0 if report.is_good else 1)


def _complain(error: ConfigError) -> None:
    is_report = "\n" in error.message  # a script's mistakes, each with its place
    click.echo(error.message if is_report or error.place is None else str(error), err=True)
    if error.hint:
        click.echo(f"  {error.hint}", err=True)


if __name__ == "__main__":
    main()
