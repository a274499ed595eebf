"""What `sipyard check` says: every mistake in one run, at its place, with the likely cause."""

from __future__ import annotations

import re

import pytest

from sipyard.errors import ConfigError
from sipyard.registry import Modules
from sipyard.script import Report, load_text
from sipyard.script.check import read_text

from .probe import NEW, OLD, Probe


def check(text: str, generation: object = NEW) -> Report:
    modules = Modules()
    modules.add(Probe())
    return read_text(text, "test.cfg", generation, modules).report  # type: ignore[arg-type]


def said(report: Report) -> list[str]:
    """Errors and warnings as `line:column message [hint]`."""
    return [
        f"{each.place.line}:{each.place.column} {each.message}" + (f" [{each.hint}]" if each.hint else "")
        for each in sorted(report.problems, key=lambda each: each.place)
        if each.severity.name != "NOTE"
    ]


# What stands in a route, and the one thing said about it (columns count inside the route's text).
STATEMENTS = [
    # syntax
    ("yes()", "`;` is missing [after this]"),
    ("if (yes()) { yes() }", "`;` is missing [after this]"),
    ('if (method="INVITE") yes();', "`=` cannot compare [write == to compare]"),
    ('if (methd=="INVITE") yes();', "methd cannot be tested [did you mean method?]"),
    ("if (msg:length > 3) yes();", "msg:length is not known [did you mean msg:len?]"),
    ("if (uri) yes();", "uri must be compared with something [found )]"),
    ("if () yes();", "there is nothing between the parentheses [a condition is missing]"),
    ("if (yes() yes();", "`)` is missing for the `(` of line 1 [found yes]"),
    ("if (yes() == 1) yes();", "the result of a function cannot be compared [call it first, then test $?]"),
    ('if ("a" == $x) yes();', '"a" is always the same [a condition begins with what to test]'),
    (
        "while (yes()) yes();",
        "`while` is not part of the language [SER has no loops; use eval_while or serial forking]",
    ),
    ("elsif (yes()) yes();", "`elsif` is not part of the language [write else if]"),
    ("else yes();", "`else` without `if` [is a `;` or `}` too many before it?]"),
    ("drp;", "drp is not a statement [did you mean drop?]"),
    ("x = 1;", "x cannot be assigned in a route [$x is an attribute]"),
    ("$? = 1;", "$? cannot be assigned"),
    ("$x == 1;", "`=` must follow $x [one = assigns]"),
    ("$x = abc;", 'abc cannot be assigned [write "abc"]'),
    ('say("a" "b");', "two strings side by side are not joined [is a comma missing?]"),
    ("say(1,);", "an argument of say was expected here [found )]"),
    ("say(1;", "`,` is missing after argument 1 of say [found ;]"),
    ('say("a);', 'string is never closed [" is missing]'),
    ("setflag(08);", "08 is not a number [a leading 0 means octal, which has no 8 or 9]"),
    ("yes(); ~", "'~' means nothing here"),
    ("if (yes()) {}", "block is empty [SER refuses this; write { ; }]"),
    # names
    ("yess();", "function yess is not known [did you mean yes?]"),
    ("t_rely();", "function t_rely is not known [did you mean t_reply?]"),
    (
        "jab_go_online();",
        "function jab_go_online belongs to module jabber, which this build has not got",
    ),
    ("t_relay();", 'function t_relay belongs to module tm, which is not loaded [loadmodule "tm" is missing]'),
    (
        'is_user_in("From","a");',
        "function is_user_in exists in SER 0.9 only [the script is read as SER 2.0: as demanded]",
    ),
    ("route(SUV);", "route[SUV] does not exist [did you mean SUB?]"),
    (
        "route(FAIL);",
        "route[FAIL] does not exist [failure_route[FAIL] exists, but route() calls route blocks only]",
    ),
    # arity, arguments, places where functions may stand
    ("say();", "say takes 1 arguments, not 0"),
    ("optional(1, 2);", "optional takes 0 or 1 arguments, not 2"),
    ('value("x");', 'argument 1 of value: expects a number, not "x"'),
    ("value(FLAG);", 'argument 1 of value: expects a number, not "FLAG"'),
    ('arm("FAUL");', "argument 1 of arm: failure_route[FAUL] does not exist [did you mean FAIL?]"),
    (
        'say("$zz.x");',
        "argument 1 of say: $zz.x: there is no class zz [classes are $f $t $fu $tu $fd $td $fr $tr and $g]",
    ),
    ("setflag(32);", "argument 1 of setflag: flag 32 does not exist: flags are numbered 0 to 31"),
    ("setflag(FLAG_ABB);", "argument 1 of setflag: flag FLAG_ABB is not declared [did you mean FLAG_ABC?]"),
    (
        'setavpflag($x, "cokie");',
        "argument 2 of setavpflag: cokie is not a declared avpflag [did you mean cookie?]",
    ),
    ('strip("a");', "argument 1 of strip: expects a number, not a"),
    ("prefix();", "prefix takes 1 arguments, not 0"),
    (
        "prefix($x);",
        "argument 1 of prefix: must be a literal text [use a function of module avp, such as attr2uri]",
    ),
    ('append_branch("sip:a@b","2");', "argument 2 of append_branch: q is a number from 0 to 1, not 2"),
    ('log(7, "x");', "argument 1 of log: levels are -3 (alert) to 4 (debug)"),
    (
        "force_send_socket(udp:);",
        "argument 1 of force_send_socket: udp: is not a socket [write [protocol:]host[:port]]",
    ),
    # attributes
    ('$g.x = "a";', "$g.x cannot be assigned: global attributes are read-only"),
    ('$fd.x = "a";', "$fd.x cannot be assigned: domain attributes are read-only"),
    ('$x[1] = "a";', "$x[1] cannot be assigned by index [use $x = for all values or $x[] = to add one]"),
    # comparisons
    (
        "if (src_ip == $x) yes();",
        "an address cannot be compared with an attribute [write @src.ip on the left]",
    ),
    ('if (src_port =~ "5") yes();', "src_port cannot be compared by =~ [it takes == != < > <= >=]"),
    ("if (uri < 5) yes();", "uri cannot be compared by < [it takes == != =~]"),
    ("if (proto == SIP) yes();", "SIP is not a protocol [UDP, TCP or TLS]"),
    ("if (af == ipv6) yes();", "ipv6 is not an address family [inet or inet6]"),
    (
        "if (src_ip == 10.0.0.0/40) yes();",
        "10.0.0.0/40 is not a network: '10.0.0.0/40' does not appear to be an IPv4 or IPv6 network",
    ),
    ("if (src_ip == 300.0.0.1) yes();", "300.0.0.1 is not an address"),
    ("if (msg:len > maxlen) yes();", "msg:len is compared with a number, not maxlen [did you mean max_len?]"),
    ("if (status == myself) yes();", "status cannot be compared with myself [uri, src_ip and dst_ip can]"),
    ("if (to_ip == 10.0.0.1) yes();", "to_ip can be read in onsend_route only"),
    ('if (uri =~ "a(") yes();', '"a(" is not a regular expression: a ( is not closed'),
    ("if (method == INVIET) yes();", "INVIET is not a method that SIP defines [did you mean INVITE?]"),
    # selects
    ("if (@too.uri) yes();", "select @too is not known [did you mean to?]"),
    ("if (@to.uri.hots) yes();", "@to.uri.hots: there is no part .hots [did you mean host?]"),
    ("if (@src) yes();", "@src needs a part: .ip, .port, .ip_port"),
    ('if (@hf_value["x"]) yes();', "*textops*"),
]
FRAME = (
    "flags FLAG_ABC; avpflags cookie;\n"
    "route[SUB] { yes(); }\nfailure_route[FAIL] { yes(); }\nroute {{ {} }}\n"
).replace("{ yes(); }", "{{ yes(); }}")


@pytest.mark.parametrize(("body", "expected"), STATEMENTS, ids=[body for body, _ in STATEMENTS])
def test_statements(body: str, expected: str) -> None:
    found = said(check(FRAME.format(body)))
    assert len(found) == 1, found
    message = found[0].split(" ", 1)[1]
    if expected.startswith("*"):
        assert expected.strip("*") in message
    else:
        assert re.sub(r"of line \d+", "of line 1", message) == expected
    assert found[0].startswith("4:")


TOP = [
    ("debg = 3", "1:1 setting debg is not known [did you mean debug?]"),
    ("disable_core = yes", "1:1 setting disable_core is not known [did you mean disable_core_dump?]"),
    ('debug = "3"', "1:9 debug takes a number, not 3 [write 3 without quotes]"),
    ("dns = maybe", "1:7 dns takes yes or no, not maybe"),
    ("debug = ", "1:7 the value of debug must be a number [found the end of the file]"),
    ("listen = a:b:c:d:99999999", "1:10 a:b:c:d:99999999 is not an address [write [protocol:]host[:port]]"),
    ('loadmodule "probee.so"', "1:12 module probee is not known"),
    ('loadmodule "/x/lcr.so"', "1:12 module lcr is one of SER's that this build has not got"),
    ("loadmodule probe", '1:12 the module\'s path must be a quoted string [write "probe"]'),
    ('modparam("prob", "limit", 1)', '1:10 "prob" matches no loaded module [did you mean probe?]'),
    ('modparam("probe", "limt", 1)', "1:19 module probe has no parameter limt [did you mean limit?]"),
    (
        'modparam("probe", "limit", "1")',
        "1:28 parameter limit of module probe expects a number, not a string [write 1 without quotes]",
    ),
    (
        'modparam("probe", "label", 1)',
        '1:28 parameter label of module probe expects a string, not a number [write "1"]',
    ),
    (
        'modparam("probe", "flag", "NOFLAG")',
        "1:27 parameter flag of module probe flag NOFLAG is not declared",
    ),
    (
        'modparam("probe", "old_only", 1)',
        "1:19 parameter old_only of module probe exists in SER 0.9 only [the script is read as SER 2.0]",
    ),
    ('modparam("probe", "limit" 1)', "1:27 `,` is missing after the parameter's name [found 1]"),
    ("flags A:40;", "1:7 flag A: bits are numbered 0 to 31"),
    ("flags A:1, B:1;", "1:12 flag B: bit 1 is taken"),
    ("flags A, A;", "1:10 flag A is declared twice"),
    (
        'fifo = "/tmp/x"',
        "1:1 setting fifo exists in SER 0.9 only [the script is read as SER 2.0: as demanded]",
    ),
    ("yes();", "1:1 `yes` must stand in a route [a route's } may be too early]"),
    ("rout { yes(); }", "1:1 rout is not known at the top level [did you mean route?]"),
    (
        "route { yes(); } }",
        "1:18 a setting, loadmodule, modparam or route was expected here [a block has one } too many]",
    ),
    ("route { yes(); } route { yes(); }", "1:18 route is defined twice [first in line 1]"),
    ("route { yes();", "1:7 block is never closed [} is missing]"),
    (
        "route { yes();\nroute[1] { yes(); }",
        "2:1 `}` is missing before this route [the block opened in line 1 is still open]",
    ),
    ("route[] { yes(); }", "1:7 the route has no name [write a number or a name in the brackets]"),
    ("/* open", "1:1 comment is never closed [*/ is missing]"),
    ("#!SER 1.0\nroute { yes(); }", "1:1 SER 1.0 is not known here [write #!SER 0.9 or #!SER 2.0]"),
    (
        'onsend_route { prefix("1"); } route { yes(); }',
        "1:16 prefix may not stand in onsend_route"
        " [it may stand in route, failure_route, onreply_route, branch_route]",
    ),
    (
        'failure_route[1] { say(1); } onreply_route { arm("1"); } route { yes(); }',
        "1:46 arm may not stand in onreply_route [it may stand in route, failure_route]",
    ),
]


@pytest.mark.parametrize(("text", "expected"), TOP, ids=[text for text, _ in TOP])
def test_top_level(text: str, expected: str) -> None:
    assert said(check(text)) == [expected]


def test_all_mistakes_in_one_run() -> None:
    text = 'debg=1\nroute {\n  yess();\n  if (methd=="X") { drop; }\n  say(1, 2);\n  yes()\n}\n'
    text += "route[1] { $g.x = 1; }\n"
    found = said(check(text))
    assert [each.split(" ")[0] for each in found] == ["1:1", "3:3", "4:7", "5:3", "6:7", "8:12"]


def test_the_report_shows_line_and_caret() -> None:
    report = check('route {\n\tif (methd=="INVITE") { drop; }\n}\n')
    assert report.text() == (
        "test.cfg:2:6: error: methd cannot be tested\n"
        '    2 | \tif (methd=="INVITE") { drop; }\n'
        "      | \t    ^^^^^ did you mean method?\n"
        "test.cfg: bad (1 error, no warnings); read as SER 2.0: as demanded\n"
    )


def test_a_quote_that_is_missing_lines_above() -> None:
    found = said(check('route {\n  say("a);\n  say("b");\n  yes();\n}\n'))
    assert "the string that begins in line 2 ends only here: is a quote missing there?" in found[0]


def test_settings_without_meaning_are_said() -> None:
    report = check("children=4\nroute { yes(); }")
    (note,) = report.problems
    assert (note.message, note.severity.name) == ("children has no effect", "NOTE")
    assert note.hint is not None
    assert "no worker processes" in note.hint
    assert report.is_good


def test_a_bad_script_does_not_load() -> None:
    with pytest.raises(ConfigError, match="yess is not known") as caught:
        load_text("route {\n  yess();\n}", "bad.cfg")
    assert caught.value.place is not None
    assert (caught.value.place.file, caught.value.place.line, caught.value.place.column) == ("bad.cfg", 2, 3)


GENERATIONS = [
    ("route { yes(); }", None, "SER 0.9", "nothing in it needs SER 2.0"),
    ("route { yes(); }\nroute[SUB] { yes(); }", None, "SER 2.0", "line 2 has named routes"),
    ("route[19] { yes(); } route { route(19); }", None, "SER 0.9", "nothing in it needs SER 2.0"),
    ('route { say("$x"); $y = 1; }', None, "SER 2.0", "line 1 has attributes ($…)"),
    ("route {\n return; }", None, "SER 2.0", "line 2 has `return`"),
    ("flags A; route { yes(); }", None, "SER 2.0", "line 1 has `flags`"),
    ("tos=16 route { yes(); }", None, "SER 2.0", "line 1 has setting tos"),
    ('loadmodule "domain.so" loadmodule "lcr.so" route { yes(); }', None, "SER 2.0", "line 1 has module lcr"),
    ('route { sl_reply("1","a"); }', None, "SER 2.0", "line 1 has function sl_reply"),
    ("#!SER 0.9\nroute { yes(); }", None, "SER 0.9", "line 1 says #!SER 0.9"),
    ("# x\n#!SER 2.0\nroute { yes(); }", None, "SER 2.0", "line 2 says #!SER 2.0"),
    ("#!SER 0.9\nroute { yes(); }", NEW, "SER 2.0", "as demanded"),
]


@pytest.mark.parametrize(("text", "demanded", "generation", "reason"), GENERATIONS)
def test_generation(text: str, demanded: object, generation: str, reason: str) -> None:
    report = check(text, demanded)
    assert (str(report.generation), report.reason) == (generation, reason)


def test_constructs_of_the_other_generation_are_mistakes() -> None:
    assert said(check("route { $x = 1; return; }", OLD)) == [
        "1:9 attributes ($…) exist in SER 2.0 only [the script is read as SER 0.9: as demanded]",
        "1:17 `return` exists in SER 2.0 only [the script is read as SER 0.9: as demanded]",
    ]
    assert said(check("route { if (yes() & no()) { yes(); } }", NEW)) == [
        "1:19 `&` for `and` exists in SER 0.9 only"
        " [write || or &&: in SER 2.0 these are bit operators on attributes]"
    ]


@pytest.mark.parametrize("before", [0, 300])
@pytest.mark.parametrize("after", [0, 300])
def test_of_a_long_line_the_part_around_the_mistake_is_shown(before: int, after: int) -> None:
    report = check(f"route {{ {'yes(); ' * before}nope(); {'yes(); ' * after}}}")
    code, marks = report.text().splitlines()[1:3]
    assert len(code) <= 180
    start, end = marks.index("^"), marks.rindex("^") + 1
    assert code[start:end].startswith("nope")
