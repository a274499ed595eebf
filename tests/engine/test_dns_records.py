"""Answers that are damaged or forged in any way are read to an end, quickly, or dropped."""

from __future__ import annotations

import dns.message
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipyard.sip.dns_records import MAX_RECORDS, Kind, Question, Reply, name_of

RECORDS: dict[Kind, list[str]] = {
    "A": ["192.0.2.1", "192.0.2.2"],
    "AAAA": ["2001:db8::1"],
    "SRV": [f"1 1 5060 h{number}.example.com." for number in range(8)],
    "NAPTR": ['1 1 "u" "E2U+sip" "!^.*$!sip:a@b!" .', '2 1 "s" "SIP+D2U" "" _sip._udp.example.com.'],
}


def answer(kind: Kind) -> tuple[Question, bytes]:
    """A question and its answer, by way of an alias, as dnspython writes it."""
    question = Question(4711, name_of("x.example.com"), kind)
    reply = dns.message.make_response(dns.message.from_wire(question.to_wire()))
    reply.answer = [
        dns.rrset.from_text("x.example.com.", 60, "IN", "CNAME", "y.example.com."),
        dns.rrset.from_text_list("y.example.com.", 30, "IN", kind, RECORDS[kind]),
    ]
    return question, reply.to_wire()


@pytest.mark.parametrize("kind", list(RECORDS))
def test_an_answer(kind: Kind) -> None:
    question, wire = answer(kind)
    reply = question.read(wire)
    assert reply is not None
    assert (reply.ttl, reply.aliases, len(reply.records)) == (30, 1, len(RECORDS[kind]))


changes = st.lists(st.tuples(st.integers(2, 400), st.integers(0, 255)), max_size=8)


@given(st.sampled_from(list(RECORDS)), changes, st.integers(0, 400))
def test_a_damaged_answer(kind: Kind, changed: list[tuple[int, int]], length: int) -> None:
    question, wire = answer(kind)
    damaged = bytearray(wire)
    for place, value in changed:
        damaged[place % len(damaged)] = value
    reply = question.read(bytes(damaged[: max(length, 100)]))
    assert reply is None or (isinstance(reply, Reply) and len(reply.records) <= MAX_RECORDS)


@given(st.binary(max_size=300))
def test_noise(noise: bytes) -> None:
    question, wire = answer("SRV")
    assert question.read(noise) is None or noise[:2] == wire[:2]
    question.read(wire[:12] + noise)
    question.read(wire[:40] + noise)
