"""Kinds of arguments: how what a script wrote becomes the Python value that a function receives.

Conversion happens once, at load, so that mistakes are reported with a place and a call costs nothing:

    annotation           script may write                    the function receives
    str                  "text", 12                          str
    int                  12, "12", 0x1f, yes, no             int
    bool                 yes, no, 1, 0, "yes"                bool
    Dynamic[str|int]     as above, "$attr", "@select"        the plain value, read just before the call
    X | None             as X                                with Dynamic: None when the attribute is missing
    FlagNumber           4, "4", FLAG_NAT, "FLAG_NAT"        int 0..31
    HeaderName           "Contact"                           str, a token
    RequestRouteName…    "1", 1, name                        str; the route exists ("" for a "0" that disarms)
    any class with       "text"                              its instance: attributes.Name, regex.Regex,
      from_script()                                          formats.Format, …

A missing attribute or select under a plain `Dynamic` makes the call yield -1 without being made (as SER's
functions do); under `Dynamic[...] | None` the function is called and decides.
"""

from __future__ import annotations

import difflib
import enum
import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar, get_args, get_origin

from sipyard.recipes import remembered

if TYPE_CHECKING:
    from sipyard.context import Context

T = TypeVar("T")


class Generation(enum.Flag):
    """Which SER a script is written for."""

    SER_0_9 = enum.auto()
    SER_2_0 = enum.auto()
    BOTH = SER_0_9 | SER_2_0

    def __str__(self) -> str:
        return {Generation.SER_0_9: "SER 0.9", Generation.SER_2_0: "SER 2.0"}.get(self, "SER 0.9 and 2.0")


class RouteKind(enum.Flag):
    """The blocks of a script a function may stand in."""

    REQUEST = enum.auto()
    FAILURE = enum.auto()
    ONREPLY = enum.auto()
    BRANCH = enum.auto()
    ONSEND = enum.auto()

    @classmethod
    def from_letters(cls, letters: str) -> RouteKind:
        """SER's letters: R F O B S. ValueError on any other."""
        kinds = cls(0)
        for letter in letters:
            if letter not in _LETTERS:
                raise ValueError(f"route kinds are written with the letters R F O B S, not {letter!r}")
            kinds |= _LETTERS[letter]
        return kinds

    @property
    def block(self) -> str:
        """How a script spells the block."""
        return _BLOCKS[self]

    @property
    def blocks(self) -> str:
        """All blocks of a set, for messages."""
        return ", ".join(_BLOCKS[kind] for kind in RouteKind if kind in self)


_LETTERS = {
    "R": RouteKind.REQUEST,
    "F": RouteKind.FAILURE,
    "O": RouteKind.ONREPLY,
    "B": RouteKind.BRANCH,
    "S": RouteKind.ONSEND,
}
_BLOCKS = {
    RouteKind.REQUEST: "route",
    RouteKind.FAILURE: "failure_route",
    RouteKind.ONREPLY: "onreply_route",
    RouteKind.BRANCH: "branch_route",
    RouteKind.ONSEND: "onsend_route",
}


class ArgumentError(ValueError):
    """An argument or parameter value does not fit; the checker adds the place. `hint` says what would fit."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Runtime:
    """A value that only a message can give: `read(msg)` is called before the function; None = missing."""

    text: str
    read: Callable[[Context], str | int | None]
    optional: bool = False


def _no_values(text: str) -> Callable[[Context], str | int | None]:
    raise ArgumentError(f"{text} cannot be read here: no script is being loaded")


@dataclass(slots=True)
class Loading:
    """What a conversion may ask about the script being loaded. `routes` None means routes cannot be checked
    (a routes file in Python)."""

    generation: Generation = Generation.SER_2_0
    flags: Mapping[str, int] = field(default_factory=dict)
    avp_flags: Mapping[str, int] = field(default_factory=dict)
    routes: Mapping[RouteKind, Collection[str]] | None = None
    reader: Callable[[str], Callable[[Context], str | int | None]] = _no_values
    armed: set[tuple[RouteKind, str]] = field(default_factory=set)


class Kind(Protocol):
    """A way of converting. `says` completes the sentence "… expects"."""

    @property
    def says(self) -> str: ...
    def convert(self, value: str | int, loading: Loading) -> object: ...
    def convert_strict(self, value: object, loading: Loading) -> object:
        """As for `modparam`, where a number and a string are different types (inventory A.2)."""


# -- numbers and words ---------------------------------------------------------------------------------------

_NUMBER = re.compile(r"\s*([-+]?)(0[xX][0-9a-fA-F]+|[01]+b|[0-9]+)\s*\Z")
_SWITCHES = {"yes": 1, "true": 1, "on": 1, "enable": 1, "no": 0, "false": 0, "off": 0, "disable": 0}


def number_of(text: str) -> int | None:
    """The number that a text writes in one of SER's forms (decimal, 0x hex, leading-0 octal, 101b binary)."""
    found = _NUMBER.match(text)
    if found is None:
        return None
    sign, digits = found.groups()
    try:
        if digits[:2] in ("0x", "0X"):
            value = int(digits[2:], 16)
        elif digits[-1] == "b":
            value = int(digits[:-1], 2)
        elif digits[0] == "0" and len(digits) > 1:
            value = int(digits, 8)
        else:
            value = int(digits)
    except ValueError:
        return None
    return -value if sign == "-" else value


class TextKind:
    says = "a string"

    def convert(self, value: str | int, loading: Loading) -> object:
        return value if isinstance(value, str) else str(value)

    def convert_strict(self, value: object, loading: Loading) -> object:
        if isinstance(value, str):
            return value
        raise ArgumentError("expects a string, not a number", f'write "{value}"')


class NumberKind:
    says = "a number"

    def convert(self, value: str | int, loading: Loading) -> object:
        if isinstance(value, int):
            return int(value)
        number = number_of(value)
        if number is None:
            number = _SWITCHES.get(value.strip().lower())
        if number is None:
            raise ArgumentError(f'expects a number, not "{value}"')
        return number

    def convert_strict(self, value: object, loading: Loading) -> object:
        if isinstance(value, int):
            return int(value)
        is_number = isinstance(value, str) and number_of(value) is not None
        hint = f"write {value} without quotes" if is_number else None
        raise ArgumentError("expects a number, not a string", hint)


class SwitchKind(NumberKind):
    says = "yes or no"

    def convert(self, value: str | int, loading: Loading) -> object:
        return bool(super().convert(value, loading))

    def convert_strict(self, value: object, loading: Loading) -> object:
        return bool(super().convert_strict(value, loading))


class _Lenient:
    """Kinds for which a number and a string are both natural ways of writing."""

    def convert(self, value: str | int, loading: Loading) -> object:
        raise NotImplementedError

    def convert_strict(self, value: object, loading: Loading) -> object:
        if not isinstance(value, str | int):
            raise ArgumentError(f"cannot take {value!r}")
        return self.convert(value, loading)


class FlagKind(_Lenient):
    says = "a flag: 0 to 31 or a name declared with `flags`"

    def convert(self, value: str | int, loading: Loading) -> object:
        number: int | None
        if isinstance(value, int):
            number = value
        else:
            number = loading.flags.get(value)
            if number is None:
                number = number_of(value)
        if number is None:
            raise ArgumentError(f"flag {value} is not declared", near(str(value), loading.flags))
        if not 0 <= number <= 31:
            raise ArgumentError(f"flag {number} does not exist: flags are numbered 0 to 31")
        return number


class HeaderKind(_Lenient):
    says = "a header field name"

    def convert(self, value: str | int, loading: Loading) -> object:
        text = str(value).removesuffix(":").strip()
        # RFC 3261 §25.1: header-name is a token
        if not re.fullmatch(r"[A-Za-z0-9.!%*_+`'~-]+", text):
            raise ArgumentError(f'"{value}" is not a header field name')
        return text


@dataclass(frozen=True, slots=True)
class RouteNameKind:
    kind: RouteKind
    zero_disarms: bool = False

    @property
    def says(self) -> str:
        return f"the name of a {self.kind.block}"

    def convert(self, value: str | int, loading: Loading) -> object:
        name = str(value)
        number = number_of(name)
        if number is not None:
            name = str(number)
        known = loading.routes.get(self.kind, ()) if loading.routes is not None else None
        if self.zero_disarms and name == "0" and (known is None or "0" not in known):
            return ""
        if known is not None and name not in known:
            raise ArgumentError(f"{self.kind.block}[{name}] does not exist", near(name, known))
        loading.armed.add((self.kind, name))
        return name

    def convert_strict(self, value: object, loading: Loading) -> object:
        if not isinstance(value, str | int):
            raise ArgumentError(f"cannot take {value!r}")
        return self.convert(value, loading)


@remembered
def text_reader(read: Callable[[Context], str | int | None]) -> Callable[[Context], str | None]:
    """Reads the same as a text."""

    def converted(msg: Context) -> str | None:
        found = read(msg)
        return found if found is None or isinstance(found, str) else str(found)

    return converted


@remembered
def number_reader(read: Callable[[Context], str | int | None]) -> Callable[[Context], int | None]:
    """Reads the same as a number; a text that is none counts as missing."""

    def converted(msg: Context) -> int | None:
        found = read(msg)
        return found if found is None or isinstance(found, int) else number_of(str(found))

    return converted


@dataclass(frozen=True, slots=True)
class DynamicKind:
    inner: Kind
    optional: bool = False

    @property
    def says(self) -> str:
        return f"{self.inner.says}, $attribute or @select"

    def convert(self, value: str | int, loading: Loading) -> object:
        if not isinstance(value, str) or not self._is_read(value, loading):
            return self.inner.convert(value, loading)
        read = loading.reader(value)
        is_text = isinstance(self.inner, TextKind)
        return Runtime(value, text_reader(read) if is_text else number_reader(read), self.optional)

    @staticmethod
    def _is_read(value: str, loading: Loading) -> bool:
        return len(value) > 1 and value[0] in "$@" and Generation.SER_2_0 in loading.generation

    def convert_strict(self, value: object, loading: Loading) -> object:
        if isinstance(value, str):
            return self.convert(value, loading)
        return self.inner.convert_strict(value, loading)


@dataclass(frozen=True, slots=True)
class ClassKind:
    """A class that makes its instances from the text: `from_script(text, loading)` raising ArgumentError."""

    cls: Any

    @property
    def says(self) -> str:
        return str(getattr(self.cls, "says", self.cls.__name__.lower()))

    def convert(self, value: str | int, loading: Loading) -> object:
        return self.cls.from_script(str(value), loading)

    def convert_strict(self, value: object, loading: Loading) -> object:
        return self.cls.from_script(str(value), loading)


class _DynamicMark:
    pass


_TEXT, _INTEGER, _SWITCH = TextKind(), NumberKind(), SwitchKind()
Dynamic = Annotated[T, _DynamicMark()]
FlagNumber = Annotated[int, FlagKind()]
HeaderName = Annotated[str, HeaderKind()]
RequestRouteName = Annotated[str, RouteNameKind(RouteKind.REQUEST)]
FailureRouteName = Annotated[str, RouteNameKind(RouteKind.FAILURE, zero_disarms=True)]
OnreplyRouteName = Annotated[str, RouteNameKind(RouteKind.ONREPLY, zero_disarms=True)]
BranchRouteName = Annotated[str, RouteNameKind(RouteKind.BRANCH, zero_disarms=True)]


# -- from annotations to kinds -------------------------------------------------------------------------------


def kind_of(annotation: object, optional: bool = False) -> Kind:
    """The kind that an annotation names. TypeError when it names none."""
    if annotation is str:
        return _TEXT
    if annotation is int:
        return _INTEGER
    if annotation is bool:
        return _SWITCH
    origin = get_origin(annotation)
    if origin is typing.Union or origin is types.UnionType:
        inner = [each for each in get_args(annotation) if each is not type(None)]
        if len(inner) == 1:
            return kind_of(inner[0], optional=True)
    if origin is Annotated:
        base, *marks = get_args(annotation)
        for mark in marks:
            if isinstance(mark, _DynamicMark):
                return DynamicKind(kind_of(base), optional)
            if hasattr(mark, "convert"):
                return typing.cast("Kind", mark)
    if isinstance(annotation, type) and hasattr(annotation, "from_script"):
        return ClassKind(annotation)
    raise TypeError(f"{annotation!r} is not an argument kind")


def kinds_of_function(method: Callable[..., Any]) -> tuple[tuple[str, ...], tuple[Kind, ...], int, type]:
    """Names and kinds of a function's arguments after `self` and the message, how many are required, what it
    returns. TypeError when the declaration cannot work, at import of the module."""
    parameters = list(inspect.signature(method).parameters.values())[2:]
    wanted = {each.name: each.annotation for each in parameters}
    wanted["return"] = inspect.signature(method).return_annotation
    carrier = types.SimpleNamespace(__annotations__=wanted)
    hints = typing.get_type_hints(carrier, globalns=method.__globals__, include_extras=True)
    for each in parameters:
        if each.kind not in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"{method.__qualname__}: a script function takes positional arguments only")
        if each.annotation is each.empty:
            raise TypeError(f"{method.__qualname__}: argument {each.name} needs a type")
    returns = hints.get("return", inspect.Signature.empty)
    if returns not in (int, bool, type(None)):
        raise TypeError(f"{method.__qualname__}: a script function returns int, bool or None: {returns!r}")
    kinds = tuple(kind_of(hints[each.name]) for each in parameters)
    required = sum(each.default is each.empty for each in parameters)
    return tuple(each.name for each in parameters), kinds, required, returns


def near(word: str, known: Collection[str]) -> str | None:
    """ "did you mean …?" for a misspelt word, or None."""
    by_fold = {each.lower(): each for each in known}
    found = difflib.get_close_matches(word.lower(), by_fold, n=1, cutoff=0.6)
    return f"did you mean {by_fold[found[0]]}?" if found else None
