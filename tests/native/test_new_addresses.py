"""A wildcard listener on a host that is given addresses while it runs, in a network namespace of its own."""

import os
import shutil
import subprocess
import sys

import pytest

# The namespace ends with the child that has it, so there is nothing to clean up.
UNSHARE = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]

CHILD = """
import socket, subprocess, sys, time
from sipyard._native import Endpoint

wildcard, first, second, foreign = sys.argv[1:]
family = socket.AF_INET6 if ":" in wildcard else socket.AF_INET
options = ["nodad"] if ":" in wildcard else []

def ip(*words):
    subprocess.run(["ip", *words], check=True)

def ask(phone, address, wanted, tries):
    # Where the wanted answer comes from; asks again, for the interfaces are read once a second.
    host = f"[{address}]" if ":" in address else address
    for number in range(tries):
        lines = [
            f"OPTIONS sip:{host} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{phone.getsockname()[1]};branch=z9hG4bK{address}.{number};rport",
            f"From: <sip:a@{host}>;tag=1", f"To: <sip:{host}>", f"Call-ID: {address}.{number}",
            "CSeq: 1 OPTIONS", "Max-Forwards: 70", "Content-Length: 0",
        ]
        phone.sendto("\\r\\n".join([*lines, "", ""]).encode(), (address, 5060))
        endpoint.wait(5)
        for _kind, message, *_ in endpoint.core.poll_events():
            mine = endpoint.core.is_myself(address, 5060, "udp")
            endpoint.core.reply(message, 200 if mine else 404, "Mine" if mine else "Not Mine")
        endpoint.flush()
        answer, source = phone.recvfrom(2048)
        if answer.startswith(b"SIP/2.0 " + wanted):
            return source[0]
        time.sleep(0.1)

ip("link", "set", "lo", "up")
endpoint = Endpoint()
endpoint.listen("udp", wildcard, 5060)
before = len(endpoint.core.listeners)
with socket.socket(family, socket.SOCK_DGRAM) as phone:
    phone.settimeout(5)
    phone.bind(("::1" if options else "127.0.0.1", 0))
    for count, address in enumerate((first, second), 1):
        assert not endpoint.core.is_myself(address, 5060, "udp")
        ip("addr", "add", address, "dev", "lo", *options)
        assert ask(phone, address, b"200", 40) == address
        assert [one.ip for one in endpoint.core.listeners][before:] == [first, second][:count]
    if foreign:
        # The system takes all of 127/8, but only an address of an interface is a listener.
        time.sleep(1)
        assert ask(phone, foreign, b"404", 1) is not None
    assert len(endpoint.core.listeners) == before + 2
endpoint.close()
print("all known")
"""


@pytest.fixture(scope="module", autouse=True)
def namespaces() -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        pytest.skip("unshare or ip is not installed")
    tried = subprocess.run([*UNSHARE, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"no network namespaces here: {tried.stderr.decode().strip()}")


@pytest.mark.parametrize(
    "addresses",
    [("0.0.0.0", "192.0.2.7", "192.0.2.8", "127.9.9.9"), ("::", "2001:db8::7", "2001:db8::8", "")],
    ids=["IPv4", "IPv6"],
)
def test_an_address_added_later_becomes_a_listener_with_its_first_datagram(
    addresses: tuple[str, ...],
) -> None:
    command = [*UNSHARE, sys.executable, "-c", CHILD, *addresses]
    child = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    assert child.stdout == "all known\n", child.stderr
