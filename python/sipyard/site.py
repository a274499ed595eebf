"""What a server serves: routes, the modules they call, core parameters; from a script or a routes file.

A server, the test kit and a benchmark all put their engine together here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sipyard.arguments import Generation
from sipyard.engine import Engine, Routes
from sipyard.management.core_commands import CoreCommands
from sipyard.management.dns_commands import DnsCommands
from sipyard.management.provisioning_commands import ProvisioningCommands
from sipyard.registry import Modules
from sipyard.routes import load_routes
from sipyard.script import Script, Severity, load_script, load_text
from sipyard.settings import Settings
from sipyard.storage.provisioning import Provisioning

if TYPE_CHECKING:
    from sipyard._native.core import Core
    from sipyard.sip.resolver import Resolver


@dataclass(slots=True)
class Site:
    """Everything that was loaded; an engine is made of it once for each core."""

    name: str
    routes: Routes
    modules: Modules
    settings: Settings
    remarks: Sequence[str] = ()
    """What an operator should know at the start: settings that have no meaning here, and why."""
    origin: Path | None = None
    """The file it was loaded from."""
    again: Callable[[], Site] | None = None
    """Loads it once more from there."""

    @classmethod
    def load(cls, path: str | Path, generation: Generation | None = None) -> Site:
        """A SER script, run through m4 when the name ends in ``.m4``; a routes file when it ends in ``.py``.

        :param generation: reads a script as that of SER, whatever it looks like.
        :raises ConfigError: it cannot be loaded.
        """
        if Path(path).suffix == ".py":
            found = load_routes(path)
            site = cls(str(path), found.routes, found.modules, Settings.of(found.settings))
        else:
            site = cls.of_script(str(path), load_script(path, generation))
        site.origin = Path(path).absolute()
        site.again = partial(cls._load_again, path, site.origin, generation)
        return site

    @classmethod
    def _load_again(cls, path: str | Path, origin: Path, generation: Generation | None) -> Site:
        """By the name it was given, unless the working directory is another one now."""
        return cls.load(path if Path(path).absolute() == origin else origin, generation)

    @classmethod
    def of_text(cls, text: str, name: str = "<script>") -> Site:
        """A SER script given as text.

        :raises ConfigError: it cannot be loaded.
        """
        return cls.of_script(name, load_text(text, name))

    @classmethod
    def of_script(cls, name: str, script: Script) -> Site:
        """A script that has been compiled."""
        notes = (one for one in script.report.problems if one.severity is Severity.NOTE)
        return cls(name, script, script.modules, Settings.of(script.settings), [str(one) for one in notes])

    def engine(self, core: Core, *, resolver: Resolver | None = None, **options: Any) -> Engine:
        """An engine on this core, the core told its parameters."""
        self.settings.configure(core)
        engine = Engine(
            core,
            self.routes,
            self.modules,
            resolver=resolver,
            debug=self.settings.debug,
            message_deadline=self.settings.message_deadline,
            **options,
        )
        engine.resolver.settings = self.settings.dns()
        CoreCommands(engine).declare()
        DnsCommands(engine).declare()
        if url := os.environ.get("SIPYARD_DB") or self.modules.database_url():
            ProvisioningCommands(lambda: Provisioning(engine.databases.get(url))).declare(engine.commands)
        return engine
