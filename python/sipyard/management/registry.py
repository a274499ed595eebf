"""The registry of management commands (SER's RPC): declared by modules, typed by their annotations.

Every door (FIFO, socket, XML-RPC, JSON-RPC, `sipyard ctl`) and every test calls the same `Commands.call`.
Parameters may come as text from any of them; they are converted to what the method is annotated with. A
result is None, one value, a list of values, or a mapping (SER's struct).
"""

from __future__ import annotations

import inspect
import logging
import types
import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, get_args, get_origin

from sipyard.sip.field_text import for_log

_NOTICE: Final = 25
_TOLD: Final = 4
"""Parameters that a line of the log names, passwords never."""
_log = logging.getLogger("sipyard.management")


class RpcFault(Exception):
    """A command refused: `code` as in SER (400 bad parameters, 404 not found, 500 failed) and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code} {reason}")
        self.code = code
        self.reason = reason


Lines = Callable[[Any], Iterator[str]]
"""Says a result in lines of text."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What else is to be known of a command.

    :param changes: it changes something; who asked for it is logged.
    :param has_blocks: in SER 0.9's line protocol its last two parameters are header lines and a body.
    :param old_lines: what SER 0.9 says of its result, where that is not what the line protocol makes of it.
    """

    changes: bool = False
    has_blocks: bool = False
    old_lines: Lines | None = None


CHANGES: Final = Traits(changes=True)


class Declaration(Protocol):
    """What a module says of a command (`sipyard.module.Rpc`)."""

    @property
    def name(self) -> str: ...
    @property
    def old_name(self) -> str | None: ...
    @property
    def doc(self) -> str: ...
    @property
    def traits(self) -> Traits: ...


@dataclass(frozen=True, slots=True)
class Argument:
    """One parameter of a command."""

    name: str
    type: type
    is_required: bool
    is_rest: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command that can be called."""

    name: str
    old_name: str | None
    doc: str
    arguments: tuple[Argument, ...]
    serve: Callable[..., Any]
    traits: Traits = Traits()

    def told(self, values: Iterable[object]) -> str:
        """Parameters, for a line of the log."""
        shown = zip(self.arguments[:_TOLD], values, strict=False)
        return " ".join("***" if "password" in one.name else for_log(str(value)) for one, value in shown)

    def lines(self, asked: str, result: Any, usual: Lines) -> Iterator[str]:
        """A result in the line protocol: as SER 0.9 said it to who asks by the name of then."""
        old = None if asked == self.name else self.traits.old_lines
        return (old or usual)(result)

    @property
    def usage(self) -> str:
        """``tm.cancel callid cseq [reason]``"""
        words = [self.name]
        for one in self.arguments:
            needed = one.name if one.is_required else f"[{one.name}]"
            words.append(f"{one.name}..." if one.is_rest else needed)
        return " ".join(words)

    @property
    def signature(self) -> str:
        """SER's letters: s string, d int, f double."""
        return "".join(_LETTERS[one.type] for one in self.arguments)

    def converted(self, values: Iterable[object]) -> list[object]:
        """Values as the method wants them.

        :raises RpcFault: too few, too many, or of the wrong type.
        """
        given = list(values)
        has_rest = bool(self.arguments) and self.arguments[-1].is_rest
        required = sum(one.is_required for one in self.arguments)
        if len(given) < required or (len(given) > len(self.arguments) and not has_rest):
            raise RpcFault(400, f"usage: {self.usage}")
        kinds = [self.arguments[min(place, len(self.arguments) - 1)] for place in range(len(given))]
        return [_convert(value, one) for value, one in zip(given, kinds, strict=True)]


_LETTERS = {str: "s", int: "d", float: "f", bool: "d"}


def _convert(value: object, argument: Argument) -> object:
    wanted = argument.type
    try:
        if wanted is bool and isinstance(value, str):
            return bool(int(value))
        return wanted(value)
    except (TypeError, ValueError):
        raise RpcFault(400, f"{argument.name} must be of type {wanted.__name__}, not {value!r}") from None


def _arguments(method: Callable[..., Any]) -> tuple[Argument, ...]:
    hints = typing.get_type_hints(getattr(method, "__func__", method))
    found = []
    for name, parameter in inspect.signature(method).parameters.items():
        wanted = hints.get(name, str)
        if get_origin(wanted) in (typing.Union, types.UnionType):
            wanted = next(one for one in get_args(wanted) if one is not type(None))
        if wanted not in _LETTERS:
            raise TypeError(f"{method!r}: {name} must be str, int, float or bool, not {wanted}")
        is_rest = parameter.kind is parameter.VAR_POSITIONAL
        found.append(Argument(name, wanted, parameter.default is parameter.empty and not is_rest, is_rest))
    return tuple(found)


class Commands:
    """All commands of one server, found by RPC name or by SER 0.9's FIFO name."""

    def __init__(self) -> None:
        self._commands: dict[str, Command] = {}
        self._old: dict[str, Command] = {}
        self.add("system.listMethods", self.names, "Names of all commands.")
        self.add("system.methodHelp", self.help, "What a command does and takes.")
        self.add("system.methodSignature", self.signature, "Types of a command's parameters: s, d or f each.")

    def add(
        self,
        name: str,
        serve: Callable[..., Any],
        doc: str | None = None,
        *,
        old_name: str | None = None,
        traits: Traits = Traits(),
    ) -> Command:
        """Declare a command. A later one of the same name replaces an earlier one."""
        text = inspect.getdoc(serve) or "" if doc is None else doc
        command = self._commands[name] = Command(name, old_name, text, _arguments(serve), serve, traits)
        if old_name is not None:
            self._old[old_name] = command
        return command

    def add_all(self, declared: Iterable[tuple[Declaration, Callable[..., Any]]]) -> None:
        """Declare what modules export (`Modules.rpcs()`)."""
        for declaration, serve in declared:
            self.add(
                declaration.name,
                serve,
                declaration.doc,
                old_name=declaration.old_name,
                traits=declaration.traits,
            )

    def __contains__(self, name: object) -> bool:
        return name in self._commands or name in self._old

    def __getitem__(self, name: str) -> Command:
        command = self._commands.get(name) or self._old.get(name)
        if command is None:
            raise RpcFault(500, f"command {name} not found")
        return command

    async def call(self, name: str, *values: object) -> Any:
        """Call a command with values as any door delivers them.

        :raises RpcFault: unknown command, bad parameters, or the command refused.
        """
        command = self[name]
        result = command.serve(*command.converted(values))
        if inspect.isawaitable(result):
            awaited: Awaitable[Any] = result
            return await awaited
        return result

    async def serve(self, name: str, values: Iterable[object], by: str) -> Any:
        """Call a command for somebody outside. One that changes something is logged with who asked.

        :param by: who asks, for the log.
        :raises RpcFault: as `call`; whatever else a command raises is logged and becomes a 500.
        """
        command, given = self[name], list(values)
        if command.traits.changes:
            _log.log(_NOTICE, "%s asks for %s %s", for_log(by), command.name, command.told(given))
        try:
            return await self.call(name, *given)
        except RpcFault:
            raise
        except Exception as error:  # a command must not take the server's door down
            _log.exception("command %s failed", name)
            raise RpcFault(500, f"{type(error).__name__}: {error}") from error

    def names(self) -> list[str]:
        """Names of all commands, sorted."""
        return sorted(self._commands)

    def help(self, name: str) -> str:
        """What a command does."""
        command = self[name]
        return f"{command.usage}\n\n{command.doc}".rstrip()

    def signature(self, name: str) -> str:
        """Types of its parameters."""
        return self[name].signature


class Offer:
    """The commands but for some, for a door that does not offer all."""

    def __init__(self, commands: Commands, hidden: Iterable[str] = ()) -> None:
        self._commands = commands
        self._hidden = frozenset(hidden)

    def __contains__(self, name: object) -> bool:
        return name not in self._hidden and name in self._commands

    async def serve(self, name: str, values: Iterable[object], by: str) -> Any:
        """As `Commands.serve`; what is hidden is unknown."""
        if name in self._hidden:
            raise RpcFault(500, f"command {name} not found")
        return await self._commands.serve(name, values, by)
