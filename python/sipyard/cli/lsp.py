"""`sipyard lsp`: the language server, started by an editor."""

from __future__ import annotations

import sys

import click


@click.command()
def lsp() -> None:
    """Serve an editor on standard input and output: diagnostics, completion, hover, definitions."""
    try:
        from sipyard.lsp.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pygls", "lsprotocol"):
            raise
        click.echo('sipyard lsp needs pygls: pip install "sipyard[lsp]"', err=True)
        sys.exit(1)
    serve()
