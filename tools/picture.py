"""Draw docs/call.svg: what `sipyard check` says of README's script, and a call through it on the test kit.

Both are real output of this run; the network is virtual, so the same picture comes out each time.
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from sipyard.testing import Network

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "call.svg"


def script() -> str:
    """README's script."""
    return next(
        block
        for block in re.findall(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
        if "route {" in block
    )


def checked(text: str) -> str:
    """Output of `sipyard check` for a script."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "ser.cfg").write_text(text)
        command = [sys.executable, "-m", "sipyard.cli", "check", "ser.cfg"]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def ladder(text: str) -> str:
    """Two phones register; one calls the other, who answers and is hung up on."""
    with Network(1) as network:
        proxy = network.server(text, name="sipyard", address="10.0.0.1:5060", aliases=["example.com"])
        alice = network.user_agent("alice", "192.0.2.1:5060", proxy=proxy, domain="example.com")
        bob = network.user_agent("bob", "192.0.2.2:5060", proxy=proxy, domain="example.com")
        alice.register()
        bob.register()
        network.run(1)
        bob.answers(after=3)
        call = alice.invite(bob)
        network.run(10)
        call.hang_up()
        network.run(1)
        return network.trace.ladder("alice", "sipyard", "bob")


def draw() -> str:
    """The picture as SVG."""
    text = script()
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(Text("$ sipyard check ser.cfg", style="bold green"))
    console.print(Text(checked(text)))
    console.print(Text("# alice calls bob through that script, on sipyard.testing", style="bold green"))
    console.print(Text(ladder(text)))
    picture = console.export_svg(title="Sipyard", unique_id="sipyard")
    return re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)  # nothing is fetched to show it


if __name__ == "__main__":
    PICTURE.write_text(draw())
    print(f"wrote {PICTURE.relative_to(ROOT)}")
