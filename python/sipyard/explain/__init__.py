"""What a script does with one hypothetical request, line by line, without doing it.

The script, its modules, the engine and the core are those that serve; the network and the clock are virtual
(`sipyard.testing`), databases are copies, and programs, sockets and files to write are refused.
"""

from sipyard.explain.hypothesis import Hypothesis
from sipyard.explain.story import Block, Packet, Step, Story
from sipyard.explain.trial import explain

__all__ = ["Block", "Hypothesis", "Packet", "Step", "Story", "explain"]
