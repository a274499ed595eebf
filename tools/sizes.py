"""Files have at most 600 lines, functions at most 60: what does not fit holds two ideas.

A docstring does not count towards a function's length. Rust functions are measured by clippy (`clippy.toml`).
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

FILE_LINES = 600
FUNCTION_LINES = 60
SUFFIXES = {".py", ".pyi", ".rs", ".sh"}
EXEMPT = {
    # The whole native API with its documentation stands in one stub, because it is one extension module.
    Path("python/sipyard/_native/core.pyi"),
}


def sources() -> Iterator[Path]:
    """All source files that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        path = Path(name)
        if path.suffix in SUFFIXES and path.exists() and path not in EXEMPT:
            yield path


def functions(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, first line and length of each function in a Python file."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                length -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield node.name, node.lineno, length


def main() -> int:
    """Print what is too long; 1 when there is anything."""
    found = []
    for path in sources():
        lines = len(path.read_text(errors="surrogateescape").splitlines())
        if lines > FILE_LINES:
            found.append(f"{path}: {lines} lines, {FILE_LINES} are allowed")
        if path.suffix == ".py":
            found += [
                f"{path}:{line}: {name} has {length} lines, {FUNCTION_LINES} are allowed"
                for name, line, length in functions(path)
                if length > FUNCTION_LINES
            ]
    print("\n".join(found) if found else "sizes: all good")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
