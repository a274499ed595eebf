"""Sipyard and Kamailio on one ENUM zone: run inside a namespace for network and mounts, prints for each
question what both answer, as JSON."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nsd

SIPYARD, KAMAILIO = 5070, 5080
SCRIPT = f"""#!SER 2.0
listen=udp:127.0.0.1:{SIPYARD}
loadmodule "sl" loadmodule "textops" loadmodule "enum"
modparam("enum", "domain_suffix", "e164.test.")
modparam("enum", "tel_uri_params", ";npdi")
route {{
    if (@msg.x_service == "voice") {{
        if (enum_query("e164.test.", "voice")) {{ sl_reply("302", "Found"); drop; }}
    }} else if (@msg.x_service == "+voice:sip+video:sip") {{
        if (enum_query("e164.test.", "+voice:sip+video:sip")) {{ sl_reply("302", "Found"); drop; }}
    }} else if (enum_query()) {{ sl_reply("302", "Found"); drop; }}
    sl_reply("404", "Not Found");
}}
"""
NUMBERS = {
    "+4410": ['10 10 "u" "E2U+sip" "!^.*$!sip:info@example.com!"'],
    "+4411": ['10 10 "u" "E2U+sip" "!^\\\\+44(.*)$!sip:\\\\1@example.com!"'],
    "+4412": [
        '20 1 "u" "E2U+sip" "!^.*$!sip:c@x.com!"',
        '10 9 "u" "E2U+sip" "!^.*$!sip:b@x.com!"',
        '10 1 "u" "E2U+sip" "!^.*$!sip:a@x.com!"',
    ],
    "+4413": [
        '1 1 "u" "E2U+sip" "!^.*$!sip:a@x.com!"',
        '2 1 "u" "E2U+sip" "!^.*$!sip:b@x.com!"',
        '2 2 "u" "E2U+sip" "!^.*$!sip:c@x.com!"',
    ],
    "+4414": ['1 1 "u" "E2U+mailto" "!^.*$!mailto:a@x.com!"'],
    "+4415": ['1 1 "U" "e2u+SIP" "!^.*$!sip:a@x.com!"'],
    "+4416": ['1 1 "u" "E2U+sip" "!^\\\\+49(.*)$!sip:\\\\1@x.com!"'],
    "+4417": ['1 1 "u" "E2U+sip" "!^.*$!sips:a@x.com;user=phone!i"'],
    "+4418": ['1 1 "u" "E2U+sip" "!^(.*)$!tel:\\\\1!"'],
    "+4424": ['1 1 "u" "E2U+sip" "!^.*$!SIP:a@X.com!"'],
    "+4425": ['1 1 "s" "E2U+sip" "!^.*$!sip:a@x.com!"'],
    "+4426": ['1 1 "u" "E2U+sip" "!^\\\\+(44)(2)(.*)$!sip:\\\\3@\\\\2.\\\\1.x.com!"'],
    "+4427": [f'{number} 1 "u" "E2U+sip" "!^.*$!sip:u{number}@x.com!"' for number in range(1, 16)],
    "+4428": [
        '1 1 "u" "E2U+voice:sip" "!^.*$!sip:voice@x.com!"',
        '1 2 "u" "E2U+video:sip" "!^.*$!sip:video@x.com!"',
        '1 3 "u" "E2U+sip" "!^.*$!sip:plain@x.com!"',
    ],
    "+4429": [],
    "+4": [],
    "4410": [],
    "bob": [],
}


def questions() -> Iterator[tuple[str, str]]:
    """Users, each with the service that is asked for."""
    for user in NUMBERS:
        yield user, ""
    yield "+4428", "voice"
    yield "+4428", "+voice:sip+video:sip"


def zone() -> str:
    lines = [
        f"{'.'.join(reversed(user[1:]))} NAPTR {record} ."
        for user, records in NUMBERS.items()
        for record in records
    ]
    return "\n".join([*lines, ""])


def answer(phone: socket.socket, port: int, user: str, service: str) -> list[str]:
    """The Contacts of the answer; [] for 404."""
    name = f"{user}.{service}.{port}"
    lines = [
        f"INVITE sip:{user}@127.0.0.1 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{phone.getsockname()[1]};branch=z9hG4bK{abs(hash(name))}",
        "Max-Forwards: 70",
        "From: <sip:a@127.0.0.1>;tag=1",
        "To: <sip:b@127.0.0.1>",
        f"Call-ID: {name}",
        "CSeq: 1 INVITE",
        *([f"X-Service: {service}"] if service else []),
        "Content-Length: 0",
    ]
    for _ in range(40):  # until the server is up
        try:
            phone.sendto("\r\n".join([*lines, "", ""]).encode(), ("127.0.0.1", port))
            reply = phone.recv(65535).decode()
            while f"Call-ID: {name}\r\n" not in reply or reply.startswith("SIP/2.0 1"):
                reply = phone.recv(65535).decode()
        except (ConnectionRefusedError, TimeoutError):
            time.sleep(0.25)  # for a program to come up
            continue
        break
    else:
        return ["no answer"]
    if reply.startswith("SIP/2.0 404"):
        return []
    contacts = re.findall(r"^Contact: (.*?)\r$", reply, re.MULTILINE)
    return [f"{uri} {q}" for uri, q in re.findall(r"<([^>]*)>;q=([0-9.]+)", ", ".join(contacts))]


def main(folder: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)
    (folder / "ser.cfg").write_text(SCRIPT)
    kamailio = shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin:/usr/bin") or "kamailio"
    config = Path(__file__).parent / "kamailio" / "enum.cfg"
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "sipyard.cli", "run", "ser.cfg"],
        [kamailio, "-f", config, "-DD", "-E", "-Y", folder],
    ]
    with nsd.serving(folder, {"e164.test.": zone()}, 53), (folder / "log").open("wb") as log:
        servers = [subprocess.Popen(one, cwd=folder, stdout=log, stderr=log) for one in commands]
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
                phone.bind(("127.0.0.1", 5099))
                phone.settimeout(2)
                found = [
                    [user, service, *(answer(phone, port, user, service) for port in (SIPYARD, KAMAILIO))]
                    for user, service in questions()
                ]
        finally:
            for server in servers:
                server.send_signal(signal.SIGTERM)
                server.wait(10)
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
