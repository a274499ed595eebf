"""From the checked tree to coroutines: each block becomes one `async def` that carries the script's lines.

A block returns SER's result; an `Exit` (an int) says that the whole script ends. In generation 2.0 a call
that returns 0 ends the script and so do drop and exit; break and return leave the block. In 0.9, break, drop
and a statement that yields 0 leave the block with 0, which its caller takes as 1 (semantics §2); only inside
a condition 0 ends the script.

The generated code is built as Python's own `ast`: synchronous functions are called directly, asynchronous
ones awaited, arguments are prepared constants. What a call or comparison means is said in calls.py and
conditions.py.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Coroutine
from functools import cache
from types import CodeType
from typing import Any

from sipyard.arguments import Generation, RouteKind
from sipyard.attributes import ALL_VALUES, Name
from sipyard.errors import InternalError, Place
from sipyard.script import runtime
from sipyard.script.snippets import Snippet
from sipyard.script.tree import (
    Action,
    Assign,
    BitTest,
    Block,
    Call,
    Compare,
    Expression,
    If,
    Logic,
    Not,
    Operand,
    Route,
    RouteCall,
    Statement,
    Stop,
    StopKind,
    Tree,
    Truth,
)
from sipyard.script.usage import reads_retcode, recursive_routes

Compiled = Callable[..., Coroutine[Any, Any, int]]
_RUNTIME: dict[str, Any] = {
    name: value for name, value in vars(runtime).items() if name in runtime.FOR_ROUTES
}


@cache
def _parsed(code: str) -> ast.Module:
    return ast.parse(code)


class _Fill(ast.NodeTransformer):
    """Copies a template, puts nodes in place of names, and gives every node a place in the script."""

    def __init__(self, place: Place, nodes: dict[str, ast.expr]) -> None:
        self.nodes = nodes
        end = (place.end_line or place.line, max(place.end_column - 1, 0))
        self.where = {
            "lineno": place.line,
            "col_offset": place.column - 1,
            "end_lineno": end[0],
            "end_col_offset": end[1],
        }

    def visit(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Name) and node.id in self.nodes:
            return self.nodes[node.id]
        fields = {
            name: [self.visit(each) for each in value]
            if isinstance(value, list)
            else self.visit(value)
            if isinstance(value, ast.AST)
            else value
            for name, value in ast.iter_fields(node)
        }
        new = type(node)(**fields)
        if "lineno" in node._attributes:
            for name, value in self.where.items():
                setattr(new, name, value)
        return new


class Compiler:
    """Compiles all blocks of one script into one namespace."""

    def __init__(self, tree: Tree, file: str, generation: Generation) -> None:
        self.tree = tree
        self.file = file
        self.is_new = generation is Generation.SER_2_0
        self.namespace: dict[str, Any] = dict(_RUNTIME)
        self.keeps = any(reads_retcode(route.body) for route in tree.routes)
        self.extra: list[ast.stmt] = []
        self.raises = False
        self.recursive = recursive_routes(tree)
        self.current = ""
        self.titles: dict[str, tuple[RouteKind, str]] = {}

    def compile(self) -> dict[tuple[RouteKind, str], Compiled]:
        """Every block by kind and name ("0" is the unnamed one)."""
        exec(self.code(), self.namespace)  # noqa: S102 (our own code)
        compiled = {}
        for name, key in self.titles.items():
            function = self.namespace[name]
            title = key[0].block + (f"[{key[1]}]" if key[1] != "0" else "")
            function.__code__ = function.__code__.replace(co_name=title, co_qualname=title)
            function.__name__ = function.__qualname__ = title
            compiled[key] = function
        return compiled

    def code(self) -> CodeType:
        """The whole script as one code object that defines every block."""
        module = ast.Module(body=self.functions(), type_ignores=[])
        return compile(module, self.file, "exec", dont_inherit=True)

    def functions(self) -> list[ast.stmt]:
        """The definitions of all blocks, in the script's order."""
        return [definition for route in self.tree.routes for definition in self.block(route)]

    def block(self, route: Route) -> list[ast.stmt]:
        """The definition of a block, and of those nested in its conditions."""
        key = (route.kind, route.name or "0")
        name = self.name_of(*key)
        self.titles[name] = key
        self.current = key[1] if route.kind is RouteKind.REQUEST else ""
        definitions = self._function(name, route) + self.extra
        self.extra = []
        return definitions

    def name_of(self, kind: RouteKind, name: str) -> str:
        """The identifier of a block."""
        return function_name(kind, name)

    # -- building nodes --------------------------------------------------------------------------------------

    def _code(self, code: str, place: Place, **nodes: ast.expr) -> list[ast.stmt]:
        return [_Fill(place, nodes).visit(each) for each in _parsed(code).body]

    def _value(self, code: str, place: Place, **nodes: ast.expr) -> ast.expr:
        statement = _parsed(code).body[0]
        if not isinstance(statement, ast.Expr):
            raise InternalError(f"{code} is not an expression")
        node: ast.expr = _Fill(place, nodes).visit(statement.value)
        return node

    def _snippet(self, snippet: object, place: Place) -> ast.expr:
        if not isinstance(snippet, Snippet):
            raise InternalError("the tree has not been checked")
        return self._value(snippet.code, place, **self._constants(snippet.constants, place))

    def _constants(self, values: dict[str, object], place: Place) -> dict[str, ast.expr]:
        return {name: self._constant(value, place) for name, value in values.items()}

    def _constant(self, value: object, place: Place) -> ast.expr:
        """A literal, or a global that holds the object."""
        if value is None or type(value) in (int, str, bool):
            return self._literal(value, place)
        base = getattr(value, "__name__", type(value).__name__)
        name = f"{base if base.isidentifier() else 'constant'}_{len(self.namespace)}"
        self.namespace[name] = value
        return self._value(name, place)

    def _literal(self, value: Any, place: Place) -> ast.expr:
        return self._value("x", place, x=ast.copy_location(ast.Constant(value), self._value("x", place)))

    # -- blocks ----------------------------------------------------------------------------------------------

    def _function(self, name: str, route: Route) -> list[ast.stmt]:
        is_recursive = route.kind is RouteKind.REQUEST and self.current in self.recursive
        parameters = "msg, depth=0" if is_recursive else "msg"
        guard = f"if depth > MAX_NESTING: too_deep({self.current!r})" if is_recursive else ""
        return self._define(name, parameters, guard, route.body, route.place)

    def _define(
        self, name: str, parameters: str, guard: str, body: list[Statement], place: Place
    ) -> list[ast.stmt]:
        outer, self.raises = self.raises, False
        statements = self._code(guard, place) if guard else []
        statements += self._list(body, place, tail=True)
        if self.raises:
            wrapped = self._code("try:\n pass\nexcept ScriptExit as _exit:\n return _exit.code", place)
            block = wrapped[0]
            if isinstance(block, ast.Try):
                block.body = statements
            statements = wrapped
        self.raises = outer
        definition = self._code(f"async def {name}({parameters}):\n pass", place)
        function = definition[0]
        if isinstance(function, ast.AsyncFunctionDef):
            function.body = statements
        return definition

    def _list(self, body: list[Statement], place: Place, *, tail: bool) -> list[ast.stmt]:
        """Statements in order. `tail`: the block's result is that of the last one."""
        out: list[ast.stmt] = []
        for number, statement in enumerate(body):
            is_last = tail and number == len(body) - 1
            out += self._statement(statement, tail=is_last)
            if isinstance(statement, Stop):
                return out
        if tail and not body:
            out += self._code("return 1", place)
        return out or self._code("pass", place)

    def _statement(self, statement: Statement, *, tail: bool) -> list[ast.stmt]:
        if isinstance(statement, Call):
            return self._call(statement, tail)
        if isinstance(statement, RouteCall):
            return self._route_call(statement, tail)
        if isinstance(statement, Stop):
            return self._stop(statement)
        if isinstance(statement, If):
            return self._if(statement, tail)
        value = self._assignment(statement)
        if tail:
            return self._code("return v", statement.place, v=value)
        return self._code("v", statement.place, v=value)

    # -- leaving ---------------------------------------------------------------------------------------------

    def _stop(self, stop: Stop) -> list[ast.stmt]:
        if not self.is_new or stop.kind is StopKind.BREAK:
            return self._code("return 0", stop.place)
        if stop.kind is StopKind.RETURN:
            if stop.by_retcode:
                return self._code("return msg.retcode", stop.place)
            return self._code(f"return {1 if stop.value is None else stop.value}", stop.place)
        return self._code("return v", stop.place, v=self._exit_value(stop))

    def _exit_value(self, stop: Stop) -> ast.expr:
        if stop.by_retcode:
            return self._value("Exit(msg.retcode)", stop.place)
        if not stop.value:
            return self._value("EXIT", stop.place)
        return self._constant(runtime.Exit(stop.value), stop.place)

    # -- calls as statements ---------------------------------------------------------------------------------

    def _call(self, call: Call, tail: bool) -> list[ast.stmt]:
        snippet = _snippet_of(call)
        place = call.place
        value = self._snippet(snippet, place)
        if snippet.returns in ("core", "truth"):
            return self._code("return v" if tail else "v", place, v=value)
        if snippet.returns == "none":
            return self._code(_NONE[self.keeps, tail], place, v=value)
        if snippet.returns == "bool":
            return self._code(_BOOL[self.keeps, tail], place, v=value)
        zero = "EXIT" if self.is_new else "0"
        keep = "msg.retcode = " if self.keeps else ""
        if tail and not self.keeps:
            return self._code(f"return v or {zero}" if self.is_new else "return v", place, v=value)
        code = f"{keep}_r = v\nif _r == 0: return {zero}" + ("\nreturn _r" if tail else "")
        if not keep and not tail:
            code = f"if v == 0: return {zero}"
        return self._code(code, place, v=value)

    def _route_value(self, call: RouteCall) -> ast.expr:
        depth = ", depth + 1" if self.current in self.recursive else ""
        depth = depth if call.name in self.recursive else ""
        return self._value(f"await {self.name_of(RouteKind.REQUEST, call.name)}(msg{depth})", call.place)

    def _route_call(self, call: RouteCall, tail: bool) -> list[ast.stmt]:
        value, place = self._route_value(call), call.place
        if self.is_new and tail and not self.keeps:
            return self._code("return v", place, v=value)
        code = "_r = v\nif _r.__class__ is Exit: return _r"
        if not self.is_new:
            code += "\n_r = _r if _r < 0 else 1" if self.keeps or tail else ""
        code += "\nmsg.retcode = _r" if self.keeps else ""
        code += "\nreturn _r" if tail else ""
        return self._code(code, place, v=value)

    # -- if --------------------------------------------------------------------------------------------------

    def _if(self, node: If, tail: bool) -> list[ast.stmt]:
        then = self._list(node.then, node.place, tail=tail)
        otherwise: list[ast.stmt] = []
        if node.otherwise is not None:
            otherwise = self._list(node.otherwise, node.place, tail=tail)
        elif tail:
            otherwise = self._code("return 1", node.place)
        direct = self._direct_if(node.condition, then, otherwise)
        if direct is not None:
            return direct
        built = self._code("if c: pass", node.place, c=self._condition(node.condition))
        _branches(built[0], then, otherwise)
        return built

    def _direct_if(
        self, condition: Expression, then: list[ast.stmt], otherwise: list[ast.stmt]
    ) -> list[ast.stmt] | None:
        """`if (f())` and `if (!f())` with an int function or a route: the result is looked at once."""
        is_negated = isinstance(condition, Not)
        inner = condition.inner if isinstance(condition, Not) else condition
        if not isinstance(inner, Action):
            return None
        statement, place = inner.statement, inner.place
        sign = "<" if is_negated else ">"
        if isinstance(statement, RouteCall):
            value = self._route_value(statement)
            keep = "msg.retcode = _r\n" if self.keeps else ""
            fix = "" if self.is_new else "_r = _r if _r < 0 else 1\n"
            code = f"_r = v\nif _r.__class__ is Exit: return _r\n{fix}{keep}"
            code += "if _r <= 0: pass" if is_negated else "if _r > 0: pass"
        elif isinstance(statement, Call) and _snippet_of(statement).returns == "int":
            value = self._snippet(statement.resolved, place)
            keep = "msg.retcode = " if self.keeps else ""
            code = f"{keep}_r = v\nif _r {sign} 0: pass\nelif _r == 0: return EXIT"
        else:
            return None
        built = self._code(code, place, v=value)
        last = built[-1]
        if isinstance(last, ast.If) and last.orelse and isinstance(last.orelse[0], ast.If):
            last.body, last.orelse[0].orelse = then, otherwise
        else:
            _branches(last, then, otherwise)
        return built

    # -- conditions ------------------------------------------------------------------------------------------

    def _condition(self, node: Expression) -> ast.expr:
        """A Python expression whose truth is the condition's."""
        if isinstance(node, Compare):
            return self._snippet(node.resolved, node.place)
        if isinstance(node, Truth):
            return self._snippet(node.operand.resolved, node.place)
        if isinstance(node, BitTest):
            return self._snippet(node.attribute.resolved, node.place)
        if isinstance(node, Not):
            return self._value("not c", node.place, c=self._condition(node.inner))
        if isinstance(node, Logic):
            operator: ast.boolop = ast.And() if node.operator == "and" else ast.Or()
            built = ast.BoolOp(operator, [self._condition(part) for part in node.parts])
            return ast.copy_location(built, self._value("x", node.place))
        if isinstance(node, Block):
            return self._nested(node.body, node.place)
        return self._action(node)

    def _action(self, node: Action) -> ast.expr:
        """A statement as a condition: true when its result is above 0; 0 of a function ends the script."""
        statement, place = node.statement, node.place
        if isinstance(statement, Call):
            return self._call_condition(statement, place)
        if isinstance(statement, RouteCall):
            self.raises = True
            value = self._value("carry(v)", place, v=self._route_value(statement))
            if self.keeps:
                value = self._value("keep(msg, v)", place, v=value)
            return self._value("v > 0" if self.is_new else "v >= 0", place, v=value)
        if isinstance(statement, Stop):
            self.raises = True
            value = self._exit_value(statement) if self.is_new else self._value("EXIT", place)
            return self._value("stop(v)", place, v=value)
        if isinstance(statement, Assign):
            return self._value("v > 0", place, v=self._assignment(statement))
        return self._nested([statement], place)

    def _call_condition(self, call: Call, place: Place) -> ast.expr:
        snippet = _snippet_of(call)
        value = self._snippet(snippet, place)
        if snippet.returns == "truth":
            return value
        if snippet.returns == "core":
            return self._value("v > 0", place, v=value)
        if snippet.returns in ("bool", "none"):
            as_int = "(1 if v else -1)" if snippet.returns == "bool" else "(1 if v is None else 1)"
            if self.keeps:
                return self._value(f"keep(msg, {as_int}) > 0", place, v=value)
            return value if snippet.returns == "bool" else self._value("v is None", place, v=value)
        self.raises = True
        kept = self._value("keep(msg, v)", place, v=value) if self.keeps else value
        return self._value("(v or stop()) > 0", place, v=kept)

    def _nested(self, body: list[Statement], place: Place) -> ast.expr:
        """A block as an operand: a function of its own whose result counts."""
        name = f"block_{len(self.namespace)}"
        self.namespace[name] = None
        self.extra += self._define(name, "msg", "", body, place)
        self.raises = True
        return self._value(f"carry(await {name}(msg)) > 0", place)

    # -- assignments -----------------------------------------------------------------------------------------

    def _assignment(self, node: Assign) -> ast.expr:
        """An int: 1, -1 when there was nothing to assign, or the function's result (semantics §3)."""
        name = node.attribute.resolved
        if not isinstance(name, Name):
            raise InternalError("the tree has not been checked")
        place = node.place
        adds = name.index == ALL_VALUES
        target = self._constant(Name(name.name, name.track, name.scope), place)
        function, value = self._assigned(node.value)
        if adds:
            return self._value("f(msg, n, v)", place, f=self._value(function, place), n=target, v=value)
        code = "(forget(msg, n), f(msg, n, v))[1]"
        return self._value(code, place, f=self._value(function, place), n=target, v=value)

    def _assigned(self, value: Operand | Call | RouteCall | Expression) -> tuple[str, ast.expr]:
        """Which runtime function assigns, and the value."""
        place = value.place
        if isinstance(value, Operand):
            return self._operand_value(value)
        if isinstance(value, Call):
            snippet = _snippet_of(value)
            result = self._snippet(snippet, place)
            as_int = {"bool": "(1 if v else -1)", "none": "(1 if v is None else 1)"}.get(snippet.returns, "v")
            if self.keeps:
                as_int = f"keep(msg, {as_int})"
            if snippet.returns == "int":
                self.raises = True
                as_int = f"({as_int} or stop())"
            return "assign_result", self._value(as_int, place, v=result)
        if isinstance(value, RouteCall):
            self.raises = True
            return "assign_result", self._value("carry(v)", place, v=self._route_value(value))
        return "assign", self._value("(1 if c else 0)", place, c=self._condition(value))

    def _operand_value(self, operand: Operand) -> tuple[str, ast.expr]:
        place = operand.place
        if operand.kind in ("string", "number"):
            return "assign", self._literal(operand.value, place)
        text = str(operand.value)
        if operand.kind == "attribute" and text.endswith("[]"):
            source = Name.parse(text)
            return "assign_all", self._constant(Name(source.name, source.track, source.scope), place)
        function = "assign_select" if operand.kind == "select" else "assign"
        reader = self._constant(operand.resolved, place)
        return function, self._value("r(msg)", place, r=reader)


_NONE = {
    (False, False): "v",
    (False, True): "v\nreturn 1",
    (True, False): "v\nmsg.retcode = 1",
    (True, True): "v\nmsg.retcode = 1\nreturn 1",
}
_BOOL = {
    (False, False): "v",
    (False, True): "return 1 if v else -1",
    (True, False): "msg.retcode = 1 if v else -1",
    (True, True): "msg.retcode = _r = 1 if v else -1\nreturn _r",
}


def function_name(kind: RouteKind, name: str) -> str:
    """An identifier for a block."""
    safe = "".join(char if char.isascii() and char.isalnum() else f"_{ord(char):x}_" for char in name)
    return f"{kind.block}__{safe}"


def _snippet_of(call: Call) -> Snippet:
    if not isinstance(call.resolved, Snippet):
        raise InternalError("the tree has not been checked")
    return call.resolved


def _branches(node: ast.stmt, then: list[ast.stmt], otherwise: list[ast.stmt]) -> None:
    if isinstance(node, ast.If):
        node.body, node.orelse = then, otherwise
