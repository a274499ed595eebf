"""Conditions (inventory A.6): precedence from the loosest is `or`, `and`, `not`, comparison.

`not` takes the whole comparison that follows. Nothing here knows types; see conditions.py.
"""

from __future__ import annotations

from sipyard.arguments import near
from sipyard.script.cursor import ATTRIBUTE, ID, IP, NUMBER, OPERATOR, SELECT_, STRING, Cursor, Token, shorten
from sipyard.script.tree import (
    Action,
    BitTest,
    Block,
    Compare,
    Expression,
    Logic,
    Not,
    Operand,
    Statement,
    Truth,
)

FIELDS = {
    "method": "",
    "uri": "",
    "status": "",
    "from_uri": "",
    "to_uri": "",
    "src_ip": "",
    "dst_ip": "",
    "src_port": "",
    "dst_port": "",
    "proto": "",
    "af": "",
    "snd_ip": "",
    "snd_port": "",
    "snd_proto": "",
    "to_proto": "snd_proto",
    "snd_af": "",
    "to_af": "snd_af",
    "to_ip": "",
    "to_port": "",
}
"""Words that read something from the message, with what a synonym stands for."""

COMPARISONS = ("==", "!=", "=~", "<=", ">=", "<", ">")
_OR, _AND = ("||", "or", "|"), ("&&", "and", "&")


class Expressions(Cursor):
    """The expression part of the parser; statements as operands come from the subclass."""

    def statement_operand(self) -> Statement:
        raise NotImplementedError

    def block(self, what: str) -> list[Statement]:
        raise NotImplementedError

    def expression(self) -> Expression:
        self.enter()
        try:
            return self._logic("or", _OR)
        finally:
            self.leave()

    def _logic(self, operator: str, spellings: tuple[str, ...]) -> Expression:
        first = self.token
        part = self._logic("and", _AND) if operator == "or" else self._not()
        parts = [part]
        while self.sees(*spellings):
            token = self.take()
            if token.text in ("|", "&"):
                self.sign(False, f"`{token.text}` for `{operator}`", token)
            parts.append(self._logic("and", _AND) if operator == "or" else self._not())
        return parts[0] if len(parts) == 1 else Logic(operator, parts, self.since(first))

    def _not(self) -> Expression:
        first = self.token
        count = 0
        while self.accept("!", "not"):
            count += 1
        inner = self._parenthesised() if self.sees("(") else self._comparison()
        return Not(inner, self.since(first)) if count % 2 else inner

    def _parenthesised(self) -> Expression:
        opening = self.take()
        if self.sees(")"):
            raise self.fail("there is nothing between the parentheses", self.token, "a condition is missing")
        inner = self.expression()
        if self.sees("="):
            raise self.fail("`=` assigns; it cannot compare", self.token, "write == to compare")
        if not self.accept(")"):
            line = self.place(opening).line
            raise self.fail(f"`)` is missing for the `(` of line {line}", self.token, self.found())
        return inner

    def _comparison(self) -> Expression:
        first = self.token
        if self.sees("{"):
            return Block(self.block("the block"), self.since(first))
        operand = self._left()
        if operand is None:
            statement = self.statement_operand()
            if self.sees(*COMPARISONS):
                raise self.fail(
                    "the result of a function cannot be compared", None, "call it first, then test $?"
                )
            return Action(statement, self.since(first))
        if operand.kind == "attribute" and self.sees("&", "|"):
            return self._bit_test(operand, first)
        if self.sees("="):
            raise self.fail("`=` cannot compare", None, "write == to compare")
        if not self.sees(*COMPARISONS):
            if operand.kind in ("field", "word"):
                raise self.fail(f"{operand.value} must be compared with something", None, self.found())
            return Truth(operand, self.since(first))
        operator = self.take().text
        right = self._right()
        if operand.kind == "word":  # `myself == uri`
            operand, right = right, operand
        return Compare(operand, operator, right, self.since(first))

    def _bit_test(self, attribute: Operand, first: Token) -> BitTest:
        token = self.take()
        self.sign(True, "bit operators on attributes", token)
        mask = self._right()
        return BitTest(attribute, token.text, mask, self.since(first))

    def _left(self) -> Operand | None:
        """A value on the left, or None when a statement begins here."""
        token = self.token
        if token.kind == ATTRIBUTE:
            if self.ahead().kind == OPERATOR and self.ahead().text == "=":
                return None
            return self.attribute()
        if token.kind == SELECT_:
            return self.select()
        if token.kind == NUMBER or self.sees("-"):
            return Operand("number", self.number("the operand"), self.since(token))
        if token.kind == ID:
            return self._field()
        if token.kind == STRING:
            raise self.fail(
                f"{shorten(token.text)} is always the same", None, "a condition begins with what to test"
            )
        raise self.fail("a condition was expected here", None, self.found())

    def _field(self) -> Operand | None:
        token = self.token
        following = self.ahead()
        if token.text == "msg" and following.text == ":":
            self.take()
            self.take()
            word = self.take()
            if word.text != "len":
                raise self.fail(f"msg:{word.text} is not known", word, "did you mean msg:len?")
            return Operand("field", "msg:len", self.since(token))
        if token.text in FIELDS and following.text != "(":
            self.take()
            return Operand("field", FIELDS[token.text] or token.text, self.place(token))
        if token.text == "myself":
            self.take()
            return Operand("word", "myself", self.place(token))
        if following.kind == OPERATOR and following.text in COMPARISONS:
            raise self.fail(f"{token.text} cannot be tested", token, near(token.text, (*FIELDS, "msg:len")))
        return None

    def attribute(self) -> Operand:
        """`$name`, `$f.name[1]`, `$?`."""
        token = self.take()
        self.sign(True, "attributes ($…)", token)
        name = str(token.value)
        kind = "retcode" if name.lower() in ("$?", "$retcode") else "attribute"
        return Operand(kind, name, self.place(token))

    def select(self) -> Operand:
        """`@to.uri.host`."""
        token = self.take()
        self.sign(True, "selects (@…)", token)
        return Operand("select", str(token.value), self.place(token))

    def _right(self) -> Operand:
        token = self.token
        if token.kind == STRING:
            self.take()
            return Operand("string", token.value, self.place(token))
        if token.kind == ATTRIBUTE:
            return self.attribute()
        if token.kind == SELECT_:
            return self.select()
        if token.kind == NUMBER or self.sees("-"):
            return Operand("number", self.number("the value"), self.since(token))
        if token.kind == IP or self.sees("["):
            return self._network()
        if token.kind == ID:
            return self._word()
        raise self.fail("a value to compare with is missing", None, self.found())

    def _word(self) -> Operand:
        """INVITE, UDP, myself, uri, or a host name with dots and dashes."""
        token = self.take()
        if token.text in FIELDS:
            return Operand("field", FIELDS[token.text] or token.text, self.place(token))
        end = token.end
        while self.sees(".", "-") and self.token.start == end and self.ahead().kind in (ID, NUMBER):
            self.take()
            end = self.take().end
        return Operand("word", self.source.text[token.start : end], self.since(token))

    def _network(self) -> Operand:
        """An address, perhaps with `/mask` or `/bits`."""
        first = self.token
        bracketed = self.accept("[")
        if self.token.kind != IP:
            raise self.fail("an address must follow", None, self.found())
        text = self.take().text
        if bracketed:
            self.expect("]", "the address")
        if self.accept("/"):
            if self.token.kind not in (IP, NUMBER):
                raise self.fail("a network mask must follow `/`", None, self.found())
            text += "/" + self.take().text
        return Operand("network", text, self.since(first))
