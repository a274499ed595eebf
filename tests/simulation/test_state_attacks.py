"""The rows S1 to S6 of the checklist of attacks: state that strangers make us keep, loops, races, spoofed
responses."""

from __future__ import annotations

import pytest

from sipyard.testing import Address, SipServer
from sipyard.testing.invariants import violations

from .conftest import Scene, Stranger


def assert_nothing_left(server: SipServer) -> None:
    """Every transaction, timer and event is gone."""
    assert not any(server.live.values()), server.live


def test_s1_transactions_have_a_limit(scene: Scene) -> None:
    """A flood of INVITEs that nobody answers: beyond the limit 503 with Retry-After, and an established
    call can still be ended; when the flood is over everything is free again."""
    network, proxy, alice, bob = scene.network, scene.proxy, scene.alice, scene.bob
    bob.answers()
    call = alice.invite(bob)
    network.run(1)
    bob.ignores()
    proxy.core.configure(max_transactions=200)
    flood = [scene.alice.invite(bob) for _ in range(300)]
    network.run(1)
    refused = [each for each in flood if each.status == 503]
    assert 80 <= len(refused) <= 110
    assert all(each.response is not None and each.response.header("Retry-After") for each in refused)
    assert proxy.live["transactions"] <= 201
    network.run(200)
    call.hang_up()
    network.run()
    assert bob.calls[0].is_over
    assert_nothing_left(proxy)


def test_s2_never_answered_and_never_acknowledged(scene: Scene) -> None:
    """50 calls a second for a minute to a phone that keeps silent: state is bounded by rate times Timer B,
    and afterwards there is none."""
    network, proxy, alice, bob = scene.network, scene.proxy, scene.alice, scene.bob
    bob.ignores()
    network.link(proxy, alice, both_ways=False, loss=1.0)
    highest = 0
    for _ in range(60):
        for _ in range(10):
            alice.send(alice.compose("INVITE", bob.aor).to_bytes(), proxy.address)
        network.run(0.2)
        highest = max(highest, proxy.live["transactions"])
    network.run(40)
    assert highest <= 10 * 5 * 30 * 1.05 + 600
    network.run()
    assert_nothing_left(proxy)


@pytest.mark.parametrize("hops", [1, 2, 5])
def test_s3_registrations_in_a_circle(scene: Scene, hops: int) -> None:
    """Users whose contacts are each other, or themselves: found by the loop check or Max-Forwards (RFC
    5393)."""
    network, proxy, alice = scene.network, scene.proxy, scene.alice
    for number in range(hops):
        following = (number + 1) % hops
        user = network.user_agent(f"loop{number}", proxy=proxy, domain="example.com")
        user.register(contacts=[f"<sip:loop{following}@example.com>"])
    network.run(1)
    before = len(network.trace)
    call = alice.invite("sip:loop0@example.com")
    network.run(40)
    assert call.status in (482, 483, 480, 500)
    assert len(network.trace) - before < 400
    network.run()
    assert_nothing_left(proxy)


def test_s3_a_fork_into_a_circle_does_not_explode(scene: Scene) -> None:
    """RFC 5393 §3: two users, each with both as contacts, would double the branches at every hop."""
    network, proxy, alice = scene.network, scene.proxy, scene.alice
    for name in ("one", "two"):
        user = network.user_agent(name, proxy=proxy, domain="example.com")
        user.register(contacts=["<sip:one@example.com>", "<sip:two@example.com>"])
    network.run(1)
    before = len(network.trace)
    call = alice.invite("sip:one@example.com")
    network.run(40)
    assert call.status >= 400
    assert len(network.trace) - before < 500
    network.run()
    assert_nothing_left(proxy)


def test_s3_route_to_ourselves_a_hundred_times(scene: Scene) -> None:
    """A hundred Route headers with our address: we do not send them to ourselves a hundred times."""
    network, proxy, alice = scene.network, scene.proxy, scene.alice
    before = len(network.trace)
    outcome = alice.request("OPTIONS", "sip:bob@example.com", routes=["<sip:10.0.0.1;lr>"] * 100)
    network.run(40)
    assert outcome.is_final
    assert len(network.trace) - before < 100
    assert_nothing_left(proxy)


def test_s4_a_forged_request_of_a_dialog(scene: Scene) -> None:
    """A BYE with made-up tags along our Route reaches the phone, which knows no such dialog; the call
    stays."""
    network, alice, bob, stranger = scene.network, scene.alice, scene.bob, scene.stranger
    bob.answers()
    call = alice.invite(bob)
    network.run(1)
    bye = alice.compose("BYE", bob.contact, to=f"{bob.aor}>;tag=forged;x=<y", routes=["<sip:10.0.0.1;lr>"])
    stranger.send(
        bye.to_bytes().replace(alice.address.ip.encode() + b";branch", b"198.51.100.66;branch"),
        scene.proxy.address,
    )
    network.run(2)
    assert 481 in stranger.statuses()
    assert call.is_answered
    assert bob.call.is_answered
    network.run()
    assert_nothing_left(scene.proxy)


def test_s5_a_2xx_after_a_6xx(scene: Scene) -> None:
    """One phone declines for all, the other answers at the same moment: the 2xx still reaches the caller
    (RFC 3261 §16.7 step 5)."""
    network, proxy, alice, bob = scene.network, scene.proxy, scene.alice, scene.bob
    other = network.user_agent("other", proxy=proxy, aor=bob.aor)
    other.register()
    network.run(1)
    bob.rejects(603, after=1)
    other.answers(after=1.001, ring=False)
    call = alice.invite(bob)
    network.run()
    assert call.status in (200, 603)
    if call.status == 200:
        assert other.call.is_acknowledged
    assert not violations(network, proxy)


def test_s5_a_provisional_after_the_final(scene: Scene) -> None:
    """A 180 that the network held back until after the 200 is not relayed any more."""
    network, proxy, alice, bob = scene.network, scene.proxy, scene.alice, scene.bob
    bob.answers()
    call = alice.invite(bob)
    network.run(1)
    late = next(packet for packet in network.trace if packet.source == "bob" and packet.status == 180)
    before = len(network.trace)
    bob.send(late.data, proxy.address)
    network.run(1)
    assert [packet for packet in network.trace[before + 1 :] if packet.source == "proxy"] == []
    assert call.is_answered


def test_s5_a_reflected_request(scene: Scene) -> None:
    """The callee's address sends our own INVITE back to us: a loop, not a new call for ever."""
    network, proxy, alice, bob = scene.network, scene.proxy, scene.alice, scene.bob
    mirror = Mirror(network, "mirror", "203.0.113.5:5060")
    bob.register(contacts=[f"<sip:bob@{mirror.address.ip}>"], expires=600)
    bob.register(contacts=[f"<{bob.contact}>"], expires=0)
    network.run(1)
    before = len(network.trace)
    call = alice.invite(bob)
    network.run(40)
    assert call.invite.is_final
    assert len(network.trace) - before < 200
    network.run()
    assert_nothing_left(proxy)


class Mirror(Stranger):
    """Sends every request back to where it came from."""

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """Back."""
        super().receive(data, source, destination)
        if not data.startswith(b"SIP/2.0 "):
            self.send(data, source)


def test_s5_a_branch_in_other_letters(scene: Scene) -> None:
    """RFC 3261 §7.3.1: a copy of the INVITE whose branch changed only in case; one call, one final answer
    each."""
    network, proxy, alice, bob = scene.network, scene.proxy, scene.alice, scene.bob
    bob.rejects(486, after=1, ring=True)
    call = alice.invite(bob)
    network.run(0.2)
    data = call.invite.transaction.data if call.invite.transaction is not None else b""
    branch = call.invite.request.branch
    alice.send(
        data.replace(branch.encode(), branch.upper().replace("Z9HG4BK", "z9hG4bK").encode()), proxy.address
    )
    network.run()
    assert call.status == 486
    assert_nothing_left(proxy)


STRAY = (
    "SIP/2.0 200 OK\r\nVia: {top}\r\nVia: SIP/2.0/UDP {second}\r\nFrom: <sip:a@example.com>;tag=1\r\n"
    "To: <sip:b@example.com>;tag=2\r\nCall-ID: stray@example.com\r\nCSeq: 1 INVITE\r\n"
    "Content-Length: 0\r\n\r\n"
)


@pytest.mark.parametrize(
    "second",
    [
        "255.255.255.255;branch=z9hG4bKx",
        "224.0.1.75;branch=z9hG4bKx",
        "0.0.0.0;branch=z9hG4bKx",
        "192.0.2.1;maddr=224.0.1.75;branch=z9hG4bKx",
        "192.0.2.1;received=255.255.255.255;branch=z9hG4bKx",
        "[ff02::1];branch=z9hG4bKx",
        "127.0.0.1;branch=z9hG4bKx",
    ],
)
def test_s6_no_response_to_many(scene: Scene, second: str) -> None:
    """A spoofed response whose second Via names a broadcast or multicast address is sent nowhere."""
    text = STRAY.format(top="SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKours", second=second)
    scene.stranger.send(text.encode(), scene.proxy.address)
    before = len(scene.network.trace)
    scene.network.run(1)
    for packet in scene.network.trace[before:]:
        first = packet.destination_address.ip.split(".")[0]
        assert first not in {"255", "0", *map(str, range(224, 240))}
        assert not packet.destination_address.ip.startswith("ff")
    assert_nothing_left(scene.proxy)


def test_s6_a_response_that_is_not_ours(scene: Scene) -> None:
    """Its top Via is somebody else's: dropped (RFC 3261 §18.1.2)."""
    text = STRAY.format(top="SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKx", second="192.0.2.1;branch=z9hG4bKy")
    before = len(scene.network.trace)
    scene.stranger.send(text.encode(), scene.proxy.address)
    scene.network.run(1)
    assert len(scene.network.trace) == before + 1


def test_s6_a_guessed_branch(scene: Scene) -> None:
    """A forged 200 for a call under way needs the branch that we drew; with a wrong one the call goes on."""
    network, proxy, alice, bob = scene.network, scene.proxy, scene.alice, scene.bob
    call = alice.invite(bob)
    network.run(1)
    relayed = next(
        packet for packet in network.trace if packet.destination == "bob" and packet.label == "INVITE"
    )
    vias = list(relayed.headers("Via"))
    branch = vias[0].rpartition("branch=")[2]
    for number in range(50):
        digit = "0" if branch[20] != "0" else "1"
        wrong = vias[0].replace(branch, branch[:20] + digit + f"{number:02d}" + branch[23:])
        text = STRAY.format(top=wrong, second=vias[1].removeprefix("SIP/2.0/UDP "))
        scene.stranger.send(text.encode(), proxy.address)
    network.run(1)
    assert call.status == 180
    assert not call.is_answered
