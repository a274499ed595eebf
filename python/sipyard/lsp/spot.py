"""What stands at a place of a script that may be half written: the token, the call around it, the block."""

from __future__ import annotations

from dataclasses import dataclass

from sipyard.arguments import RouteKind
from sipyard.script.lexer import ID, STRING, Token, tokenize
from sipyard.script.source import Findings, Source

_KINDS = {kind.block: kind for kind in RouteKind}


@dataclass(frozen=True, slots=True)
class Spot:
    """`token` is what the cursor stands in or behind; `call` and `argument` (from 0) the parentheses around
    it; `before` the token before, `route` the kind of block, None at the top level."""

    token: Token | None
    before: Token | None
    call: str | None
    argument: int
    given: tuple[Token, ...]
    route: RouteKind | None

    @property
    def text(self) -> str:
        """The token as written, an open or closed quote taken off."""
        return "" if self.token is None else self.token.text.strip("\"'")


def spot_at(source: Source, offset: int) -> Spot:
    """What stands at a character."""
    tokens = tokenize(source, Findings())
    here, earlier = None, []
    for token in tokens:
        if token.start < offset <= token.end or (token.start == offset and token.kind in (ID, STRING)):
            here = token
            if token.start < offset:
                break
        if token.start >= offset:
            break
        earlier.append(token)
    earlier = [token for token in earlier if token is not here]
    if here is not None and here.text in ("(", ",", "{", "}", ";"):
        earlier.append(here)
        here = None
    call, argument, given = _call_around(earlier)
    return Spot(here, earlier[-1] if earlier else None, call, argument, given, _block_around(earlier))


def _call_around(tokens: list[Token]) -> tuple[str | None, int, tuple[Token, ...]]:
    """Name of the call whose parentheses are still open, number of the argument, the tokens between."""
    depth = argument = 0
    for number in range(len(tokens) - 1, 0, -1):
        text, name = tokens[number].text, tokens[number - 1]
        if text in ("{", "}", ";") and depth == 0:
            break
        if text == ")":
            depth += 1
        elif text == "(" and depth:
            depth -= 1
        elif text == "(":
            is_call = name.kind == ID and name.text not in ("if", "and", "or", "not")
            return (name.text, argument, tuple(tokens[number + 1 :])) if is_call else (None, 0, ())
        elif text == "," and depth == 0:
            argument += 1
    return None, 0, ()


def _block_around(tokens: list[Token]) -> RouteKind | None:
    depth, kind, opened = 0, None, None
    for token in tokens:
        if depth == 0 and token.kind == ID and token.text in _KINDS:
            opened = _KINDS[token.text]
        elif token.text == "{":
            depth += 1
            kind = opened if depth == 1 else kind
        elif token.text == "}":
            depth = max(depth - 1, 0)
    return kind if depth else None
