"""The top level of a script checked: settings, flags, modules and their parameters."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sipyard.arguments import ArgumentError, Generation, Loading, near, number_of
from sipyard.errors import ConfigError, SipyardError
from sipyard.module import Module
from sipyard.registry import Modules, available, module_name_of
from sipyard.script import knowledge
from sipyard.script.core_parameters import MISNOMERS, PARAMETERS, SETTINGS, CoreParameter
from sipyard.script.source import Findings
from sipyard.script.tree import FlagName, LoadModule, ModParam, Setting, Socket, Tree


@dataclass(slots=True)
class Settings:
    """The core settings of a script: `values` by canonical name, defaults included; sockets apart."""

    values: dict[str, str | int | None] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    listen: list[Socket] = field(default_factory=list)
    aliases: list[Socket] = field(default_factory=list)

    def number(self, name: str) -> int:
        """A numeric or yes/no setting."""
        value = self.values.get(name)
        return value if isinstance(value, int) else 0

    def switch(self, name: str) -> bool:
        return bool(self.number(name))

    def text(self, name: str) -> str | None:
        """A textual setting; None when unset."""
        value = self.values.get(name)
        return None if value is None else str(value)


class Declarations:
    """Checks the top level and loads the modules."""

    def __init__(self, findings: Findings, tree: Tree, modules: Modules, loading: Loading) -> None:
        self.findings = findings
        self.tree = tree
        self.modules = modules
        self.loading = loading
        self.missing: set[str] = set()
        self.settings = Settings()

    def check(self) -> Settings:
        generation = self.loading.generation
        self.settings.values = {each.name: each.default(generation) for each in PARAMETERS}
        for setting in self.tree.settings:
            self._setting(setting)
        self.loading.flags = self._flags(self.tree.flags, "flag")
        self.loading.avp_flags = self._flags(self.tree.avp_flags, "avpflag")
        for load in self.tree.modules:
            self._load(load)
        for parameter in self.tree.parameters:
            self._parameter(parameter)
        return self.settings

    # -- settings --------------------------------------------------------------------------------------------

    def _setting(self, setting: Setting) -> None:
        row = SETTINGS.get(setting.name)
        if row is None:
            meant = MISNOMERS.get(setting.name)
            hint = f"did you mean {meant}?" if meant else near(setting.name, SETTINGS)
            self.findings.error(f"setting {setting.name} is not known", setting.place, hint)
            return
        if isinstance(setting.value, list):
            target = self.settings.listen if row.name == "listen" else self.settings.aliases
            target += setting.value
            for socket in setting.value:
                if not socket.is_good:
                    hint = "write [protocol:]host[:port]"
                    self.findings.error(f"{socket.host} is not an address", socket.place, hint)
            self.settings.written.add(row.name)
            return
        value = self._value(setting, row)
        if value is None:
            return
        self.settings.values[row.name] = value
        self.settings.written.add(row.name)
        if row.without_meaning is not None:
            self.findings.note(f"{setting.name} has no effect", setting.place, row.without_meaning)

    def _value(self, setting: Setting, row: CoreParameter) -> str | int | None:
        value = setting.value
        if isinstance(value, list):
            return None
        if row.type in ("number", "switch"):
            number = value if isinstance(value, int) else None
            if number is None and not setting.is_word:
                number = number_of(str(value))
                hint = f"write {value} without quotes" if number is not None else None
            else:
                hint = None
            if not isinstance(value, int):
                wanted = "yes or no" if row.type == "switch" else "a number"
                self.findings.error(f"{setting.name} takes {wanted}, not {value}", setting.value_place, hint)
                return None
            return number
        if row.type == "word" and isinstance(value, int):
            self.findings.error(f"{setting.name} takes a word, not {value}", setting.value_place)
            return None
        if row.type == "string" and isinstance(value, int):
            hint = f'write "{value}"'
            self.findings.error(f"{setting.name} takes a string, not {value}", setting.value_place, hint)
            return None
        return value

    # -- flags -----------------------------------------------------------------------------------------------

    def _flags(self, declared: list[FlagName], what: str) -> dict[str, int]:
        """Numbers of declared flags; unnumbered ones get the lowest free bits."""
        numbers: dict[str, int] = {}
        for each in declared:
            if each.name in numbers or any(
                other.name == each.name for other in declared if other is not each
            ):
                first = next(other for other in declared if other.name == each.name)
                if first is not each:
                    self.findings.error(f"{what} {each.name} is declared twice", each.place)
                    continue
            if each.number is not None:
                if not 0 <= each.number <= 31:
                    self.findings.error(f"{what} {each.name}: bits are numbered 0 to 31", each.place)
                elif each.number in numbers.values():
                    self.findings.error(f"{what} {each.name}: bit {each.number} is taken", each.place)
                numbers[each.name] = each.number
        taken = set(numbers.values())
        for each in declared:
            if each.name in numbers:
                continue
            free = next((bit for bit in range(32) if bit not in taken), None)
            if free is None:
                self.findings.error(f"{what} {each.name}: all 32 bits are taken", each.place)
                break
            numbers[each.name] = free
            taken.add(free)
        return numbers

    # -- modules ---------------------------------------------------------------------------------------------

    def _load(self, load: LoadModule) -> None:
        name = module_name_of(load.path)
        if name in self.modules:
            return
        if name in available():
            try:
                self.modules.load(name, load.path_place)
            except SipyardError as error:
                hint = error.hint if isinstance(error, ConfigError) else None
                self.findings.error(f"module {name}: {error.message}", load.path_place, hint)
            except (ImportError, TypeError, OSError) as error:
                self.findings.error(f"module {name} cannot be loaded: {error}", load.path_place)
            return
        self.missing.add(name)
        if name in knowledge.module_names():
            self.findings.error(f"module {name} is one of SER's that this build has not got", load.path_place)
        else:
            hint = near(name, available() | knowledge.module_names())
            self.findings.error(f"module {name} is not known", load.path_place, hint)

    def _parameter(self, line: ModParam) -> None:
        try:
            pattern = re.compile(f"(?:{line.module})", re.IGNORECASE)
        except re.error as error:
            self.findings.error(f'"{line.module}" is not a regular expression: {error}', line.module_place)
            return
        matching = [module for module in self.modules if pattern.fullmatch(module.name)]
        if not matching:
            self._no_module(line, pattern)
        for module in matching:
            self._set(line, module)

    def _no_module(self, line: ModParam, pattern: re.Pattern[str]) -> None:
        if any(pattern.fullmatch(name) for name in self.missing):
            return  # reported at its loadmodule
        known = [name for name in available() | knowledge.module_names() if pattern.fullmatch(name)]
        if known:
            message = f"module {known[0]} is not loaded"
            self.findings.error(message, line.module_place, f'loadmodule "{known[0]}" must stand before')
        else:
            hint = near(line.module, [module.name for module in self.modules])
            self.findings.error(f'"{line.module}" matches no loaded module', line.module_place, hint)

    def _set(self, line: ModParam, module: Module) -> None:
        declaration = module.parameters.get(line.name)
        generation = self.loading.generation
        if declaration is None or not generation & declaration.generations:
            self._no_parameter(line, module, declaration is not None)
            return
        try:
            module.set_parameter(line.name, line.value, self.loading)
        except ArgumentError as error:
            message = f"parameter {line.name} of module {module.name} {error}"
            self.findings.error(message, line.value_place, error.hint)

    def _no_parameter(self, line: ModParam, module: Module, is_other: bool) -> None:
        generation = self.loading.generation
        if is_other:
            other = Generation.BOTH ^ generation
            message = f"parameter {line.name} of module {module.name} exists in {other} only"
            self.findings.error(message, line.name_place, f"the script is read as {generation}")
        elif knowledge.parameter_type(module.name, line.name, generation) is not None:
            message = f"module {module.name} of this build has no parameter {line.name} yet"
            self.findings.error(message, line.name_place)
        else:
            known = [name for name, each in module.parameters.items() if generation & each.generations]
            message = f"module {module.name} has no parameter {line.name}"
            self.findings.error(message, line.name_place, near(line.name, known))
