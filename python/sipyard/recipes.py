"""How prepared objects were made: the factory and its arguments, so that the same can be written as Python.

A script's comparisons and readers become closures when it is loaded. What they do cannot be read out of them;
`sipyard translate` asks here what made them. Nothing of this is looked at while messages are handled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Recipe:
    """`factory(*arguments)` makes the object again."""

    factory: Callable[..., Any]
    arguments: tuple[object, ...]


_RECIPES: WeakKeyDictionary[Any, Recipe] = WeakKeyDictionary()


def note(made: Any, factory: Callable[..., Any], *arguments: object) -> None:
    """Remember how a function was made, for as long as it lives."""
    _RECIPES[made] = Recipe(factory, arguments)


def remembered(factory: F) -> F:
    """A factory of functions whose products `recipe_of` knows."""

    @wraps(factory)
    def make(*arguments: Any) -> Any:
        made = factory(*arguments)
        note(made, make, *arguments)
        return made

    return cast("F", make)


def recipe_of(made: object) -> Recipe | None:
    """How a function was made; None when nobody said so."""
    return _RECIPES.get(made) if callable(made) else None
