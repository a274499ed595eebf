"""Tests of hotline.cfg beside it, on the real server:

pytest examples/testing
coverage run --rcfile examples/testing/coveragerc -m pytest examples/testing
coverage report --rcfile examples/testing/coveragerc -m
"""

from collections.abc import Callable
from pathlib import Path

from sipyard.testing import CallFlow, Network, SipServer

SCRIPT = Path(__file__).with_name("hotline.cfg")


def test_the_counter_is_busy(network: Network, sip_server: Callable[..., SipServer]) -> None:
    """The night service takes it: flow, attributes and log lines."""
    proxy = sip_server(SCRIPT)
    alice = network.user_agent("alice", proxy=proxy)
    counter = network.user_agent("counter", "192.0.2.20:5060")
    night = network.user_agent("night", "192.0.2.30:5060")
    counter.rejects(486)
    night.answers()
    flow = CallFlow(network, alice, proxy, counter, night)
    alice.invite("sip:hotline@10.0.0.1")
    flow.expect("""
        alice -> proxy    INVITE sip:hotline@10.0.0.1
        {
          proxy -> alice    100
          proxy -> counter  INVITE sip:hotline@192.0.2.20:5060
        }
        counter -> proxy  486
        {
          proxy -> counter  ACK
          proxy -> night    INVITE sip:night@192.0.2.30:5060
        }
        ...
        proxy -> alice    200
    """)
    main, failure, *_ = proxy.runs
    assert main["$f.caller"] == "alice"
    assert main["$counter"] == "front"
    assert failure.name == "NIGHT"
    assert failure["$counter"] == "night"
    assert proxy.log == ["alice goes to sip:hotline@192.0.2.20:5060", "the counter is busy"]


def test_a_president_waits_in_no_line(network: Network, sip_server: Callable[..., SipServer]) -> None:
    """The flag is set and the call goes elsewhere."""
    proxy = sip_server(SCRIPT)
    president = network.user_agent("president", proxy=proxy)
    office = network.user_agent("office", "192.0.2.200:5060")
    office.answers()
    call = president.invite("sip:hotline@10.0.0.1")
    network.run(1)
    assert call.is_answered
    assert proxy.runs[0].has_flag(4)
    assert proxy.runs[0]["$counter"] is None
