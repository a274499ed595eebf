"""Which crate may know what: read from the Cargo manifests and the sources."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CRATES = sorted((ROOT / "crates").iterdir())
NAMES = [crate.name for crate in CRATES]

# Who may name whom; nobody else and nothing sideways.
OWN = {
    "wire": set(),
    "transaction": {"wire"},
    "transport": set(),
    "endpoint": {"wire", "transaction", "transport"},
    "native": {"wire", "transaction", "endpoint"},
}
FOREIGN = {
    "wire": {"bytes", "memchr"},
    "transaction": {"bytes", "hashbrown"},
    "transport": {"bytes", "libc", "socket2"},
    "endpoint": {"bytes", "hashbrown", "parking_lot", "libc", "rustls", "rustls-webpki", "tungstenite"},
    "native": {"bytes", "mimalloc", "parking_lot", "pyo3"},
}


def _dependencies(crate: Path) -> set[str]:
    manifest = tomllib.loads((crate / "Cargo.toml").read_text())
    return set(manifest.get("dependencies", {})) | set(manifest.get("build-dependencies", {}))


def _code(crate: Path) -> str:
    """The sources without comments, and without the tests that stand at a file's end."""
    texts = []
    for file in sorted((crate / "src").rglob("*.rs")):
        text = file.read_text().split("#[cfg(test)]\nmod ")[0]
        texts.append(re.sub(r"//.*", "", text))
    return "\n".join(texts)


def test_every_crate_is_known() -> None:
    assert set(NAMES) == set(OWN)


@pytest.mark.parametrize("crate", CRATES, ids=NAMES)
def test_a_crate_names_only_what_it_may(crate: Path) -> None:
    dependencies = _dependencies(crate)
    own = {name.removeprefix("sipyard-") for name in dependencies if name.startswith("sipyard-")}
    foreign = {name for name in dependencies if not name.startswith("sipyard-")}
    assert own <= OWN[crate.name]
    assert foreign <= FOREIGN[crate.name]


@pytest.mark.parametrize("name", ["wire", "transaction"])
def test_the_core_reads_no_clock_and_opens_no_socket(name: str) -> None:
    code = _code(ROOT / "crates" / name)
    clocks = r"Instant\b|SystemTime\b|std::time::(?!Duration)"
    sockets = r"UdpSocket|TcpStream|TcpListener|std::thread|std::fs|std::env"
    forbidden = f"{clocks}|{sockets}"
    assert re.findall(forbidden, code) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name != "native"])
def test_python_is_named_only_in_native(name: str) -> None:
    assert re.findall(r"\bpyo3\b|Python::", _code(ROOT / "crates" / name)) == []


def test_native_threads_never_attach() -> None:
    code = _code(ROOT / "crates" / "native")
    assert re.findall(r"Python::attach|Python::try_attach|with_gil|assume_attached", code) == []


def test_native_objects_hold_no_python_objects() -> None:
    code = _code(ROOT / "crates" / "native")
    classes = re.findall(r"#\[pyclass[^\]]*\][^{]*\{([^}]*)\}", code)
    assert len(classes) >= 12
    assert not [fields for fields in classes if re.search(r"\bPy<|\bBound<|PyObject", fields)]


def test_native_objects_are_frozen() -> None:
    code = _code(ROOT / "crates" / "native")
    assert all("frozen" in arguments for arguments in re.findall(r"#\[pyclass\(([^)]*)\)\]", code))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "transport"])
def test_unsafe_is_only_in_transport(name: str) -> None:
    assert re.findall(r"\bunsafe\b", _code(ROOT / "crates" / name).replace("unsafe_code", "")) == []
