#!/bin/sh
# Make .venv with everything that building, testing and linting needs. Uses uv when it is here, else pip.
# Usage: environment.sh PYTHON
set -eu
python=$1
if [ -z "$python" ]; then
    echo "Sipyard needs Python 3.11 or newer" >&2
    exit 1
fi
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Sipyard needs Python 3.11 or newer; $python is $("$python" -V)" >&2
    exit 1
}
command -v cargo >/dev/null || {
    echo "Sipyard needs Rust (cargo) to compile its core" >&2
    exit 1
}
echo "making .venv with $("$python" -V)"
wanted=$("$python" - <<'PYTHON'
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = sum(project["optional-dependencies"].values(), [])
print("\n".join(project["dependencies"] + extras))
PYTHON
)
list=$(mktemp)
trap 'rm -f "$list"' EXIT
printf '%s\n' "$wanted" >"$list"
if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv || {
        echo "this Python cannot make environments; on Debian: apt-get install python3-venv" >&2
        exit 1
    }
fi
if command -v uv >/dev/null; then
    uv pip install --quiet --python .venv/bin/python -r "$list"
else
    .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$list"
fi
