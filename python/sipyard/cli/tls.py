"""`sipyard tls init`: a certificate authority and a certificate to try TLS with."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sipyard.cli.complaint import complain
from sipyard.errors import ConfigError

_CONFIG = """\
# Made by `sipyard tls init`; `sipyard ctl tls.reload` reads it again.
[server:default]
certificate = server.pem
verify_certificate = yes
ca_list = ca.pem

[client:default]
certificate = server.pem
ca_list = ca.pem
"""


@click.group()
def tls() -> None:
    """Certificates."""


@tls.command()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tls"),
    show_default=True,
    help="Where the files go.",
)
@click.argument("names", nargs=-1, required=True)
def init(folder: Path, names: tuple[str, ...]) -> None:
    """Make an authority (ca.pem, once) and a certificate for NAMES (server.pem, anew each time), with a
    tls.cfg that uses them. NAMES are the host names and IP addresses that phones and peers ask for."""
    from sipyard.sip.authority import Authority, write_secret

    certificate, key = folder / "ca.pem", folder / "ca-key.pem"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if certificate.exists() and key.exists():
            authority = Authority.load(certificate, key)
        else:
            authority = Authority.create(f"Sipyard authority of {names[0]}")
            authority.save(certificate, key)
            click.echo(f"{certificate}: made; let phones and peers trust it")
        write_secret(folder / "server.pem", authority.issue(names))
        click.echo(f"{folder / 'server.pem'}: certificate and key for {', '.join(names)}")
        config = folder / "tls.cfg"
        if not config.exists():
            config.write_text(_CONFIG)
            click.echo(f"{config}: made")
    except (OSError, ValueError) as error:
        complain(ConfigError(f"{folder}: {error}"))
        sys.exit(1)
    click.echo(
        "In the script:\n"
        f'  listen=tls:{names[0]}\n  loadmodule "tls"\n  modparam("tls", "config", "{folder / "tls.cfg"}")'
    )
