"""Writes docs/reference/: a page for each module, out of the module's own declaration; and the table of lint
rules in docs/guides/check.md.

python tools/reference.py           write the pages
python tools/reference.py --check   fail when they are not what the declarations say
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from sipyard.module import Function, Generation, Module, Parameter, RouteKind, Rpc, Select
from sipyard.registry import available, module_class
from sipyard.script.lint import RULES

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
CHECK_GUIDE = FOLDER.parent / "guides" / "check.md"
GENERATIONS = {Generation.BOTH: "0.9, 2.0", Generation.SER_0_9: "0.9", Generation.SER_2_0: "2.0"}
LETTERS = {"R": "REQUEST", "F": "FAILURE", "O": "ONREPLY", "B": "BRANCH", "S": "ONSEND"}


def cell(text: object) -> str:
    """Text for a table's cell."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    """A Markdown table; nothing when it has no rows."""
    lines = ["| " + " | ".join(map(cell, row)) + " |" for row in rows]
    if lines:
        yield "| " + " | ".join(head) + " |"
        yield "|" + " --- |" * len(head)
        yield from lines
        yield ""


def section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A heading with what stands below it; nothing when nothing does."""
    body = list(lines)
    if body:
        yield f"## {title}"
        yield ""
        yield from body


def function_row(declared: Function) -> tuple[object, ...]:
    spelled = ", ".join(
        f"{name}: {kind.says}" + ("" if position < declared.required else " (optional)")
        for position, (name, kind) in enumerate(zip(declared.parameter_names, declared.kinds, strict=True))
    )
    names = ", ".join(f"`{name}`" for name in (declared.name, *declared.names))
    letters = "".join(letter for letter, kind in LETTERS.items() if RouteKind[kind] in declared.routes)
    return names, spelled or "none", letters, GENERATIONS[declared.generations], declared.doc


def parameter_row(declared: Parameter[object]) -> tuple[object, ...]:
    default = "may be given several times" if declared.is_repeatable else f"`{declared.default!r}`"
    if declared.default_09 is not None:
        default += f" (0.9: `{declared.default_09!r}`)"
    names = ", ".join(f"`{name}`" for name in (declared.name, *declared.names))
    return names, declared.kind.says, default, GENERATIONS[declared.generations], declared.doc


def rpc_row(declared: Rpc) -> tuple[object, ...]:
    old = f" (0.9: `{declared.old_name}`)" if declared.old_name else ""
    return f"`{declared.name}`{old}", declared.doc


def select_row(declared: Select) -> tuple[object, ...]:
    return f"`@{declared.root}`", declared.doc


def unique(declarations: Iterable[object]) -> list[object]:
    """Each declaration once, however many names it has."""
    return list({id(each): each for each in declarations}.values())


def page(module: type[Module]) -> str:
    """The page of one module."""
    functions = table(
        ("function", "arguments", "routes", "SER", "meaning"),
        map(function_row, unique(module.functions.values())),  # type: ignore[arg-type]
    )
    parameters = table(
        ("parameter", "type", "default", "SER", "meaning"),
        map(parameter_row, unique(module.parameters.values())),  # type: ignore[arg-type]
    )
    commands = table(("command", "meaning"), map(rpc_row, module.rpcs.values()))
    selects = table(("select", "meaning"), map(select_row, module.selects.values()))
    source = sys.modules[module.__module__].__doc__ or module.__doc__ or ""
    lines = [f"# {module.name}", "", source.strip(), ""]
    if module.requires:
        lines += ["Requires: " + ", ".join(f"[{name}]({name}.md)" for name in module.requires) + ".", ""]
    lines += section("Functions", functions)
    lines += section("Parameters", parameters)
    lines += section("Management commands", commands)
    lines += section("Selects", selects)
    return "\n".join(lines).rstrip() + "\n"


def check_guide() -> str:
    """The guide about checking with its table of rules as they are declared."""
    before, start, rest = CHECK_GUIDE.read_text().partition(
        "<!-- rules: written by `make docs` from the declarations -->\n"
    )
    _, end, after = rest.partition("<!-- end of rules -->")
    rows = [
        (
            f"`{each.id}`",
            each.severity.name.lower(),
            each.summary,
            f"{each.reason} ({each.source})",
            each.mend,
        )
        for each in RULES.values()
    ]
    head = ("rule", "severity", "what it finds", "why it matters", "how to mend it")
    return before + start + "\n" + "\n".join(table(head, rows)) + "\n" + end + after


def pages() -> dict[Path, str]:
    """Every page by its path."""
    modules = [module_class(name) for name in sorted(available())]
    index = [
        "# Modules",
        "",
        "Generated from the modules' own declarations by `make docs`.",
        "Routes: R request, F failure, O onreply, B branch, S onsend.",
        "",
        *(f"- [{module.name}]({module.name}.md)" for module in modules),
    ]
    written = {FOLDER / f"{module.name}.md": page(module) for module in modules}
    return {FOLDER / "README.md": "\n".join(index) + "\n", CHECK_GUIDE: check_guide(), **written}


def main() -> int:
    """Write or check; 1 when a check fails."""
    wanted = pages()
    present = {path: path.read_text() for path in (CHECK_GUIDE, *FOLDER.glob("*.md"))}
    if "--check" in sys.argv:
        stale = sorted(
            path.name for path in wanted.keys() | present.keys() if wanted.get(path) != present.get(path)
        )
        if stale:
            print("stale, run make docs:", ", ".join(stale))
        return 1 if stale else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in present.keys() - wanted.keys():
        path.unlink()
    for path, text in wanted.items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
