"""What stands at the cursor, in scripts that are whole and in scripts that are half written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sipyard.arguments import RouteKind
from sipyard.lsp.spot import spot_at
from sipyard.lsp.vocabulary import Vocabulary
from sipyard.script.check import inspect_text
from sipyard.script.source import Source

# The cursor is the `|`; token, call around it, number of the argument, kind of block.
SPOTS = [
    ("rou|", "rou", None, 0, None),
    ("route { t_re|", "t_re", None, 0, RouteKind.REQUEST),
    ("route { t_relay(|", "", "t_relay", 0, RouteKind.REQUEST),
    ("route { route(A|) }", "A", "route", 0, RouteKind.REQUEST),
    ('route { sl_reply("404", "No|t Found"); }', "Not Found", "sl_reply", 1, RouteKind.REQUEST),
    ('route { sl_reply("404", |', "", "sl_reply", 1, RouteKind.REQUEST),
    ('route { f(g("x"), |', "", "f", 1, RouteKind.REQUEST),
    ("route { f(); if (|", "", None, 0, RouteKind.REQUEST),
    ("route { if (uri == myself) { x(); } } failure_route[F] { t|", "t", None, 0, RouteKind.FAILURE),
    ("route { yes(); } lis|", "lis", None, 0, None),
    ('modparam("tm", "fr_|', "fr_", "modparam", 1, None),
    ("# a comment|", "", None, 0, None),
]


@pytest.mark.parametrize(("text", "token", "call", "argument", "route"), SPOTS, ids=[row[0] for row in SPOTS])
def test_spot(text: str, token: str, call: str | None, argument: int, route: RouteKind | None) -> None:
    offset = text.index("|")
    spot = spot_at(Source("t", text.replace("|", "", 1)), offset)
    assert (spot.text, spot.call, spot.argument, spot.route) == (token, call, argument, route)


CONFIGS = sorted((Path(__file__).parents[1] / "script" / "configs").glob("*.cfg"))


@pytest.mark.parametrize("path", CONFIGS, ids=[path.name for path in CONFIGS])
def test_every_place_of_a_script_can_be_asked_about(path: Path) -> None:
    """Also while the text behind the cursor is not there yet; a function's own entry is always found."""
    text = path.read_text("utf-8")
    whole = Vocabulary(inspect_text(text, path.name))
    for offset in range(1, len(text), 41):
        source = Source(path.name, text[:offset])
        half = spot_at(source, offset)
        whole.completions(half, offset)
        here = spot_at(whole.checked.report.source, offset)
        whole.hover(here)
        whole.definition(here)
    found = whole.hover(spot_at(whole.checked.report.source, text.index("t_relay()") + 1))
    assert found is not None
    assert "Relay to the Request-URI" in found
