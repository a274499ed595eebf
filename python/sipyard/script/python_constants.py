"""The prepared objects of a script written as Python: literals in place, everything else a named constant."""

from __future__ import annotations

import ast
from typing import Any

from sipyard.arguments import ClassKind
from sipyard.attributes import Name
from sipyard.errors import InternalError
from sipyard.formats import Format
from sipyard.module import Module, argument_of
from sipyard.recipes import Recipe, recipe_of
from sipyard.regex import Regex
from sipyard.registry import Modules
from sipyard.script import runtime
from sipyard.script.python_names import Names, hint_of, hint_of_recipe, kind_of_argument
from sipyard.script.snippets import named_flag

_RUNTIME = runtime.__name__


class Constants:
    """Writes values; `lines` are the definitions that must stand before the routes, `imports` what they and
    the routes need, by module."""

    def __init__(self, modules: Modules, names: Names) -> None:
        self.names = names
        self.variables = {module.name: names.new(module.name) for module in modules}
        self.imports: dict[str, set[str]] = {}
        self.lines: list[str] = []
        self.needs_loading = False
        self._named: dict[str, str] = {}

    def text(self, value: object, recipe: Recipe | None = None) -> str:
        """An expression for a value of a compiled route.

        :raises InternalError: nobody said how it was made.
        """
        if recipe is not None and recipe.factory is named_flag:
            return self._flag(str(recipe.arguments[0]), int(str(recipe.arguments[1])))
        if value is None or type(value) in (int, str, bool):
            return repr(value)
        if isinstance(value, runtime.Exit):
            return f"{self.use(runtime.Exit)}({int(value)})"
        owner = getattr(value, "__self__", None)
        if isinstance(owner, Module):
            return f"{self.variables[owner.name]}.{value.__name__}"  # type: ignore[attr-defined]  # a bound method
        if isinstance(owner, Regex):
            return f"{self.text(owner)}.search"
        if getattr(value, "__module__", "") == _RUNTIME and hasattr(runtime, getattr(value, "__name__", "")):
            return self.use(value)
        return self._constant(value, recipe or recipe_of(value))

    def use(self, value: Any) -> str:
        """Import a function or class; its name."""
        self.imports.setdefault(value.__module__, set()).add(value.__name__)
        name: str = value.__name__
        self.names.reserve(name)
        return name

    def _flag(self, name: str, number: int) -> str:
        """A declared flag keeps its name."""
        key = f"flag {name}"
        if key not in self._named:
            self._named[key] = self.names.exact(name)
            self.lines.append(f"{self._named[key]} = {number}")
        return self._named[key]

    def _constant(self, value: object, recipe: Recipe | None) -> str:
        if recipe is not None:
            expression, hint = self._made(recipe, value), hint_of_recipe(recipe)
        elif isinstance(value, Regex):
            expression, hint = f"{self.use(Regex)}({value.pattern!r})", f"{hint_of(value)}_pattern"
        elif isinstance(value, Name):
            expression, hint = self._attribute(value), hint_of(value)
        else:
            raise InternalError(f"there is no way yet to write {value!r} in Python")
        if expression not in self._named:
            self._define(expression, hint, type(value))
        return self._named[expression]

    def _define(self, expression: str, hint: str, cls: type) -> None:
        name = self.names.new(hint)
        self._named[expression] = name
        if expression.startswith("lambda"):
            self.imports.setdefault(_RUNTIME, set()).add("Reader")
            self.lines.append(f"{name}: Reader = {expression}")
        elif expression.startswith(argument_of.__name__):
            self.lines.append(f"{name}: {self.use(cls)} = {expression}")
        else:
            self.lines.append(f"{name} = {expression}")

    def _attribute(self, name: Name) -> str:
        text = str(name)
        try:
            is_parsed = Name.parse(text) == name
        except ValueError:
            is_parsed = False
        if is_parsed:
            return f"{self.use(Name)}.parse({text!r})"
        if name != Name(name.name):
            raise InternalError(f"there is no way yet to write the attribute {name} in Python")
        return f"{self.use(Name)}({name.name!r})"

    def _made(self, recipe: Recipe, value: object) -> str:
        factory = recipe.factory
        if factory is argument_of:
            return self._argument(recipe, value)
        if factory.__name__ == "reader_of":
            self.needs_loading = True
            return f"loading.reader({recipe.arguments[0]!r})"
        if factory.__name__ == "_field_reader":
            return f"lambda msg: {self.code(str(recipe.arguments[0]))}"
        return f"{self.use(factory)}({', '.join(self.text(each) for each in recipe.arguments)})"

    def _argument(self, recipe: Recipe, value: object) -> str:
        """An argument that is more than a number or text: by its class, or as the function converts it."""
        cls, attribute, number, written, _ = recipe.arguments
        kind = kind_of_argument(recipe)
        if isinstance(value, Format) and value.constant is not None:
            return f"{self.use(Format)}.literal({value.constant!r})"
        if isinstance(value, Name):
            return self._attribute(value)
        if not isinstance(kind, ClassKind):
            self.needs_loading = True
            where = f"{self.use(cls)}, {attribute!r}, {number}, {written!r}"
            return f"{self.use(argument_of)}({where}, loading)"
        if kind.cls is Regex:
            return f"{self.use(Regex)}({str(written)!r})"
        self.needs_loading = True
        return f"{self.use(kind.cls)}.from_script({str(written)!r}, loading)"

    def code(self, text: str) -> str:
        """A piece of the compiler's code; what it uses of the runtime is imported."""
        self.import_runtime(ast.parse(text))
        return text

    def import_runtime(self, node: ast.AST) -> None:
        """Import what a tree uses of `script.runtime`."""
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and each.id in runtime.FOR_ROUTES:
                self.imports.setdefault(_RUNTIME, set()).add(each.id)
