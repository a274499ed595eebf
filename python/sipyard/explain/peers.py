"""Everybody else in an explanation: the caller, the callees with the answers they are said to give, DNS."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sipyard._native.core import Message, ParseError
from sipyard.sip.dns_records import Kind, Naptr, Service
from sipyard.sip.lookup import Budget
from sipyard.testing import Address, Network, Node
from sipyard.testing.messages import reason_of, response_to

NOBODY: Final = "none"
"""An answer that never comes."""


class Caller(Node):
    """Sends the request and listens."""

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """The answers are read from the trace."""


class Callees(Node):
    """Whoever has any other address. Each new branch gets the next of the answers; when there are no more,
    the last one again. `answers` are texts: "486", "486 Busy Here" or "none"."""

    def __init__(self, network: Network, answers: Sequence[str]) -> None:
        super().__init__(network, "callee", "192.0.2.254:5060")
        self.answers = list(answers)
        self._given: dict[str, str] = {}

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """Answer a request; a retransmission gets the same answer."""
        try:
            message = Message.parse(data)
        except ParseError:
            return
        if not message.is_request or message.method == "ACK" or not self.answers:
            return
        if message.method == "CANCEL":
            self._send(message, 200, None, source, destination)
            return
        branch = message.headers("Via")[0]
        if branch not in self._given:
            index = min(len(self._given), len(self.answers) - 1)
            self._given[branch] = self.answers[index]
        answer = self._given[branch]
        if answer != NOBODY:
            status, _, reason = answer.partition(" ")
            self._send(message, int(status), reason or reason_of(int(status)), source, destination)

    def _send(
        self, message: Message, status: int, reason: str | None, source: Address, destination: Address
    ) -> None:
        data = response_to(message, status, reason, to_tag="callee")
        self.network.send(destination, source, data)


class Names:
    """A DNS in which every name has an address; `names` says whose it is."""

    def __init__(self, known: dict[str, str]) -> None:
        self.names: dict[str, str] = {ip: host for host, ip in known.items()}
        self._addresses = dict(known)

    async def naptrs(self, name: str, budget: Budget | None = None) -> list[Naptr]:
        """Nobody has NAPTR records here."""
        return []

    async def services(self, name: str, budget: Budget | None = None) -> list[Service]:
        """Nobody has SRV records here."""
        return []

    def expect(self, questions: Iterable[tuple[str, Kind]]) -> None:
        """Everything is known already."""

    async def addresses(self, name: str, ipv6: bool, budget: Budget | None = None) -> list[str]:
        """The address that was said, or one of 203.0.113.0/24 (RFC 5737)."""
        ip = self._addresses.get(name)
        if ip is None:
            ip = f"203.0.113.{len(self._addresses) % 254 + 1}"
            self._addresses[name], self.names[ip] = ip, name
        return [ip] if (":" in ip) == ipv6 else []
