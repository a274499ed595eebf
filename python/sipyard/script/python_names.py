"""Identifiers of translated scripts: speaking, and each used once."""

from __future__ import annotations

import builtins
import keyword
import re
from typing import Any

from sipyard.arguments import ClassKind, DynamicKind, Kind, RouteKind
from sipyard.attributes import Name
from sipyard.module import Function, argument_of
from sipyard.recipes import Recipe, recipe_of
from sipyard.script import runtime

_PREFIXES = {
    RouteKind.REQUEST: "route",
    RouteKind.FAILURE: "failure",
    RouteKind.ONREPLY: "reply",
    RouteKind.BRANCH: "branch",
    RouteKind.ONSEND: "onsend",
}
_CALLED = {"regex": "pattern", "name": "attribute", "x": "argument"}
_LONGEST = 40
_RESERVED = {
    *keyword.kwlist,
    *dir(builtins),
    *dir(runtime),
    *("text_reader", "number_reader", "argument_of", "reader_of", "request_route", "reply_route"),
    *("failure_route", "onreply_route", "branch_route", "onsend_route", "Format"),
    *("msg", "depth", "result", "ended", "modules", "settings", "loading", "main"),
    *("Context", "Modules", "Generation", "Loading", "Name", "Regex", "Track", "Scope", "Reader"),
}


class Names:
    """Hands out names."""

    def __init__(self) -> None:
        self._used = set(_RESERVED)

    def new(self, wanted: str) -> str:
        """The wanted name made an identifier, with a number when it is taken."""
        base = snake(wanted) or "value"
        if base[0].isdigit():
            base = f"n{base}"
        name, number = base, 1
        while name in self._used:
            number += 1
            name = f"{base}_{number}"
        self._used.add(name)
        return name

    def exact(self, wanted: str) -> str:
        """The wanted name as it is, if it can be had."""
        if not wanted.isidentifier() or wanted in self._used:
            return self.new(f"flag_{wanted}")
        self._used.add(wanted)
        return wanted

    def reserve(self, name: str) -> None:
        """Never hand this one out."""
        self._used.add(name)

    def of_block(self, kind: RouteKind, name: str) -> str:
        """A new name for a block."""
        if name == "0":
            return "main" if kind is RouteKind.REQUEST else self.new(f"every_{_PREFIXES[kind]}")
        return self.new(f"{_PREFIXES[kind]}_{name}")


def snake(text: str) -> str:
    """Letters, digits and single underscores, not too many of them."""
    words = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower()
    return words if len(words) <= _LONGEST else words[:_LONGEST].rpartition("_")[0] or words[:_LONGEST]


def hint_of(value: object) -> str:
    """What a prepared object should be called."""
    recipe = recipe_of(value)
    if isinstance(value, Name):
        return str(value)
    if recipe is None:
        pattern = getattr(value, "pattern", None)
        source = getattr(value, "source", None)
        text = pattern or source or (str(value) if type(value) in (int, str) else "")
        return str(text or getattr(value, "__name__", type(value).__name__))
    return hint_of_recipe(recipe)


def kind_of_argument(recipe: Recipe) -> Kind:
    """How the argument of a module's function was converted, of a recipe by `argument_of`."""
    cls: Any = recipe.arguments[0]
    attribute, number = recipe.arguments[1], int(str(recipe.arguments[2]))
    declared: list[Function] = [each for variants in cls.variants.values() for each in variants]
    kind = next(each for each in declared if each.attribute == attribute).kinds[number - 1]
    return kind.inner if isinstance(kind, DynamicKind) else kind


def hint_of_recipe(recipe: Recipe) -> str:
    """The same for what a recipe makes."""
    hints = [hint_of(argument) for argument in recipe.arguments]
    if recipe.factory is argument_of:
        kind = kind_of_argument(recipe)
        what = (
            snake(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind.cls.__name__))
            if isinstance(kind, ClassKind)
            else "x"
        )
        return f"{recipe.arguments[3]}_{_CALLED.get(what, what)}"
    words = {
        "is_true": "has_{0}",
        "equals": "{0}_is_{1}",
        "equals_reader": "{0}_is_{1}",
        "negated": "not_{0}",
        "matches": "{0}_matches_{1}",
        "matches_reader": "{0}_matches_{1}",
        "single": "{0}_value",
        "constant": "{0}",
        "text_reader": "{0}_text",
        "number_reader": "{0}_number",
        "network": "in_{0}",
        "ordered": "compares_{0}_{2}",
        "bits": "bits_of_{0}",
        "avp_flag": "{0}_flag_of_{1}",
        "_field_reader": "the_{0}",
        "reader_of": "{0}",
    }
    return words.get(recipe.factory.__name__, recipe.factory.__name__).format(*hints)
