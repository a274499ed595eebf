"""Which modules there are, and which are loaded for one server.

Built-in modules are found by name (`sipyard.modules.tm`), others by the entry point group `sipyard.modules`.
A module's class is the subclass of `Module` in its package whose `name` is the module's name.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sipyard.arguments import Generation, Loading
from sipyard.errors import ConfigError, Place
from sipyard.module import Function, Module, Rpc, Select, check_class, drafts_now

if TYPE_CHECKING:
    from sipyard.engine import Engine

GROUP = "sipyard.modules"


def module_name_of(path: str) -> str:
    """The module that `loadmodule "…/tm.so"` means."""
    return PurePosixPath(path).name.removesuffix(".so")


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {each.name: each for each in entry_points(group=GROUP)}


def entry_point_of(name: str) -> EntryPoint | None:
    """Where another package declares a module of this name; None when none does."""
    return _entry_points().get(name)


@cache
def available() -> frozenset[str]:
    """Names of all modules that this installation can load."""
    package = importlib.import_module(GROUP)
    built_in = {found.name.replace("cpl_c", "cpl-c") for found in pkgutil.iter_modules(package.__path__)}
    return frozenset({name for name in built_in if name[0] != "_"} | _entry_points().keys())


def module_class(name: str) -> type[Module]:
    """The class of a module. ConfigError when there is none or it cannot be imported."""
    if name in _entry_points():
        return check_class(_entry_points()[name].load(), name)
    path = f"{GROUP}.{name.replace('-', '_')}"
    if not name.replace("-", "_").isidentifier() or importlib.util.find_spec(path) is None:
        raise ConfigError(f"there is no module {name}")
    package = importlib.import_module(path)
    for value in vars(package).values():
        if isinstance(value, type) and issubclass(value, Module) and value.name == name:
            return value
    raise ConfigError(f"{path} holds no Module named {name}")


class Modules:
    """The modules loaded for one server, in the order of loading (requirements first)."""

    def __init__(
        self,
        generation: Generation = Generation.SER_2_0,
        classes: Callable[[str], type[Module]] = module_class,
    ) -> None:
        """`classes` finds the class of a module by its name; a checker has its own."""
        self.generation = generation
        self.classes = classes
        self.loaded: dict[str, Module] = {}
        self._started: list[Module] = []

    def __iter__(self) -> Iterator[Module]:
        return iter(self.loaded.values())

    def __getitem__(self, name: str) -> Module:
        return self.loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self.loaded

    def load(self, name: str, place: Place | None = None, **parameters: object) -> Any:
        """Load a module and what it requires; loading twice is loading once. Parameters as in `modparam`.
        Typed Any so that routes in Python call the module's own functions."""
        return self._load(name, place, (), parameters)

    def _load(
        self, name: str, place: Place | None, waiting: tuple[str, ...], parameters: dict[str, object]
    ) -> Module:
        if name not in self.loaded:
            if name in waiting:
                circle = " -> ".join((*waiting, name))
                raise ConfigError(f"modules require each other in a circle: {circle}", place)
            drafts = drafts_now()
            running = None if drafts is None else drafts.adopt(name, self.generation)
            if running is None:
                self.add(self.classes(name)(), place, waiting)
            else:
                for each in running.requires:
                    self._load(each, place, (*waiting, name), {})
                self.loaded[name] = running
        module = self.loaded[name]
        loading = Loading(self.generation)
        for key, value in parameters.items():
            if key not in module.parameters:
                raise ConfigError(f"module {name} has no parameter {key}", place)
            module.set_parameter(key, value, loading)
        return module

    def add(self, module: Module, place: Place | None = None, waiting: tuple[str, ...] = ()) -> None:
        """Add an instance (a test's or an embedder's own module) after what it requires.

        :raises ConfigError: a further version of a script makes one that runs already.
        """
        drafts = drafts_now()
        if drafts is not None and module.name in drafts.running:
            raise ConfigError(f"module {module.name} is made by the file itself: that needs a restart", place)
        needed = {each: self._load(each, place, (*waiting, module.name), {}) for each in module.requires}
        module.bind(needed, self.generation)
        self.loaded[module.name] = module

    def function(self, name: str) -> tuple[Module, Function] | None:
        """Who exports a script function in this generation; the module loaded last wins, as in SER."""
        for module in reversed(self.loaded.values()):
            for declared in reversed(module.variants.get(name, ())):
                if self.generation & declared.generations:
                    return module, declared
        return None

    def select(self, root: str) -> tuple[Module, Select] | None:
        """Who exports a select root."""
        for module in self.loaded.values():
            if root in module.selects:
                return module, module.selects[root]
        return None

    def database_url(self) -> str:
        """The database that the script names: the first `db_url` that it sets, "" when it sets none."""
        return next((str(vars(one)["db_url"]) for one in self if "db_url" in one.written), "")

    def rpcs(self) -> Iterator[tuple[Rpc, Callable[..., Any]]]:
        """All management commands of the loaded modules with the methods that serve them."""
        for module in self:
            for command in module.rpcs.values():
                yield command, getattr(module, command.attribute)

    async def start(self, engine: Engine) -> None:
        """Start all, requirements first; when one fails, those already started are stopped."""
        try:
            for module in self:
                await module.start(engine)
                self._started.append(module)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop what was started, in reverse."""
        while self._started:
            await self._started.pop().stop()
