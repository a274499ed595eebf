"""Return codes, nesting and attributes at run time, in both generations (semantics §2, §3)."""

from __future__ import annotations

import pytest

from sipyard.errors import ScriptError
from sipyard.script.runtime import Exit

from .probe import NEW, OLD, run

LATER = [1, "y", -1, "n", 0]
CONTROL = [
    # a negative result of a plain statement is ignored
    (NEW, 'route { value(-1); say("on"); }', [-1, "on"]),
    # a function returning 0 ends the script, whatever context it was called in
    (NEW, 'route { value(0); say("no"); }', [0]),
    (NEW, 'route { route(X); say("no"); } route[X] { value(0); }', [0]),
    (NEW, 'route { if (value(0)) say("no"); say("no"); }', [0]),
    (NEW, 'route { if (value(1) && value(0)) say("no"); say("no"); }', [1, 0]),
    (NEW, 'route { if (!value(0)) say("no"); say("no"); }', [0]),
    # drop and exit unwind every level, break and return leave one
    (NEW, 'route { route(X); say("no"); } route[X] { drop; }', []),
    (NEW, 'route { route(X); say("no"); } route[X] { if (yes()) { exit; } }', []),
    (NEW, 'route { route(X); say("on"); } route[X] { break; say("no"); }', ["on"]),
    (NEW, 'route { route(X); say("on"); } route[X] { return -1; }', ["on"]),
    (NEW, 'route { if (route(X)) say("no"); say("no"); } route[X] { exit; }', []),
    (NEW, 'route { if (yes() && route(X)) say("no"); say("no"); } route[X] { exit; }', []),
    # route() as a condition: true above 0; return without value is 1, break is 0
    (NEW, 'route { if (route(X)) say("y"); } route[X] { return; }', ["y"]),
    (NEW, 'route { if (route(X)) say("y"); else say("n"); } route[X] { break; }', ["n"]),
    (NEW, 'route { if (!route(X)) say("n"); } route[X] { return 0; }', ["n"]),
    # falling off the end: the result of the last statement
    (NEW, 'route { route(X); say("$?"); } route[X] { value(7); }', [7, "7"]),
    (NEW, 'route { route(X); say("$?"); } route[X] { value(7); if (no()) { say("no"); } }', [7, "1"]),
    (NEW, 'route { route(X); say("$?"); } route[X] { value(7); if (yes()) value(-2); }', [7, -2, "-2"]),
    # $? is the last route or function, core statements do not touch it
    (NEW, 'route { if (!value(-3)) { setflag(1); say("$?"); } }', [-3, "-3"]),
    (NEW, 'route { value(5); if ($? == 5 && $? > 4 && !($? < 5)) say("y"); }', [5, "y"]),
    (NEW, 'route { value(-2); if ($? == -2) say("y"); }', [-2, "y"]),
    (NEW, 'route { if (no()) ; if ($? < 0) say("n"); }', ["n"]),
    # asynchronous functions
    (
        NEW,
        'route { if (later(1)) say("y"); if (!later(-1)) say("n"); later(0); say("no"); }',
        [1, "y", -1, "n", 0],
    ),
    # operators: not takes the whole comparison, and binds tighter than or
    (NEW, 'route { if (yes() || no() && no()) say("y"); }', ["y"]),
    (NEW, 'route { if (not yes() or no()) say("no"); else say("n"); }', ["n"]),
    (NEW, 'route { if (!!yes()) say("y"); }', ["y"]),
    (NEW, 'route { if (1) say("y"); if (0) say("no"); }', ["y"]),
    # statements and blocks as operands
    (NEW, 'route { if ({ say("in"); value(1); }) say("y"); }', ["in", 1, "y"]),
    (NEW, 'route { if (if (yes()) value(-2);) say("no"); }', [-2]),
    (NEW, 'route { if (drop) say("no"); say("no"); }', []),
    (NEW, 'route { if (setflag(3) && isflagset(3) && !isflagset(4)) say("y"); }', ["y"]),
    (NEW, 'route { setflag(31); resetflag(31); if (isflagset(31)) say("no"); }', []),
    # 0.9: break and drop are one; the caller sees 0 and more as 1
    (OLD, 'route { route(1); say("on"); } route[1] { drop; }', ["on"]),
    (OLD, 'route { route(1); say("on"); } route[1] { if (yes()) { break; } say("no"); }', ["on"]),
    (OLD, 'route { route(1); say("on"); } route[1] { value(0); say("no"); }', [0, "on"]),
    (OLD, 'route { route(1); say("no"); } route[1] { if (value(0)) say("no"); }', [0]),
    (OLD, 'route { if (route(1)) say("y"); } route[1] { value(-1); break; }', [-1, "y"]),
    (OLD, 'route { if (route(1)) say("y"); else say("n"); } route[1] { value(-1); }', [-1, "n"]),
    (OLD, 'route { value(0); say("no"); }', [0]),
    (OLD, 'route { if (yes() & !no()) say("y"); if (no() | yes()) say("y"); }', ["y", "y"]),
    (OLD, 'route { say("$x"); }', ["$x"]),
]


@pytest.mark.parametrize(("generation", "text", "expected"), CONTROL)
def test_control(generation: object, text: str, expected: list[object]) -> None:
    assert run(text, generation)[1] == expected  # type: ignore[arg-type]


RESULTS = [
    ("route { exit 5; }", 5, True),
    ("route { drop(-2); }", -2, True),
    ("route { value(4); exit $?; }", 4, True),
    ("route { return -3; }", -3, False),
    ("route { value(6); return $?; }", 6, False),
    ("route { ; }", 1, False),
]


@pytest.mark.parametrize(("text", "code", "ends"), RESULTS)
def test_results(text: str, code: int, ends: bool) -> None:
    result, _ = run(text)
    assert result == code
    assert isinstance(result, Exit) is ends


ATTRIBUTES = [
    ('$x = "a"; say("$x"); if ($x == "A") say("same"); if ($x =~ "^[A-C]$") say("re");', ["a", "same", "re"]),
    ('$x = 5; if ($x == 5 && $x == "5" && $x > 4 && $x <= 5) say("y");', ["y"]),
    ('$x = "7"; if ($x == 7) say("y"); if ($x != 7) say("no");', ["y"]),
    # missing: == false, != true, everything else false
    (
        'if ($x == "a") say("no"); if ($x != "a") say("y"); if ($x > 1 || $x =~ ".*") say("no");',
        ["y"],
    ),
    ('if ($x) say("no"); $x = ""; if ($x) say("no"); $x = 0; if ($x) say("no");', []),
    # several values without an index count as missing in comparisons
    (
        '$x = "a"; $x[] = "b"; if ($x == "b") say("no"); if ($x[1] == "a" && $x[-1] == "b") say("y");',
        ["y"],
    ),
    # the old value goes before the right side is evaluated
    ('$x = "a"; $x = $x; if ($x) say("no"); else say("gone");', ["gone"]),
    ('$x = "a"; $x = $nothing; if ($x) say("no"); else say("gone");', ["gone"]),
    (
        '$fu.x = "user"; $x = "uri"; say("$x"); if ($fu.x) say("no"); if ($fr.x == "uri") say("y");',
        ["uri", "y"],
    ),
    ('$t.x = "callee"; if ($x) say("no"); if ($t.x == "callee" && $tr.x == "callee") say("y");', ["y"]),
    ('$b[] = "1"; $b[] = "2"; $a = $b[]; if ($a[1] == "1" && $a[2] == "2") say("y");', ["y"]),
    ('$x = value(7); say("$x");', [7, "7"]),
    ('$x = value(-7); if ($x == -7) say("y");', [-7, "y"]),
    ('$x = (yes() && no()); if ($x == 0) say("y"); $x = (yes()); if ($x == 1) say("y");', ["y", "y"]),
    ('$x = 6; if ($x & 2) say("y"); if ($x & 8) say("no"); if ($x | 8) say("y");', ["y", "y"]),
    ('if ($x = value(3)) say("y"); $NAME = "v"; say("$name");', [3, "y", "v"]),
    # as arguments: a missing one means that the call is not made, unless the function takes None
    ('say("$x"); optional("$x"); optional(); $x = "v"; optional("$x"); say($x);', [None, None, "v", "v"]),
    ('if (value("$x")) say("no"); else say("-1");', ["-1"]),
]


@pytest.mark.parametrize(("body", "expected"), ATTRIBUTES)
def test_attributes(body: str, expected: list[object]) -> None:
    assert run(f"route {{ {body} }}")[1] == expected


def test_attribute_flags() -> None:
    text = """avpflags cookie, other;
    route {
        $x = "1"; setavpflag($x, "cookie");
        if (isavpflagset("$x", cookie) && !isavpflagset($x, other)) say("set");
        resetavpflag($x, "cookie");
        if (isavpflagset($x, "cookie")) say("no");
        if (setavpflag($missing, "cookie")) say("no");
    }"""
    assert run(text)[1] == ["set"]


def test_endless_recursion_is_the_scripts_fault() -> None:
    with pytest.raises(ScriptError, match="more than 100 routes"):
        run("route { route(A); } route[A] { route(B); } route[B] { route(A); }")


def test_recursion_that_ends_is_allowed() -> None:
    text = """route { $n = 0; route(A); say("done"); }
    route[A] { if ($n == 1) { return; } $n = 1; route(A); }"""
    assert run(text)[1] == ["done"]


def test_route_by_number_is_the_route_of_that_name() -> None:
    assert run('route { route("1"); route(1); } route[1] { say("x"); }')[1] == ["x", "x"]
