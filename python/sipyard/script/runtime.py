"""What compiled routes call besides modules: leaving the script, comparing attributes and selects, assigning.

Everything that can be is decided at load: a comparison becomes one closure over prepared values. Missing
values make `==` false and `!=` true; an attribute with several values and no index counts as missing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn

from sipyard.arguments import ArgumentError, number_of
from sipyard.attributes import ALL_VALUES, Attribute, Name, Value
from sipyard.errors import ScriptError
from sipyard.recipes import remembered
from sipyard.regex import Regex
from sipyard.sip.resolver import ResolutionError

if TYPE_CHECKING:
    from sipyard.context import Context

Reader = Callable[["Context"], Value | None]
Test = Callable[["Context"], bool]

METHODS = frozenset(
    {
        *("ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH"),
        *("REFER", "REGISTER", "SUBSCRIBE", "UPDATE"),
    }
)
"""Methods in their own spelling: such a one equals no other, so it need not be folded to compare."""
MAX_LEN = 65535
FOR_ROUTES = frozenset(
    [
        "EXIT",
        "METHODS",
        "MAX_NESTING",
        "Exit",
        "ScriptExit",
        "stop",
        "carry",
        "done",
        "keep",
        "too_deep",
        "assign",
        "forget",
        "assign_select",
        "assign_result",
        "assign_all",
        "is_host",
        "is_method",
        "sending_ip",
        "sending_port",
        "sending_protocol",
        "to_ip",
        "to_port",
    ]
)
"""Names that the code of routes may use."""
MAX_NESTING = 100


class Exit(int):
    """A route's result that ends the whole script: `exit`, `drop`, or a function that returned 0."""


EXIT = Exit(0)


class ScriptExit(Exception):
    """The same from inside a condition. It never leaves the block that it ends."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.code = code


def stop(code: int = 0) -> NoReturn:
    """End the script from inside a condition."""
    raise ScriptExit(Exit(code))


def carry(result: int) -> int:
    """The result of a route called in a condition; ends the script when the route did."""
    if isinstance(result, Exit):
        raise ScriptExit(result)
    return result


def keep(msg: Context, result: int) -> int:
    """Remember the result of a call for `$?`."""
    msg.retcode = int(result)
    return result


def too_deep(name: str) -> NoReturn:
    """Routes that call each other without end. SER goes on with the statement after the call; two such calls
    in one route would then run 2^100 times, so here the message ends with an error."""
    raise ScriptError(f"route[{name}]: more than {MAX_NESTING} routes are nested")


# -- attributes ----------------------------------------------------------------------------------------------


@remembered
def single(name: Name) -> Reader:
    """The value for a comparison: None when it is missing, or has several values and no index was written."""

    if name.index is not None and name.index != ALL_VALUES:

        def read_indexed(msg: Context) -> Value | None:
            found = msg.attributes.select(name) if msg.has_attributes else None
            return found[0].value if found else None

        return read_indexed

    def read(msg: Context) -> Value | None:
        if not msg.has_attributes:
            return None
        values = msg.attributes.values(name)
        return values[0] if len(values) == 1 else None

    return read


@remembered
def constant(value: Value) -> Reader:
    """Reads the same from every message."""
    return lambda msg: value


def retcode(msg: Context) -> int:
    """Reads `$?`."""
    return msg.retcode


@remembered
def is_true(read: Reader) -> Test:
    """An attribute or select as a condition: there, and neither empty nor 0."""
    return lambda msg: bool(read(msg))


@remembered
def bits(read: Reader, operator: str, mask: Reader) -> Test:
    """`$a & n`, `$a | n`."""

    def test(msg: Context) -> bool:
        left, right = _number(read(msg)), _number(mask(msg))
        if left is None or right is None:
            return False
        return bool(left & right if operator == "&" else left | right)

    return test


def assign(msg: Context, name: Name, value: Value | None) -> int:
    """Add the new value after `forget`; -1 when there is none (the old one is gone: semantics §3)."""
    if value is None:
        return -1
    msg.attributes.add(name, value)
    return 1


def forget(msg: Context, name: Name) -> int:
    """What comes before the right side of `$x = …` is evaluated. How many values went."""
    return msg.attributes.delete(name) if msg.has_attributes else 0


def assign_select(msg: Context, name: Name, value: Value | None) -> int:
    """A missing select assigns an empty string (semantics §3)."""
    return assign(msg, name, "" if value is None else value)


def assign_result(msg: Context, name: Name, value: int) -> int:
    """`$x = f()`: the result is stored and is the statement's value too."""
    msg.attributes.add(name, int(value))
    return value


def assign_all(msg: Context, name: Name, source: Name) -> int:
    """`$x = $y[]`: every value is copied."""
    values = msg.attributes.values(source)
    for value in values:
        msg.attributes.add(name, value)
    return 1 if values else -1


@remembered
def avp_flag(action: str, name: Name, mask: int) -> Callable[[Context], int]:
    """setavpflag, resetavpflag, isavpflagset on the values that the name selects."""

    def change(msg: Context) -> int:
        found: list[Attribute] = msg.attributes.select(name) if msg.has_attributes else []
        if not found:
            return -1
        if action == "test":
            return 1 if any(each.flags & mask for each in found) else -1
        for each in found:
            each.flags = each.flags | mask if action == "set" else each.flags & ~mask
        return 1

    return change


def done(function: Callable[..., object], *arguments: object) -> int:
    """A function that returns nothing, where a result is asked for: it counts as 1."""
    function(*arguments)
    return 1


# -- comparisons ---------------------------------------------------------------------------------------------


def _number(value: Value | None) -> int | None:
    return value if isinstance(value, int) or value is None else number_of(value)


@remembered
def equals(read: Reader, wanted: Value) -> Test:
    """`left == constant`: texts in any case, a text that should be a number as one."""
    if isinstance(wanted, int):
        return lambda msg: _number(read(msg)) == wanted
    folded = wanted.lower()

    def test(msg: Context) -> bool:
        value = read(msg)
        return value is not None and str(value).lower() == folded

    return test


@remembered
def equals_reader(left: Reader, right: Reader) -> Test:
    """`left == right`, both read from the message."""

    def test(msg: Context) -> bool:
        one, other = left(msg), right(msg)
        if one is None or other is None:
            return False
        if isinstance(one, int) and isinstance(other, int):
            return one == other
        if isinstance(other, int):
            return _number(one) == other
        return str(one).lower() == other.lower()

    return test


@remembered
def negated(test: Test) -> Test:
    """`!=`: true also when something is missing."""
    return lambda msg: not test(msg)


@remembered
def matches(read: Reader, regex: Regex) -> Test:
    """`left =~ constant`."""
    search = regex.search

    def test(msg: Context) -> bool:
        value = read(msg)
        return value is not None and search(str(value))

    return test


@lru_cache(maxsize=256)
def _regex(pattern: str) -> Regex | None:
    try:
        return Regex(pattern)
    except ArgumentError:
        return None


@remembered
def matches_reader(left: Reader, right: Reader) -> Test:
    """`left =~ $pattern`: a pattern that is none matches nothing."""

    def test(msg: Context) -> bool:
        value, pattern = left(msg), right(msg)
        regex = None if pattern is None else _regex(str(pattern))
        return value is not None and regex is not None and regex.search(str(value))

    return test


_ORDERS: dict[str, Callable[[int, int], bool]] = {
    "<": lambda one, other: one < other,
    ">": lambda one, other: one > other,
    "<=": lambda one, other: one <= other,
    ">=": lambda one, other: one >= other,
}


@remembered
def ordered(left: Reader, operator: str, right: Reader) -> Test:
    """`left < right` and so on, as numbers; false when one is missing or no number."""
    compare = _ORDERS[operator]

    def test(msg: Context) -> bool:
        one, other = _number(left(msg)), _number(right(msg))
        return one is not None and other is not None and compare(one, other)

    return test


def is_method(msg: Context, name: str) -> bool:
    """`method == NAME`: in any case, as in SER. `name` is in upper case."""
    method = msg.message.method
    return method == name or (method not in METHODS and method.upper() == name)


# -- addresses -----------------------------------------------------------------------------------------------


def canonical_ip(text: str) -> str | None:
    """An address as the core writes it, or None."""
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return f"::ffff:{mapped}" if mapped else str(address)


@remembered
def network(text: str) -> Callable[[str], bool]:
    """Whether an address lies in `net/bits` or `net/mask`. ValueError when the text is no network."""
    net = ipaddress.ip_network(text.strip("[]"), strict=False)

    @lru_cache(maxsize=4096)
    def contains(ip: str) -> bool:
        try:
            return ipaddress.ip_address(ip) in net
        except ValueError:
            return False

    return contains


async def is_host(msg: Context, ip: str, name: str) -> bool:
    """Whether a name has an address now; failing to resolve is not an error of the message."""
    try:
        return ip in await msg.engine.resolver.addresses(name, ":" in ip, msg.dns_budget)
    except ResolutionError:
        return False


def sending_ip(msg: Context) -> str:
    """snd_ip: our address that an onsend_route's message leaves from."""
    target = msg.outgoing
    if target is None or target.listener < 0:
        return ""
    return msg.core.listeners[target.listener].ip


def sending_port(msg: Context) -> int:
    """snd_port."""
    target = msg.outgoing
    return 0 if target is None or target.listener < 0 else msg.core.listeners[target.listener].port


def to_ip(msg: Context) -> str:
    """to_ip: where an onsend_route's message goes."""
    return "" if msg.outgoing is None else msg.outgoing.ip


def to_port(msg: Context) -> int:
    """to_port."""
    return 0 if msg.outgoing is None else msg.outgoing.port


def sending_protocol(msg: Context) -> str:
    """snd_proto, to_proto."""
    return "" if msg.outgoing is None else msg.outgoing.protocol
