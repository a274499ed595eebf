"""Replacing the script of a running server, with no call lost.

The new version is loaded beside the old one: its routes call the modules that run, what it says of
parameters is compared with what they have. Only when everything about it is good does it take over, in one
step between two messages. A message that waits and a transaction with armed routes stay with the version
that they began under (`Engine.replace_routes`).

A script names its own tests in comment lines; they must pass before it takes over:

    # sipyard tests: tests/test_routes.py tests/test_failover.py
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sipyard.errors import ConfigError
from sipyard.management.registry import RpcFault
from sipyard.module import Drafts, Module, beside
from sipyard.settings import DNS_SETTINGS
from sipyard.site import Site

if TYPE_CHECKING:
    from sipyard.engine import Engine

LIVE_SETTINGS: Final = frozenset(
    {
        *("debug", "alias", "check_via", "syn_branch", "sip_warning", "server_signature", "reply_to_via"),
        *("use_dns_failover", "exit_timeout", "message_deadline", "stall_limit"),
        *DNS_SETTINGS,
    }
)
"""Core parameters that a reload may change."""
CHECK_LIMIT: Final = 60.0
"""Seconds that a routes file in Python may take to be executed for a trial."""
TEST_LIMIT: Final = 300.0
"""Seconds that the script's own tests may take."""
SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which the loading thread makes way for the deciding one; Python's own is ten times that."""
NICENESS: Final = 10
OUTPUT_SHOWN: Final = 4000
_TESTS: Final = re.compile(r"^[ \t]*(?:#|//)[ \t]*sipyard tests:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)
_log = logging.getLogger("sipyard.reload")


def tests_of(text: str) -> list[str]:
    """The files (or pytest's ``file::test``) that a script's ``# sipyard tests:`` lines name."""
    return [name for line in _TESTS.findall(text) for name in line.split()]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A module parameter that the new version changes."""

    module: Module
    name: str
    draft: Module

    def __str__(self) -> str:
        return f"{self.module.name}.{self.name}"


@dataclass(frozen=True, slots=True)
class Change:
    """A version that may take over: what it serves and what it changes besides routes."""

    site: Site
    settings: Sequence[str]
    parameters: Sequence[Parameter]

    @property
    def names(self) -> list[str]:
        """What it changes."""
        return [*self.settings, *map(str, self.parameters)]


def prepare(site: Site, load: Callable[[], Site]) -> Change:
    """Load a further version beside a running one and compare. Nothing that runs is touched, so this may be
    done in another thread.

    :raises ConfigError: it cannot be loaded, or changes what only a restart can change.
    """
    with beside(site.modules.loaded) as drafts:
        new = load()
    settings = [
        one.name
        for one in fields(new.settings)
        if getattr(new.settings, one.name) != getattr(site.settings, one.name)
    ]
    parameters = list(_changed_parameters(drafts))
    reasons = list(_reasons_to_restart(site, new, settings, parameters))
    if reasons:
        raise ConfigError(f"this needs a restart: {'; '.join(reasons)}")
    return Change(new, settings, parameters)


def _changed_parameters(drafts: Drafts) -> Iterator[Parameter]:
    for name, draft in drafts.drafts.items():
        module = drafts.running[name]
        for parameter in sorted({each.name for each in module.parameters.values()}):
            if module.said_of(parameter) != draft.said_of(parameter):
                yield Parameter(module, parameter, draft)


def _reasons_to_restart(
    old: Site, new: Site, settings: Sequence[str], parameters: Sequence[Parameter]
) -> Iterator[str]:
    has, wants = old.modules.loaded.keys(), new.modules.loaded.keys()
    if old.modules.generation is not new.modules.generation:
        yield f"it is read as {new.modules.generation}, not {old.modules.generation}"
    if wants - has:
        yield f"modules added: {', '.join(sorted(wants - has))}"
    if has - wants:
        yield f"modules removed: {', '.join(sorted(has - wants))}"
    fixed = [str(one) for one in parameters if not one.module.is_live(one.name)]
    if fixed:
        yield f"module parameters changed: {', '.join(fixed)}"
    fixed = [name for name in settings if name not in LIVE_SETTINGS]
    if fixed:
        yield f"core parameters changed: {', '.join(fixed)}"


def take_over(engine: Engine, site: Site, change: Change) -> None:
    """Let the prepared version take over; on the deciding thread, in one step.

    :raises ConfigError: a module refuses its new parameters; the old version goes on as before.
    """
    _set_parameters(engine, change.parameters)
    for name in change.settings:
        setattr(site.settings, name, getattr(change.site.settings, name))
    if change.settings:
        site.settings.configure(engine.core)
        engine.debug = site.settings.debug
        engine.resolver.settings = site.settings.dns()
        engine.tasks.limit = site.settings.message_deadline
    site.routes, site.remarks = change.site.routes, change.site.remarks
    engine.replace_routes(site.routes)


def _set_parameters(engine: Engine, parameters: Sequence[Parameter]) -> None:
    modules = {id(one.module): one.module for one in parameters}
    before = [(module, dict(vars(module)), dict(module.written)) for module in modules.values()]
    for one in parameters:
        one.module.take_parameter(one.name, one.draft)
    try:
        for module in modules.values():
            module.parameters_changed(engine)
    except Exception as error:  # whatever a module thinks of a value, the server goes on
        for module, attributes, written in before:
            vars(module).clear()
            vars(module).update(attributes, written=written)
            module.parameters_changed(engine)
        raise ConfigError(f"{', '.join(map(str, parameters))}: {error}") from error


class Reloader:
    """Reloads one server's site from where it came from, one attempt at a time.

    :param prepared: called with each version before it is compared, to put in what the command line said.
    :param taken: called when a version has taken over.
    """

    def __init__(
        self,
        engine: Engine,
        site: Site,
        prepared: Callable[[Site], None] = lambda _site: None,
        taken: Callable[[], None] = lambda: None,
    ) -> None:
        self.engine = engine
        self.site = site
        self.version = 1
        self.refused = 0
        self.last_error = ""
        self._prepared = prepared
        self._taken = taken
        self._since = time.time()
        self._turn = asyncio.Lock()

    async def reload(self) -> dict[str, Any]:
        """Read the script again and let it take over while calls are up; what is wrong with it is returned
        and logged, and the old one stays."""
        async with self._turn:
            try:
                change = await self._checked()
                take_over(self.engine, self.site, change)
            except ConfigError as error:
                self.refused += 1
                is_report = "\n" in error.message  # a script's mistakes, each with its place
                self.last_error = error.message if is_report else str(error)
                _log.error("not reloaded, version %d goes on: %s", self.version, self.last_error)
                raise RpcFault(500, f"not reloaded: {self.last_error}") from error
        self.version += 1
        self._since = time.time()
        self._taken()
        changed = f"; changed: {', '.join(change.names)}" if change.names else ""
        _log.info("version %d of %s has taken over%s", self.version, self.site.name, changed)
        return {"version": self.version, "script": self.site.name, "changed": change.names}

    def status(self) -> dict[str, Any]:
        """The script that runs: its version, since when, and transactions that keep an older one."""
        return {
            "script": self.site.name,
            "version": self.version,
            "since": time.ctime(self._since),
            "older": sum(state.routes is not self.site.routes for state in self.engine.states.values()),
            "refused": self.refused,
            "last_error": self.last_error,
        }

    async def _checked(self) -> Change:
        """A version that is good in every respect; all of the work is another thread's or process's."""
        load, path = self.site.again, self.site.origin
        if load is None or path is None:
            raise ConfigError("this server was not started from a file")
        if path.suffix == ".py":  # it is executed: first where it can do no harm
            await _succeed([*_PYTHON, "sipyard.cli", "check", path.name], path, CHECK_LIMIT, "it is not good")
        text = await asyncio.to_thread(_read, path)
        with _quick_switches():
            change = await asyncio.to_thread(self._prepare, load)
        tests = tests_of(text)
        if tests:
            await _succeed([*_PYTHON, "pytest", *_PYTEST, *tests], path, TEST_LIMIT, "its tests fail")
        if await asyncio.to_thread(_read, path) != text:
            raise ConfigError("the file changed while it was being checked")
        return change

    def _prepare(self, load: Callable[[], Site]) -> Change:
        def loaded() -> Site:
            new = load()
            self._prepared(new)
            return new

        try:
            return prepare(self.site, loaded)
        except (OSError, RecursionError) as error:
            raise ConfigError(f"{self.site.name}: {error}") from error


_PYTHON: Final = (sys.executable, "-m")
_PYTEST: Final = ("-q", "--no-header", "-p", "no:cacheprovider", "--color=no")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="surrogateescape")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error


@contextlib.contextmanager
def _quick_switches() -> Iterator[None]:
    """While a thread loads, the deciding thread gets its turn sooner."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


async def _succeed(command: Sequence[str], script: Path, limit: float, complaint: str) -> None:
    """Run a program in the script's directory, nicely, in a session of its own.

    :raises ConfigError: it fails, takes too long, or cannot be started; with the end of what it printed.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=script.parent,
            env={**os.environ, "SIPYARD_SCRIPT": str(script), "NO_COLOR": "1"},
            start_new_session=True,
        )
    except OSError as error:
        raise ConfigError(f"{complaint}: cannot run {command[2]}: {error.strerror}") from error
    with contextlib.suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
    try:
        output, _ = await asyncio.wait_for(process.communicate(), limit)
    except TimeoutError:
        raise ConfigError(f"{complaint}: not finished after {limit:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        text = output.decode("utf-8", "replace").strip()[-OUTPUT_SHOWN:]
        raise ConfigError(f"{complaint} (exit status {process.returncode}):\n{text}")
