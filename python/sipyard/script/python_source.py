"""From the compiler's Python to Python that people read: the same statements, plainer."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from sipyard.script.remarks import Remark

_MARKER = re.compile(r"^( *)remark_(\d+)_$", re.MULTILINE)
_RENAMED = {"_r": "result", "_exit": "ended"}


class Markers:
    """Stand-ins for comments and blank lines in a tree, which `ast` cannot hold."""

    def __init__(self) -> None:
        self._texts: list[tuple[str, ...]] = []

    def blank(self) -> ast.stmt:
        """An empty line."""
        return self._marker(())

    def of(self, remarks: list[Remark]) -> list[ast.stmt]:
        """One for each comment."""
        return [self._marker(remark.lines) for remark in remarks]

    def _marker(self, lines: tuple[str, ...]) -> ast.stmt:
        self._texts.append(lines)
        return ast.Expr(ast.Name(f"remark_{len(self._texts) - 1}_", ast.Load()))

    def is_blank(self, node: ast.stmt) -> bool:
        """Whether a statement stands for an empty line."""
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Name):
            return False
        found = _MARKER.match(node.value.id)
        return found is not None and not self._texts[int(found[2])]

    def put_back(self, source: str) -> str:
        """The source with the comments in it."""

        def lines(found: re.Match[str]) -> str:
            texts = self._texts[int(found[2])]
            return "\n".join(f"{found[1]}# {text}".rstrip() for text in texts)

        return _MARKER.sub(lines, source)


def is_marker(node: ast.stmt) -> bool:
    """Whether a statement stands for a comment or a blank line."""
    return (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Name) and bool(_MARKER.match(node.value.id))
    )


class Polish(ast.NodeTransformer):
    """Rewrites what the compiler builds for speed, by statements, without changing its meaning."""

    def __init__(self, markers: Markers) -> None:
        self.markers = markers

    def function(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        """A definition with types."""
        for argument in node.args.args:
            argument.annotation = ast.Name("Context" if argument.arg == "msg" else "int")
        node.returns = ast.Name("int")
        node.body = self._body(node.body)
        return node

    def _body(self, body: list[ast.stmt]) -> list[ast.stmt]:
        out: list[ast.stmt] = []
        for each in body:
            visited = self.visit(each)
            out += _split(visited)
        out = [each for each in out if not _is_idle(each)]
        while out and self.markers.is_blank(out[0]):
            del out[0]
        out = _without_empty_tests(out)
        if all(is_marker(each) for each in out):
            out.append(ast.Pass())
        return out

    def visit_If(self, node: ast.If) -> ast.If:
        """Both branches."""
        node.test = self.visit(node.test)
        node.body = self._body(node.body)
        node.orelse = self._body(node.orelse) if node.orelse else []
        if _is_pass(node.orelse):
            node.orelse = []
        if _is_pass(node.body) and node.orelse:
            node.test, node.body, node.orelse = _negated(node.test), node.orelse, []
        return node

    def visit_Try(self, node: ast.Try) -> ast.Try:
        """`except ScriptExit`."""
        node.body = self._body(node.body)
        for handler in node.handlers:
            handler.name = _RENAMED.get(handler.name or "", handler.name)
            handler.body = self._body(handler.body)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        """Names that the compiler made up."""
        node.id = _RENAMED.get(node.id, node.id)
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        """`x.__class__ is Exit`; `f() is None` of a function that returns nothing."""
        self.generic_visit(node)
        left, right = node.left, node.comparators[0]
        if not isinstance(node.ops[0], ast.Is):
            return node
        if isinstance(left, ast.Attribute) and left.attr == "__class__":
            return ast.Call(ast.Name("isinstance"), [left.value, right], [])
        call = _done(left)
        return node if call is None else ast.Compare(call, [ast.Gt()], [ast.Constant(0)])

    def visit_IfExp(self, node: ast.IfExp) -> ast.expr:
        """`1 if f() is None else 1`: the result of a function that returns nothing."""
        test, body, orelse = node.test, node.body, node.orelse
        if _is_number(body, 1) and _is_number(orelse, 1) and isinstance(test, ast.Compare):
            call = _done(self.visit(test.left))
            if call is not None:
                return call
        if _is_number(body, -1) and _is_number(orelse, 1) and isinstance(test, ast.Compare):
            inner = test.left  # (-1 if <missing> else f()) == -1
            if isinstance(inner, ast.IfExp) and (call := _done(self.visit(inner.orelse))) is not None:
                return ast.IfExp(self.visit(inner.test), body, call)
        self.generic_visit(node)
        return node


def _done(node: ast.expr) -> ast.Call | None:
    """`f(msg, …)` as `done(f, msg, …)`, which has a value."""
    if not isinstance(node, ast.Call) or isinstance(node.func, ast.Name):
        return None
    return ast.Call(ast.Name("done"), [node.func, *node.args], [])


def _is_number(node: ast.expr, value: int) -> bool:
    return isinstance(node, ast.expr) and ast.unparse(node) == str(value)


def _is_idle(node: ast.stmt) -> bool:
    """A constant as a statement."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _is_pass(body: list[ast.stmt]) -> bool:
    return len(body) == 1 and isinstance(body[0], ast.Pass)


def _negated(test: ast.expr) -> ast.expr:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand
    return ast.UnaryOp(ast.Not(), test)


def _split(node: ast.stmt) -> list[ast.stmt]:
    """`(forget(…), assign(…))[1]` as two statements."""
    value = node.value if isinstance(node, ast.Expr | ast.Return) else None
    if not isinstance(value, ast.Subscript) or not isinstance(value.value, ast.Tuple):
        return [node]
    first, second = value.value.elts
    last: Callable[[ast.expr], ast.stmt] = ast.Expr if isinstance(node, ast.Expr) else ast.Return
    return [ast.Expr(first), last(second)]


def _without_empty_tests(body: list[ast.stmt]) -> list[ast.stmt]:
    """`if f() == 0: return X` right before `return X` needs no test."""
    out: list[ast.stmt] = []
    for node, following in zip(body, [*body[1:], None], strict=True):
        is_idle = (
            isinstance(node, ast.If)
            and not node.orelse
            and isinstance(node.test, ast.Compare)
            and following is not None
            and [ast.unparse(each) for each in node.body] == [ast.unparse(following)]
        )
        if is_idle and isinstance(node, ast.If) and isinstance(node.test, ast.Compare):
            out.append(ast.Expr(node.test.left))
        else:
            out.append(node)
    return out
