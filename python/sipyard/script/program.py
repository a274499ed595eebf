"""A compiled script: what the engine runs and what the server is set up by."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipyard.arguments import Generation, RouteKind
from sipyard.errors import ConfigError
from sipyard.registry import Modules
from sipyard.script.check import Checked, read_file, read_text
from sipyard.script.compile import Compiler
from sipyard.script.source import Report, Severity, Source

if TYPE_CHECKING:
    from sipyard.context import Context

Route = Callable[["Context"], Coroutine[Any, Any, int]]


@dataclass(frozen=True, slots=True)
class Script:
    """Compiled blocks by kind and name, the modules they call, and the core settings that were written.

    `settings` has canonical names; `listen` and `alias` are lists of `[proto:]host[:port]`. The unnamed block
    of a kind also stands under "0" in its mapping.
    """

    main: Route | None
    onreply: Route | None
    onsend: Route | None
    routes: Mapping[str, Route]
    failure: Mapping[str, Route]
    onreply_named: Mapping[str, Route]
    branch: Mapping[str, Route]
    settings: Mapping[str, Any]
    modules: Modules
    generation: Generation
    report: Report


def load_script(path: str | Path, generation: Generation | None = None) -> Script:
    """Compile a script file.

    :raises ConfigError: with all mistakes in its text, the first one's place. OSError: it cannot be read.
    """
    return build(read_file(path, generation))


def load_text(
    text: str,
    file: str = "<script>",
    generation: Generation | None = None,
    modules: Modules | None = None,
) -> Script:
    """Compile a script given as text. `modules` may hold modules beyond those that can be found by name."""
    return build(read_text(text, file, generation, modules))


def build(checked: Checked, compiler: type[Compiler] = Compiler) -> Script:
    """The program of a checked script. `compiler` may make routes that tell what they do.

    :raises ConfigError: it has errors.
    """
    report = checked.report
    if not report.is_good:
        first = min(report.errors, key=lambda problem: problem.place)
        raise ConfigError(report.text(notes=False).rstrip(), first.place)
    _show_lines(report.source)
    compiled = compiler(checked.tree, report.source.file, report.generation).compile()
    by_kind: dict[RouteKind, dict[str, Route]] = {kind: {} for kind in RouteKind}
    for (kind, name), function in compiled.items():
        by_kind[kind][name] = function
    return Script(
        main=by_kind[RouteKind.REQUEST].get("0"),
        onreply=by_kind[RouteKind.ONREPLY].get("0"),
        onsend=by_kind[RouteKind.ONSEND].get("0"),
        routes=by_kind[RouteKind.REQUEST],
        failure=by_kind[RouteKind.FAILURE],
        onreply_named=by_kind[RouteKind.ONREPLY],
        branch=by_kind[RouteKind.BRANCH],
        settings=settings_of(checked),
        modules=checked.modules,
        generation=report.generation,
        report=report,
    )


def _show_lines(source: Source) -> None:
    """Let tracebacks and debuggers show the lines that were compiled, whatever becomes of the file (or when
    there is none), and in whatever encoding it is."""
    text = source.written.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    linecache.cache[source.file] = (len(text), None, text.splitlines(keepends=True), source.file)


def settings_of(checked: Checked) -> dict[str, Any]:
    """What was written, and the log threshold, whose default depends on the generation."""
    settings = checked.settings
    written: dict[str, Any] = {name: settings.values.get(name) for name in settings.written}
    written.setdefault("debug", settings.values["debug"])
    for name, sockets in (("listen", settings.listen), ("alias", settings.aliases)):
        if sockets:
            written[name] = [str(socket) for socket in sockets]
    return written


__all__ = ["Route", "Script", "Severity", "build", "load_script", "load_text", "settings_of"]
