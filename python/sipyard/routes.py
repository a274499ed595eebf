"""Routes written in Python, on the same engine and with the same functions as a script.

    from sipyard.registry import Modules
    from sipyard.routes import failure_route, request_route

    modules = Modules()
    tm = modules.load("tm", fr_inv_timer=30_000)
    settings = {"listen": ["udp:127.0.0.1:5060"]}

    @request_route
    async def main(msg):
        tm.t_on_failure(msg, "busy")
        await tm.t_relay(msg)

    @failure_route
    async def busy(msg):
        ...

`sipyard run routes.py` executes the file once and collects the marked functions; `modules` and `settings`
(core parameters by SER's names) are optional. Functions return SER's numbers: above 0 is true, below 0 false;
a route that returns nothing counts as 1. Arguments are Python values: a `Regex` or `Format` is made by its
class.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, overload

from sipyard.arguments import RouteKind
from sipyard.context import Context
from sipyard.engine import Route
from sipyard.errors import ConfigError, Place
from sipyard.registry import Modules

RouteFunction = Callable[[Context], Coroutine[Any, Any, int | None]]
F = TypeVar("F", bound=RouteFunction)

_MARK: Final = "__sipyard_route__"


@dataclass(frozen=True, slots=True)
class _Mark:
    kind: RouteKind
    name: str | None  # None: the unnamed route of its kind


def _mark(function: F, kind: RouteKind, name: str | None) -> F:
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{function.__qualname__} must be an `async def` that takes the message")
    setattr(function, _MARK, _Mark(kind, name))
    return function


@overload
def request_route(given: F) -> F: ...
@overload
def request_route(given: str) -> Callable[[F], F]: ...
def request_route(given: Any) -> Any:
    """The main route: every request. With a name: a further one, for modules that run a route by its name."""
    if isinstance(given, str):
        return lambda function: _mark(function, RouteKind.REQUEST, given)
    return _mark(given, RouteKind.REQUEST, None)


def reply_route(function: F) -> F:
    """The unnamed onreply_route: every reply, before it is relayed; 0 or less drops it."""
    return _mark(function, RouteKind.ONREPLY, None)


def onsend_route(function: F) -> F:
    """Every request just before it is sent; 0 refuses the destination."""
    return _mark(function, RouteKind.ONSEND, None)


def _named(kind: RouteKind, given: Any) -> Any:
    if isinstance(given, str):
        return lambda function: _mark(function, kind, given)
    return _mark(given, kind, given.__name__)


@overload
def failure_route(given: F) -> F: ...
@overload
def failure_route(given: str) -> Callable[[F], F]: ...
def failure_route(given: Any) -> Any:
    """A failure route, named like the function or as given, for `tm.t_on_failure(msg, name)`."""
    return _named(RouteKind.FAILURE, given)


@overload
def onreply_route(given: F) -> F: ...
@overload
def onreply_route(given: str) -> Callable[[F], F]: ...
def onreply_route(given: Any) -> Any:
    """A named onreply route, for `tm.t_on_reply(msg, name)`."""
    return _named(RouteKind.ONREPLY, given)


@overload
def branch_route(given: F) -> F: ...
@overload
def branch_route(given: str) -> Callable[[F], F]: ...
def branch_route(given: Any) -> Any:
    """A branch route, for `tm.t_on_branch(msg, name)`."""
    return _named(RouteKind.BRANCH, given)


def _with_result(function: RouteFunction) -> Route:
    """A route that returns nothing counts as true."""

    async def run(msg: Context) -> int:
        result = await function(msg)
        return 1 if result is None else int(result)

    run.__name__, run.__qualname__ = function.__name__, function.__qualname__
    return run


@dataclass(slots=True)
class PythonRoutes:
    """The routes of one file or program; what `Engine` runs."""

    main: Route | None = None
    onreply: Route | None = None
    onsend: Route | None = None
    routes: dict[str, Route] = field(default_factory=dict)
    failure: dict[str, Route] = field(default_factory=dict)
    onreply_named: dict[str, Route] = field(default_factory=dict)
    branch: dict[str, Route] = field(default_factory=dict)

    @classmethod
    def collect(cls, namespace: Mapping[str, Any], place: Place | None = None) -> PythonRoutes:
        """The marked functions of a module's namespace.

        :raises ConfigError: two of one kind and name, or no main route.
        """
        found, seen = cls(), dict[tuple[RouteKind, str | None], Any]()
        for value in namespace.values():
            mark = getattr(value, _MARK, None)
            if not isinstance(mark, _Mark):
                continue
            earlier = seen.setdefault((mark.kind, mark.name), value)
            if earlier is not value:
                raise ConfigError(f"{mark.kind.block} {mark.name or ''} is written twice", place)
            found._add(mark, value)
        if found.main is None:
            raise ConfigError("no function is marked @request_route", place)
        return found

    def _add(self, mark: _Mark, function: RouteFunction) -> None:
        if mark.kind is RouteKind.REQUEST and mark.name is None:
            main: Any = function  # its result is not looked at: spare the wrapper
            self.main = main
            return
        route = _with_result(function)
        if mark.name is None:
            if mark.kind is RouteKind.ONREPLY:
                self.onreply = self.onreply_named["0"] = route
            else:
                self.onsend = route
            return
        tables = {
            RouteKind.REQUEST: self.routes,
            RouteKind.FAILURE: self.failure,
            RouteKind.ONREPLY: self.onreply_named,
            RouteKind.BRANCH: self.branch,
        }
        tables[mark.kind][mark.name] = route


@dataclass(slots=True)
class RoutesFile:
    """What a routes file says."""

    routes: PythonRoutes
    modules: Modules
    settings: Mapping[str, Any]


def load_routes(path: str | Path) -> RoutesFile:
    """Execute a routes file and collect what it declares.

    :raises ConfigError: it cannot be read or executed, or declares no main route.
    """
    path = Path(path)
    place = Place(str(path), 1)
    namespace: dict[str, Any] = {"__name__": f"sipyard_routes_{path.stem}", "__file__": str(path)}
    try:
        code = compile(path.read_text("utf-8"), str(path), "exec")
        exec(code, namespace)  # noqa: S102  # the operator's own program, named on the command line
    except ConfigError:
        raise
    except OSError as error:
        raise ConfigError(f"cannot read it: {error.strerror}", place) from error
    except SyntaxError as error:
        where = Place(str(path), error.lineno or 1, error.offset or 1)
        raise ConfigError(f"not Python: {error.msg}", where) from error
    except Exception as error:
        raise ConfigError(f"{type(error).__name__}: {error}", place) from error
    modules = namespace.get("modules")
    if modules is not None and not isinstance(modules, Modules):
        raise ConfigError("`modules` must be a sipyard.registry.Modules", place)
    settings = namespace.get("settings", {})
    if not isinstance(settings, Mapping):
        raise ConfigError("`settings` must be a dict of core parameters", place)
    routes = PythonRoutes.collect(namespace, place)
    return RoutesFile(routes, Modules() if modules is None else modules, settings)
