"""What a module is: a declaration that the checker, the compiler, the engine and the manual all read.

    class MaxForwards(Module):
        "maxfwd: the Max-Forwards header (RFC 3261 §16.6 step 3)."
        name = "maxfwd"
        max_limit = Parameter(int, 16, "Highest value that leaves this server.")

        @function("R", names=("process_maxfwd",))
        def mf_process_maxfwd_header(self, msg: Context, initial: int) -> int:
            "Decrement Max-Forwards, or add it. Returns 1, or -1 when it was already 0."
            ...

Functions take the message first, then up to as many arguments as they declare (defaults make
variants of arity). They return an int with SER's meaning (above 0 true, below 0 false, 0 = stop the
script), a bool, or None (true). An `async def` may wait; only that one message waits. Arguments are
converted once, when the script is loaded, by the annotation (see `arguments.py`).

Modules reach each other only by `requires` and `need`. Other packages add modules through the entry point
group `sipyard.modules`: entry point name = module name, value = the class.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload

from sipyard.arguments import (
    ArgumentError,
    BranchRouteName,
    Dynamic,
    FailureRouteName,
    FlagNumber,
    Generation,
    HeaderName,
    Kind,
    Loading,
    OnreplyRouteName,
    RequestRouteName,
    RouteKind,
    Runtime,
    kind_of,
    kinds_of_function,
)
from sipyard.errors import ConfigError, InternalError
from sipyard.management.registry import Lines, Traits

if TYPE_CHECKING:
    from sipyard.engine import Engine

__all__ = [
    "ArgumentError",
    "BranchRouteName",
    "Deed",
    "Dynamic",
    "FailureRouteName",
    "FlagNumber",
    "Function",
    "Generation",
    "HeaderName",
    "Loading",
    "Module",
    "OnreplyRouteName",
    "Parameter",
    "RequestRouteName",
    "RouteKind",
    "Rpc",
    "Runtime",
    "Select",
    "function",
    "parameter",
    "rpc",
    "select",
]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__sipyard_declarations__"


# -- parameters ----------------------------------------------------------------------------------------------


class Parameter(Generic[T]):
    """A parameter set by `modparam`. As a class attribute it is the declaration; on an instance, the value.

    `kind` is an annotation as for function arguments (int, str, bool, FlagNumber, Regex, Format, …); for
    others than int, str and bool say the type: `nat_flag: Parameter[int] = Parameter(FlagNumber, 4, "…")`.
    `default` is the Python value, or for those others the text as a script would write it. `default_09`
    is the default of generation 0.9 where it differs. `names` are further spellings. For parameters that
    may be given several times use the `parameter` decorator.
    """

    name: str
    setter: Callable[[Any, Any], None] | None = None

    @overload
    def __init__(
        self: Parameter[T],
        kind: type[T],
        default: T,
        doc: str,
        *,
        names: tuple[str, ...] = ...,
        generations: Generation = ...,
        default_09: T | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Parameter[T | None],
        kind: type[T],
        default: None,
        doc: str,
        *,
        names: tuple[str, ...] = ...,
        generations: Generation = ...,
        default_09: T | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Parameter[T],
        kind: type[T],
        default: str | int,
        doc: str,
        *,
        names: tuple[str, ...] = ...,
        generations: Generation = ...,
        default_09: str | int | None = ...,
    ) -> None: ...
    @overload
    def __init__(
        self: Parameter[Any],
        kind: object,
        default: object,
        doc: str,
        *,
        names: tuple[str, ...] = ...,
        generations: Generation = ...,
        default_09: object = ...,
    ) -> None: ...

    def __init__(
        self,
        kind: object,
        default: object,
        doc: str,
        *,
        names: tuple[str, ...] = (),
        generations: Generation = Generation.BOTH,
        default_09: object = None,
    ) -> None:
        self.annotation = kind
        self.default = default
        self.doc = doc
        self.names = names
        self.generations = generations
        self.default_09 = default_09

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Parameter[T]: ...
    @overload
    def __get__(self, instance: Module, owner: type) -> T: ...
    def __get__(self, instance: Module | None, owner: type) -> Parameter[T] | T:
        if instance is None:
            return self
        return cast("T", instance.parameter_value(self))

    @property
    def kind(self) -> Kind:
        """How a written value becomes the typed one."""
        return kind_of(self.annotation)

    @property
    def is_repeatable(self) -> bool:
        """Whether each `modparam` line adds to what earlier ones said."""
        return self.setter is not None

    def written_default(self, generation: Generation) -> object:
        if generation is Generation.SER_0_9 and self.default_09 is not None:
            return self.default_09
        return self.default


def parameter(
    kind: object = str,
    *,
    name: str = "",
    names: tuple[str, ...] = (),
    generations: Generation = Generation.BOTH,
) -> Callable[[F], F]:
    """A repeatable parameter: the decorated `def declare_timer(self, value: str) -> None` is called with the
    converted value of each `modparam` line, in order; it may raise ArgumentError."""

    def declare(method: F) -> F:
        doc = inspect.getdoc(method) or ""
        declaration: Parameter[Any] = Parameter(kind, None, doc, names=names, generations=generations)
        declaration.name = name or method.__name__
        declaration.setter = method
        _declarations(method).append(declaration)
        return method

    return declare


class Deed(enum.Flag):
    """What a script function may do to a request, for the checker's control flow: `does` of `function`."""

    NOTHING = 0
    ANSWERS = enum.auto()
    RELAYS = enum.auto()
    BRANCHES = enum.auto()
    """It makes a new branch to relay to."""


# -- functions, RPC commands, selects ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Function:
    """A script function: where it may stand and what it takes."""

    name: str
    names: tuple[str, ...]
    attribute: str
    routes: RouteKind
    generations: Generation
    kinds: tuple[Kind, ...]
    parameter_names: tuple[str, ...]
    required: int
    returns: type
    is_async: bool
    doc: str
    does: Deed | None = None
    """None: nobody said."""
    sets: tuple[str, ...] = ()
    """Attributes that it sets besides those that it is given."""

    @property
    def arity(self) -> str:
        """As people say it: "2", "0 or 1", "1 to 3"."""
        low, high = self.required, len(self.kinds)
        return str(low) if low == high else f"{low} or {high}" if high == low + 1 else f"{low} to {high}"


@dataclass(frozen=True, slots=True)
class Rpc:
    """A management command: its RPC name, its 0.9 FIFO name if it had one, and the method that serves it."""

    name: str
    old_name: str | None
    attribute: str
    doc: str
    traits: Traits


@dataclass(frozen=True, slots=True)
class Select:
    """A select root that a module adds (`@hf_value…`): the method gets the path and returns the reader."""

    root: str
    attribute: str
    doc: str


@dataclass(frozen=True, slots=True)
class _FunctionMark:
    name: str
    names: tuple[str, ...]
    routes: RouteKind
    generations: Generation
    does: Deed | None
    sets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _RpcMark:
    name: str
    old_name: str | None
    traits: Traits


@dataclass(frozen=True, slots=True)
class _SelectMark:
    root: str


def _declarations(method: Callable[..., Any]) -> list[Any]:
    found = getattr(method, _MARK, None)
    if found is None:
        found = []
        setattr(method, _MARK, found)
    return cast("list[Any]", found)


def function(
    routes: str = "R",
    *,
    name: str = "",
    names: tuple[str, ...] = (),
    generations: Generation = Generation.BOTH,
    does: Deed | None = None,
    sets: tuple[str, ...] = (),
) -> Callable[[F], F]:
    """Declare a script function. `routes` are SER's letters: R request, F failure, O onreply, B branch,
    S onsend. May stand more than once over one method (a name with other route kinds or generations).

    `does` and `sets` (attributes such as ``"$fu.uid"``) tell `sipyard check` what a function that is not one
    of SER's does; when nobody says, the checker takes it that it may do anything."""

    def declare(method: F) -> F:
        kinds = RouteKind.from_letters(routes)
        mark = _FunctionMark(name or method.__name__, names, kinds, generations, does, sets)
        _declarations(method).append(mark)
        return method

    return declare


def rpc(
    name: str,
    *,
    old_name: str | None = None,
    changes: bool = False,
    has_blocks: bool = False,
    old_lines: Lines | None = None,
) -> Callable[[F], F]:
    """Declare a management command; the docstring is its help, the annotations its argument types. See
    `sipyard.management.registry.Traits` for the rest."""
    traits = Traits(changes, has_blocks, old_lines)

    def declare(method: F) -> F:
        _declarations(method).append(_RpcMark(name, old_name, traits))
        return method

    return declare


def select(root: str) -> Callable[[F], F]:
    """Declare a select root: `def hf_value(self, path: SelectPath) -> Reader` is called when the script loads
    and returns what is called with each message."""

    def declare(method: F) -> F:
        _declarations(method).append(_SelectMark(root))
        return method

    return declare


# -- a further version of a script ---------------------------------------------------------------------------


@dataclass(slots=True)
class Drafts:
    """Modules that run, while a further version of their script is being loaded: its routes call the same
    instances, but what it says of parameters goes to a draft of each, to be compared."""

    running: Mapping[str, Module]
    drafts: dict[str, Module] = field(default_factory=dict)

    def adopt(self, name: str, generation: Generation) -> Module | None:
        """The running module of this name, with a draft made for its parameters."""
        module = self.running.get(name)
        if module is not None and name not in self.drafts:
            draft = self.drafts[name] = type(module)()
            draft.bind(module._needed, generation)
        return module


_drafts: ContextVar[Drafts | None] = ContextVar("drafts", default=None)


def drafts_now() -> Drafts | None:
    """Those of the loading that is under way, None when there is none beside a running server."""
    return _drafts.get()


@contextmanager
def beside(running: Mapping[str, Module]) -> Iterator[Drafts]:
    """What is loaded inside takes these modules instead of making its own."""
    drafts = Drafts(running)
    token = _drafts.set(drafts)
    try:
        yield drafts
    finally:
        _drafts.reset(token)


# -- the base class ------------------------------------------------------------------------------------------


class Module:
    """Base of every module; a subclass is a declaration, an instance is one loaded module of one server."""

    name: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    functions: ClassVar[Mapping[str, Function]] = {}
    variants: ClassVar[Mapping[str, tuple[Function, ...]]] = {}
    """All declarations of a name; a function may differ between the generations."""
    parameters: ClassVar[Mapping[str, Parameter[Any]]] = {}
    rpcs: ClassVar[Mapping[str, Rpc]] = {}
    selects: ClassVar[Mapping[str, Select]] = {}
    acts_by_clock: ClassVar[bool] = False
    """Its `start` does no more than begin what no message asks for: `sipyard explain` leaves it out."""
    live_parameters: ClassVar[Collection[str]] = ()
    """Parameters that a reload may change while calls are up; `("*",)` all that are not repeatable. A class
    whose `start` derives something from them derives it anew in `parameters_changed`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        functions, parameters = dict(cls.functions), dict(cls.parameters)
        variants = dict(cls.variants)
        rpcs, selects = dict(cls.rpcs), dict(cls.selects)
        for attribute, value in list(vars(cls).items()):
            for mark in (value,) if isinstance(value, Parameter) else tuple(getattr(value, _MARK, ())):
                if isinstance(mark, Parameter):
                    parameters.update(dict.fromkeys((mark.name, *mark.names), mark))
                elif isinstance(mark, _FunctionMark):
                    declared = _function(attribute, value, mark)
                    for name in (mark.name, *mark.names):
                        functions[name] = declared
                        variants[name] = (*variants.get(name, ()), declared)
                elif isinstance(mark, _RpcMark):
                    doc = inspect.getdoc(value) or ""
                    rpcs[mark.name] = Rpc(mark.name, mark.old_name, attribute, doc, mark.traits)
                elif isinstance(mark, _SelectMark):
                    selects[mark.root] = Select(mark.root, attribute, inspect.getdoc(value) or "")
        cls.functions, cls.parameters, cls.rpcs, cls.selects = functions, parameters, rpcs, selects
        cls.variants = variants

    def __init__(self) -> None:
        self.generation: Generation = Generation.SER_2_0
        self._needed: dict[str, Module] = {}
        self.written: dict[str, tuple[object, ...]] = {}
        """What was said of each parameter: the value, or all of a repeatable one."""

    def __getattr__(self, name: str) -> Any:
        """Script functions by any of their names, for routes written in Python. Asked only when there is no
        attribute of that name."""
        for declared in reversed(type(self).variants.get(name, ())):
            if declared.attribute != name and self.generation & declared.generations:
                return getattr(self, declared.attribute)
        raise AttributeError(f"module {type(self).name} has no function or attribute {name}")

    def need(self, name: str) -> Any:
        """Another module that `requires` names. Typed Any: the caller says by a Protocol what it expects."""
        try:
            return self._needed[name]
        except KeyError:
            raise InternalError(
                f"module {self.name} needs {name} but does not name it in `requires`"
            ) from None

    def parameter_value(self, declaration: Parameter[Any]) -> object:
        """The default of a parameter that was not set, converted if need be. It is kept as an attribute of
        the
        instance, which Python finds before the descriptor: reading a parameter costs no call."""
        value = declaration.written_default(self.generation)
        if isinstance(value, str | int) and declaration.annotation not in (int, str, bool):
            value = declaration.kind.convert(value, Loading(self.generation))
        vars(self)[declaration.name] = value
        return value

    def set_parameter(self, name: str, value: object, loading: Loading) -> None:
        """Set or, if repeatable, add. Raises ArgumentError when the value does not fit."""
        drafts = drafts_now()
        if drafts is not None and drafts.running.get(self.name) is self:
            drafts.drafts[self.name].set_parameter(name, value, loading)
            return
        declaration = self.parameters[name]
        converted = declaration.kind.convert_strict(value, loading)
        comparable = converted if isinstance(converted, int | str) else value
        if declaration.setter is not None:
            declaration.setter(self, converted)
            self.written[declaration.name] = (*self.written.get(declaration.name, ()), comparable)
        else:
            vars(self)[declaration.name] = converted
            self.written[declaration.name] = (comparable,)

    def said_of(self, name: str) -> tuple[object, ...]:
        """What was written of a parameter, or its default, to be compared with another version's."""
        declaration = self.parameters[name]
        if name in self.written or declaration.is_repeatable:
            return self.written.get(name, ())
        return (declaration.written_default(self.generation),)

    def is_live(self, name: str) -> bool:
        """Whether a reload may change the parameter."""
        wanted = self.live_parameters
        return (name in wanted or "*" in wanted) and not self.parameters[name].is_repeatable

    def take_parameter(self, name: str, draft: Module) -> None:
        """Have a parameter as a draft of this module has it (`parameters_changed` comes when all are had)."""
        vars(self).pop(name, None)
        if name in vars(draft):
            vars(self)[name] = vars(draft)[name]
        self.written.pop(name, None)
        if name in draft.written:
            self.written[name] = draft.written[name]

    def bind(self, needed: Mapping[str, Module], generation: Generation) -> None:
        """Called by the registry before parameters are set."""
        self.generation = generation
        self._needed = dict(needed)

    async def start(self, engine: Engine) -> None:
        """Called once all modules are loaded and parametrised, requirements first."""

    def parameters_changed(self, engine: Engine) -> None:
        """Called on the deciding thread when a reload has changed some of `live_parameters`."""

    async def stop(self) -> None:
        """Called in the reverse order at shutdown."""


def _function(attribute: str, method: Callable[..., Any], mark: _FunctionMark) -> Function:
    names, kinds, required, returns = kinds_of_function(method)
    return Function(
        name=mark.name,
        names=mark.names,
        attribute=attribute,
        routes=mark.routes,
        generations=mark.generations,
        kinds=kinds,
        parameter_names=names,
        required=required,
        returns=returns,
        is_async=inspect.iscoroutinefunction(method),
        doc=inspect.getdoc(method) or "",
        does=mark.does,
        sets=mark.sets,
    )


def argument_of(cls: type[Module], attribute: str, number: int, value: str | int, loading: Loading) -> Any:
    """What a module's function receives for what a script writes as an argument; numbers count from 1.

    :raises ArgumentError: it does not fit. LookupError: there is no such function or argument.
    """
    for declared in (each for variants in cls.variants.values() for each in variants):
        if declared.attribute == attribute:
            return declared.kinds[number - 1].convert(value, loading)
    raise LookupError(f"module {cls.name} has no function {attribute}")


def check_class(candidate: object, name: str) -> type[Module]:
    """A class found under `name`, or ConfigError saying what is wrong with it."""
    if not (isinstance(candidate, type) and issubclass(candidate, Module)):
        raise ConfigError(f"module {name}: {candidate!r} is not a Module")
    if candidate.name != name:
        raise ConfigError(f"module {name} calls itself {candidate.name!r}")
    return candidate
