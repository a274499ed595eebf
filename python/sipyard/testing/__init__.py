"""Test SIP routing on a network that exists only in virtual time.

The server in these tests is the real one: the engine and the core that run in production, with datagrams
and the time handed in. Phones have transactions of their own, so loss, delay and reordering have the
consequences that they have outside, and a test of "nobody answers for three minutes" takes milliseconds::

    from sipyard.testing import CallFlow

    def test_a_busy_phone(network):                       # a fixture of the pytest plugin
        proxy = network.server("ser.cfg", address="10.0.0.1:5060")
        alice = network.user_agent("alice", proxy=proxy)
        bob = network.user_agent("bob", proxy=proxy)
        bob.register()
        network.run(1)
        bob.rejects(486)
        flow = CallFlow(network, alice, proxy, bob)
        alice.invite(bob)
        flow.expect('''
            alice -> proxy  INVITE
            ...
            proxy -> alice  486
            alice -> proxy  ACK
        ''')
"""

from .call import Call, IncomingCall, Outcome, OutgoingCall
from .call_flow import CallFlow, FlowMismatch
from .clock import Timeline, Timer, VirtualLoop
from .dialog import Dialog
from .flow_language import FlowSyntaxError
from .link import Link
from .messages import Request
from .name_server import VirtualNameServer
from .network import Network, StillWaiting
from .node import Node
from .recording import RouteRun
from .server import SipServer
from .trace import Address, Packet, Trace
from .transactions import Timers
from .user_agent import UserAgent

__all__ = [
    "Address",
    "Call",
    "CallFlow",
    "Dialog",
    "FlowMismatch",
    "FlowSyntaxError",
    "IncomingCall",
    "Link",
    "Network",
    "Node",
    "Outcome",
    "OutgoingCall",
    "Packet",
    "Request",
    "RouteRun",
    "SipServer",
    "StillWaiting",
    "Timeline",
    "Timer",
    "Timers",
    "Trace",
    "UserAgent",
    "VirtualLoop",
    "VirtualNameServer",
]
