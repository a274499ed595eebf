"""The native core, re-exported: all of `sipyard._native.core` under one name, and the type of an event."""

from typing import TypeAlias

from sipyard._native.core import *  # noqa: F403
from sipyard._native.core import ClientTransaction, Message, Transaction

Event: TypeAlias = tuple[int, Message | None, Transaction | ClientTransaction | None, int, int]
"""What `Core.poll_events` yields: kind, message, transaction, a, b; see the event constants."""
