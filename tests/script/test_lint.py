"""The SIP lint: what each rule finds, what it leaves alone, and that real scripts raise no false alarm."""

from __future__ import annotations

from pathlib import Path

import pytest

from sipyard.module import Deed, Module, function
from sipyard.registry import Modules
from sipyard.script import Report, Severity, check_file, check_text
from sipyard.script.check import read_text
from sipyard.script.lint import RULES
from sipyard.script.lint.replies import PHRASES, meant_status

ROOT = Path(__file__).parents[2]
LOADED = "".join(
    f'loadmodule "{name}"\n'
    for name in ("sl", "tm", "rr", "maxfwd", "usrloc", "registrar", "textops", "options", "sanity")
)
HEAD = LOADED.count("\n")
TOO_FAR = 'if (!mf_process_maxfwd_header("10")) { sl_reply("483", "Too Many Hops"); drop; }'


def found(text: str) -> list[tuple[str | None, int, Severity]]:
    """Rule, line (of `text`) and severity of everything that the lint says about a script, by line."""
    report = check_text(LOADED + text, "test.cfg")
    assert [each.message for each in report.errors] == []
    problems = sorted(report.problems, key=lambda each: each.place)
    return [(each.rule, each.place.line - HEAD, each.severity) for each in problems if each.rule]


def cases() -> list[tuple[str, str, list[int]]]:
    """Rule, script and the lines that break it, for every case of lint_cases.txt."""
    read = []
    for case in Path(__file__).with_name("lint_cases.txt").read_text("utf-8").split("\n#### ")[1:]:
        rule, _, script = case.partition("\n")
        marked = [
            number for number, line in enumerate(script.splitlines(), 1) if line.endswith(f"# <- {rule}")
        ]
        read.append((rule, script, marked))
    return read


CASES = cases()


@pytest.mark.parametrize(
    ("rule", "script", "lines"), CASES, ids=[f"{row[0]}-{n}" for n, row in enumerate(CASES)]
)
def test_each_case(rule: str, script: str, lines: list[int]) -> None:
    assert [line for name, line, _ in found(script) if name == rule] == lines


def test_every_rule_has_a_script_that_breaks_it_and_one_that_does_not() -> None:
    assert {rule for rule, _, lines in CASES if lines} == set(RULES)
    assert {rule for rule, _, lines in CASES if not lines} == set(RULES)


def test_every_rule_says_why_where_from_and_how_to_mend() -> None:
    for rule in RULES.values():
        assert rule.summary
        assert rule.reason
        assert rule.mend
        assert rule.source.startswith(("RFC ", "SER "))


REAL = sorted([*ROOT.glob("examples/*.cfg"), *ROOT.glob("tests/script/configs/*.cfg")])


@pytest.mark.parametrize("path", REAL, ids=[path.name for path in REAL])
def test_scripts_in_the_manner_of_ser_raise_no_false_alarm(path: Path) -> None:
    report = check_file(path)
    assert [str(each) for each in report.warnings] == []
    other = [str(each) for each in report.problems if each.rule not in (None, "max-forwards")]
    assert other == []


def test_a_finding_shows_one_way_to_it() -> None:
    report = check_text(
        LOADED + 'route {\n if (method == "BYE") {\n  if (uri == myself) t_relay();\n }\n else t_relay();\n}',
        "t",
    )
    (problem,) = report.warnings
    assert problem.rule == "no-answer"
    assert problem.message == (
        f"BYE can end here neither answered nor relayed (when line {HEAD + 2} true, line {HEAD + 3} false)"
    )


# -- what the lint does not know -----------------------------------------------------------------------------


def test_selects_of_modules_have_near_names_too() -> None:
    (error,) = check_text(LOADED + 'route { if (@hf_valu["x"]) drop; t_relay(); }').errors
    assert (error.message, error.hint) == ("select @hf_valu is not known", "did you mean hf_value?")


class Foreign(Module):
    """foreign: functions that are not SER's, one of which says what it does."""

    name = "foreign"

    @function("R")
    def mystery(self, msg: object) -> int:
        """May do anything."""
        return 1

    @function("R", does=Deed.NOTHING, sets=("$f.mood",))
    def harmless(self, msg: object) -> int:
        """Says that it does nothing."""
        return 1

    @function("R", does=Deed.ANSWERS)
    def refuse(self, msg: object) -> int:
        """Answers."""
        return 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("mystery();", []),
        ("harmless();", ["no-answer"]),
        ("refuse();", []),
        ('refuse(); sl_reply("404", "Not Found");', ["answered-twice"]),
        ('if ($f.mood == "good") { harmless(); } refuse();', []),
    ],
)
def test_functions_of_other_packages(body: str, expected: list[str]) -> None:
    modules = Modules()
    modules.add(Foreign())
    checked = read_text(f'loadmodule "sl" route {{ {body} }}', modules=modules)
    checked.lint()
    assert [each.rule for each in checked.report.problems] == expected


# -- comments ------------------------------------------------------------------------------------------------


def said(text: str) -> list[str]:
    report: Report = check_text(LOADED + text, "t")
    problems = sorted(report.problems, key=lambda each: each.place)
    return [f"{each.place.line - HEAD} {each.rule or each.message}" for each in problems]


SILENT = 'route {{\n if (method == "BYE") {{\n  {}\n }}\n {}\n t_relay();\n}}\n'


@pytest.mark.parametrize(
    ("dropping", "expected"),
    [
        ("drop;", ["3 silent-drop"]),
        ("drop; # lint: allow silent-drop they never answer anyway", []),
        ("# lint: allow silent-drop they never answer anyway\n\n  # more\n  drop;", []),
        ('log("# lint: allow silent-drop a string"); drop;', ["3 silent-drop"]),
        ("/* # lint: allow silent-drop a comment */ drop;", ["3 silent-drop"]),
        (
            "drop; # lint: allow silent-drop",
            ["3 silent-drop", "3 why silent-drop is allowed here is not said"],
        ),
        ("drop; # lint: allow silent-dop why", ["3 silent-drop", "3 there is no lint rule silent-dop"]),
        ("drop; # lint: ignore", ["3 silent-drop", "3 this comment silences nothing"]),
        (
            "drop; # lint: allow no-answer why",
            ["3 silent-drop", f"3 no-answer has nothing to say in line {HEAD + 3}"],
        ),
    ],
)
def test_a_comment_silences_one_rule_at_one_line(dropping: str, expected: list[str]) -> None:
    assert said(SILENT.format(dropping, TOO_FAR)) == expected


# -- reason phrases ------------------------------------------------------------------------------------------

OWN_WORDS = [
    (403, "Fake Identity"),
    (403, "Relaying denied"),
    (404, "User not found"),
    (404, "No route matched"),
    (400, "Invalid REGISTER Request"),
    (480, "User temporarily not available"),
    (500, "Internal Server Error"),
    (513, "Request too big"),
    (302, "Speed Dial"),
    (479, "We don't forward to private IP addresses"),
    (486, "Busy"),
    (606, "Not Acceptable"),
    (603, "Declined"),
    (488, "Not Acceptable"),
    (202, "Accepted for later delivery"),
]


@pytest.mark.parametrize(("status", "phrase"), [*PHRASES.items(), *OWN_WORDS])
def test_phrases_that_fit(status: int, phrase: str) -> None:
    assert meant_status(status, phrase) is None
    assert meant_status(status, phrase.upper()) is None


@pytest.mark.parametrize(
    ("status", "phrase", "meant"),
    [
        (483, "Temporarily Unavailable", 480),
        (404, "Too many hops", 483),
        (403, "Not found", 404),
        (500, "Service unavailable", 503),
        (299, "OK", 200),
        (407, "Unauthorized", 401),
    ],
)
def test_phrases_of_another_status(status: int, phrase: str, meant: int) -> None:
    assert meant_status(status, phrase) == meant


def test_a_script_that_never_stops_calling_is_walked_once() -> None:
    chain = "".join(
        f"route[{n}] {{ if (uri == myself) route({n + 1}); route({n + 1}); }}\n" for n in range(20, 70)
    )
    assert found(f"route {{\n {TOO_FAR}\n route(20);\n}}\n{chain}route[70] {{ route(20); t_relay(); }}") == []


def test_a_half_written_script_is_checked_as_far_as_it_goes() -> None:
    """As an editor sends it: whatever is missing at its end, there is a report."""
    for path in REAL:
        text = path.read_text("utf-8")
        for end in range(0, len(text), len(text) // 12):
            assert check_text(text[:end], path.name).source.text == text[:end]


@pytest.mark.parametrize(
    ("guard", "expected"),
    [
        ('if (!proxy_authorize("a", "b")) { proxy_challenge("a", "0"); break; }', []),
        ('if (method != "ACK" && uri == myself) { proxy_challenge("a", "0"); break; }', ["CANCEL"]),
        ('if (uri == myself) { proxy_challenge("a", "0"); break; }', ["ACK and CANCEL"]),
    ],
)
def test_who_can_be_challenged(guard: str, expected: list[str]) -> None:
    """ACK and CANCEL never get to what follows a failed authentication (SER auth)."""
    report = check_text(f"route {{ {guard} t_relay(); }}")
    challenges = [each.message for each in report.problems if each.rule == "challenge-unchallengeable"]
    assert challenges == [f"{methods} can be challenged here" for methods in expected]
