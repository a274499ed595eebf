"""The core across the border: events, transactions, targets, settings, on OfflineEndpoint."""

import pytest

from sipyard import _native as native
from sipyard._native import Branch, Core, Message, OfflineEndpoint, ParseError, Target, Transaction

PHONE = ("198.51.100.7", 5070)
PEER = ("203.0.113.5", 5060)


def request(method: str = "INVITE", branch: str = "b1", cseq: int = 1, to_tag: str = "") -> bytes:
    return (
        f"{method} sip:bob@example.com SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 198.51.100.7:5070;branch=z9hG4bK{branch}\r\n"
        f"From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>{to_tag}\r\n"
        f"Call-ID: call-{branch}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def answer(sent: bytes, status: int, reason: str = "Whatever") -> bytes:
    wanted = (b"Via:", b"From:", b"Call-ID:", b"CSeq:")
    kept = [line for line in sent.split(b"\r\n") if line.startswith(wanted)]
    to = next(line for line in sent.split(b"\r\n") if line.startswith(b"To:"))
    lines = [f"SIP/2.0 {status} {reason}".encode(), *kept, to + b";tag=peer", b"Content-Length: 0", b"", b""]
    return b"\r\n".join(lines)


class Bench:
    """A core with one listener, and what is needed to talk to it."""

    def __init__(self, **settings: object) -> None:
        self.endpoint = OfflineEndpoint(seed=7)
        self.core: Core = self.endpoint.core
        self.endpoint.listen("udp", "192.0.2.1", 5060)
        self.core.configure(**settings)  # type: ignore[arg-type]
        self.now = 1.0

    def receive(self, data: bytes, source: tuple[str, int] = PHONE) -> list[tuple[object, ...]]:
        self.now += 0.001
        self.endpoint.receive(self.now, data, 0, *source)
        return list(self.core.poll_events())

    def message(self, data: bytes) -> Message:
        (event,) = self.receive(data)
        assert event[0] == native.REQUEST
        assert event[2:] == (None, 0, 0)
        assert isinstance(event[1], Message)
        return event[1]

    def sent(self) -> list[tuple[str, int, bytes]]:
        return [(ip, port, data) for _, _, ip, port, data in self.endpoint.poll_transmits()]

    def relayed(self, *, uri: str | None = None, **arm: bool) -> tuple[Transaction, bytes]:
        """An INVITE relayed to the peer; the transaction and what was sent there."""
        message = self.message(request())
        transaction = self.core.new_transaction(message)
        assert transaction is not None
        transaction.arm(**arm)
        assert transaction.relay([Branch(message, uri, [self.core.target_for("udp", *PEER)])]) == 1
        to_peer = [data for ip, _, data in self.sent() if ip == PEER[0]]
        return transaction, to_peer[0]


def test_an_event_carries_the_message_and_where_it_came_from() -> None:
    message = Bench().message(request())
    assert (message.source_ip, message.source_port, message.protocol, message.listener) == (*PHONE, "udp", 0)
    assert (message.destination_ip, message.destination_port) == ("192.0.2.1", 5060)
    assert message.received_at == pytest.approx(1.001)
    assert message.id > 0
    message.check()


def test_a_call_is_relayed_and_its_reply_comes_back() -> None:
    bench = Bench()
    transaction, invite = bench.relayed(uri="sip:bob@203.0.113.5")
    assert invite.startswith(
        b"INVITE sip:bob@203.0.113.5 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK"
    )
    assert (transaction.method, transaction.status, transaction.state) == ("INVITE", 100, "proceeding")
    assert bench.receive(answer(invite, 180), PEER) == []
    assert bench.receive(answer(invite, 200), PEER) == []
    assert [data[:11] for _, _, data in bench.sent()] == [b"SIP/2.0 180", b"SIP/2.0 200"]
    assert transaction.branches() == [("sip:bob@203.0.113.5", 200, True)]
    assert transaction.status == 200
    assert not transaction.reply(500, "Too late")


def test_a_retransmission_makes_no_transaction() -> None:
    bench = Bench()
    first = bench.message(request())
    again = bench.message(request())
    transaction = bench.core.new_transaction(first)
    assert transaction is not None
    assert bench.core.new_transaction(again) is None
    assert bench.core.find_transaction(again) == transaction
    assert bench.core.transaction(transaction.id) == transaction
    assert hash(bench.core.transaction(transaction.id)) == hash(transaction)
    assert bench.receive(request()) == []


def test_an_armed_reply_waits_for_its_route() -> None:
    bench = Bench()
    transaction, invite = bench.relayed(reply=True)
    ((kind, reply, held, token, branch),) = bench.receive(answer(invite, 183), PEER)
    assert (kind, held, branch) == (native.REPLY, transaction, 0)
    assert bench.sent() == []
    assert isinstance(reply, Message)
    assert (reply.status, reply.source_ip, reply.destination_ip) == (183, PEER[0], "192.0.2.1")
    reply.append_header("X-Seen: yes")
    assert isinstance(token, int)
    transaction.resume_reply(token, True, reply)
    ((_, _, relayed),) = bench.sent()
    assert b"\r\nX-Seen: yes\r\n" in relayed
    ((_, _, _, token, _),) = bench.receive(answer(invite, 180), PEER)
    assert isinstance(token, int)
    transaction.resume_reply(token, False)
    assert bench.sent() == []


def test_an_armed_failure_waits_for_its_route() -> None:
    bench = Bench()
    transaction, invite = bench.relayed(failure=True, final=True, ended=True)
    ((kind, picked, failed, status, branch),) = bench.receive(answer(invite, 486), PEER)
    assert (kind, failed, status, branch) == (native.FAILURE, transaction, 486, 0)
    assert isinstance(picked, Message)
    assert picked.status == 486
    assert (transaction.picked_status, transaction.any_replied, transaction.branch_replied) == (
        486,
        True,
        True,
    )
    assert (transaction.any_timeout, transaction.branch_timeout) == (False, False)
    assert [data[:4] for _, _, data in bench.sent()] == [b"ACK "]
    transaction.resume_failure()
    assert [data[:11] for _, _, data in bench.sent()] == [b"SIP/2.0 486"]
    ((kind, final, _, status, _),) = bench.core.poll_events()
    assert (kind, status) == (native.FINAL, 486)
    assert isinstance(final, Message)
    bench.endpoint.advance(bench.now + 100)
    assert [(event[0], event[3]) for event in bench.core.poll_events()] == [(native.ENDED, 486)]
    assert (transaction.is_alive, transaction.state, transaction.method) == (False, "terminated", "INVITE")
    assert transaction.request.call_id == "call-b1"
    assert transaction.relay([]) == native.RELAY_FINAL


def test_a_timeout_fails_without_a_message() -> None:
    bench = Bench(fr_timer=5.0)
    transaction, _ = bench.relayed(failure=True)
    bench.endpoint.advance(bench.now + 6)
    ((kind, picked, _, status, _),) = bench.core.poll_events()
    assert (kind, picked, status, transaction.any_timeout) == (native.FAILURE, None, 408, True)


def test_a_cancel_reaches_the_script() -> None:
    bench = Bench()
    transaction, invite = bench.relayed()
    bench.receive(answer(invite, 180), PEER)
    bench.sent()
    cancel = bench.message(request("CANCEL"))
    assert bench.core.find_cancelled(cancel) == transaction
    assert bench.core.relay_cancel(cancel) == 1
    assert [data[:11] for _, _, data in bench.sent()] == [b"CANCEL sip:", b"SIP/2.0 200"]
    assert transaction.is_cancelled
    assert bench.core.relay_cancel(bench.message(request("CANCEL", "unknown"))) == 0


def test_replies_carry_what_the_script_added() -> None:
    bench = Bench(server_header="Test")
    message = bench.message(request())
    message.append_to_reply("X-One: 1")
    transaction = bench.core.new_transaction(message)
    assert transaction is not None
    message.append_to_reply("X-Two: 2")
    assert transaction.reply(404, "Not Found", headers="X-Three: 3", body=b"no", to_tag="mine")
    ((ip, port, data),) = bench.sent()
    assert (ip, port) == PHONE
    for line in (
        b"X-One: 1",
        b"X-Two: 2",
        b"X-Three: 3",
        b"Server: Test",
        b"To: <sip:bob@example.com>;tag=mine",
    ):
        assert b"\r\n" + line + b"\r\n" in data
    assert data.endswith(b"Content-Length: 2\r\n\r\nno")


def test_the_to_tag_is_known_before_it_is_sent() -> None:
    bench = Bench()
    transaction = bench.core.new_transaction(bench.message(request()))
    assert transaction is not None
    tag = transaction.to_tag
    transaction.reply(404, "Not Found")
    assert f";tag={tag}\r\n".encode() in bench.sent()[0][2]


def test_stateless_work() -> None:
    bench = Bench()
    message = bench.message(request("OPTIONS"))
    bench.core.reply(message, 200, "OK", headers="Allow: INVITE")
    assert b"\r\nAllow: INVITE\r\n" in bench.sent()[0][2]
    message = bench.message(request("ACK", "ack", to_tag=";tag=x"))
    assert bench.core.new_transaction(message) is None
    message.record_route(params=";ftag=a")
    target = bench.core.target("sip:203.0.113.5:5080")
    assert target is not None
    assert bench.core.forward(message, None, [target]) == 1
    ((_, _, data),) = bench.sent()
    assert b"\r\nRecord-Route: <sip:192.0.2.1;ftag=a;lr>\r\n" in data
    assert bench.core.forward(message, None, []) == native.RELAY_NO_BRANCHES
    assert bench.core.send_raw(b"\0\0\0\0", target)
    assert bench.sent() == [("203.0.113.5", 5080, b"\0\0\0\0")]


@pytest.mark.parametrize(
    ("status", "reason", "keywords"),
    [
        (99, "x", {}),
        (700, "x", {}),
        (200, "a\r\nb", {}),
        (200, "OK", {"headers": "x"}),
        (200, "OK", {"to_tag": "a b"}),
    ],
)
def test_bad_replies_are_refused(status: int, reason: str, keywords: dict[str, str]) -> None:
    bench = Bench()
    message = bench.message(request())
    with pytest.raises(ValueError, match=r"."):
        bench.core.reply(message, status, reason, **keywords)  # type: ignore[arg-type]
    assert bench.sent() == []


def test_a_held_request_is_not_repeated() -> None:
    bench = Bench()
    message = bench.message(request())
    assert bench.core.hold(message)
    assert bench.core.live()["held"] == 1
    assert bench.receive(request()) == []
    bench.core.unhold(message)
    assert len(bench.receive(request())) == 1


def test_own_requests() -> None:
    bench = Bench(user_agent_header="Test")
    target = bench.core.target_for("udp", *PEER)
    headers = "From: <sip:me@192.0.2.1>\r\nTo: <sip:bob@example.com>\r\n"
    client = bench.core.request("OPTIONS", "sip:bob@example.com", headers, b"", [target])
    ((ip, _, data),) = bench.sent()
    assert (ip, client.method, client.is_alive) == (PEER[0], "OPTIONS", True)
    assert b"\r\nUser-Agent: Test\r\n" in data
    ((kind, reply, owner, status, _),) = bench.receive(answer(data, 200), PEER)
    assert (kind, owner, status) == (native.CLIENT_REPLY, client, 200)
    assert isinstance(reply, Message)
    bench.core.request("OPTIONS", "sip:bob@example.com", headers, b"", [target])
    bench.sent()
    bench.endpoint.advance(bench.now + 60)
    assert [(event[0], event[3]) for event in bench.core.poll_events()] == [(native.CLIENT_TIMEOUT, 408)]
    for bad in ("To: <sip:a@b>", "no lines", "Via: SIP/2.0/UDP x\r\n" + headers):
        with pytest.raises(ValueError, match=r"."):
            bench.core.request("OPTIONS", "sip:bob@example.com", bad, b"", [target])


def test_targets() -> None:
    core = Bench().core
    target = core.target("sip:203.0.113.5")
    assert target == core.target_for("udp", "203.0.113.5", 5060)
    assert hash(target) == hash(core.target_for("udp", "203.0.113.5", 5060))
    assert isinstance(target, Target)
    assert (target.protocol, target.ip, target.port, target.listener) == ("udp", "203.0.113.5", 5060, -1)
    assert core.target("sip:example.com") is None
    with pytest.raises(ParseError) as caught:
        core.target("tel:1")
    assert caught.value.status == 416
    for uri in ("sip:203.0.113.5;transport=tcp", "sip:[2001:db8::1]", "sip:255.255.255.255"):
        with pytest.raises(ValueError, match=r"listener|nothing"):
            core.target(uri)
    for protocol, ip, port in [("pigeon", "1.2.3.4", 1), ("udp", "example.com", 1), ("udp", "1.2.3.4", 0)]:
        with pytest.raises(ValueError, match=r"."):
            core.target_for(protocol, ip, port)


def test_myself() -> None:
    core = Bench(aliases=[("Example.com", 0, None), ("tls.example.com", 5061, "tls")]).core
    assert core.is_myself("192.0.2.1", 5060)
    assert core.is_myself("192.0.2.1", 0, "udp")
    assert not core.is_myself("192.0.2.1", 5070)
    assert core.is_myself("EXAMPLE.COM", 1234)
    assert not core.is_myself("tls.example.com", 5061, "udp")
    assert core.is_myself_uri("sip:bob@example.com:9;transport=tcp")
    assert core.is_myself_uri("sips:tls.example.com")
    assert not core.is_myself_uri("sip:tls.example.com")
    assert not core.is_myself_uri("tel:+1")
    assert not core.is_myself_uri("rubbish")


def test_settings_are_checked() -> None:
    core = Bench().core
    core.configure()
    for bad in ({"fr_timer": -1.0}, {"fr_timer": 0}, {"best_response": "3.0"}, {"server_header": "a\r\nb"}):
        with pytest.raises(ValueError, match=r"."):
            core.configure(**bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        core.configure(colour="red")  # type: ignore[call-arg]


def test_the_offline_endpoint_is_deterministic() -> None:
    def trace() -> list[tuple[str, int, bytes]]:
        bench = Bench()
        _, invite = bench.relayed()
        bench.receive(answer(invite, 180), PEER)
        bench.endpoint.advance(bench.now + 200)
        return bench.sent()

    assert trace() == trace()


def test_icmp_fails_the_branch() -> None:
    bench = Bench()
    transaction, invite = bench.relayed(failure=True)
    bench.endpoint.transport_failed(bench.now, invite[:300], *PEER)
    assert [event[0] for event in bench.core.poll_events()] == [native.FAILURE]
    assert transaction.status == 100


def test_time_does_not_go_back() -> None:
    bench = Bench()
    bench.endpoint.advance(50.0)
    bench.endpoint.advance(10.0)
    assert bench.core.now == 50.0
    assert bench.endpoint.next_timeout() is None
    for bad in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="not a time"):
            bench.endpoint.advance(bad)
    with pytest.raises(ValueError, match="no such listener"):
        bench.endpoint.receive(51.0, request(), 9, *PHONE)


def test_messages_that_were_not_received_have_no_transaction() -> None:
    core = Bench().core
    message = Message.parse(request())
    for use in (core.new_transaction, core.hold, lambda one: core.reply(one, 200, "OK")):
        with pytest.raises(ValueError, match="not a request that was received"):
            use(message)
    assert core.find_transaction(message) is None
    assert not core.forward_reply(message)


def test_counters_and_gauges_have_names() -> None:
    bench = Bench()
    bench.receive(b"\r\n\r\n")
    counters, live = bench.core.counters(), bench.core.live()
    assert (counters["received.keepalives"], counters["panics"]) == (1, 0)
    assert set(live) >= {"transactions", "clients", "timers", "held", "queue"}
    assert not any(live.values())
