"""Where RADIUS servers are: SER's `radius_config`, a file of radiusclient-ng, with the secrets in another
file.

    authserver  radius1.example.org:1812
    acctserver  radius1.example.org
    servers     /etc/radiusclient-ng/servers
    radius_timeout  2
    radius_retries  3
    radius_deadtime 30

The file of secrets has a host and its secret on each line. An IPv6 address stands in brackets.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sipyard.errors import ConfigError, Place

AUTH_PORT: Final = 1812
ACCT_PORT: Final = 1813
_USED: Final = ("authserver", "acctserver", "servers", "radius_timeout", "radius_retries", "radius_deadtime")
_OURS: Final = ("require_message_authenticator", "nas_identifier")
_PASSED: Final = ("dictionary", "auth_order", "login_tries", "login_timeout", "nologin", "issue", "seqfile")
_PASSED_TOO: Final = ("mapfile", "default_realm", "login_radius", "login_local", "bindaddr")
_KNOWN: Final = frozenset((*_USED, *_OURS, *_PASSED, *_PASSED_TOO))
"""Those of radiusclient-ng that mean nothing here are let pass."""


@dataclass(frozen=True, slots=True)
class RadiusServer:
    """One server.

    :ivar host: name or address.
    :ivar secret: what it shares with us.
    """

    host: str
    port: int
    secret: bytes

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class RadiusSettings:
    """What a file says.

    :ivar timeout: seconds until a try is repeated.
    :ivar retries: tries at one server beyond the first.
    :ivar dead_time: seconds for which a server that did not answer is asked last.
    :ivar requires_authenticator: answers to Access-Requests without Message-Authenticator are dropped.
    """

    auth: tuple[RadiusServer, ...] = ()
    acct: tuple[RadiusServer, ...] = ()
    timeout: float = 2.0
    retries: int = 2
    dead_time: float = 30.0
    requires_authenticator: bool = True
    nas_identifier: str = "sipyard"


def read_settings(path: Path) -> RadiusSettings:
    """Read such a file.

    :raises ConfigError: it cannot be read, lacks something, or says what is no setting.
    """
    found: dict[str, list[str]] = {}
    for number, name, value in _lines(path):
        if name not in _KNOWN:
            raise ConfigError(f"{name} is no setting of RADIUS", Place(str(path), number))
        found.setdefault(name, []).append(value)
    secrets = _secrets(path, found)
    return RadiusSettings(
        tuple(_servers(path, found.get("authserver", ()), AUTH_PORT, secrets)),
        tuple(_servers(path, found.get("acctserver", ()), ACCT_PORT, secrets)),
        float(_number(path, found, "radius_timeout", 2)),
        _number(path, found, "radius_retries", 2),
        float(_number(path, found, "radius_deadtime", 30)),
        found.get("require_message_authenticator", ["yes"])[-1].lower() not in ("no", "0", "off", "false"),
        found.get("nas_identifier", ["sipyard"])[-1],
    )


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split(None, 1)
        if words:
            yield number, words[0], words[1].strip() if len(words) > 1 else ""


def _secrets(path: Path, found: Mapping[str, list[str]]) -> dict[str, bytes]:
    if "servers" not in found:
        return {}
    file = path.parent / found["servers"][-1]
    return {host: secret.encode() for _, host, secret in _lines(file)}


def _servers(
    path: Path, written: tuple[str, ...] | list[str], port: int, secrets: Mapping[str, bytes]
) -> Iterator[RadiusServer]:
    for one in ",".join(written).replace(",", " ").split():
        text, _, own = one.partition("|")
        host, number = _split(text, port)
        secret = own.encode() or secrets.get(host, b"")
        if not secret:
            raise ConfigError(
                f"{path}: no secret for {host}", hint="put it into the file that `servers` names"
            )
        yield RadiusServer(host, number, secret)


def _split(text: str, port: int) -> tuple[str, int]:
    host, colon, number = text.rpartition(":")
    if text.startswith("[") and text.endswith("]"):
        return text[1:-1], port
    if not colon or not number.isdecimal():
        return text, port
    return host.strip("[]"), int(number)


def _number(path: Path, found: Mapping[str, list[str]], name: str, default: int) -> int:
    text = found.get(name, [str(default)])[-1]
    if not text.isdecimal():
        raise ConfigError(f"{path}: {name} is a number, not {text!r}")
    return int(text)
