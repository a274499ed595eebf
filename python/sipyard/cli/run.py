"""`sipyard run FILE`: serve."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sipyard import __version__
from sipyard.cli.complaint import FILE, complain
from sipyard.errors import ConfigError

if TYPE_CHECKING:
    from sipyard._native.core import Listener


@click.command()
@FILE
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
        complain(error)
        sys.exit(1)
    finally:
        if pid_file is not None:
            pid_file.unlink(missing_ok=True)
