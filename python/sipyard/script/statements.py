"""Statements and blocks of routes (inventory A.5), with recovery: a mistake costs one statement."""

from __future__ import annotations

from sipyard.arguments import near
from sipyard.errors import Place
from sipyard.script.core_functions import CORE_NAMES
from sipyard.script.cursor import (
    ATTRIBUTE,
    END,
    ID,
    IP,
    NUMBER,
    OPERATOR,
    SELECT_,
    STRING,
    Cursor,
    SyntaxProblem,
    Token,
)
from sipyard.script.expressions import Expressions
from sipyard.script.tree import (
    Action,
    Argument,
    Assign,
    Call,
    Expression,
    If,
    Operand,
    RouteCall,
    Statement,
    Stop,
    StopKind,
    Truth,
)

_STOPS = {kind.value: kind for kind in StopKind}
_NOT_SER = {
    "while": "SER has no loops; use eval_while or serial forking",
    "switch": "SER has no switch; use else if",
    "for": "SER has no loops",
    "elseif": "write else if",
    "elif": "write else if",
    "elsif": "write else if",
    "and": "`and` stands between two conditions",
    "or": "`or` stands between two conditions",
    "not": "`not` stands before a condition",
}


class Statements(Expressions):
    """The statement part of the parser."""

    def block(self, what: str) -> list[Statement]:
        """`{ … }`; the opening brace is the next token."""
        opening = self.expect("{", what)
        self.enter()
        body: list[Statement] = []
        stray = False
        while not self.sees("}"):
            if self.token.kind == END or self.starts_route():
                self._unclosed(opening)
                break
            if self.accept(";"):
                stray = True
                continue
            try:
                body.append(self.statement())
            except SyntaxProblem:
                self.skip_statement()
                stray = True
        else:
            self.take()
        self.leave()
        if not body and not stray:
            place = self.since(opening)
            self.findings.warning("block is empty", place, "SER refuses this; write { ; }")
        return body

    def _unclosed(self, opening: Token) -> None:
        line = self.place(opening).line
        if self.token.kind == END:
            self.findings.error("block is never closed", self.place(opening), "} is missing")
        else:
            message = f"`}}` is missing before this {self.token.text}"
            self.findings.error(
                message, self.place(self.token), f"the block opened in line {line} is still open"
            )

    def statement(self) -> Statement:
        """One statement with its semicolon."""
        statement = self._unterminated()
        if not isinstance(statement, If):
            self._semicolon()
        return statement

    def statement_operand(self) -> Statement:
        return self._unterminated()

    def _semicolon(self) -> None:
        if self.accept(";"):
            return
        last, token = self.tokens[self.at - 1], self.token
        on_new_line = "\n" in self.source.text[last.end : token.start]
        self.findings.error("`;` is missing", self.source.place(last.end - 1, last.end), "after this")
        if not on_new_line and not self.sees("}") and token.kind != END:
            raise SyntaxProblem

    def _unterminated(self) -> Statement:
        token = self.token
        if token.kind == ATTRIBUTE:
            return self._assignment()
        if token.kind != ID:
            hint = "an `else` needs its `if` right before it" if token.text == "else" else self.found()
            raise self.fail("a statement was expected here", token, hint)
        if token.text == "if":
            return self._if()
        if token.text in _STOPS:
            return self._stop()
        if token.text == "route":
            return self._route_call()
        if token.text == "else":
            raise self.fail("`else` without `if`", token, "is a `;` or `}` too many before it?")
        if self.ahead().text == "(" and self.ahead().kind == OPERATOR and token.text not in _NOT_SER:
            return self._call()
        raise self._no_statement(token)

    def _no_statement(self, token: Token) -> SyntaxProblem:
        if token.text in _NOT_SER:
            is_operator = token.text in ("and", "or", "not")
            what = "cannot begin a statement" if is_operator else "is not part of the language"
            return self.fail(f"`{token.text}` {what}", token, _NOT_SER[token.text])
        self.take()
        if self.sees("="):
            return self.fail(
                f"{token.text} cannot be assigned in a route", token, f"${token.text} is an attribute"
            )
        hint = near(token.text, ("if", "else", *_STOPS, *CORE_NAMES))
        return self.fail(f"{token.text} is not a statement", token, hint or "a function needs ( )")

    # -- kinds of statements ---------------------------------------------------------------------------------

    def _if(self) -> If:
        first = self.take()
        self.enter()
        condition = self.expression()
        then = self._branch("the condition")
        otherwise = None
        if self.sees(";") and self._else_follows():
            self.findings.error(
                "`else` without `if`: the `;` before it ends the `if`", self.place(self.token), "remove it"
            )
            while self.accept(";"):
                pass
        if self.accept("else"):
            otherwise = self._branch("`else`")
        self.leave()
        return If(condition, then, otherwise, self.since(first))

    def _else_follows(self) -> bool:
        count = 0
        while self.ahead(count).text == ";":
            count += 1
        return self.ahead(count).kind == ID and self.ahead(count).text == "else"

    def _branch(self, what: str) -> list[Statement]:
        """The one statement or the block that a condition governs."""
        if self.sees("{"):
            return self.block(what)
        if self.accept(";"):
            return []
        return [self.statement()]

    def _stop(self) -> Stop:
        first = self.take()
        kind = _STOPS[first.text]
        if kind is StopKind.RETURN:
            self.sign(True, "`return`", first)
        value, by_retcode = None, False
        parenthesised = self.accept("(")
        if self.token.kind == NUMBER or self.sees("-"):
            value = self.number(f"the value of {first.text}")
        elif self.token.kind == ATTRIBUTE:
            operand = self.attribute()
            if operand.kind != "retcode":
                raise self.fail(f"{first.text} takes a number or $?", self.tokens[self.at - 1])
            by_retcode = True
        if parenthesised:
            self.expect(")", first.text)
        return Stop(kind, value, by_retcode, self.since(first))

    def _route_call(self) -> RouteCall:
        first = self.take()
        self.expect("(", "route")
        name, name_place = self.route_name()
        self.expect(")", "the route's name")
        return RouteCall(name, self.since(first), name_place)

    def route_name(self) -> tuple[str, Place]:
        """1, NAME or "name"; numbers and names share one name space."""
        token = self.take()
        if token.kind == NUMBER or token.kind in (ID, STRING):
            name = str(token.value)
        else:
            raise self.fail("the name or number of a route must stand here", token)
        if not name.isdecimal() or int(name) > 19:
            self.sign(True, "named routes", token)
        return name, self.place(token)

    def _call(self) -> Call:
        first = self.take()
        self.take()
        arguments: list[Argument] = []
        while not self.accept(")"):
            if arguments:
                self.expect(",", f"argument {len(arguments)} of {first.text}")
            arguments.append(self.argument(first.text))
        return Call(first.text, arguments, self.since(first), self.place(first))

    def argument(self, function: str) -> Argument:
        token = self.token
        if token.kind == STRING:
            self.take()
            if self.token.kind == STRING:
                raise self.fail("two strings side by side are not joined", None, "is a comma missing?")
            return Argument("string", token.value, self.place(token))
        if token.kind == ATTRIBUTE:
            operand = self.attribute()
            return Argument("attribute", operand.value, operand.place)
        if token.kind == SELECT_:
            operand = self.select()
            return Argument("select", operand.value, operand.place)
        if (token.kind == NUMBER or self.sees("-")) and self._ends_argument(2 if self.sees("-") else 1):
            return Argument("number", self.number("the argument"), self.since(token))
        if token.kind in (ID, NUMBER, IP) or self.sees("[", "*"):
            text, _ = self.joined()
            return Argument("word", text, self.since(token))
        raise self.fail(f"an argument of {function} was expected here", token, self.found())

    def _ends_argument(self, count: int) -> bool:
        return self.ahead(count).text in (",", ")") or self.ahead(count).kind in (END, STRING)

    def _assignment(self) -> Assign:
        first = self.token
        target = self.attribute()
        if target.kind == "retcode":
            raise self.fail("$? cannot be assigned", first)
        if not self.accept("="):
            hint = "one = assigns" if self.sees("==") else self.found()
            raise self.fail(f"`=` must follow {target.value}", None, hint)
        return Assign(target, self._assigned(), self.since(first))

    def _assigned(self) -> Operand | Call | RouteCall | Expression:
        token = self.token
        if token.kind == STRING:
            self.take()
            return Operand("string", token.value, self.place(token))
        if token.kind == NUMBER or self.sees("-"):
            return Operand("number", self.number("the value"), self.since(token))
        if token.kind == ATTRIBUTE:
            return self.attribute()
        if token.kind == SELECT_:
            return self.select()
        if self.sees("("):
            inner = self._parenthesised()
            return (
                inner.statement if isinstance(inner, Action) and isinstance(inner.statement, Call) else inner
            )
        if token.kind == ID and self.ahead().text == "(":
            return self._route_call() if token.text == "route" else self._call()
        if token.kind == ID:
            raise self.fail(f"{token.text} cannot be assigned", token, f'write "{token.text}"')
        raise self.fail("the value to assign is missing", token, self.found())


__all__ = ["Cursor", "Statements", "Truth"]
