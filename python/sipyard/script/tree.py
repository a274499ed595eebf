"""The tree of a script. Every node knows its place; what the checker finds out is kept in `resolved`.

No meaning here: names are as written.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from sipyard.arguments import RouteKind
from sipyard.errors import Place

# -- expressions ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Operand:
    """A value in an expression. `kind` says which:

    field     method, uri, src_ip, msg:len …         value: the name
    word      INVITE, UDP, myself, max_len, a host   value: the text
    string, number, attribute, select                value: text or int
    network   10.0.0.0/8, 10.0.0.1/255.0.0.0, ::1    value: the text
    retcode   $? $retcode
    """

    kind: str
    value: str | int
    place: Place
    resolved: object = None


@dataclass(slots=True)
class Compare:
    """`left operator right`; operator one of == != =~ < > <= >=."""

    left: Operand
    operator: str
    right: Operand
    place: Place
    resolved: object = None


@dataclass(slots=True)
class BitTest:
    """`$a & 4`, `$a | 4`."""

    attribute: Operand
    operator: str
    mask: Operand
    place: Place


@dataclass(slots=True)
class Truth:
    """A bare operand as a condition."""

    operand: Operand
    place: Place


@dataclass(slots=True)
class Not:
    inner: Expression
    place: Place


@dataclass(slots=True)
class Logic:
    """`and` / `or` of two or more."""

    operator: str
    parts: list[Expression]
    place: Place


@dataclass(slots=True)
class Action:
    """A statement as an operand: true when its result is above 0."""

    statement: Statement
    place: Place


@dataclass(slots=True)
class Block:
    """`{ … }` as an operand."""

    body: list[Statement]
    place: Place


Expression = Compare | BitTest | Truth | Not | Logic | Action | Block

# -- statements ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Argument:
    """What stands between parentheses. `kind` is string, number, word, attribute or select; a word may be
    composed (`udp:127.0.0.1:5060`, `uri:host`, `sip.example.com`)."""

    kind: str
    value: str | int
    place: Place


@dataclass(slots=True)
class Call:
    """A core statement or a module's function with arguments; `name_place` is the name alone."""

    name: str
    arguments: list[Argument]
    place: Place
    name_place: Place
    resolved: object = None


@dataclass(slots=True)
class RouteCall:
    """`route(X)`."""

    name: str
    place: Place
    name_place: Place


class StopKind(enum.Enum):
    DROP = "drop"
    EXIT = "exit"
    BREAK = "break"
    RETURN = "return"


@dataclass(slots=True)
class Stop:
    """drop, exit, break, return; `value` a number, or None when none was written; `by_retcode` for `$?`."""

    kind: StopKind
    value: int | None
    by_retcode: bool
    place: Place


@dataclass(slots=True)
class If:
    condition: Expression
    then: list[Statement]
    otherwise: list[Statement] | None
    place: Place


@dataclass(slots=True)
class Assign:
    """`$x = value`; `value` an operand, a call or a parenthesised expression."""

    attribute: Operand
    value: Operand | Call | RouteCall | Expression
    place: Place


Statement = Call | RouteCall | Stop | If | Assign

# -- top level -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Route:
    """A route block. `name` None: the unnamed one."""

    kind: RouteKind
    name: str | None
    body: list[Statement]
    place: Place
    end: Place


@dataclass(slots=True)
class Socket:
    """`[proto:]host[:port]`; `port` None when not written or `*`."""

    protocol: str | None
    host: str
    port: int | None
    place: Place
    is_good: bool = True

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host and not self.host.startswith("[") else self.host
        start = f"{self.protocol}:" if self.protocol else ""
        return f"{start}{host}" + (f":{self.port}" if self.port is not None else "")


@dataclass(slots=True)
class Setting:
    """`name = value`: a number, a text (quoted or a bare word, `is_word`), or sockets (listen, alias)."""

    name: str
    value: str | int | list[Socket]
    is_word: bool
    place: Place
    value_place: Place


@dataclass(slots=True)
class LoadModule:
    path: str
    place: Place
    path_place: Place


@dataclass(slots=True)
class ModParam:
    module: str
    name: str
    value: str | int
    place: Place
    module_place: Place
    name_place: Place
    value_place: Place


@dataclass(slots=True)
class FlagName:
    name: str
    number: int | None
    place: Place


@dataclass(slots=True)
class Tree:
    """A whole script."""

    settings: list[Setting] = field(default_factory=list)
    modules: list[LoadModule] = field(default_factory=list)
    parameters: list[ModParam] = field(default_factory=list)
    flags: list[FlagName] = field(default_factory=list)
    avp_flags: list[FlagName] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    signs: list[Sign] = field(default_factory=list)
    directive: Sign | None = None


@dataclass(frozen=True, slots=True)
class Sign:
    """A construct that only one generation has; `is_new` for SER 2.0."""

    is_new: bool
    what: str
    place: Place
