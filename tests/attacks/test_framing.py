"""P2, P3, P4: numbers, names and lines that two readers read differently."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, kamailio, status


@pytest.mark.parametrize(
    "length",
    [
        "-1",
        "+5",
        "0x05",
        "5 5",
        "5,5",
        "5;a",
        "2147483648",
        "4294967328",
        "99999999999999999999",
        "",
        "5\x00",
        "five",
    ],
)
@pytest.mark.parametrize("name", ["Content-Length", "l"])
def test_p2_content_length(target: Router, attacker: Exchange, name: str, length: str) -> None:
    uri = f"sip:127.0.0.1:{target.port}"
    good = attacker.request("OPTIONS", uri, body="hello")
    attacker.send(good.replace(b"Content-Length: 5", f"{name}: {length}".encode()))
    assert status(attacker.receive(1)) == 400


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: 5\r\nContent-Length: 0",
        "Content-Length: 0\r\nl: 5",
        "l: 5\r\nl: 5",
        "L:5\r\ncontent-length:7",
    ],
)
def test_p2_two_lengths(target: Router, attacker: Exchange, lines: str) -> None:
    good = attacker.request("OPTIONS", f"sip:127.0.0.1:{target.port}", body="hello")
    attacker.send(good.replace(b"Content-Length: 5", lines.encode()))
    assert status(attacker.receive(1)) == 400


SINGLE = ("To", "From", "Call-ID", "CSeq", "Content-Length")
COMPACT = {"To": "t", "From": "f", "Call-ID": "i", "CSeq": "CSEQ", "Content-Length": "l"}


@pytest.mark.parametrize("compact", [False, True], ids=["long", "compact"])
@pytest.mark.parametrize("header", SINGLE)
def test_p4_duplicates(target: Router, attacker: Exchange, header: str, compact: bool) -> None:
    good = attacker.request("OPTIONS", f"sip:127.0.0.1:{target.port}")
    found = re.search(rb"^" + header.encode() + rb": ([^\r]*)\r\n", good, re.MULTILINE)
    assert found
    name = COMPACT[header] if compact else header
    second = f"{name}: ".encode() + found[1].replace(b"tester", b"somebody") + b"\r\n"
    attacker.send(good[: found.end()] + second + good[found.end() :])
    assert status(attacker.receive(1)) == 400


NEXT_HOP = """\
#!KAMAILIO
debug=0
log_stderror=yes
children=1
disable_tcp=yes
auto_aliases=no
listen=udp:127.0.0.1:@PORT@
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "textops.so"
request_route {
	if (is_present_hf("X-Internal-Key")) {
		sl_send_reply("299", "Smuggled");
	} else {
		sl_send_reply("200", "OK");
	}
}
"""

SMUGGLED = {
    "space before the colon": b"X-Internal-Key : open\r\n",
    "tab before the colon": b"X-Internal-Key\t: open\r\n",
    "fold before the colon": b"X-Internal-Key\r\n : open\r\n",
    "fold after the colon": b"X-Internal-Key:\r\n open\r\n",
    "other letters": b"x-iNTERNAL-kEY: open\r\n",
    "control byte after": b"X-Internal-Key\x01: open\r\n",
    "control byte before": b"\x01X-Internal-Key: open\r\n",
    "NUL after": b"X-Internal-Key\x00: open\r\n",
    "vertical tab before": b"\x0bX-Internal-Key: open\r\n",
    "bare LF": b"X-Other: a\nX-Internal-Key: open\r\n",
    "bare CR": b"X-Other: a\rX-Internal-Key: open\r\n",
    "CR CR LF": b"X-Other: a\r\r\nX-Internal-Key: open\r\n",
    "LF CR": b"X-Other: a\n\rX-Internal-Key: open\r\n",
    "bare LF at the end": b"X-Internal-Key: open\n",
    "twice": b"X-Internal-Key: a\r\nX-Internal-Key: open\r\n",
    "no colon on the line before": b"X-Other\r\nX-Internal-Key: open\r\n",
    "empty name before": b": x\r\nX-Internal-Key: open\r\n",
    "non-breaking space": b"X-Internal-Key\xc2\xa0: open\r\n",
}


@pytest.fixture(scope="module")
def next_hop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """Kamailio behind the proxy: what it reads is what a next hop believes."""
    folder: Path = tmp_path_factory.mktemp("next-hop")
    script = folder / "next.cfg"
    script.write_text(NEXT_HOP)
    router = kamailio(script, folder)
    yield router
    router.stop()


def register(target: Router, attacker: Exchange, user: str, port: int) -> None:
    """Bind a user to a socket of this machine."""
    aor = f"sip:{user}@127.0.0.1:{target.port}"
    contact = f"Contact: <sip:{user}@127.0.0.1:{port}>;expires=600"
    assert status(attacker.ask("REGISTER", aor, contact)) == 200


def lenient_names(data: bytes) -> set[str]:
    """Header names as the most forgiving reader sees them: any line end, blanks and control bytes ignored."""
    lines = re.split(rb"\r\n|\n|\r", data.partition(b"\r\n\r\n")[0])
    return {re.sub(rb"[^!-~]", b"", line.partition(b":")[0]).decode().lower() for line in lines}


@pytest.mark.parametrize("smuggled", SMUGGLED.values(), ids=SMUGGLED.keys())
def test_p3_a_removed_header_is_gone_for_every_reader(
    target: Router, attacker: Exchange, next_hop: Router, smuggled: bytes
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.settimeout(0.2)
        port = int(sink.getsockname()[1])
        users = {f"sink{port}": port, f"kamailio{port}": next_hop.port}
        for user, contact in users.items():
            register(target, attacker, user, contact)
        for user in users:
            good = attacker.request("MESSAGE", f"sip:{user}@127.0.0.1:{target.port}")
            attacker.send(good.replace(b"Max-Forwards", smuggled + b"Max-Forwards"))
            if user.startswith("kamailio"):
                # Refused here or read as harmless there.
                assert status(attacker.receive(3)) in (200, 400)
                continue
            try:
                relayed = sink.recv(65535)
            except TimeoutError:
                assert status(attacker.receive(1)) == 400
                continue
            assert "x-internal-key" not in lenient_names(relayed), relayed
            head = BytesHeaderParser().parsebytes(relayed.partition(b"\r\n")[2])
            assert "X-Internal-Key" not in head, relayed
            assert status(attacker.receive(5)) in (0, 408)
