"""`sipyard explain`: what a script would do with a request."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from sipyard.cli.complaint import GENERATIONS, complain, generation_of
from sipyard.errors import ConfigError


def _pairs(texts: Sequence[str], pattern: str, option: str) -> list[tuple[str, str]]:
    """What stands on both sides of `=`."""
    found = [(re.fullmatch(pattern, text.strip()), text) for text in texts]
    for match, text in found:
        if match is None:
            raise click.BadParameter(f"{text!r} is not of the form shown by --help", param_hint=option)
    return [(match[1], match[2]) for match, _ in found if match is not None]


@click.command()
@click.option(
    "-f",
    "--file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The script.",
)
@click.argument("method")
@click.argument("uri")
@click.option(
    "--from", "from_uri", default="sip:alice@example.com", show_default=True, help="URI of the caller."
)
@click.option(
    "--to", "to_uri", default="", help="URI in To; the Request-URI (REGISTER: of From) unless given."
)
@click.option("--source", default="198.51.100.1:5060", show_default=True, help="Address that it comes from.")
@click.option(
    "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header line; repeatable."
)
@click.option("--body", default="", help="The body.")
@click.option(
    "--binding", "bindings", multiple=True, metavar="AOR=CONTACT", help="Pretend a registration; repeatable."
)
@click.option(
    "--reply",
    "answers",
    multiple=True,
    metavar="STATUS|none",
    help="What the branches answer, in turn; the last one is repeated.",
)
@click.option("--name", "names", multiple=True, metavar="HOST=IP", help="What a host name leads to.")
@click.option("--listen", multiple=True, metavar="ADDR[:PORT]", help="Where the server listens.")
@click.option("--ser", type=click.Choice(GENERATIONS), help="Read the script as this generation of SER.")
@click.option("--json", "is_json", is_flag=True, help="Print JSON.")
def explain(
    file: Path,
    method: str,
    uri: str,
    from_uri: str,
    to_uri: str,
    source: str,
    headers: Sequence[str],
    body: str,
    bindings: Sequence[str],
    answers: Sequence[str],
    names: Sequence[str],
    listen: Sequence[str],
    ser: str | None,
    is_json: bool,
) -> None:
    """Run a script on a request that nobody sent, and print what it does line by line.

    Nothing happens: no network, no database is changed, no program runs.
    """
    from sipyard.explain import Hypothesis
    from sipyard.explain import explain as tell
    from sipyard.explain.report import as_data, as_text

    for answer in answers:
        status = answer.partition(" ")[0]
        if answer != "none" and not (len(status) == 3 and status.isdecimal() and "100" <= status < "700"):
            raise click.BadParameter(f"{answer!r} is no status", param_hint="--reply")
    hypothesis = Hypothesis(
        method=method,
        uri=uri,
        from_uri=from_uri,
        to_uri=to_uri,
        source=source,
        headers=headers,
        body=body,
        bindings=_pairs(bindings, r"(.+?)=(sips?:.+)", "--binding"),
        answers=answers,
        names=dict(_pairs(names, r"([^=]+)=([^=]+)", "--name")),
        listen=listen,
    )
    try:
        if file.suffix == ".py":
            raise ConfigError(f"{file} is a routes file; explain reads scripts in SER's language")
        story = tell(file, hypothesis, generation_of(ser))
    except ConfigError as error:
        complain(error)
        sys.exit(1)
    click.echo(json.dumps(as_data(story), indent=2) if is_json else as_text(story), nl=is_json)
