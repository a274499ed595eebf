"""One set of commands by every door: kamcmd, shells that write to pipes, XML-RPC and HTTP clients."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import xmlrpc.client
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from interop.processes import Exchange, Router, free_port, program, status
from sipyard.management import binrpc
from sipyard.management.json_rpc import Client

CONTACT = "sip:bob@192.0.2.1:5062"
ADD = ["usrloc.add_contact", "location", "bob", CONTACT, "3600", "0.5", "0"]


class Doors:
    """The server with the places of its doors."""

    def __init__(self, start_router: Callable[..., Router], folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.router = start_router("doors", BINRPC=str(self.port))

    def kamcmd(self, door: str, *words: str) -> str:
        """What kamcmd prints."""
        command = [program("kamcmd"), "-s", door, *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        return done.stdout + done.stderr

    def ask_fifo(self, pipe: str, text: str, name: str = "reply") -> str:
        """As a shell script does it: make a pipe, write, read."""
        reply = self.folder / name
        os.mkfifo(reply)
        try:
            script = 'printf "%s" "$1" > "$2"; exec cat "$3"'
            command = ["sh", "-c", script, "sh", text, str(self.folder / pipe), str(reply)]
            return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout
        finally:
            reply.unlink()

    def post(self, body: str | bytes, kind: str = "text/xml", method: str = "POST") -> tuple[int, bytes]:
        """Status and body of an HTTP answer."""
        connection = HTTPConnection("127.0.0.1", self.router.port, timeout=5)
        try:
            connection.request(method, "/RPC2", body, {"Content-Type": kind})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @property
    def rpc(self) -> Any:
        return xmlrpc.client.ServerProxy(f"http://127.0.0.1:{self.router.port}/RPC2")


@pytest.fixture
def doors(start_router: Callable[..., Router], tmp_path: Path) -> Iterator[Doors]:
    made = Doors(start_router, tmp_path)
    yield made
    made.router.stop()
    left = [path.name for path in tmp_path.iterdir() if path.is_socket() or path.is_fifo()]
    assert left == []


@pytest.mark.parametrize("door", ["unixs:{folder}/binrpc", "tcp:127.0.0.1:{port}", "udp:127.0.0.1:{port}"])
def test_kamcmd(doors: Doors, door: str) -> None:
    place = door.format(folder=doors.folder, port=doors.port)
    assert doors.kamcmd(place, "core.version").startswith("Sipyard ")
    assert "uptime: " in doors.kamcmd(place, "core.uptime")
    assert "tm.stats" in doors.kamcmd(place, "system.listMethods").split()
    assert doors.kamcmd(place, "core.prints", "a b").strip() == "a b"
    assert "error: 500 - command nix not found" in doors.kamcmd(place, "nix")
    assert "error: 404 - User not found" in doors.kamcmd(place, "usrloc.show_contacts", "location", "bob")
    assert "error" not in doors.kamcmd(place, *ADD)
    assert f"contact: {CONTACT}" in doors.kamcmd(place, "usrloc.show_contacts", "location", "bob")


def test_kamcmd_knows_who_is_there(doors: Doors) -> None:
    place = f"unixs:{doors.folder}/binrpc"
    assert f"peer: user {os.getuid()} (process " in doors.kamcmd(place, "ctl.who")
    listed = doors.kamcmd(place, "ctl.listen").split()
    assert f"tcp:127.0.0.1:{doors.port}" in listed
    assert f"fifo:{doors.folder}/fifo.ctl" in listed


def test_binrpc_in_unix_datagrams(doors: Doors) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
        asker.bind(str(doors.folder / "asker"))
        asker.settimeout(5)
        payload = b"".join(binrpc.encode(one) for one in ("core.prints", "hello"))
        door = str(doors.folder / "binrpc.datagrams")
        asker.sendto(b"nonsense", door)
        asker.sendto(binrpc.packet(binrpc.REQUEST, b"\x07\x08", payload), door)
        found = binrpc.take_packet(asker.recv(65536))
    (doors.folder / "asker").unlink()
    assert found is not None
    assert found[0] == binrpc.Packet(binrpc.REPLY, b"\x07\x08", binrpc.encode("hello"))


@pytest.mark.parametrize("pipe", ["fifo", "fifo.ctl"])
def test_pipes_with_names_of_both_generations(doors: Doors, pipe: str) -> None:
    add = "\n".join([":ul_add:reply", "location", "bob", CONTACT, "0", "0.5", "0", "128"])
    assert doors.ask_fifo(pipe, f"{add}\n\n") == "200 OK\n"
    shown = doors.ask_fifo(pipe, ":ul_show_contact:reply\nlocation\nbob\n\n")
    assert shown == f"200 OK\n<{CONTACT}>;q=0.5;expires=-1\n"
    shown = doors.ask_fifo(pipe, ":usrloc.show_contacts:reply\nlocation\nbob\n\n")
    assert shown == f"200 OK\ncontact:{CONTACT.replace(':', chr(92) + 'o')},q:0.5,expires:-1\n"
    assert (
        doors.ask_fifo(pipe, ":ul_stats:reply\n\n") == "200 OK\nDomain Registered Expired\n'location' 1 0\n"
    )
    assert doors.ask_fifo(pipe, ":nix:reply\n\n") == "500 command nix not found\n"
    assert doors.ask_fifo(pipe, ":ul_show_contact:reply\nlocation\n\n").startswith("400 usage: ")


def test_a_request_of_our_own_by_a_pipe(doors: Doors) -> None:
    with Exchange(doors.router.port) as phone:
        lines = [":t_uac_dlg:reply", "MESSAGE", f"sip:bob@127.0.0.1:{phone.port}", "."]
        lines += ["Content-Type: text/plain", "", "Hello", "world", ".", ""]
        asking = subprocess.Popen(
            ["sh", "-c", 'printf "%s" "$1" > "$2"', "sh", "\n".join(lines), str(doors.folder / "fifo")]
        )
        os.mkfifo(doors.folder / "reply")
        request = phone.receive(5)
        assert request is not None
        assert request.startswith(b"MESSAGE sip:bob@127.0.0.1")
        assert request.endswith(b"\r\n\r\nHello\r\nworld")
        head = [
            line
            for line in request.split(b"\r\n")
            if line[:4] in (b"Via:", b"From", b"To: ", b"Call", b"CSeq")
        ]
        phone.send(b"\r\n".join([b"SIP/2.0 200 Fine", *head, b"Content-Length: 0"]) + b"\r\n\r\n")
        answer = (doors.folder / "reply").read_text()
        asking.wait(5)
    (doors.folder / "reply").unlink()
    assert answer.startswith("200 OK\n200 Fine\n")


@pytest.mark.parametrize("name", ["../reply", "/tmp/x", "..", "a file", "a link"])
def test_a_pipe_answers_only_to_pipes_of_its_folder(doors: Doors, name: str) -> None:
    file = doors.folder / "a file"
    file.write_text("precious")
    (doors.folder / "a link").symlink_to(file)
    with (doors.folder / "fifo").open("w") as pipe:
        pipe.write(f":version:{name}\n\n")
    assert doors.ask_fifo("fifo", ":core.prints:good\nhello\n\n", "good") == "200 OK\nhello\n"
    assert file.read_text() == "precious"


def test_pipes_bear_rubbish(doors: Doors) -> None:
    for rubbish in (b"\xff\xfe\x00rubbish\n", b"x" * 200_000, b":version\n", b"::\n"):
        with (doors.folder / "fifo").open("wb") as pipe:
            pipe.write(rubbish)
    with (doors.folder / "fifo").open("w") as pipe:
        pipe.write("\n")
    assert doors.ask_fifo("fifo", ":core.prints:reply\nhello\n\n") == "200 OK\nhello\n"


def test_lines_in_datagrams(doors: Doors) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asker:
        asker.bind(str(doors.folder / "asker"))
        asker.settimeout(5)

        def ask(data: bytes) -> bytes:
            asker.sendto(data, str(doors.folder / "unixsock"))
            return asker.recv(65536)

        assert ask(b":core.prints:\nhello\n") == b"200 OK\nhello\n"
        assert ask(b":core.prints:\nhello\n\n") == b"200 OK\nhello\n"
        assert ask(b"nonsense\n") == b"400 First line malformed\n"
        assert ask(b"") == b"400 First line malformed\n"
        assert ask(b":nix:\n") == b"500 command nix not found\n"
    (doors.folder / "asker").unlink()


def test_doors_are_for_their_owner(doors: Doors) -> None:
    for name, rights in {"binrpc": 0o600, "binrpc.datagrams": 0o600, "ctl": 0o600, "unixsock": 0o600}.items():
        assert stat.S_IMODE((doors.folder / name).stat().st_mode) == rights, name
    assert stat.S_IMODE((doors.folder / "fifo").stat().st_mode) == 0o660
    assert stat.S_IMODE((doors.folder / "fifo.ctl").stat().st_mode) == 0o600


# -- HTTP ----------------------------------------------------------------------------------------------------


def test_xml_rpc(doors: Doors) -> None:
    assert doors.rpc.core.version().startswith("Sipyard ")
    assert doors.rpc.core.uptime()["uptime"] >= 0
    assert "usrloc.add_contact" in doors.rpc.system.listMethods()
    assert doors.rpc.usrloc.add_contact("location", "bob", CONTACT, 3600, 0.5, 0) is True
    assert doors.rpc.usrloc.show_contacts("location", "bob")[0]["contact"] == CONTACT
    assert doors.rpc.core.prints("<&>\r\nä") == "<&>\nä"
    for call, code in ((doors.rpc.nix, 500), (doors.rpc.core.prints, 400), (doors.rpc.core.kill, 403)):
        with pytest.raises(xmlrpc.client.Fault) as refused:
            call()
        assert refused.value.faultCode == code
    with pytest.raises(xmlrpc.client.Fault, match="Too Long"):
        doors.rpc.core.prints("x" * 100_000)


BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaa"><!ENTITY c "&a;&a;">]>
<methodCall><methodName>core.prints</methodName><params><param><value>&c;</value></param></params></methodCall>"""


@pytest.mark.parametrize("body", [BOMB, b"", b"<a>", b"<methodCall/>", b"\xff\xfe", b"<params></params>"])
def test_xml_that_is_no_call(doors: Doors, body: bytes) -> None:
    code, answer = doors.post(body)
    assert code == 200
    with pytest.raises(xmlrpc.client.Fault):
        xmlrpc.client.loads(answer)


def test_json_rpc_over_http(doors: Doors) -> None:
    call = '{"jsonrpc": "2.0", "id": 1, "method": "core.prints", "params": ["hello"]}'
    code, answer = doors.post(call, "application/json; charset=utf-8")
    assert (code, answer) == (200, b'{"jsonrpc": "2.0", "result": "hello", "id": 1}\n')


def test_http_that_no_route_answers(doors: Doors) -> None:
    assert doors.post("", method="GET")[0] == 405
    assert doors.post("", method="PUT")[0] == 403


def test_http_and_sip_share_a_port_and_mind_each_other_not(doors: Doors) -> None:
    """A body in pieces, HTTP that is none, and SIP that names a method of HTTP."""
    post = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n"
    for rubbish in (post, b"POST / HTTP/9.9\r\n\r\n", b"GET http://x HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", doors.router.port), timeout=5) as stranger:
            stranger.sendall(rubbish)
            assert stranger.recv(100) == b""
    with Exchange(doors.router.port) as phone:
        assert status(phone.ask("POST", f"sip:127.0.0.1:{doors.router.port}")) == 200
    assert doors.rpc.core.prints("hello") == "hello"


def test_who_asks_is_logged_and_passwords_are_not(doors: Doors) -> None:
    with Client(doors.folder / "ctl") as ctl:
        ctl.call(*ADD)
        ctl.call("usrloc.show_contacts", "location", "bob")
    assert doors.ask_fifo("fifo", ":ul_rm:reply\nlocation\nbob\n\n") == "200 OK\n"
    doors.kamcmd(f"tcp:127.0.0.1:{doors.port}", *ADD)
    doors.rpc.usrloc.flush()
    asked = [line.partition("sipyard.management: ")[2] for line in doors.router.text().splitlines()]
    asked = [line for line in asked if " asks for " in line]
    assert [line.partition(" asks for ")[2].split()[0] for line in asked] == [
        "usrloc.add_contact",
        "usrloc.delete_uid",
        "usrloc.add_contact",
        "usrloc.flush",
    ]
    assert asked[0].startswith(f"user {os.getuid()} (process {os.getpid()}) on {doors.folder}/ctl asks for ")
    assert asked[1].startswith(f"somebody on {doors.folder}/fifo asks for usrloc.delete_uid location bob")
    assert asked[2].startswith(f"127.0.0.1 on tcp:127.0.0.1:{doors.port} asks for ")
    assert asked[3].startswith("127.0.0.1 over HTTP asks for ")
