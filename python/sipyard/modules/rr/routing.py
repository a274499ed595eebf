"""Loose and strict routing: what to do with Route headers (RFC 3261 §16.4, §16.6 step 6, §16.12).

Pure decisions on texts: nothing here touches a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sipyard._native.core import ParseError, Uri


class Decision(NamedTuple):
    """How to go on.

    :param result: what loose_route() returns.
    :param removed: how many Routes to take off the top.
    :param uri: new Request-URI, None keeps it.
    :param dst_uri: next hop, None when the Request-URI is.
    :param routes: the whole new route set, None when taking off the top is all.
    :param own: which Route was ours, the one that carries our parameters (-1: the Request-URI).
    """

    result: int
    removed: int = 0
    uri: str | None = None
    dst_uri: str | None = None
    routes: list[str] | None = None
    own: int = 0


def is_loose(uri: str) -> bool:
    """Does a Route name a loose router (RFC 3261 §19.1.1 lr)?"""
    try:
        return Uri(uri).parameter("lr") is not None
    except ParseError:
        return True  # not for us to rewrite: the resolver will refuse it


def is_double(uri: str) -> bool:
    """Is it one of a pair of Record-Routes that we wrote for two sockets?"""
    try:
        return Uri(uri).parameter("r2") is not None
    except ParseError:
        return False


def after_loose(routes: Sequence[str], removed: int, request_uri: str, is_preloaded: bool) -> Decision:
    """The top Route is ours: take it (or the pair) off and follow the next (RFC 3261 §16.4)."""
    rest = routes[removed:]
    if not rest:
        # A request that names only us in Route and Request-URI goes on as an initial one.
        return Decision(-1 if is_preloaded else 1, removed)
    if is_loose(rest[0]):
        return Decision(1, removed, dst_uri=rest[0])
    # RFC 3261 §16.6 step 6: a strict router wants itself in the Request-URI and the target as last Route
    return Decision(1, removed, uri=rest[0], routes=[*rest[1:], request_uri])


def after_strict(routes: Sequence[str], removed: int) -> Decision:
    """The previous hop was a strict router: it put us into the Request-URI; the target is the last Route
    (RFC 3261 §16.4). `removed`: the other one of our pair stands on top."""
    rest = list(routes[removed:])
    if not rest:
        return Decision(-1, own=-1)
    if not is_loose(rest[0]):
        return Decision(1, uri=rest[0], routes=rest[1:], own=-1)
    target = rest.pop()
    return Decision(1, uri=target, dst_uri=rest[0] if rest else None, routes=rest, own=-1)
