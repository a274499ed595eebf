"""The command line: `sipyard VERB …`. Each verb is a file here and imports what it needs when it runs."""

from __future__ import annotations

import click

from sipyard import __version__
from sipyard.cli.check import check
from sipyard.cli.ctl import ctl
from sipyard.cli.db import db
from sipyard.cli.explain import explain
from sipyard.cli.lsp import lsp
from sipyard.cli.run import run
from sipyard.cli.tls import tls
from sipyard.cli.translate import translate
from sipyard.cli.users import alias, attr, domain, user


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="Sipyard")
def main() -> None:
    """SIP Express Router anew: registrar, redirect server and proxy."""


for _verb in (run, check, ctl, explain, translate, lsp, db, domain, user, alias, attr, tls):
    main.add_command(_verb)
