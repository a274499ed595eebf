"""`sipyard domain`, `user`, `alias`, `attr`: who is served."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import click

from sipyard.cli.database import provision, with_database
from sipyard.errors import ConfigError

_PLAIN = click.option(
    "--plain", is_flag=True, help="Keep the password readable too (calculate_ha1 of auth_db)."
)
_PASSWORD = click.option("--password-file", type=click.File("r"), help="Read it there (- is standard input).")
_GENERATE = click.option("--generate", is_flag=True, help="Make up a password and show it once.")


def _show(rows: Sequence[tuple[str, str]]) -> None:
    for first, second in rows:
        click.echo(f"{first}\t{second}")


def _password(source: IO[str] | None, generate: bool) -> str:
    if generate:
        return secrets.token_urlsafe(12)
    if source is not None:
        found = source.readline().rstrip("\r\n")
    elif sys.stdin.isatty():
        found = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    else:
        raise ConfigError(
            "no password", hint="--generate makes one up, --password-file - reads standard input"
        )
    if not found:
        raise ConfigError("the password is empty")
    return found


@click.group()
def domain() -> None:
    """Domains that are served."""


@domain.command("add")
@click.argument("name")
@click.option("--of", "did", default="", metavar="DID", help="A further name of that domain.")
@with_database
def add_domain(url: str, name: str, did: str) -> None:
    """Serve a domain."""
    click.echo(f"{name} added, did {provision(url, lambda users: users.add_domain(name, did))}")


@domain.command("list")
@with_database
def list_domains(url: str) -> None:
    """Every domain: its identifier (did) and a name."""
    _show(provision(url, lambda users: users.domains()))


@domain.command("remove")
@click.argument("name")
@with_database
def remove_domain(url: str, name: str) -> None:
    """Serve a domain, or a name of one, no longer."""
    provision(url, lambda users: users.remove_domain(name))


@click.group()
def user() -> None:
    """Users and their passwords."""


@user.command("add")
@click.argument("address")
@_PLAIN
@_PASSWORD
@_GENERATE
@with_database
def add_user(url: str, address: str, plain: bool, password_file: IO[str] | None, generate: bool) -> None:
    """Add ADDRESS (alice@example.com). Of the password only digests are kept."""
    password = _password(password_file, generate)
    uid = provision(url, lambda users: users.add_user(address, password, keep_plain=plain))
    click.echo(f"{address} added, uid {uid}" + (f", password {password}" if generate else ""))


@user.command("passwd")
@click.argument("address")
@_PLAIN
@_PASSWORD
@_GENERATE
@with_database
def set_password(url: str, address: str, plain: bool, password_file: IO[str] | None, generate: bool) -> None:
    """Give a user another password."""
    password = _password(password_file, generate)
    provision(url, lambda users: users.set_password(address, password, keep_plain=plain))
    click.echo(f"{address} changed" + (f", password {password}" if generate else ""))


@user.command("list")
@click.argument("domain", default="")
@with_database
def list_users(url: str, domain: str) -> None:
    """Every user, or those of a domain: address and uid."""
    _show(provision(url, lambda users: users.users(domain)))


@user.command("remove")
@click.argument("address")
@with_database
def remove_user(url: str, address: str) -> None:
    """Remove a user with everything that is stored of it."""
    provision(url, lambda users: users.remove_user(address))


@user.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_PLAIN
@with_database
def import_users(url: str, file: Path, plain: bool) -> None:
    """Add the users of a CSV file (address,password[,aliases]), all or none."""
    from sipyard.storage import csv_users

    with file.open(encoding="utf-8", newline="") as source:
        count = provision(url, lambda users: csv_users.import_users(users, source, keep_plain=plain))
    click.echo(f"{count} users added")


@user.command("export")
@click.argument("domain", default="")
@with_database
def export_users(url: str, domain: str) -> None:
    """Write every user, or those of a domain, as CSV: digests, no passwords."""
    from sipyard.storage import csv_users

    provision(url, lambda users: csv_users.export_users(users, sys.stdout, domain))


@click.group()
def alias() -> None:
    """Further addresses of users."""


@alias.command("add")
@click.argument("alias")
@click.argument("address")
@with_database
def add_alias(url: str, alias: str, address: str) -> None:
    """Let ALIAS (info@example.com) lead to the user ADDRESS."""
    provision(url, lambda users: users.add_alias(alias, address))


@alias.command("list")
@click.argument("address")
@with_database
def list_aliases(url: str, address: str) -> None:
    """All addresses of a user."""
    for one in provision(url, lambda users: users.aliases(address)):
        click.echo(one)


@alias.command("remove")
@click.argument("alias")
@with_database
def remove_alias(url: str, alias: str) -> None:
    """Take a further address away."""
    provision(url, lambda users: users.remove_alias(alias))


@click.group()
def attr() -> None:
    """Attributes ($f.name in a script) of a user, of a domain, or `global`."""


@attr.command("set")
@click.argument("owner")
@click.argument("name")
@click.argument("value")
@with_database
def set_attribute(url: str, owner: str, name: str, value: str) -> None:
    """Give an attribute of OWNER (alice@example.com, example.com, global) a value."""
    provision(url, lambda users: users.set_attribute(owner, name, value))


@attr.command("list")
@click.argument("owner")
@with_database
def list_attributes(url: str, owner: str) -> None:
    """Names and values."""
    _show(provision(url, lambda users: users.attributes(owner)))


@attr.command("remove")
@click.argument("owner")
@click.argument("name")
@with_database
def remove_attribute(url: str, owner: str, name: str) -> None:
    """Remove an attribute."""
    provision(url, lambda users: users.remove_attribute(owner, name))
