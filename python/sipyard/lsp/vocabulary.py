"""What may stand at a spot, what stands there, and where it is defined: completion, hover, definition."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from sipyard.arguments import ArgumentError, FlagKind, RouteKind, RouteNameKind
from sipyard.errors import ConfigError
from sipyard.lsp import manual
from sipyard.lsp.spot import Spot
from sipyard.module import Module
from sipyard.registry import available, module_name_of
from sipyard.script.check import Checked
from sipyard.script.core_functions import CORE_FUNCTIONS
from sipyard.script.core_parameters import PARAMETERS, SETTINGS
from sipyard.script.declared import declared_class
from sipyard.script.lexer import ATTRIBUTE, SELECT_, STRING, tokenize
from sipyard.script.source import Findings
from sipyard.script.tree import Route
from sipyard.selects import compile_select, parse_select, root_names


class Sort(enum.Enum):
    """What a completion is, by which an editor chooses its picture."""

    FUNCTION = "function"
    KEYWORD = "keyword"
    MODULE = "module"
    PARAMETER = "parameter"
    SELECT = "select"
    ATTRIBUTE = "attribute"
    ROUTE = "route"
    FLAG = "flag"
    SETTING = "setting"


class Completion(NamedTuple):
    """`start` says how many characters before the cursor it replaces."""

    label: str
    sort: Sort
    detail: str
    doc: str
    replaces: int


_TOP: Final = ("loadmodule", "modparam", "flags", "avpflags", *(kind.block for kind in RouteKind))
_WORDS: Final = ("if", "else", "route", "drop", "exit", "break", "return")
_FIELDS: Final = (
    *("method", "uri", "from_uri", "to_uri", "status", "src_ip", "dst_ip", "src_port", "dst_port"),
    *("proto", "af", "msg:len"),
)
_PARTS: Final = (
    *("uri", "name", "tag", "params", "type", "user", "pwd", "rn", "host", "port", "hostport"),
    *("protocol", "version", "transport", "branch", "received", "rport", "ttl", "maddr", "i", "alias"),
    *("q", "expires", "method", "num", "ip", "ip_port", "proto", "proto_ip_port", "instance", "comp"),
)
"""Parts that selects have somewhere; which of them fit is tried."""


class Vocabulary:
    """Answers about one checked script."""

    def __init__(self, checked: Checked) -> None:
        self.checked = checked

    # -- completion ------------------------------------------------------------------------------------------

    def completions(self, spot: Spot, offset: int) -> list[Completion]:
        """What may stand at the cursor."""
        typed = self._typed(spot, offset)
        if (spot.token is not None and spot.token.kind == STRING) or spot.call in ("route", "modparam"):
            return self._finish(typed, self._in_call(spot))
        if typed.startswith("@"):
            return self._finish(typed, self._selects(typed))
        if typed.startswith("$"):
            return self._finish(typed, self._attributes())
        if spot.call is not None:
            return self._finish(typed, [*self._in_call(spot), *self._attributes()])
        if spot.route is None:
            return self._finish(typed, self._top())
        return self._finish(typed, self._statements(spot.route))

    @staticmethod
    def _typed(spot: Spot, offset: int) -> str:
        """What of the word at the cursor stands before it, without its quote."""
        if spot.token is None or spot.token.start >= offset:
            return ""
        return spot.token.text[: offset - spot.token.start].lstrip("\"'")

    @staticmethod
    def _finish(typed: str, found: Iterable[Completion]) -> list[Completion]:
        low = typed.lower()
        return [each._replace(replaces=len(typed)) for each in found if each.label.lower().startswith(low)]

    def _in_call(self, spot: Spot) -> Iterator[Completion]:
        if spot.call == "modparam":
            yield from self._parameters(spot)
        elif spot.call == "route":
            yield from self._routes(RouteKind.REQUEST)
        elif spot.call is None:
            if spot.before is not None and spot.before.text == "loadmodule":
                for name in sorted(available()):
                    yield Completion(name, Sort.MODULE, "module", "", 0)
        else:
            yield from self._argument(spot)

    def _argument(self, spot: Spot) -> Iterator[Completion]:
        name = spot.call or ""
        core = CORE_FUNCTIONS.get(name)
        if core is not None and core.shape in ("flag", "avp_flag"):
            declared = (
                self.checked.loading.avp_flags if core.shape == "avp_flag" else self.checked.loading.flags
            )
            yield from (Completion(each, Sort.FLAG, "flag", "", 0) for each in declared)
            return
        found = self.checked.modules.function(name)
        if found is None or spot.argument >= len(found[1].kinds):
            return
        kind = found[1].kinds[spot.argument]
        if isinstance(kind, RouteNameKind):
            yield from self._routes(kind.kind)
        elif isinstance(kind, FlagKind):
            yield from (Completion(each, Sort.FLAG, "flag", "", 0) for each in self.checked.loading.flags)

    def _parameters(self, spot: Spot) -> Iterator[Completion]:
        if spot.argument == 0:
            for module in self.checked.modules:
                yield Completion(module.name, Sort.MODULE, "module", manual.module_entry(module), 0)
            return
        for module in self._modules_of(spot) if spot.argument == 1 else ():
            for name, declared in module.parameters.items():
                if self.checked.report.generation & declared.generations:
                    doc = manual.parameter_entry(module, declared)
                    yield Completion(name, Sort.PARAMETER, declared.kind.says, doc, 0)

    def _modules_of(self, spot: Spot) -> list[Module]:
        """The modules that a `modparam` speaks of."""
        names = str(spot.given[0].value).split("|") if spot.given else []
        return [module for module in self.checked.modules if module.name in names]

    def _routes(self, kind: RouteKind) -> Iterator[Completion]:
        for route in self.checked.tree.routes:
            if route.kind is kind and route.name is not None:
                yield Completion(route.name, Sort.ROUTE, f"{kind.block}, line {route.place.line}", "", 0)

    def _selects(self, typed: str) -> Iterator[Completion]:
        whole, dot, _ = typed.rpartition(".")
        if not dot:
            for name in root_names():
                yield Completion(f"@{name}", Sort.SELECT, "select", "", 0)
            for module in self.checked.modules:
                for each in module.selects.values():
                    doc = manual.select_entry(module, each)
                    yield Completion(f"@{each.root}", Sort.SELECT, f"module {module.name}", doc, 0)
            return
        for part in _PARTS:
            label = f"{whole}.{part}"
            if _is_select(label):
                yield Completion(label, Sort.SELECT, "select", "", 0)

    def _attributes(self) -> Iterator[Completion]:
        tokens = tokenize(self.checked.report.source, Findings())  # the tree lacks what is half written
        written = {str(token.value) for token in tokens if token.kind == ATTRIBUTE}
        for name in sorted(written):
            if re.fullmatch(r"\$\w[\w.]+", name):
                yield Completion(name, Sort.ATTRIBUTE, "attribute", "", 0)

    def _top(self) -> Iterator[Completion]:
        for word in _TOP:
            yield Completion(word, Sort.KEYWORD, "", "", 0)
        for row in PARAMETERS:
            if self.checked.report.generation & row.generations:
                yield Completion(row.name, Sort.SETTING, row.type, manual.setting_entry(row), 0)

    def _statements(self, kind: RouteKind) -> Iterator[Completion]:
        for word in (*_WORDS, *_FIELDS):
            yield Completion(word, Sort.KEYWORD, "", "", 0)
        for name, core in CORE_FUNCTIONS.items():
            if kind in core.routes:
                yield Completion(name, Sort.FUNCTION, "core", manual.core_entry(core), 0)
        for module in self.checked.modules:
            for name in module.functions:
                found = self.checked.modules.function(name)
                if found is not None and found[0] is module and kind in found[1].routes:
                    doc = manual.function_entry(*found)
                    yield Completion(
                        name, Sort.FUNCTION, f"{module.name}: {manual.signature(found[1])}", doc, 0
                    )

    # -- hover -----------------------------------------------------------------------------------------------

    def hover(self, spot: Spot) -> str | None:
        """The entry of the reference about what stands at the cursor, as Markdown."""
        if spot.token is None:
            return None
        if spot.token.kind == STRING:
            return self._hover_string(spot)
        if spot.token.kind == SELECT_:
            return self._hover_select(spot.token.text)
        if spot.token.kind == ATTRIBUTE:
            return None
        name = spot.text
        found = self.checked.modules.function(name)
        if name in CORE_FUNCTIONS:
            return manual.core_entry(CORE_FUNCTIONS[name])
        if found is not None:
            return manual.function_entry(*found)
        if spot.route is None and name in SETTINGS:
            return manual.setting_entry(SETTINGS[name])
        return self._hover_route(spot)

    def _hover_string(self, spot: Spot) -> str | None:
        text = spot.text
        if spot.call == "modparam" and spot.argument == 1:
            for module in self._modules_of(spot):
                if text in module.parameters:
                    return manual.parameter_entry(module, module.parameters[text])
        is_name = spot.call == "modparam" and spot.argument == 0
        if is_name or (spot.before is not None and spot.before.text == "loadmodule"):
            name = module_name_of(text)
            try:
                return manual.module_entry(declared_class(name)) if name in available() else None
            except ConfigError as error:
                return error.message
        return self._hover_select(text) if text.startswith("@") else self._hover_route(spot)

    def _hover_select(self, text: str) -> str | None:
        try:
            path = parse_select(text)
        except ArgumentError:
            return None
        for root in (".".join(step.name for step in path[:2]), path[0].name):
            found = self.checked.modules.select(root)
            if found is not None:
                return manual.select_entry(*found)
        return f"```\n{text}\n```\nselect of the core" if _is_select(text) else None

    def _hover_route(self, spot: Spot) -> str | None:
        route = self.definition(spot)
        return None if route is None else f"{route.kind.block}[{route.name}], line {route.place.line}"

    # -- definition ------------------------------------------------------------------------------------------

    def definition(self, spot: Spot) -> Route | None:
        """The block that the name at the cursor means."""
        kind = self._kind_named(spot)
        for route in self.checked.tree.routes if kind is not None else ():
            if route.kind is kind and route.name == spot.text:
                return route
        return None

    def _kind_named(self, spot: Spot) -> RouteKind | None:
        if spot.call == "route":
            return RouteKind.REQUEST
        found = self.checked.modules.function(spot.call or "")
        if found is None or spot.argument >= len(found[1].kinds):
            return None
        kind = found[1].kinds[spot.argument]
        return kind.kind if isinstance(kind, RouteNameKind) else None


def _is_select(text: str) -> bool:
    try:
        compile_select(parse_select(text))
    except ArgumentError:
        return False
    return True
