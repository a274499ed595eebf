"""A compiler whose routes tell a `Teller` what they do: the same statements, with a word before each and a
look at each value. Only `sipyard explain` compiles with it; the server's routes know nothing of it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sipyard.errors import Place
from sipyard.explain.sandbox import SideEffect
from sipyard.explain.story import Teller, Value
from sipyard.module import Module
from sipyard.script.compile import Compiler
from sipyard.script.conditions import field_reader
from sipyard.script.snippets import Snippet
from sipyard.script.source import Source
from sipyard.script.tree import BitTest, Compare, If, Operand, Route, Statement, Truth

if TYPE_CHECKING:
    from sipyard.arguments import Loading
    from sipyard.context import Context
    from sipyard.script.tree import Expression

Reader = Callable[["Context"], Any]
_LONGEST = 160


def telling_compiler(teller: Teller, source: Source, loading: Loading) -> type[Compiler]:
    """A compiler class for `build` whose routes tell this teller."""

    class Bound(TellingCompiler):
        pass

    Bound.teller, Bound.text, Bound.loading = teller, source, loading
    return Bound


class TellingCompiler(Compiler):
    """Wraps statements and values."""

    teller: Teller
    text: Source
    loading: Loading
    title = ""

    def block(self, route: Route) -> list[ast.stmt]:
        """The block's title is what its steps are told with."""
        self.title = route.kind.block + (f"[{route.name}]" if route.name else "")
        return super().block(route)

    def _statement(self, statement: Statement, *, tail: bool) -> list[ast.stmt]:
        place = statement.place
        text = self._text(place)
        if isinstance(statement, If):
            text = f"if ({self._text(statement.condition.place)})"
        title, line, step = self.title, place.line, self.teller.step

        def tell(msg: Context) -> None:
            step(msg, title, line, text)

        told = self._code("t(msg)", place, t=self._constant(tell, place))
        return [*told, *super()._statement(statement, tail=tail)]

    def _condition(self, node: Expression) -> ast.expr:
        built = super()._condition(node)
        if not isinstance(node, Compare | Truth | BitTest):
            return built
        parts = {
            Compare: lambda: [node.left, node.right],  # type: ignore[union-attr]
            Truth: lambda: [node.operand],  # type: ignore[union-attr]
            BitTest: lambda: [node.attribute],  # type: ignore[union-attr]
        }[type(node)]()
        readers = [(self._text(part.place), read) for part in parts if (read := self._reader(part))]
        return self._seen(built, self._text(node.place), node.place, readers, is_truth=True)

    def _snippet(self, snippet: object, place: Place) -> ast.expr:
        if not isinstance(snippet, Snippet):
            return super()._snippet(snippet, place)
        function = snippet.constants.get("f")
        if isinstance(getattr(function, "__self__", None), Module):
            guarded = self._guarded(function, snippet.returns)
            snippet = Snippet(snippet.code, {**snippet.constants, "f": guarded}, snippet.returns)
        elif "msg.exec(" in snippet.code:
            snippet = Snippet("f(msg, a0)", {**snippet.constants, "f": self._not_run}, snippet.returns)
        built = super()._snippet(snippet, place)
        if snippet.returns == "truth":
            return built
        return self._seen(built, self._text(place), place, [], is_truth=False)

    def _seen(
        self,
        built: ast.expr,
        text: str,
        place: Place,
        readers: list[tuple[str, Reader]],
        *,
        is_truth: bool,
    ) -> ast.expr:
        teller = self.teller

        def seen(msg: Context, value: Any) -> Any:
            because = ", ".join(f"{name} is {_shown(read(msg))}" for name, read in readers)
            told = ("true" if value else "false") if is_truth or isinstance(value, bool) else str(value)
            if value is not None:
                teller.value(msg, Value(text, told, because))
            return value

        return self._value("s(msg, v)", place, s=self._constant(seen, place), v=built)

    def _reader(self, operand: Operand) -> Reader | None:
        """Reads what stands on one side of a comparison; None for what is as it is written."""
        if operand.kind in ("attribute", "select", "retcode"):
            text = str(operand.value).removesuffix("[]")
            return self.loading.reader("$?" if operand.kind == "retcode" else text)
        return field_reader(str(operand.value)) if operand.kind == "field" else None

    def _guarded(self, function: Any, returns: str) -> Callable[..., Any]:
        """The function, unless it does something outside: that is told and counts as done."""
        done = {"bool": True, "none": None}.get(returns, 1)
        teller = self.teller

        def refused(effect: SideEffect) -> Any:
            teller.note(f"not done: {effect}")
            return done

        async def waiting(*arguments: Any) -> Any:
            try:
                return await function(*arguments)
            except SideEffect as effect:
                return refused(effect)

        def at_once(*arguments: Any) -> Any:
            try:
                return function(*arguments)
            except SideEffect as effect:
                return refused(effect)

        return waiting if inspect.iscoroutinefunction(function) else at_once

    def _not_run(self, _msg: Context, command: str) -> int:
        self.teller.note(f"not done: would run {command}")
        return 1

    def _text(self, place: Place) -> str:
        """The script's text of a place on one line."""
        last = place.end_line or place.line
        lines = [self.text.line(number) for number in range(place.line, last + 1)]
        if place.end_column:
            lines[-1] = lines[-1][: place.end_column - 1]
        lines[0] = lines[0][place.column - 1 :]
        text = " ".join(" ".join(lines).split())
        return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)
