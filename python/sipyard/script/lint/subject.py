"""What the rules look at: the checked script, its control flow and everything that stands in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from sipyard.arguments import Generation, RouteKind
from sipyard.errors import Place
from sipyard.module import Function
from sipyard.registry import module_name_of
from sipyard.script.lint.effects import Effect, effect_of
from sipyard.script.lint.flow import Walk
from sipyard.script.lint.states import Flow
from sipyard.script.tree import Call, Route, RouteCall, Tree

if TYPE_CHECKING:
    from sipyard.arguments import Loading
    from sipyard.registry import Modules


def nodes(node: object) -> Iterator[object]:
    """A node of the tree and all below it, in the order in which they are written."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from nodes(each)
    elif dataclasses.is_dataclass(node) and not isinstance(node, Place | type):
        yield node
        for each in dataclasses.fields(node):
            if each.name != "resolved":
                yield from nodes(getattr(node, each.name))


@dataclass
class Subject:
    """One script under the lint."""

    tree: Tree
    generation: Generation
    modules: Modules
    loading: Loading
    missing: set[str]
    """Modules that are loaded but not in this build."""
    _visits: dict[RouteKind, list[tuple[Call, Flow]]] = field(default_factory=dict)

    def declared(self, name: str) -> Function | None:
        """The declaration of a function by the loaded module that exports it."""
        found = self.modules.function(name)
        return None if found is None else found[1]

    def effect(self, call: Call) -> Effect:
        """What a call does to the message."""
        return effect_of(call.name, self.declared(call.name))

    @cached_property
    def walk(self) -> Walk:
        """The control flow."""
        return Walk(self.tree, self.generation, self.effect).run()

    @cached_property
    def module_names(self) -> frozenset[str]:
        """Modules that the script loads, those that this build lacks included."""
        return frozenset(module_name_of(each.path) for each in self.tree.modules) | {
            module.name for module in self.modules
        }

    @cached_property
    def calls(self) -> list[Call]:
        """All calls of the script."""
        return [each for each in nodes(self.tree.routes) if isinstance(each, Call)]

    @cached_property
    def call_names(self) -> frozenset[str]:
        return frozenset(call.name for call in self.calls)

    @cached_property
    def route_calls(self) -> frozenset[str]:
        """Names of routes that `route(X)` names."""
        return frozenset(each.name for each in nodes(self.tree.routes) if isinstance(each, RouteCall))

    def is_used(self, route: Route) -> bool:
        """Whether anything can enter a block: the server, a call, a function that arms it, a module parameter
        that names it (timers and RPC)."""
        if route.name is None:
            return True
        if (route.kind, route.name) in self.loading.armed:
            return True
        if route.kind is not RouteKind.REQUEST:
            return self._is_armed_by_missing(route)
        if route.name in self.route_calls:
            return True
        named = (str(each.value) for each in self.tree.parameters)
        return any(route.name in value.replace(",", " ").split() for value in named)

    def _is_armed_by_missing(self, route: Route) -> bool:
        """Whether a function that this build lacks is given the block's name."""
        return any(
            str(argument.value) == route.name and self.declared(call.name) is None
            for call in self.calls
            for argument in call.arguments
        )

    def visits(self, kinds: RouteKind) -> list[tuple[Call, Flow]]:
        """Each call that a message can reach from blocks of these kinds, with the states that reach it."""
        if kinds not in self._visits:
            flows = ((call, self.walk.flow_at(call)) for call in self.calls)
            by_kind = (
                (call, {state: way for state, way in flow.items() if state.entry in kinds})
                for call, flow in flows
            )
            self._visits[kinds] = [(call, flow) for call, flow in by_kind if flow]
        return self._visits[kinds]
