"""The parser against an independent grammar (lark): both accept and refuse the same scripts.

Scripts are generated as lists of tokens from the language's description; half of them are then damaged.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import LarkError

from sipyard.script.parser import parse
from sipyard.script.source import Findings, Source

Tokens = list[str]


@cache
def oracle() -> Lark:
    return Lark(Path(__file__).with_name("oracle.lark").read_text("utf-8"), parser="earley", lexer="dynamic")


def oracle_accepts(text: str) -> bool:
    try:
        oracle().parse(text)
    except LarkError:
        return False
    return True


def problems(text: str) -> list[str]:
    findings = Findings()
    parse(Source("generated.cfg", text), findings)
    return [str(each) for each in findings.problems if each.severity.name == "ERROR"]


# -- generating ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(["t_relay", "sl_reply", "log", "FORWARD", "setflag", "foo_1", "uri", "method"])
STRINGS = st.sampled_from(['"a"', "'raw'", '"with \\"quotes\\" and \\n"', '"^sip:[0-9]+@"', '""'])
NUMBERS = st.sampled_from([["0"], ["12"], ["-", "3"], ["0x1f"], ["101b"], ["017"]])
ATTRIBUTES = st.sampled_from(["$x", "$f.did", "$tu.uid[1]", "$g.gw_ip", "$x[-1]"])
SELECTS = st.sampled_from(["@ruri.user", "@to.uri.host", '@msg["P-X"]', "@via[1].branch", "@cseq"])
WORDS = st.sampled_from(["udp:127.0.0.1:5060", "uri:host", "FLAG_A", "sip.example.org", "10.0.0.1"])
FIELDS = st.sampled_from(["method", "uri", "src_ip", "msg:len", "status", "to_ip", "af"])
COMPARE = st.sampled_from(["==", "!=", "=~", "<", ">", "<=", ">="])
RIGHT_WORDS = st.sampled_from(["INVITE", "myself", "UDP", "max_len", "host.example-1.org", "uri"])
NETWORKS = st.sampled_from(
    [["10.0.0.1"], ["10.0.0.0", "/", "8"], ["10.0.0.0", "/", "255.0.0.0"], ["[", "::1", "]"]]
)


def flat(parts: list[Tokens]) -> Tokens:
    return [token for part in parts for token in part]


def one(strategy: st.SearchStrategy[str]) -> st.SearchStrategy[Tokens]:
    return strategy.map(lambda token: [token])


def joined(*parts: st.SearchStrategy[Tokens] | str) -> st.SearchStrategy[Tokens]:
    strategies = [st.just([part]) if isinstance(part, str) else part for part in parts]
    return st.tuples(*strategies).map(lambda found: flat(list(found)))


def listed(element: st.SearchStrategy[Tokens], separator: str, most: int = 3) -> st.SearchStrategy[Tokens]:
    def join(parts: list[Tokens]) -> Tokens:
        out: Tokens = []
        for number, part in enumerate(parts):
            out += [separator, *part] if number else part
        return out

    return st.lists(element, min_size=1, max_size=most).map(join)


OPERANDS = st.one_of(one(STRINGS), one(ATTRIBUTES), one(SELECTS), NUMBERS)
ARGUMENTS = st.one_of(OPERANDS, one(WORDS))
ROUTE_NAMES = st.one_of(one(st.sampled_from(["FORWARD", '"x y"', "7"])))
CALLS = joined(one(NAMES), "(", st.one_of(st.just([]), listed(ARGUMENTS, ",")), ")")
ROUTE_CALLS = joined("route", "(", ROUTE_NAMES, ")")
STOP_VALUES = st.one_of(st.just([]), NUMBERS, st.just(["$?"]), joined("(", NUMBERS, ")"))
STOPS = joined(one(st.sampled_from(["drop", "exit", "break", "return"])), STOP_VALUES)
RIGHT = st.one_of(OPERANDS, one(RIGHT_WORDS), NETWORKS)
LEAVES = st.one_of(
    joined(one(FIELDS), one(COMPARE), RIGHT),
    joined(one(st.one_of(ATTRIBUTES, SELECTS)), one(COMPARE), RIGHT),
    joined(one(ATTRIBUTES), one(st.sampled_from(["&", "|"])), NUMBERS),
    joined("$?", one(COMPARE), NUMBERS),
    one(ATTRIBUTES),
    one(SELECTS),
    NUMBERS,
    CALLS,
    ROUTE_CALLS,
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        joined("(", inner, ")"),
        joined(one(st.sampled_from(["!", "not"])), inner),
        joined(inner, one(st.sampled_from(["&&", "and", "||", "or"])), inner),
    ),
    max_leaves=4,
)
VALUES = st.one_of(OPERANDS, CALLS, joined("(", EXPRESSIONS, ")"))
ASSIGNMENTS = joined(one(ATTRIBUTES), "=", VALUES)
SIMPLE = joined(st.one_of(CALLS, ROUTE_CALLS, STOPS, ASSIGNMENTS), ";")


def blocks(statement: st.SearchStrategy[Tokens]) -> st.SearchStrategy[Tokens]:
    return joined("{", st.lists(statement, min_size=1, max_size=3).map(flat), "}")


def ifs(statement: st.SearchStrategy[Tokens]) -> st.SearchStrategy[Tokens]:
    branch = st.one_of(blocks(statement), statement, st.just([";"]))
    otherwise = st.one_of(st.just([]), joined("else", branch))
    return joined("if", st.one_of(EXPRESSIONS, joined("(", EXPRESSIONS, ")")), branch, otherwise)


STATEMENTS = st.recursive(st.one_of(SIMPLE, st.just([";"])), ifs, max_leaves=4).filter(bool)
KINDS = st.sampled_from(["route", "failure_route", "onreply_route", "branch_route", "onsend_route"])
ROUTES = joined(one(KINDS), st.one_of(st.just([]), joined("[", ROUTE_NAMES, "]")), blocks(STATEMENTS))
FLAG = joined(one(st.sampled_from(["FLAG_A", '"FLAG_B"'])), st.one_of(st.just([]), joined(":", NUMBERS)))
ITEMS = st.one_of(
    ROUTES,
    ROUTES,
    joined(
        one(st.sampled_from(["debug", "dns", "fifo"])),
        "=",
        st.one_of(one(STRINGS), NUMBERS, st.just(["yes"])),
    ),
    joined("listen", "=", one(st.sampled_from(["udp:127.0.0.1:5060", "eth0", '"host"', "10.0.0.1"]))),
    joined("loadmodule", one(STRINGS)),
    joined("modparam", "(", one(STRINGS), ",", one(STRINGS), ",", st.one_of(one(STRINGS), NUMBERS), ")"),
    joined("flags", listed(FLAG, ","), ";"),
    st.just(["avpflags", "a", ",", "b", ";"]),
    st.just([";"]),
)
SCRIPTS = st.lists(ITEMS, min_size=1, max_size=3).map(flat)
POOL = st.sampled_from(
    [*";{}(),=![]1/-", "==", "&&", '"s"', "$x", "@cseq", "if", "else", "route", "drop", "t_relay", "method"]
)


@st.composite
def damaged(draw: st.DrawFn) -> Tokens:
    """A good script with a token or two lost, doubled, exchanged or put in."""
    tokens = list(draw(SCRIPTS))
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(tokens) - 1))
        action = draw(st.sampled_from(["delete", "double", "swap", "insert", "replace"]))
        if action == "delete" and len(tokens) > 1:
            del tokens[at]
        elif action == "double":
            tokens.insert(at, tokens[at])
        elif action == "swap" and at:
            tokens[at - 1], tokens[at] = tokens[at], tokens[at - 1]
        elif action == "insert":
            tokens.insert(at, draw(POOL))
        else:
            tokens[at] = draw(POOL)
    return tokens


# -- the properties ------------------------------------------------------------------------------------------

# The same scripts in every run of the suite; ORACLE_EXAMPLES=5000 looks for new disagreements.
EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "0"))
QUICK = settings(
    max_examples=EXAMPLES or 150,
    derandomize=not EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@QUICK
@given(SCRIPTS)
def test_both_accept_good_scripts(tokens: Tokens) -> None:
    text = " ".join(tokens)
    assert problems(text) == []
    assert oracle_accepts(text), text


@QUICK
@given(damaged())
def test_both_judge_damaged_scripts_alike(tokens: Tokens) -> None:
    text = " ".join(tokens)
    found = problems(text)
    assert oracle_accepts(text) == (not found), (text, found)


@QUICK
@given(SCRIPTS, st.sampled_from([" ", "\n", "\t", "  # comment\n", " /* a /* b */ c */ ", " \\\n"]))
def test_space_and_comments_change_nothing(tokens: Tokens, space: str) -> None:
    if "/*" in space and ("/" in tokens or any("/" in token for token in tokens)):
        return
    assert problems(space.join(tokens)) == []


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("{}()[];,=!&|<>~\"'$@%#/\\*.:-\n ai1é\0"), max_size=60))
def test_any_text_is_read_without_failing(text: str) -> None:
    problems(text)


def test_shipped_configurations_are_accepted_by_both() -> None:
    for path in Path(__file__).parent.joinpath("configs").glob("*.cfg"):
        text = path.read_text("utf-8")
        assert problems(text) == []
        assert oracle_accepts(text), path.name
