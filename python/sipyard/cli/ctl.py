"""`sipyard ctl COMMAND`: tell a running server something."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sipyard.management.json_rpc import Client


@click.command(context_settings={"ignore_unknown_options": True})
@click.option(
    "-s",
    "--socket",
    type=click.Path(path_type=Path),
    default="sipyard.ctl",
    show_default=True,
    envvar="SIPYARD_CTL",
    help="The server's socket.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--timeout", default=600.0, show_default=True, help="Seconds to wait for the answer.")
@click.argument("command")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def ctl(socket: Path, as_json: bool, timeout: float, command: str, arguments: tuple[str, ...]) -> None:
    """Have a running server carry out COMMAND; `sipyard ctl help` lists all, `help COMMAND` explains one.
    Exit status 1 when it refuses, 2 when there is no server."""
    from sipyard.management.json_rpc import Client
    from sipyard.management.registry import RpcFault

    try:
        with Client(socket, timeout) as client:
            result = _help(client, arguments) if command == "help" else client.call(command, *arguments)
    except RpcFault as fault:
        click.echo(f"{command}: {fault.reason}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"no answer on {socket}: {error.strerror or error}", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        for line in _shown(result):
            click.echo(line)


def _help(client: Client, names: tuple[str, ...]) -> Any:
    """What one command does, or all usages with the first line of their documentation."""
    if names:
        return client.call("system.methodHelp", names[0])
    known = client.call("system.listMethods")
    pages = client.call_all([("system.methodHelp", [name]) for name in known])
    return {page.partition("\n")[0]: _first_line(page) for page in pages}


def _first_line(page: str) -> str:
    return page.partition("\n")[2].strip().partition("\n")[0]


def _shown(value: Any, indent: str = "") -> Iterator[str]:
    """A result as lines for a person: names in a column, structs of a list apart."""
    if isinstance(value, Mapping):
        width = max((len(str(name)) for name in value), default=0)
        for name, each in value.items():
            if isinstance(each, Mapping | list) and each:
                yield f"{indent}{name}:"
                yield from _shown(each, indent + "  ")
            else:
                yield f"{indent}{name!s:{width}}  {_plain(each)}".rstrip()
    elif isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, Mapping) and number:
                yield ""
            yield from _shown(each, indent)
    elif value is not None:
        yield f"{indent}{_plain(value)}"


def _plain(value: Any) -> str:
    return "-" if value in ([], {}, None) else str(value)
