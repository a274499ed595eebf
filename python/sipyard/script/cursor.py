"""Walking over tokens: looking, taking, failing and finding the way back after a mistake."""

from __future__ import annotations

from sipyard.errors import Place
from sipyard.script.lexer import ATTRIBUTE, END, ID, IP, NUMBER, OPERATOR, SELECT_, STRING, Token, tokenize
from sipyard.script.source import Findings, Source
from sipyard.script.tree import Sign

MAX_DEPTH = 100
"""Nested parentheses and blocks in the text; more is a mistake or an attack on the parser's stack."""

ROUTE_WORDS = ("route", "failure_route", "onreply_route", "branch_route", "onsend_route")
_JOINABLE = {ID, NUMBER, IP}
_JOINTS = {".", "-", ":", "[", "]", "*", "/"}


class SyntaxProblem(Exception):
    """The statement cannot be read on; what is wrong has been reported already."""


class Cursor:
    """A position in the tokens of one script. Subclasses parse; they report through `findings`."""

    def __init__(self, source: Source, findings: Findings) -> None:
        self.source = source
        self.findings = findings
        self.tokens = tokenize(source, findings)
        self.at = 0
        self.depth = 0
        self.signs: list[Sign] = []

    # -- looking ---------------------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def ahead(self, count: int = 1) -> Token:
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def sees(self, *texts: str) -> bool:
        """Whether the next token is one of these operators or words."""
        token = self.tokens[self.at]
        return token.text in texts and token.kind in (OPERATOR, ID)

    def starts_route(self) -> bool:
        """Whether a route block begins here: `route {`, `failure_route[…`."""
        return self.sees(*ROUTE_WORDS) and self.ahead().kind == OPERATOR and self.ahead().text in ("{", "[")

    def place(self, token: Token) -> Place:
        return self.source.place(token.start, token.end)

    def since(self, first: Token) -> Place:
        """From a token to the one taken last."""
        return self.source.place(first.start, self.tokens[max(self.at - 1, 0)].end)

    # -- taking ----------------------------------------------------------------------------------------------

    def take(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != END:
            self.at += 1
        return token

    def accept(self, *texts: str) -> bool:
        if self.sees(*texts):
            self.take()
            return True
        return False

    def expect(self, text: str, after: str) -> Token:
        """Take an operator or fail saying that it is missing."""
        if self.sees(text):
            return self.take()
        raise self.fail(f"`{text}` is missing after {after}", self.token, self.found())

    def found(self) -> str:
        token = self.token
        return "found the end of the file" if token.kind == END else f"found {shorten(token.text)}"

    def fail(self, message: str, token: Token | None = None, hint: str | None = None) -> SyntaxProblem:
        """Report and return the exception to raise."""
        token = token or self.token
        if token.kind == END and self.at > 0:  # the end of the file has no text to point at
            last = self.tokens[self.at - 1]
            place = self.source.place(last.end - 1, last.end)
        else:
            place = self.place(token)
        before = self.tokens[self.at - 1] if self.at else token
        if before.kind == STRING and "\n" in before.text:
            line = self.place(before).line
            hint = f"the string that begins in line {line} ends only here: is a quote missing there?"
        self.findings.error(message, place, hint)
        return SyntaxProblem(message)

    def sign(self, is_new: bool, what: str, token: Token) -> None:
        """Note a construct that only one generation has."""
        self.signs.append(Sign(is_new, what, self.place(token)))

    def enter(self) -> None:
        """One level deeper; the caller leaves with `leave`."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self.fail(f"nested deeper than {MAX_DEPTH} levels")

    def leave(self) -> None:
        self.depth -= 1

    def number(self, what: str) -> int:
        """An optionally negative number."""
        negative = self.accept("-")
        if self.token.kind != NUMBER:
            raise self.fail(f"{what} must be a number", None, self.found())
        value = int(self.take().value)
        return -value if negative else value

    def joined(self) -> tuple[str, Token]:
        """A composed word without spaces: `udp:[::1]:5060`, `uri:host`, `sip.example.com`, `*`."""
        first = self.token
        end = first.start
        while self._joins() and self.token.start == end:
            end = self.take().end
        if end == first.start:
            raise self.fail(f"{shorten(first.text) or 'the end of the file'} cannot stand here")
        text = self.source.text[first.start : end]
        return text, Token(ID, text, text, first.start, end)

    def _joins(self) -> bool:
        token = self.token
        return token.kind in _JOINABLE or (token.kind == OPERATOR and token.text in _JOINTS)

    # -- finding the way back --------------------------------------------------------------------------------

    def skip_statement(self) -> None:
        """After a mistake: to just after the next `;` or the block that belongs to the statement, or to
        just before what ends the surrounding block."""
        depth = 0
        while self.token.kind != END:
            if self.starts_route() and depth == 0:
                return
            text = self.token.text if self.token.kind == OPERATOR else ""
            if text == "}" and depth == 0:
                return
            self.take()
            if text == ";" and depth == 0:
                return
            depth += (text == "{") - (text == "}")
            if text == "}" and depth == 0 and not self.sees("else"):
                return


def shorten(text: str) -> str:
    """A token's text for a message: one line, not too long."""
    line = text.split("\n", 1)[0]
    return line if len(line) <= 30 else line[:27] + "..."


__all__ = [
    "ATTRIBUTE",
    "END",
    "ID",
    "IP",
    "NUMBER",
    "OPERATOR",
    "SELECT_",
    "STRING",
    "Cursor",
    "SyntaxProblem",
    "Token",
    "shorten",
]
