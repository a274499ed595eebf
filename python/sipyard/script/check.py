"""Checking a script: every mistake in one run, each with its place and what was probably meant.

The order is: text -> tree, generation, settings, modules and their parameters, then every block. The
result holds all that the compiler needs; a script with errors has a report but no program.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sipyard.arguments import ArgumentError, Generation, Loading, RouteKind, near
from sipyard.attributes import ALL_VALUES, Scope
from sipyard.errors import Place
from sipyard.recipes import note
from sipyard.registry import Modules, available
from sipyard.script import knowledge
from sipyard.script.calls import Calls
from sipyard.script.conditions import Conditions, attribute_name
from sipyard.script.declarations import Declarations, Settings
from sipyard.script.declared import declared_class
from sipyard.script.generation import decide
from sipyard.script.lint import Subject, lint
from sipyard.script.macros import source_of
from sipyard.script.parser import parse
from sipyard.script.source import Findings, Report, Source
from sipyard.script.tree import (
    Action,
    Assign,
    BitTest,
    Block,
    Call,
    Compare,
    Expression,
    If,
    Logic,
    Not,
    Operand,
    Route,
    RouteCall,
    Statement,
    Stop,
    StopKind,
    Tree,
    Truth,
)
from sipyard.selects import UnknownSelect, compile_select, parse_select

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.selects import Reader, SelectPath

    _Read = Callable[[Context], str | int | None]


@dataclass(slots=True)
class Checked:
    """A script that has been read, with everything resolved, and the report about it."""

    report: Report
    tree: Tree
    settings: Settings
    modules: Modules
    loading: Loading
    missing: set[str]
    """Modules that the script loads and this build has not got."""

    def lint(self) -> None:
        """Add what the lint finds to the report."""
        subject = Subject(self.tree, self.report.generation, self.modules, self.loading, self.missing)
        self.report.problems += lint(subject, self.report.source)


def check_file(path: str | Path, generation: Generation | None = None) -> Report:
    """Check a script file, lint included. `generation` overrides what the file says. OSError when it cannot
    be read, ConfigError when m4 cannot expand it."""
    return _inspected(source_of(path), generation).report


def check_text(text: str, file: str = "<script>", generation: Generation | None = None) -> Report:
    """Check a script given as text, lint included."""
    return inspect_text(text, file, generation).report


def inspect_text(text: str, file: str = "<script>", generation: Generation | None = None) -> Checked:
    """Check a script given as text, lint included, and return all that was found out. Nothing of a module
    that another package brings is executed."""
    return _inspected(Source(file, text), generation)


def _inspected(source: Source, generation: Generation | None) -> Checked:
    checked = _checked(source, generation, Modules(classes=declared_class))
    checked.lint()
    return checked


def read_file(path: str | Path, generation: Generation | None = None) -> Checked:
    """Read and check a file; bytes that are not UTF-8 survive."""
    return _checked(source_of(path), generation)


def read_text(
    text: str,
    file: str = "<script>",
    generation: Generation | None = None,
    modules: Modules | None = None,
) -> Checked:
    """Read and check a text. `modules` may hold modules that are loaded already (an embedder's)."""
    return _checked(Source(file, text), generation, modules)


def _checked(source: Source, generation: Generation | None = None, modules: Modules | None = None) -> Checked:
    findings = Findings()
    tree = parse(source, findings)
    decided, reason = decide(tree, findings, generation)
    modules = modules or Modules(decided)
    modules.generation = decided
    loading = Loading(decided)
    loading.routes = route_names(tree)
    declarations = Declarations(findings, tree, modules, loading)
    loading.reader = reader_of(modules, declarations.missing)
    settings = declarations.check()
    Checker(findings, tree, modules, loading, declarations.missing).check()
    report = Report(source, findings.problems, decided, reason)
    return Checked(report, tree, settings, modules, loading, declarations.missing)


def route_names(tree: Tree) -> dict[RouteKind, set[str]]:
    """Names of all blocks by kind; the unnamed one is "0"."""
    names: dict[RouteKind, set[str]] = {kind: set() for kind in RouteKind}
    for route in tree.routes:
        names[route.kind].add(route.name or "0")
    return names


def reader_of(modules: Modules, missing: Collection[str] = ()) -> Callable[[str], _Read]:
    """What `"$attr"` and `"@select"` in arguments and conditions read. Selects of `missing` modules read as
    missing: the module itself has been reported."""
    from sipyard.formats import attribute_reader

    def from_modules(path: SelectPath) -> Reader | None:
        for root in (".".join(step.name for step in path[:2]), path[0].name):
            found = modules.select(root)
            if found is not None:
                reader: Reader = getattr(found[0], found[1].attribute)(path)
                return reader
        return None

    def reader(text: str) -> _Read:
        made = read_of(text)
        note(made, reader_of, text)
        return made

    def read_of(text: str) -> _Read:
        if text.lower() in ("$?", "$retcode"):
            return lambda msg: msg.retcode
        if text[0] == "$":
            return attribute_reader(attribute_name(text))
        path = parse_select(text)
        try:
            return compile_select(path, from_modules)
        except UnknownSelect as error:
            root = path[0].name.lower()
            owner = knowledge.module_of_select(root, path[1].name if len(path) > 1 else "")
            if owner in missing:
                return lambda msg: None
            raise _missing_select(root, owner, error, modules) from None

    return reader


def _missing_select(root: str, owner: str | None, error: UnknownSelect, modules: Modules) -> ArgumentError:
    if owner is None:
        adds = [each for module in modules for each in module.selects]
        return error if error.hint else ArgumentError(str(error), near(root, adds))
    if owner in modules:
        return ArgumentError(f"module {owner} of this build has no select @{root} yet")
    if owner in available():
        hint = f'loadmodule "{owner}" is missing'
        return ArgumentError(f"select @{root} belongs to module {owner}, which is not loaded", hint)
    return ArgumentError(f"select @{root} belongs to module {owner}, which this build has not got")


class Checker:
    """Walks all blocks of a script and resolves what stands in them."""

    def __init__(
        self, findings: Findings, tree: Tree, modules: Modules, loading: Loading, missing: set[str]
    ) -> None:
        self.findings = findings
        self.tree = tree
        self.loading = loading
        self.calls = Calls(findings, modules, loading, missing)
        self.conditions = Conditions(findings, loading)
        self.kind = RouteKind.REQUEST
        self.names = loading.routes or {}

    def check(self) -> None:
        self._duplicates()
        for route in self.tree.routes:
            self.kind = route.kind
            self._body(route.body)
        if not any(route.kind is RouteKind.REQUEST and route.name is None for route in self.tree.routes):
            place = Place(self.tree.routes[0].place.file if self.tree.routes else "", 1)
            if self.tree.routes:
                self.findings.warning("there is no main `route { }`: requests are not handled", place)

    def _duplicates(self) -> None:
        seen: dict[tuple[RouteKind, str | None], Route] = {}
        for route in self.tree.routes:
            key = (route.kind, route.name)
            if key in seen:
                name = route.kind.block + (f"[{route.name}]" if route.name else "")
                line = seen[key].place.line
                self.findings.error(f"{name} is defined twice", route.place, f"first in line {line}")
            seen.setdefault(key, route)

    # -- statements ------------------------------------------------------------------------------------------

    def _body(self, body: list[Statement]) -> None:
        for statement in body:
            self._statement(statement)

    def _statement(self, statement: Statement) -> None:
        if isinstance(statement, Call):
            statement.resolved = self.calls.resolve(statement, self.kind)
        elif isinstance(statement, RouteCall):
            self._route_call(statement)
        elif isinstance(statement, If):
            self._expression(statement.condition)
            self._body(statement.then)
            self._body(statement.otherwise or [])
        elif isinstance(statement, Assign):
            self._assign(statement)
        elif isinstance(statement, Stop) and self.loading.generation is Generation.SER_0_9:
            self._old_stop(statement)

    def _old_stop(self, stop: Stop) -> None:
        if stop.kind is StopKind.RETURN:
            self.findings.error("`return` does not exist in SER 0.9", stop.place, "write break")

    def _route_call(self, call: RouteCall) -> None:
        known = self.names.get(RouteKind.REQUEST, set())
        if call.name in known:
            return
        for kind in RouteKind:
            if kind is not RouteKind.REQUEST and call.name in self.names.get(kind, set()):
                hint = f"{kind.block}[{call.name}] exists, but route() calls route blocks only"
                self.findings.error(f"route[{call.name}] does not exist", call.name_place, hint)
                return
        hint2 = near(call.name, [name for name in known if name != "0"])
        self.findings.error(f"route[{call.name}] does not exist", call.name_place, hint2)

    def _assign(self, statement: Assign) -> None:
        target = statement.attribute
        try:
            name = attribute_name(str(target.value))
        except ArgumentError as error:
            self.findings.error(str(error), target.place, error.hint)
            return
        if name.scope in (Scope.DOMAIN, Scope.GLOBAL):
            which = "domain" if name.scope is Scope.DOMAIN else "global"
            self.findings.error(
                f"{target.value} cannot be assigned: {which} attributes are read-only", target.place
            )
        if name.index not in (None, ALL_VALUES):
            hint = "use $x = for all values or $x[] = to add one"
            self.findings.error(f"{target.value} cannot be assigned by index", target.place, hint)
        target.resolved = name
        value = statement.value
        if isinstance(value, Operand):
            if value.kind in ("attribute", "select", "retcode"):
                value.resolved = self.conditions.reader(value, newest=True)
        elif isinstance(value, Call | RouteCall):
            self._statement(value)
        else:
            self._expression(value)

    # -- expressions -----------------------------------------------------------------------------------------

    def _expression(self, node: Expression) -> None:
        if isinstance(node, Logic):
            for part in node.parts:
                self._expression(part)
        elif isinstance(node, Not):
            self._expression(node.inner)
        elif isinstance(node, Compare):
            node.resolved = self.conditions.compare(node, self.kind)
        elif isinstance(node, Truth):
            node.operand.resolved = self.conditions.truth(node)
        elif isinstance(node, BitTest):
            node.attribute.resolved = self.conditions.bits(node)
        elif isinstance(node, Block):
            self._body(node.body)
        elif isinstance(node, Action):
            if isinstance(node.statement, Stop) and node.statement.kind in (StopKind.RETURN, StopKind.BREAK):
                self.findings.error(f"`{node.statement.kind.value}` cannot be a condition", node.place)
            self._statement(node.statement)
