"""`sipyard run FILE`: serve."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sipyard import __version__
from sipyard.cli.complaint import FILE, GENERATIONS, complain, generation_of
from sipyard.errors import ConfigError

if TYPE_CHECKING:
    from sipyard._native.core import Listener
    from sipyard.site import Site


@click.command()
@FILE
@click.option(
    "-l", "--listen", multiple=True, metavar="[PROTO:]ADDR[:PORT]", help="Listen here instead; repeatable."
)
@click.option("--threads", default=0, show_default=True, help="I/O threads; 0: the loop does the I/O itself.")
@click.option("-d", "--debug", count=True, help="Print more; each one raises the script's `debug` by 1.")
@click.option("-E", "--stderr/--syslog", default=True, show_default=True, help="Where to log.")
@click.option("--ser", type=click.Choice(GENERATIONS), help="Read FILE as this generation of SER.")
@click.option("--ctl", metavar="PATH", help='Socket for `sipyard ctl` instead of the script\'s; "": none.')
@click.option("--domain", metavar="NAME", help="Have this domain, and the tables, in the script's database.")
@click.option(
    "--drain",
    type=float,
    metavar="SECONDS",
    help="Wait so long for answers when told to stop; 0: do not wait.",
)
@click.option("--pid-file", type=click.Path(path_type=Path), help="Write the process id here.")
def run(
    file: Path,
    listen: Sequence[str],
    threads: int,
    debug: int,
    stderr: bool,
    ser: str | None,
    ctl: str | None,
    domain: str | None,
    drain: float | None,
    pid_file: Path | None,
) -> None:
    """Serve FILE, a SER script or a routes file in Python, until TERM or Ctrl-C."""
    from sipyard.server import Options, Server  # `check` needs no server
    from sipyard.site import Site

    try:
        site = Site.load(file, generation_of(ser))
        notes = [] if domain is None else _have_domain(site, domain)
        server = Server(site, Options(listen, threads, debug, stderr, ctl, drain), click.echo)
        if pid_file is not None:
            import os

            pid_file.write_text(f"{os.getpid()}\n", "ascii")
        server.run(partial(_announce, file, site, notes))
    except ConfigError as error:
        complain(error)
        sys.exit(1)
    finally:
        if pid_file is not None:
            pid_file.unlink(missing_ok=True)


def _have_domain(site: Site, domain: str) -> list[str]:
    from sipyard.cli.first_start import have_domain  # SQLAlchemy and Alembic, which serving needs not

    url = site.modules.database_url()
    if not url:
        raise ConfigError("--domain: the script sets no db_url")
    return list(have_domain(url, domain))


def _announce(file: Path, site: Site, notes: Sequence[str], listeners: Sequence[Listener]) -> None:
    """What is served where, what of the script has no meaning here, and how to try it."""
    from sipyard.server import how_to_try

    click.echo(f"Sipyard {__version__} serves {file}")
    for remark in (*notes, *site.remarks):
        click.echo(f"  {remark}")
    for listener in listeners:
        click.echo(f"  listening on {listener.uri} ({listener.protocol}, {listener.ip}:{listener.port})")
    click.echo(how_to_try(listeners[0], has_passwords="auth_db" in site.modules))
    click.echo("Ctrl-C stops it.")
