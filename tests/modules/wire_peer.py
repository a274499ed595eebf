"""A peer that sends exact text and keeps what comes back, for tests that look at every byte of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from sipyard._native.core import Message
from sipyard.testing import Network, SipServer
from sipyard.testing.node import Node
from sipyard.testing.trace import Address

SERVER = "10.0.0.1:5060"


class WirePeer(Node):
    """Sends requests with a branch of their own and collects all messages that arrive."""

    def __init__(self, network: Network, name: str = "peer", address: str = "192.0.2.9:5060") -> None:
        super().__init__(network, name, address)
        self.messages: list[Message] = []
        self._branch = 0
        network.attach(self, self.address)

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        self.messages.append(Message.parse(data))

    def via(self) -> str:
        """A Via line with a new branch."""
        self._branch += 1
        return f"Via: SIP/2.0/UDP {self.address};branch=z9hG4bK{self.name}{self._branch}"

    def post(self, text: str | bytes, server: str = SERVER) -> None:
        """Send; lines may end with LF only."""
        data = text if isinstance(text, bytes) else text.replace("\r\n", "\n").replace("\n", "\r\n").encode()
        self.send(data, Address.parse(server))

    def ask(self, text: str | bytes, server: str = SERVER) -> Message:
        """Send and return the first thing that comes back."""
        before = len(self.messages)
        self.post(text, server)
        self.network.run_until(lambda: len(self.messages) > before, within=10)
        return self.messages[before]

    def request(
        self,
        method: str = "MESSAGE",
        uri: str = "sip:bob@10.0.0.1",
        *,
        headers: Sequence[str] = (),
        body: str = "",
        to: str | None = None,
        call_id: str = "c1",
        cseq: int = 1,
    ) -> str:
        """The text of a request."""
        lines = [
            f"{method} {uri} SIP/2.0",
            self.via(),
            "Max-Forwards: 70",
            "From: <sip:alice@example.org>;tag=a",
            f"To: <{to or uri}>",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
            *headers,
            f"Content-Length: {len(body.encode())}",
        ]
        return "\n".join(lines) + "\n\n" + body

    def register(
        self,
        *contacts: str,
        user: str = "bob",
        call_id: str = "c1",
        cseq: int = 1,
        headers: Sequence[str] = (),
    ) -> Message:
        """Register these Contact values and return the answer."""
        aor = f"sip:{user}@example.org"
        lines = [*(f"Contact: {contact}" for contact in contacts), *headers]
        text = self.request("REGISTER", "sip:example.org", headers=lines, to=aor, call_id=call_id, cseq=cseq)
        return self.ask(text)


def contacts_of(answer: Message) -> list[str]:
    """The Contact values of an answer."""
    return answer.values("Contact")


def rows_of(server: SipServer, user: str = "bob", table: str = "location") -> list[str]:
    """URIs registered for a user, in order of preference."""
    usrloc = server.engine.modules["usrloc"]
    return [contact.uri for contact in usrloc.table(table).contacts(user)]
