"""One call through hotline.cfg on a virtual network, to look at in a debugger:

    python -m pdb -c "break hotline.cfg:41" -c continue examples/testing/place_call.py

pdb stops in the script: `list` shows its text, `p msg.request_uri` asks the message, `next` goes to the next
statement.
"""

from pathlib import Path

from sipyard.testing import Network

with Network() as network:
    proxy = network.server(Path(__file__).with_name("hotline.cfg"))
    alice = network.user_agent("alice", proxy=proxy)
    counter = network.user_agent("counter", "192.0.2.20:5060")
    counter.answers(after=2)
    alice.invite("sip:hotline@10.0.0.1")
    network.run(5)
    print(network.ladder())
