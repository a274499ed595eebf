"""The transports of SIP and their usual ports (RFC 3261 §18.2.2, RFC 7118 §9)."""

from __future__ import annotations

from typing import Final

PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061, "ws": 80, "wss": 443}
TRANSPORTS: Final = tuple(PORTS)
#: Those that scripts may name; SCTP (RFC 4168) is never spoken.
NAMED: Final = (*TRANSPORTS, "sctp")
SECURE: Final = ("tls", "wss")
WEB: Final = ("ws", "wss")
