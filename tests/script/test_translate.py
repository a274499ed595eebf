"""Scripts translated to Python: readable, typed, and the same to the byte on the wire."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipyard.errors import ConfigError
from sipyard.script import check_file
from sipyard.script.check import read_text
from sipyard.script.translate import translate, translate_file
from sipyard.site import Site

from .scenario import Scenario

ROOT = Path(__file__).parents[2]
FOLDERS = ("tests/script/configs", "examples", "examples/testing", "benches/sipyard", "tests/callflows")
SCRIPTS = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).glob("*.cfg"))
    if path.name != "tls.cfg"  # it shows a certificate that the benchmark makes
    if check_file(path).is_good  # of the acceptance scripts those whose modules are there
]
ODD = ROOT / "tests" / "script" / "translated" / "odd.cfg"
IDS = [f"{path.parent.name}/{path.name}" for path in [*SCRIPTS, ODD]]


def scenario(routing: Path, seed: int) -> tuple[bytes, list[str]]:
    """What went over the wire and was logged."""
    return Scenario(Site.load(routing), seed).run()


def test_there_are_enough_scripts() -> None:
    assert len(SCRIPTS) >= 9, IDS


@cache
def translation(script: Path, folder: Path) -> Path:
    """The script's translation as a file."""
    made = folder / f"{script.parent.name}_{script.stem}.py".replace("-", "_")
    made.write_text(translate_file(script), "utf-8")
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("translated")


# -- the same on the wire ------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [*SCRIPTS, ODD], ids=IDS)
def test_original_and_translation_give_the_same_traces(script: Path, folder: Path) -> None:
    python = translation(script, folder)

    @settings(max_examples=25, deadline=None, database=None, derandomize=True)
    @given(st.integers(0, 1_000_000))
    def same(seed: int) -> None:
        original, copy = scenario(script, seed), scenario(python, seed)
        assert len(original[0]) > 1000
        assert original == copy

    same()


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    """The property can fail: another reason phrase is another trace."""
    script = tmp_path / "one.cfg"
    script.write_text('loadmodule "sl"\nroute {\n  sl_reply("404", "Not Found");\n}\n')
    python = tmp_path / "one.py"
    python.write_text(translate_file(script).replace("Not Found", "Not There"))
    assert scenario(script, 1)[0] != scenario(python, 1)[0]


# -- readable and typed --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed(folder: Path) -> dict[str, str]:
    """What the command prints for every script, by file name."""
    outputs = {}
    for number, script in enumerate([*SCRIPTS, ODD]):
        command = [sys.executable, "-m", "sipyard.cli", "translate", str(script)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        outputs[f"printed_{number}.py"] = done.stdout
    for name, text in outputs.items():
        (folder / name).write_text(text, "utf-8")
    return outputs


def test_it_passes_mypy_strict(folder: Path, printed: dict[str, str]) -> None:
    config = folder / "mypy.ini"
    config.write_text("[mypy]\nstrict = True\n[mypy-re2]\nignore_missing_imports = True\n")
    cache = folder / "mypy_cache"
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(config),
        "--cache-dir",
        str(cache),
        *printed,
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_formatted(folder: Path, printed: dict[str, str]) -> None:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--check", *printed]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("script", [*SCRIPTS, ODD], ids=IDS)
def test_every_comment_is_kept(script: Path, folder: Path) -> None:
    """Each, word for word and in a comment."""
    python = translation(script, folder).read_text("utf-8")
    kept = " ".join(" ".join(line.partition("#")[2].split()) for line in python.splitlines() if "#" in line)
    text = script.read_text("utf-8")
    from sipyard.script.lexer import comments

    for start, end in comments(text):
        for line in text[start:end].removesuffix("*/").splitlines():
            assert " ".join(line.strip().lstrip("#/*").split()) in kept


def test_what_it_looks_like() -> None:
    text = """route {
	# Only ours.
	if (!uri == myself) {
		sl_reply("403", "Relaying Denied"); # says why
		drop;
	}

	$f.seen = @from.uri.user;
	if (method == "INVITE" && $f.seen == "bob") route(RELAY);
}
# On it goes.
route[RELAY] {
	if (!t_relay()) sl_reply_error();
}
"""
    loads = 'loadmodule "sl"\nloadmodule "tm"\n'
    made = translate(read_text(loads + text, "small.cfg"))
    routes = made[made.index("@request_route") :]
    assert (
        routes
        == """@request_route
async def main(msg: Context) -> int:
    # Only ours.
    if not msg.core.is_myself_uri(msg.request_uri):
        # says why
        sl.sl_reply(msg, 403, 'Relaying Denied')
        return EXIT

    forget(msg, f_seen)
    assign_select(msg, f_seen, from_uri_user(msg))
    if is_method(msg, 'INVITE') and f_seen_value_is_bob(msg):
        return await route_relay(msg)
    else:
        return 1


# On it goes.
async def route_relay(msg: Context) -> int:
    result = await tm.t_relay(msg)
    if result < 0:
        return sl.sl_reply_error(msg) or EXIT
    elif result == 0:
        return EXIT
    else:
        return 1
"""
    )


def test_flags_keep_their_names() -> None:
    text = "flags VIP:4, msg:5;\nroute {\n  setflag(VIP);\n  setflag(msg);\n  setflag(6);\n}\n"
    made = translate(read_text(text))
    assert "\nVIP = 4\n" in made
    assert "\nflag_msg = 5\n" in made
    calls = ["msg.set_flag(VIP)", "msg.set_flag(flag_msg)", "return msg.set_flag(6)"]
    assert [line.strip() for line in made.splitlines() if "set_flag" in line] == calls


def test_names_of_the_script_hide_nothing(tmp_path: Path) -> None:
    """Attributes and routes called like what the translation uses."""
    text = """route {
  $network = 1; $equals = 2; $msg = 3; $result = 4; $loading = 5; $single = 6; $class = 7;
  if ($network == 1 && $class == 7 && src_ip == 192.0.2.0/24) route(main);
}
route[main] {
  if ($equals == 2 && $single == 6 && $loading == 5) log(1, "all there");
}
"""
    script, python = tmp_path / "names.cfg", tmp_path / "names.py"
    script.write_text("debug=3\n" + text)
    python.write_text(translate_file(script))
    original, copy = scenario(script, 3), scenario(python, 3)
    assert "all there" in original[1]
    assert original == copy


def test_a_bad_script_is_not_translated() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        translate(read_text("route {\n nonsense();\n}\n"))
    with pytest.raises(ConfigError, match="no main"):
        translate(read_text("onreply_route {\n drop;\n}\n"))


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.cfg").write_text("route {\n nonsense();\n}\n")
    command = [sys.executable, "-m", "sipyard.cli", "translate", "bad.cfg"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "bad.cfg:2:2: error: function nonsense is not known" in done.stderr


def test_it_runs(tmp_path: Path) -> None:
    """`-o` writes a file that `sipyard check` accepts."""
    made = tmp_path / "routes.py"
    for words in (["translate", str(ROOT / "examples/ser.cfg"), "-o", str(made)], ["check", str(made)]):
        command = [sys.executable, "-m", "sipyard.cli", *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "async def main(msg: Context) -> int:" in made.read_text()
