"""The name of the host that we run on.

The full one may have to be asked of a DNS server, so that is done once, at start, and only for scripts that
print it.
"""

from __future__ import annotations

import asyncio
import socket


class _Learnt:
    is_wanted = False
    full = ""


def full_name() -> str:
    """The full name, or the plain one when nobody has asked for it."""
    return _Learnt.full or socket.gethostname()


def want_full_name() -> None:
    """Have the next `learn_full_name` ask."""
    _Learnt.is_wanted = True


async def learn_full_name() -> None:
    """Ask for the full name if it is wanted and not known yet."""
    if _Learnt.is_wanted and not _Learnt.full:
        _Learnt.full = await asyncio.to_thread(socket.getfqdn)
