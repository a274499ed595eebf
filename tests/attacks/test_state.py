"""S1, S2, S3, S6 over UDP: state that strangers make us keep, loops, responses nobody asked for."""

from __future__ import annotations

import random
import socket
import time
from pathlib import Path

import pytest

from interop.processes import Exchange, Router, status


def aor(target: Router, user: str) -> str:
    """A user's address here."""
    return f"sip:{user}@127.0.0.1:{target.port}"


def register(target: Router, attacker: Exchange, user: str, *contacts: str) -> int:
    """Status of a registration."""
    lines = [f"Contact: <{contact}>;expires=600" for contact in contacts]
    return status(attacker.ask("REGISTER", aor(target, user), *lines))


def final(exchange: Exchange, seconds: float) -> int:
    """Status of the first final answer."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        found = status(exchange.receive(left))
        if found >= 200:
            return found
    return 0


def test_s1_registrations_of_many(target: Router, attacker: Exchange) -> None:
    """20 000 addresses-of-record from one client: each answered, a bounded price each, others unharmed."""
    before, memory = target.cpu(), resident(target)
    answered = 0
    for number in range(20_000):
        uri = aor(target, f"flood{number}")
        attacker.send(attacker.request("REGISTER", uri, f"Contact: <sip:{number}@127.0.0.1:9>"))
        if number % 100 == 99:
            answered += sum(status(data) in (200, 503) for data in drain(attacker, 100))
    assert answered > 19_900
    assert (target.cpu() - before) / 20_000 < 0.0005
    assert (resident(target) - memory) / 20_000 < 3000


def drain(attacker: Exchange, wanted: int) -> list[bytes]:
    """Take in so many answers, or what comes."""
    found = []
    while len(found) < wanted and (data := attacker.receive(1.0)) is not None:
        found.append(data)
    return found


def resident(target: Router) -> int:
    """Bytes of memory of the server's process."""
    text = Path(f"/proc/{target.process.pid}/statm").read_text()
    return int(text.split()[1]) * 4096


def test_s1_too_many_contacts_of_one(target: Router, attacker: Exchange) -> None:
    contacts = [f"sip:c{number}@127.0.0.1:9" for number in range(11)]
    assert register(target, attacker, "greedy", *contacts[:10]) == 200
    assert register(target, attacker, "greedy", contacts[10]) == 503


def test_s2_calls_that_nobody_answers(target: Router, attacker: Exchange) -> None:
    """200 INVITEs to a silent phone, no ACK ever: each gets its 408, then the server is as before."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        assert register(target, attacker, "silent", f"sip:s@127.0.0.1:{silent.getsockname()[1]}") == 200
        attacker.everything(0.01)
        for number in range(200):
            attacker.send(attacker.request("INVITE", aor(target, "silent"), name=f"silent{number}x"))
            if number % 10 == 9:
                attacker.everything(0.02)  # the answers of all at once would not fit into a socket's buffer
        outcome: dict[bytes, int] = {}
        end = time.monotonic() + 8
        while len(outcome) < 200 and time.monotonic() < end:
            data = attacker.receive(0.5)
            if status(data) >= 200 and data is not None:
                outcome[data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0]] = status(data)
    assert len(outcome) == 200
    assert set(outcome.values()) == {408}


@pytest.mark.parametrize("hops", [1, 2, 5])
def test_s3_registrations_in_a_circle(target: Router, attacker: Exchange, hops: int) -> None:
    """Contacts that lead back to the server: found at once, far below a hundred messages."""
    users = [f"circle{hops}-{number}" for number in range(hops)]
    for user, following in zip(users, users[1:] + users[:1], strict=True):
        assert register(target, attacker, user, aor(target, following)) == 200
    before = target.cpu()
    attacker.send(attacker.request("INVITE", aor(target, users[0])))
    assert final(attacker, 3) in (482, 483, 440)
    assert target.cpu() - before < 0.1


def test_s3_a_fork_into_a_circle(target: Router, attacker: Exchange) -> None:
    """RFC 5393 §3: two users with two contacts each, all leading back. Without a loop check 2^70 messages."""
    for user in ("left", "right"):
        contacts = [aor(target, "left") + ";x=1", aor(target, "right") + ";x=2"]
        assert register(target, attacker, user, *contacts) == 200
    before = target.cpu()
    attacker.send(attacker.request("INVITE", aor(target, "left")))
    assert final(attacker, 6) >= 400
    assert target.cpu() - before < 0.5


def test_s3_route_to_ourselves(target: Router, attacker: Exchange) -> None:
    """A hundred Route entries that all name the server."""
    route = "Route: " + ",".join([f"<sip:127.0.0.1:{target.port};lr>"] * 100)
    before = target.cpu()
    attacker.send(attacker.request("INVITE", aor(target, "nobody"), route))
    assert final(attacker, 5) >= 400
    assert target.cpu() - before < 0.1


def out_of_bounds() -> tuple[int, int]:
    """Multicast and broadcast packets that this machine has sent so far."""
    lines = [line.split() for line in Path("/proc/net/netstat").read_text().splitlines()]
    names, values = (line for line in lines if line[0] == "IpExt:")
    counts = dict(zip(names, values, strict=True))
    return int(counts["OutMcastPkts"]), int(counts["OutBcastPkts"])


@pytest.mark.parametrize("second", ["255.255.255.255", "224.0.1.75", "0.0.0.0", "127.255.255.255"])
def test_s6_no_response_to_many(target: Router, attacker: Exchange, second: str) -> None:
    before = out_of_bounds()
    for top in (f"127.0.0.1:{target.port}", "127.0.0.1:9", second):
        lines = [
            "SIP/2.0 200 OK",
            f"Via: SIP/2.0/UDP {top};branch=z9hG4bKguess{random.random()}",
            f"Via: SIP/2.0/UDP {second}:5060;branch=z9hG4bKother",
            "From: <sip:a@127.0.0.1>;tag=1",
            "To: <sip:b@127.0.0.1>;tag=2",
            "Call-ID: stray",
            "CSeq: 1 INVITE",
            "Content-Length: 0",
        ]
        attacker.send(("\r\n".join(lines) + "\r\n\r\n").encode())
    request = attacker.request("OPTIONS", f"sip:127.0.0.1:{target.port}")
    attacker.send(request.replace(b";branch", f";maddr={second};branch".encode(), 1))
    target.ping()
    assert out_of_bounds() == before


def test_s6_a_spoofed_response_changes_no_call(target: Router, attacker: Exchange) -> None:
    """Responses with guessed branches: the proxy's transaction goes on as if they had not come.

    They may be relayed, as a stateless proxy would (RFC 3261 §16.11), to where their second Via says; whoever
    forged them could have sent them there himself.
    """
    with Exchange(target.port) as caller, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(2)
        assert register(target, attacker, "victim", f"sip:v@127.0.0.1:{phone.getsockname()[1]}") == 200
        invite = caller.request("INVITE", aor(target, "victim"), name="spoofed-call")
        caller.send(invite)
        offered = phone.recv(65535)
        via = offered.partition(b"Via: ")[2].partition(b"\r\n")[0]
        branch = via.partition(b"branch=")[2].partition(b";")[0]
        start, uri = aor(target, "victim").encode(), f"sip:victim@127.0.0.1:{attacker.port}".encode()
        head = invite.replace(b"INVITE " + start + b" SIP/2.0", b"SIP/2.0 603 Forged").replace(start, uri)
        own_via = f"127.0.0.1:{caller.port}".encode(), f"127.0.0.1:{attacker.port}".encode()
        for guess in (branch[:-1], branch + b"0", b"z9hG4bK" + branch[:6:-1], b"z9hG4bK0000.0"):
            forged = head.replace(*own_via).replace(
                b"Via:", b"Via: " + via.replace(branch, guess) + b"\r\nVia:", 1
            )
            attacker.send(forged)
        target.ping()
        assert all(status(data) < 200 for data in caller.everything(0.2))
        answer = offered.replace(
            b"INVITE sip:v@127.0.0.1:%d SIP/2.0" % phone.getsockname()[1], b"SIP/2.0 486 Busy"
        )
        phone.sendto(answer, ("127.0.0.1", target.port))
        assert final(caller, 2) == 486
