"""Hosts with ports, as scripts and parameters write them."""

from __future__ import annotations


def split_hostport(text: str) -> tuple[str, str | None]:
    """``host[:port]`` with an IPv6 reference in brackets; the port is None when there is no colon."""
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        return host + bracket, rest[1:] if rest.startswith(":") else None
    host, colon, port = text.partition(":")
    if ":" in port:  # a bare IPv6 address
        return f"[{text}]", None
    return host, port if colon else None


def host_and_port(text: str, default: int) -> tuple[str, int]:
    """Host without brackets, and the port or a default one.

    :raises ValueError: the port is no number.
    """
    host, port = split_hostport(text)
    if port is not None and not port.isdecimal():
        raise ValueError(f"{text!r}: {port!r} is no port")
    return host.strip("[]"), int(port) if port else default


def shown(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
