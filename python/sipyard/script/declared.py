"""Modules for the checker: SER's own as they are, those of other packages by their declaration alone.

A module of another package is read, not imported: no line of it runs. What its class declares (functions,
parameters, selects) is taken from the source and put into a class that can do nothing else. An argument whose
type is the package's own takes any value.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Optional

from sipyard import module as declarations
from sipyard.arguments import Dynamic, Generation, Loading
from sipyard.attributes import Name
from sipyard.errors import ConfigError
from sipyard.formats import Format
from sipyard.module import Deed, Module, Parameter
from sipyard.regex import Regex, Substitution
from sipyard.registry import entry_point_of, module_class


@dataclass(frozen=True, slots=True)
class AnyKind:
    """An argument of a type that only its own package knows."""

    says: str = "a value"

    def convert(self, value: str | int, loading: Loading) -> object:
        """As written."""
        return value

    def convert_strict(self, value: object, loading: Loading) -> object:
        """As written."""
        return value


_TYPES: Final[dict[str, object]] = {
    **{each.__name__: each for each in (str, int, bool, Format, Regex, Substitution, Name)},
    "FlagNumber": declarations.FlagNumber,
    "HeaderName": declarations.HeaderName,
    "RequestRouteName": declarations.RequestRouteName,
    "FailureRouteName": declarations.FailureRouteName,
    "OnreplyRouteName": declarations.OnreplyRouteName,
    "BranchRouteName": declarations.BranchRouteName,
}
_ANY: Final = Annotated[str, AnyKind()]


def declared_class(name: str) -> type[Module]:
    """The class of a module for checking, nothing of another package executed.

    :raises ConfigError: there is no such module, or its source cannot be found or read.
    """
    entry = entry_point_of(name)
    if entry is None:
        return module_class(name)
    source = _source_of(entry.module)
    if source is None:
        raise ConfigError(f"the source of {entry.module} cannot be found without running it")
    found = _find_class(source, entry.attr)
    if found is None:
        raise ConfigError(f"{source} has no class {entry.attr}")
    return _declaration(name, *found)


# -- finding the source --------------------------------------------------------------------------------------


def _source_of(dotted: str) -> Path | None:
    """The file of a Python module, its parents not imported."""
    top, *rest = dotted.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        spec = None
    if spec is None:
        return None
    places = [Path(each) for each in spec.submodule_search_locations or ()]
    if not rest:
        origin = Path(spec.origin) if spec.origin is not None else None
        return origin if origin is not None and origin.suffix == ".py" else None
    for place in places:
        base = place.joinpath(*rest)
        for file in (base / "__init__.py", base.with_suffix(".py")):
            if file.is_file():
                return file
    return None


def _find_class(source: Path, name: str) -> tuple[Path, ast.ClassDef] | None:
    """A class by its name in a file, or in the file of the same package that it is imported from."""
    for _ in range(10):  # an import may lead to another one
        tree = _parsed(source)
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                return source, node
        onward = _imported(tree, source, name)
        if onward is None:
            return None
        source, name = onward
    return None


def _parsed(source: Path) -> ast.Module:
    try:
        return ast.parse(source.read_bytes(), str(source))
    except (OSError, SyntaxError, ValueError) as error:
        raise ConfigError(f"{source} cannot be read: {error}") from None


def _imported(tree: ast.Module, source: Path, name: str) -> tuple[Path, str] | None:
    for node in tree.body:
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            if (alias.asname or alias.name) == name:
                file = _relative(node, source) if node.level else _source_of(node.module or "")
                return None if file is None else (file, alias.name)
    return None


def _relative(node: ast.ImportFrom, source: Path) -> Path | None:
    base = source.parents[node.level - 1].joinpath(*(node.module or "").split("."))
    files = (base / "__init__.py", base.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


# -- from source to declaration ------------------------------------------------------------------------------


def _declaration(name: str, source: Path, node: ast.ClassDef) -> type[Module]:
    """A class that declares what the class in the source declares."""
    namespace: dict[str, Any] = {"__doc__": ast.get_docstring(node), "__module__": __name__}
    for each in _with_bases(source, node):
        for statement in each.body:
            namespace.update(_member(statement))
    if namespace.get("name") != name:
        raise ConfigError(f"it calls itself {namespace.get('name')!r}")
    return type(node.name, (Module,), namespace)


def _with_bases(source: Path, node: ast.ClassDef, depth: int = 0) -> Iterator[ast.ClassDef]:
    """A class after those that it inherits from, as far as their source is the package's."""
    for base in node.bases if depth < 10 else ():
        if isinstance(base, ast.Name) and base.id != "Module":
            found = _find_class(source, base.id)
            if found is not None:
                yield from _with_bases(*found, depth + 1)
    yield node


def _member(statement: ast.stmt) -> Iterator[tuple[str, object]]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from _method(statement)
        return
    if isinstance(statement, ast.AnnAssign):
        targets: list[ast.expr] = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        return
    target, value = targets[0], statement.value
    if not isinstance(target, ast.Name):
        return
    if isinstance(value, ast.Call) and _called(value) == "Parameter":
        yield target.id, _parameter(value)
    elif target.id in ("name", "requires"):
        yield target.id, _literal(value)


def _called(node: ast.Call) -> str:
    """The last part of the name that is called."""
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _literal(node: ast.expr | None, default: object = None) -> Any:
    try:
        return default if node is None else ast.literal_eval(node)
    except ValueError:
        return default


def _parameter(call: ast.Call) -> Parameter[Any]:
    given = dict(zip(("kind", "default", "doc"), call.args, strict=False))
    given |= {each.arg: each.value for each in call.keywords if each.arg}
    return Parameter(
        _annotation(given.get("kind")),
        _literal(given.get("default")),
        _literal(given.get("doc"), ""),
        **_options(given, "names", "generations"),
    )


def _options(given: dict[str, ast.expr], *wanted: str) -> dict[str, Any]:
    """Keyword arguments of a declaration, as far as they stand there as constants."""
    read: dict[str, Any] = {}
    for name in wanted:
        if name not in given:
            continue
        if name in ("generations", "does"):
            flag = _flag(given[name], Generation if name == "generations" else Deed)
            if flag is not None:
                read[name] = flag
        else:
            value = _literal(given[name])
            if value is not None:
                read[name] = value
    return read


def _flag(node: ast.expr, flags: type[Generation] | type[Deed]) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        left, right = _flag(node.left, flags), _flag(node.right, flags)
        return None if left is None or right is None else left | right
    return getattr(flags, node.attr, None) if isinstance(node, ast.Attribute) else None


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, object]]:
    method: Callable[..., Any] | None = None
    for decorator in reversed(node.decorator_list):
        if not isinstance(decorator, ast.Call):
            continue
        verb = _called(decorator)
        given = {each.arg: each.value for each in decorator.keywords if each.arg}
        if verb not in ("function", "select", "parameter"):
            continue
        method = method or (_reader_maker() if verb == "select" else _stub(node))
        method.__name__, method.__doc__ = node.name, ast.get_docstring(node)
        first = decorator.args[0] if decorator.args else None
        if verb == "function":
            options = _options(given, "name", "names", "generations", "does", "sets")
            declarations.function(str(_literal(first, "R")), **options)(method)
        elif verb == "select":
            declarations.select(str(_literal(first, node.name)))(method)
        else:
            kind = _annotation(first or given.get("kind"), default=str)
            declarations.parameter(kind, **_options(given, "name", "names", "generations"))(method)
    if method is not None:
        yield node.name, method


def _stub(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Callable[..., Any]:
    """A method that has the signature of one in the source and does nothing."""

    def declared_only(*arguments: object) -> None:
        return None

    arguments = [*node.args.posonlyargs, *node.args.args]
    without_default = len(arguments) - len(node.args.defaults)
    declared_only.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(
                each.arg,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=inspect.Parameter.empty if number < without_default else None,
                annotation=_annotation(each.annotation),
            )
            for number, each in enumerate(arguments)
        ],
        return_annotation=_annotation(node.returns) if _is_result(node.returns) else int,
    )
    return declared_only


def _reader_maker() -> Callable[..., Any]:
    return lambda self, path: lambda msg: None


def _is_result(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Name) and node.id in ("int", "bool")


def _annotation(node: ast.expr | None, default: object = _ANY) -> Any:
    """The type that an annotation writes, if it is one of ours; else one that takes any value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            node = ast.parse(node.value, mode="eval").body
        except SyntaxError:
            return default
    if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant) and node.right.value is None:
        return Optional[_annotation(node.left, default)]  # noqa: UP045  # the operand is a value
    if isinstance(node, ast.Subscript) and _last_name(node.value) == "Dynamic":
        inner = _annotation(node.slice, str)
        return {str: Dynamic[str], int: Dynamic[int]}.get(inner, default)
    return _TYPES.get(_last_name(node), default)


def _last_name(node: ast.expr | None) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
