"""From SER's language to routes in Python (`sipyard.routes`), which do the same.

The translation is the compiler's own output (`compile.py`), written down instead of executed: what a
statement means is said in one place. Here are only names, comments and the layout of the file.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

from sipyard.arguments import Generation, NumberKind, RouteKind, SwitchKind, TextKind
from sipyard.context import Context
from sipyard.errors import ConfigError, Place
from sipyard.registry import Modules, module_name_of
from sipyard.script.check import Checked, read_file, reader_of
from sipyard.script.compile import Compiler
from sipyard.script.core_parameters import SETTINGS
from sipyard.script.program import settings_of
from sipyard.script.python_constants import Constants
from sipyard.script.python_names import Names
from sipyard.script.python_source import Markers, Polish
from sipyard.script.remarks import Remarks
from sipyard.script.snippets import Snippet
from sipyard.script.tree import FlagName, If, LoadModule, ModParam, Route, Setting, Statement

_DECORATORS = {
    RouteKind.FAILURE: "failure_route",
    RouteKind.ONREPLY: "onreply_route",
    RouteKind.BRANCH: "branch_route",
    RouteKind.REQUEST: "request_route",
}
_UNNAMED = {
    RouteKind.REQUEST: "request_route",
    RouteKind.ONREPLY: "reply_route",
    RouteKind.ONSEND: "onsend_route",
    RouteKind.FAILURE: 'failure_route("0")',
    RouteKind.BRANCH: 'branch_route("0")',
}


def translate_file(path: str | Path, generation: Generation | None = None) -> str:
    """The routes file that does what a script does; not yet laid out by a formatter.

    :raises ConfigError: the script has mistakes. OSError: it cannot be read.
    """
    return translate(read_file(path, generation))


def translate(checked: Checked) -> str:
    """The same for a script that has been read."""
    report = checked.report
    if not report.is_good:
        first = min(report.errors, key=lambda problem: problem.place)
        raise ConfigError(report.text(notes=False).rstrip(), first.place)
    if not any(route.kind is RouteKind.REQUEST and route.name is None for route in checked.tree.routes):
        raise ConfigError("it has no main `route { }`: there is nothing to run", Place(report.source.file, 1))
    return Translator(checked).source()


class Translator(Compiler):
    """A compiler whose constants are expressions and whose names are for readers."""

    def __init__(self, checked: Checked) -> None:
        super().__init__(checked.tree, checked.report.source.file, checked.report.generation)
        self.checked = checked
        self.text = checked.report.source
        self.remarks = Remarks(self.text)
        self.markers = Markers()
        self.polish = Polish(self.markers)
        self.names = Names()
        self.constants = Constants(checked.modules, self.names)
        self.heads: dict[str, list[str]] = {}
        self._blocks: dict[tuple[RouteKind, str], str] = {}
        self._given = 0

    def source(self) -> str:
        """The whole file."""
        blocks: list[str] = []
        tree = self.tree
        everything: list[Setting | LoadModule | ModParam | FlagName | Route] = [*tree.flags, *tree.avp_flags]
        everything += [*tree.settings, *tree.modules, *tree.parameters, *tree.routes]
        everything.sort(key=lambda each: each.place)
        header = self._comment_lines(everything[0].place)
        for item in everything:
            lines = self._comment_lines(item.place)
            if isinstance(item, Route):
                blocks.append("\n".join([*lines, *self._written(item)]))
            else:
                lines += self._comment_lines(Place("", item.place.end_line + 1), column=0)
                self.heads.setdefault(_key(item), []).extend(lines)
        rest = self._comment_lines(Place("", 1_000_000_000))
        layout = FileLayout(self, header)
        return "\n".join([*layout.head(), "", "", "\n\n\n".join(blocks), *rest, ""])

    def _comment_lines(self, place: Place, column: int | None = None) -> list[str]:
        taken = self.remarks.before(place.line, place.column if column is None else column)
        return [f"# {line}".rstrip() for remark in taken for line in remark.lines]

    # -- blocks ----------------------------------------------------------------------------------------------

    def name_of(self, kind: RouteKind, name: str) -> str:
        """The block's name in Python."""
        if (kind, name) not in self._blocks:
            self._blocks[kind, name] = self.names.of_block(kind, name)
        return self._blocks[kind, name]

    def _written(self, route: Route) -> list[str]:
        """The lines of a block: decorator and definition."""
        definitions = self.block(route)
        main, *nested = [each for each in definitions if isinstance(each, ast.AsyncFunctionDef)]
        main.body += self.markers.of(self.remarks.before(route.end.line + 1))
        lines: list[str] = []
        for each in nested:
            lines += [*self._unparsed(each), "", ""]
        decorator = self._decorator(route)
        return [*lines, *([f"@{decorator}"] if decorator else []), *self._unparsed(main)]

    def _unparsed(self, definition: ast.AsyncFunctionDef) -> list[str]:
        polished = self.polish.function(definition)
        self.constants.import_runtime(polished)
        return self.markers.put_back(ast.unparse(ast.fix_missing_locations(polished))).splitlines()

    def _decorator(self, route: Route) -> str:
        """What marks the block for `PythonRoutes`; "" for one that only other blocks call."""
        kind, name = route.kind, route.name
        if name is None or (name == "0" and kind is RouteKind.REQUEST):
            decorator = _UNNAMED[kind]
        elif kind is RouteKind.REQUEST and (kind, name) not in self.checked.loading.armed:
            return ""
        else:
            decorator = f"{_DECORATORS[kind]}({name!r})"
        self.constants.imports.setdefault("sipyard.routes", set()).add(decorator.partition("(")[0])
        return decorator

    # -- statements and values -------------------------------------------------------------------------------

    def _statement(self, statement: Statement, *, tail: bool) -> list[ast.stmt]:
        place = statement.place
        remarks = self.remarks.before(place.line, place.column)
        first = remarks[0].place.line if remarks else place.line
        markers = [] if self.text.line(first - 1).strip() else [self.markers.blank()]
        markers += self.markers.of(remarks)
        built = super()._statement(statement, tail=tail)
        inside = self.markers.of(self.remarks.before((place.end_line or place.line) + 1))
        if isinstance(statement, If):
            return [*markers, *built, *inside]
        return [*markers, *inside, *built]

    def _snippet(self, snippet: object, place: Place) -> ast.expr:
        if not isinstance(snippet, Snippet):
            return super()._snippet(snippet, place)
        nodes = {
            name: _expression(self.constants.text(value, snippet.written.get(name)))
            for name, value in snippet.constants.items()
        }
        code = snippet.plain or snippet.code
        for temporary in set(re.findall(r"\b_a\d\b", code)):
            self._given += 1
            nodes[temporary] = ast.Name(f"given_{self._given}", ast.Load())
        return self._value(code, place, **nodes)

    def _constant(self, value: object, place: Place) -> ast.expr:
        return _expression(self.constants.text(value))


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _key(item: object) -> str:
    """What a declaration of the script is about, for its comments to be found by."""
    if isinstance(item, LoadModule):
        return f"module {module_name_of(item.path)}"
    if isinstance(item, ModParam):
        return f"module {item.module.lower()}"
    if isinstance(item, Setting):
        return f"setting {SETTINGS[item.name].name}"
    return "flags"


class FileLayout:
    """What stands before the routes: imports, settings, modules, constants."""

    def __init__(self, translator: Translator, header: list[str]) -> None:
        self.translator = translator
        self.checked = translator.checked
        self.constants = translator.constants
        self.header = header
        self.plain, self.prepared = self._parameters()

    def head(self) -> list[str]:
        """The lines."""
        name = Path(self.checked.report.source.file).name
        body = [*self._settings(), "", *self._modules(), "", *self._loading(), "", *self.constants.lines]
        title = f'"""Routes of {name}, translated from SER\'s language."""'
        return [*self.header, title, "", *self._imports(), "", *body]

    def _imports(self) -> list[str]:
        self.constants.use(Context)
        self.constants.use(Modules)
        self.constants.use(Generation)
        imports = self.constants.imports
        return [f"from {module} import {', '.join(sorted(imports[module]))}" for module in sorted(imports)]

    def _settings(self) -> list[str]:
        lines = ["settings = {"]
        for name, value in settings_of(self.checked).items():
            lines += [f"    {line}" for line in self._comments(f"setting {name}")]
            lines.append(f"    {name!r}: {value!r},")
        return [*lines, "}"]

    def _modules(self) -> list[str]:
        generation = self.checked.report.generation
        lines = [f"modules = Modules(Generation.{generation.name})"]
        for module in self.checked.modules:
            lines += self._comments(f"module {module.name}")
            variable, cls = self.constants.variables[module.name], self.constants.use(type(module))
            arguments = [
                repr(module.name),
                *(f"{key}={value!r}" for key, value in self.plain[module.name].items()),
            ]
            lines.append(f"{variable}: {cls} = modules.load({', '.join(arguments)})")
        return lines

    def _comments(self, key: str) -> list[str]:
        return self.translator.heads.get(key, [])

    def _loading(self) -> list[str]:
        """What reads attributes and selects, and parameters whose values are more than a number or text."""
        loading = self.checked.loading
        if not self.prepared and not self.constants.needs_loading:
            return self._comments("flags")
        lines = [*self._comments("flags"), f"loading = {self.constants.use(type(loading))}("]
        lines.append("    modules.generation,")
        for name, numbers in (("flags", loading.flags), ("avp_flags", loading.avp_flags)):
            if numbers:
                lines.append(f"    {name}={dict(numbers)!r},")
        lines += [f"    reader={self.constants.use(reader_of)}(modules),", ")"]
        for variable, name, value in self.prepared:
            lines.append(f"{variable}.set_parameter({name!r}, {value!r}, loading)")
        return lines

    def _parameters(self) -> tuple[dict[str, dict[str, object]], list[tuple[str, str, object]]]:
        """By module what `load` takes, and what must be set afterwards: variable, name, value."""
        plain: dict[str, dict[str, object]] = {module.name: {} for module in self.checked.modules}
        prepared: list[tuple[str, str, object]] = []
        for line in self.checked.tree.parameters:
            pattern = re.compile(f"(?:{line.module})", re.IGNORECASE)
            for module in self.checked.modules:
                if not pattern.fullmatch(module.name):
                    continue
                declaration = module.parameters[line.name]
                is_plain = type(declaration.kind) in (TextKind, NumberKind, SwitchKind)
                if is_plain and not declaration.is_repeatable and line.name.isidentifier():
                    plain[module.name][line.name] = line.value
                else:
                    variable = self.constants.variables[module.name]
                    prepared.append((variable, line.name, line.value))
        return plain, prepared


__all__ = ["Translator", "translate", "translate_file"]
