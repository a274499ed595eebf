"""What is known about a message at one place of a script: the finite state that the analysis carries.

A state stands for all messages that reach the place in this condition. Of each fact there are at most three
values, so that the number of states of a place is bounded whatever the script is.
"""

from __future__ import annotations

import enum
from functools import reduce
from typing import Final, NamedTuple

from sipyard.arguments import RouteKind

METHODS: Final = (
    *("INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "REFER", "MESSAGE"),
    *("UPDATE", "PRACK", "INFO", "PUBLISH"),
)
OTHER: Final = 1 << len(METHODS)
"""The bit of all methods that have none of their own."""
ALL: Final = 2 * OTHER - 1


def mask(*methods: str) -> int:
    """The bits of methods."""
    return sum(1 << METHODS.index(name) for name in methods)


def method_names(methods: int) -> str:
    """A set of methods in words, for a finding."""
    if methods.bit_count() > 4:
        return "requests"
    names = [name for number, name in enumerate(METHODS) if methods >> number & 1]
    return " and ".join((*names, "others") if methods & OTHER else names)


class Known(enum.IntEnum):
    """Whether something has happened on the way here."""

    NO = 0
    MAYBE = 1
    YES = 2


class Dialog(enum.IntEnum):
    """Whether the request belongs to a dialog (RFC 3261 §12.2: it has a To tag)."""

    UNKNOWN = 0
    INSIDE = 1
    OUTSIDE = 2


class State(NamedTuple):
    """`entry` is the kind of block in which the way began."""

    entry: RouteKind = RouteKind.REQUEST
    methods: int = ALL
    dialog: Dialog = Dialog.UNKNOWN
    answered: Known = Known.NO
    relayed: Known = Known.NO
    recorded: bool = False
    """Whether record_route was called, or the script decided against it."""
    transaction: Known = Known.NO
    refused: bool = False
    """Whether credentials were asked for and not found, which ACK, CANCEL and PRACK never get to."""
    appended: bool = False
    """Whether a header was added to the reply."""
    branched: Known = Known.NO
    """Whether a failure route has made a new branch."""
    sifted: bool = False
    """Whether the way depends on who sent it (address, User-Agent, rate): it may be meant to be dropped."""

    @property
    def is_handled(self) -> bool:
        """Whether the request was, or may have been, answered or relayed."""
        return self.answered is not Known.NO or self.relayed is not Known.NO


Way = tuple[tuple[int, bool], ...]
"""The conditions on the way, newest last: line and outcome. Not complete, and only one of many ways."""

Flow = dict[State, Way]
"""All states that reach a place, each with one way to it."""

LONGEST_WAY: Final = 6
MOST_STATES: Final = 400


def merge(*flows: Flow) -> Flow:
    """The union; the first way to a state is kept. Beyond a bound methods are no longer told apart."""
    together: Flow = {}
    for flow in flows:
        for state, way in flow.items():
            together.setdefault(state, way)
    if len(together) <= MOST_STATES:
        return together
    coarse: dict[State, tuple[int, Way]] = {}
    for state, way in together.items():
        key = state._replace(methods=0)
        methods, first = coarse.get(key, (0, way))
        coarse[key] = (methods | state.methods, first)
    return {key._replace(methods=methods): way for key, (methods, way) in coarse.items()}


def decided(flow: Flow, line: int, outcome: bool) -> Flow:
    """The same states, one condition further."""
    return {state: (*way, (line, outcome))[-LONGEST_WAY:] for state, way in flow.items()}


def told(flow: Flow) -> str:
    """One way to a place in words, in brackets; empty when there is no condition on it."""
    way = next(iter(flow.values()), ())
    steps = (f"{line} {'true' if outcome else 'false'}" for line, outcome in dict(way).items())
    return " (when line " + ", line ".join(steps) + ")" if way else ""


def methods_of(flow: Flow) -> int:
    """All methods that can come by these states."""
    return reduce(lambda together, state: together | state.methods, flow, 0)
