"""A SIP phone that does what a test tells it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from sipyard._native.core import Message, ParseError, Uri
from sipyard.sip.digest import answer_challenge, parse_challenge

from .call import Call, IncomingCall, Outcome, OutgoingCall, ack_request
from .dialog import Dialog, uri_of
from .messages import Headers, Request, header_lines, response_to
from .node import Node
from .streams import Lines
from .trace import Address
from .transactions import ClientTransaction, ServerTransaction, Timers

if TYPE_CHECKING:
    from .network import Network

#: What to do with a new call; it gets the call.
Behaviour: TypeAlias = Callable[[IncomingCall], object]
#: What to do with another request; returns a status, or None to answer later (or never) by itself.
Handler: TypeAlias = Callable[[Message], int | None]

_SESSION = (
    "v=0\r\no={name} 1 1 IN IP{family} {ip}\r\ns=-\r\nc=IN IP{family} {ip}\r\nt=0 0\r\n"
    "m=audio 49170 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


class UserAgent(Node):
    """A phone with its own transactions (RFC 3261 §17, retransmissions included), so that loss has its
    consequences.

    :param name: its column in the ladder, and the user part of its URIs.
    :param address: where it listens.
    :param proxy: where requests outside a dialog go (a server, another node or an address). Without one
    they go where the Request-URI points. :param aor: its address-of-record; `sip:name@domain` by default.
    :param domain: the host part of the default address-of-record; by default the proxy's address. :param
    routes: pre-loaded Route values of requests outside a dialog. :param timers: its `Timers`. :param
    password: answers 401 and 407 (RFC 3261 §22), once for each request, as `username` (its name by default).
    :param refuses_merged: answer 482 to a request that came by another way as well (RFC 3261 §8.2.2.2), which
    not every gateway does. :param transport: udp or tcp.

    Incoming calls are in `calls` (`call` is the latest). What happens to a new one is set by `rings()` (the
    default), `answers()`, `rejects()`, `redirects()`, `ignores()` or `on_call(function)`.
    Messages that belong to nothing it knows are in `strays`.
    """

    def __init__(
        self,
        network: Network,
        name: str,
        address: Address | str,
        *,
        proxy: Node | Address | str | None = None,
        aor: str | None = None,
        domain: str | None = None,
        routes: Sequence[str] = (),
        timers: Timers | None = None,
        username: str | None = None,
        password: str | None = None,
        refuses_merged: bool = True,
        transport: str = "udp",
    ) -> None:
        super().__init__(network, name, address)
        self.username = name if username is None else username
        self.password = password
        self.refuses_merged = refuses_merged
        self.dice = random.Random(f"{network.seed} {name}")  # noqa: S311  # reproducible tags, no secrets
        self.proxy = proxy.address if isinstance(proxy, Node) else (Address.parse(proxy) if proxy else None)
        home = domain or (self.proxy or self.address).host
        self.aor = aor or f"sip:{name}@{home}"
        self.routes = tuple(routes)
        self.timers = timers or Timers()
        port = "" if self.address.port == 5060 else f":{self.address.port}"
        self.transport = transport
        suffix = "" if transport == "udp" else f";transport={transport}"
        self.contact = f"sip:{name}@{self.address.host}{port}{suffix}"
        family = "6" if ":" in self.address.ip else "4"
        self.session = _SESSION.format(name=name, family=family, ip=self.address.ip).encode()
        self.calls: list[IncomingCall] = []
        self.strays: list[Message] = []
        self.requests: list[Message] = []
        self._behaviour: Behaviour = lambda call: call.ring()
        self._handlers: dict[str, Handler] = {}
        self._clients: dict[tuple[str, str], ClientTransaction] = {}
        self._servers: dict[tuple[str, str, str], ServerTransaction] = {}
        self._incoming: dict[int, IncomingCall] = {}
        self._dialogs: dict[tuple[str, str, str], tuple[Dialog, Call]] = {}
        self._cseq = 0
        self._registration_id = ""
        network.attach(self)
        #: Its connections, when it speaks TCP.
        self.lines = Lines(network.streams, self) if transport == "tcp" else None

    # --- what the person at the phone does ------------------------------------------------------------------

    @property
    def call(self) -> IncomingCall:
        """The latest incoming call. LookupError when there was none."""
        if not self.calls:
            raise LookupError(f"nobody has called {self.name} yet")
        return self.calls[-1]

    @property
    def is_ringing(self) -> bool:
        """There is an incoming call that rings."""
        return bool(self.calls) and self.calls[-1].state == "ringing"

    def register(
        self,
        registrar: str | None = None,
        *,
        expires: int | None = 3600,
        contacts: Sequence[str] | None = None,
        headers: Headers = (),
    ) -> Outcome:
        """Send a REGISTER for our address-of-record (RFC 3261 §10.2).

        `registrar` is the Request-URI (the domain of the address-of-record by default), `contacts` whole
        Contact values (our own by default, none for a query). The Call-ID stays the same, the CSeq rises.
        """
        domain = registrar or f"sip:{_host_of(self.aor)}"
        values = [f"<{self.contact}>"] if contacts is None else contacts
        lines = [f"Contact: {value}" for value in values]
        if expires is not None:
            lines.append(f"Expires: {expires}")
        self._registration_id = self._registration_id or f"register-{self.token(8)}@{self.address.host}"
        extra = (*lines, *header_lines(headers))
        return self.request("REGISTER", domain, extra, to=self.aor, call_id=self._registration_id)

    def unregister(self) -> Outcome:
        """Remove all bindings of the address-of-record: `Contact: *` with `Expires: 0`."""
        return self.register(contacts=["*"], expires=0)

    def invite(
        self, target: str | UserAgent, headers: Headers = (), body: bytes | None = None, **options: Any
    ) -> OutgoingCall:
        """Call a URI, or another phone's address-of-record. Options as of `request`."""
        uri = target.aor if isinstance(target, UserAgent) else target
        session = self.session if body is None else body
        lines = (f"Contact: <{self.contact}>", *header_lines(headers))
        return OutgoingCall(self, self.compose("INVITE", uri, lines, session, **options), session)

    def request(
        self, method: str, uri: str, headers: Headers = (), body: bytes = b"", **options: Any
    ) -> Outcome:
        """Send any request outside a dialog. Options: `to` (URI, default the Request-URI), `call_id`,
        `routes` (Route values), `max_forwards`, `content_type`."""
        outcome = Outcome(self, self.compose(method, uri, header_lines(headers), body, **options))
        self.start(outcome)
        return outcome

    def on_call(self, behaviour: Behaviour) -> None:
        """Have `behaviour(call)` decide about new calls."""
        self._behaviour = behaviour

    def rings(self, *, after: float = 0.0) -> None:
        """New calls ring until the test answers them. This is the default."""
        self.on_call(lambda call: call.ring(after=after))

    def answers(self, *, after: float = 0.0, ring: bool = True) -> None:
        """New calls ring (unless `ring=False`) and are answered after so many seconds."""
        self.on_call(lambda call: call.ring().answer(after=after) if ring else call.answer(after=after))

    def rejects(self, status: int = 486, *, after: float = 0.0, ring: bool = False) -> None:
        """New calls are refused, after ringing with `ring=True`."""
        self.on_call(lambda call: (call.ring() if ring else call).reject(status, after=after))

    def redirects(self, *uris: str, status: int = 302) -> None:
        """New calls are answered with other places to try."""
        self.on_call(lambda call: call.redirect(*uris, status=status))

    def ignores(self) -> None:
        """New calls get no answer at all."""
        self.on_call(lambda _call: None)

    def on(self, method: str, handler: Handler) -> None:
        """Have `handler(message)` decide how a request other than INVITE, ACK and CANCEL is answered."""
        self._handlers[method] = handler

    # --- composing and sending ------------------------------------------------------------------------------

    def token(self, digits: int = 16) -> str:
        """Hexadecimal digits drawn from the seed, for tags and branches."""
        return f"{self.dice.getrandbits(digits * 4):0{digits}x}"

    def compose(
        self,
        method: str,
        uri: str,
        lines: tuple[str, ...] = (),
        body: bytes = b"",
        *,
        to: str | None = None,
        call_id: str | None = None,
        routes: Sequence[str] | None = None,
        **options: Any,
    ) -> Request:
        """A request outside a dialog, not yet sent."""
        self._cseq += 1
        return Request(
            method,
            uri,
            self._via(),
            f"<{self.aor}>;tag={self.token(8)}",
            f"<{to or uri}>",
            call_id or f"{self.token(12)}@{self.address.host}",
            self._cseq,
            self.routes if routes is None else tuple(routes),
            lines,
            body,
            **options,
        )

    def compose_in_dialog(
        self,
        dialog: Dialog,
        method: str,
        lines: tuple[str, ...] = (),
        body: bytes = b"",
        *,
        cseq: int | None = None,
    ) -> Request:
        """A request inside a dialog, not yet sent (RFC 3261 §12.2.1.1)."""
        if cseq is None:
            dialog.local_cseq = cseq = max(dialog.local_cseq, self._cseq) + 1
        uri, routes = dialog.path()
        return Request(
            method, uri, self._via(), dialog.local, dialog.remote, dialog.call_id, cseq, routes, lines, body
        )

    def _via(self) -> str:
        port = "" if self.address.port == 5060 else f":{self.address.port}"
        return f"SIP/2.0/{self.transport.upper()} {self.address.host}{port};branch=z9hG4bK{self.token()}"

    def send(self, data: bytes, destination: Address) -> None:
        """Send a message, over a connection if this phone speaks TCP."""
        if self.lines is None:
            super().send(data, destination)
        elif self.network.nodes.get(self.name) is self:
            self.lines.send(data, destination)

    @property
    def is_reliable(self) -> bool:
        """Nothing need be sent again (RFC 3261 §17)."""
        return self.lines is not None

    def request_in_dialog(
        self, dialog: Dialog, method: str, headers: Headers = (), body: bytes = b""
    ) -> Outcome:
        """Send a request inside a dialog. A re-INVITE's 2xx is acknowledged."""
        lines = header_lines(headers)
        if method == "INVITE":
            lines = (f"Contact: <{self.contact}>", *lines)
        outcome = Outcome(self, self.compose_in_dialog(dialog, method, lines, body))
        if method != "INVITE":
            self.start(outcome)
            return outcome
        dialog.invite_cseq, dialog.ack = outcome.request.cseq, None

        def answered(response: Message) -> None:
            outcome.note(response)
            if 200 <= response.status < 300:
                dialog.refresh(response)
                self.send_ack(dialog)

        self.start(outcome, on_response=answered)
        return outcome

    def send_ack(self, dialog: Dialog) -> None:
        """Send the ACK for a 2xx in this dialog; the same one again for a copy of the 2xx."""
        if dialog.ack is None:
            dialog.ack = ack_request(self, dialog)
        self.send(dialog.ack.to_bytes(), self.next_hop(dialog.ack, in_dialog=True))

    def start(
        self,
        outcome: Outcome,
        *,
        on_response: Callable[[Message], None] | None = None,
        on_failure: Callable[[int], None] | None = None,
    ) -> None:
        """Send a request in a client transaction of its own, and once more when it is challenged."""
        deliver = on_response or outcome.note

        def received(response: Message) -> None:
            if not self._proves(outcome, response):
                deliver(response)
                return
            outcome.challenges.append(response)
            outcome.request = self._with_credentials(outcome.request, response)
            self._start_transaction(outcome, deliver, on_failure)

        self._start_transaction(outcome, received, on_failure)

    def _proves(self, outcome: Outcome, response: Message) -> bool:
        return self.password is not None and response.status in (401, 407) and not outcome.challenges

    def _with_credentials(self, request: Request, response: Message) -> Request:
        """The same request with an answer to the first challenge (RFC 3261 §22.2, RFC 8760 §2.5)."""
        header = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
        asked = parse_challenge(header, response.headers(header)[0])
        proof = answer_challenge(
            asked, request.method, request.uri, self.username, self.password or "", cnonce=self.token(8)
        )
        self._cseq = max(self._cseq, request.cseq) + 1
        lines = (*request.lines, f"{proof.header}: {proof.value}")
        return replace(request, via=self._via(), cseq=self._cseq, lines=lines)

    def _start_transaction(
        self,
        outcome: Outcome,
        on_response: Callable[[Message], None],
        on_failure: Callable[[int], None] | None,
    ) -> None:
        request = outcome.request
        # A request with a To-tag is in a dialog; a CANCEL goes where its INVITE went (§9.1).
        destination = self.next_hop(request, in_dialog=";tag=" in request.to)
        transaction = ClientTransaction(
            self, self.timers, request, destination, on_response, on_failure or outcome.fail
        )
        outcome.transaction = transaction
        self._clients[transaction.key] = transaction

    def next_hop(self, request: Request, *, in_dialog: bool) -> Address:
        """Where a request goes: the proxy (outside dialogs), else the first Route, else the Request-URI."""
        if self.proxy is not None and not in_dialog:
            return self.proxy
        first_is_loose = bool(request.routes) and ";lr" in uri_of(request.routes[0])
        return self.network.resolve(uri_of(request.routes[0]) if first_is_loose else request.uri)

    def add_dialog(self, dialog: Dialog, call: Call) -> None:
        """Remember which call a dialog belongs to."""
        self._dialogs[dialog.key] = dialog, call

    # --- receiving ------------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, destination: Address) -> None:
        """A datagram arrived; what is no SIP is dropped, as phones do."""
        try:
            message = Message.parse(data)
            message.check()
        except ParseError:
            return
        if not message.is_request:
            self._receive_response(message)
        elif message.method == "ACK":
            self._receive_ack(message)
        else:
            self._receive_request(message, source)

    def unreachable(self, data: bytes, source: Address, destination: Address) -> None:
        """ICMP for something we sent: the transaction whose request it was fails."""
        for transaction in list(self._clients.values()):
            if transaction.data == data:
                transaction.transport_failed()

    def _receive_response(self, response: Message) -> None:
        via = response.via()
        key = ((via.branch if via is not None else None) or "", response.cseq_method)
        transaction = self._clients.get(key)
        if transaction is None or transaction.is_terminated:
            self.strays.append(response)
        else:
            transaction.receive(response)

    def _receive_ack(self, ack: Message) -> None:
        transaction = self._servers.get(_server_key(ack, "INVITE"))
        if transaction is None:  # the ACK to a 2xx has a branch of its own: matched by dialog (§13.3.1.4)
            transaction = self._invite_of(ack)
        if transaction is None:
            self.strays.append(ack)
        else:
            transaction.acknowledge()

    def _invite_of(self, ack: Message) -> ServerTransaction | None:
        for transaction in reversed(self._servers.values()):
            request = transaction.request
            if (
                transaction.is_invite
                and request.call_id == ack.call_id
                and request.cseq_number == ack.cseq_number
                and request.from_tag == ack.from_tag
                and ack.to_tag in (transaction.to_tag, request.to_tag)
            ):
                return transaction
        return None

    def _receive_request(self, request: Message, source: Address) -> None:
        key = _server_key(request, request.method)
        known = self._servers.get(key)
        if known is not None and not known.is_terminated:
            known.receive_again()
            return
        self.requests.append(request)
        transaction = ServerTransaction(
            self, self.timers, request, self._answer_to(request, source), request.to_tag or self.token(8)
        )
        self._servers[key] = transaction
        if request.method == "CANCEL":
            self._cancel(request, transaction)
        elif request.to_tag is not None:
            self._in_dialog(request, transaction)
        elif self.refuses_merged and self._is_merged(request, transaction):
            self._answer(transaction, 482)
        elif request.method == "INVITE":
            call = IncomingCall(self, transaction)
            self._incoming[id(transaction)] = call
            self.calls.append(call)
            self._behaviour(call)
        else:
            self._handle(request, transaction)

    def _answer_to(self, request: Message, source: Address) -> Address:
        """RFC 3261 §18.2.2 and RFC 3581 §4: over the connection that it came by; else to the source address,
        at rport or the sent-by port."""
        via = request.via()
        if self.is_reliable or via is None or via.rport == "":
            return source
        return Address(source.ip, via.port or 5060)

    def _is_merged(self, request: Message, own: ServerTransaction) -> bool:
        """RFC 3261 §8.2.2.2: the same request came by another way as well."""
        return any(
            other is not own
            and not other.is_terminated
            and other.request.from_tag == request.from_tag
            and other.request.call_id == request.call_id
            and other.request.cseq_number == request.cseq_number
            and other.request.method == request.method
            for other in self._servers.values()
        )

    def _cancel(self, request: Message, transaction: ServerTransaction) -> None:
        """RFC 3261 §9.2: 200 with the INVITE's To-tag if there is one to cancel, else 481."""
        invite = self._servers.get(_server_key(request, "INVITE"))
        if invite is None or invite.is_terminated:
            self._answer(transaction, 481)
            return
        transaction.to_tag = invite.to_tag
        self._answer(transaction, 200)
        call = self._incoming.get(id(invite))
        if call is not None:
            call.cancelled()

    def _in_dialog(self, request: Message, transaction: ServerTransaction) -> None:
        """§12.2.2: matched by Call-ID and tags; an old CSeq is 500, no such dialog 481."""
        entry = self._dialogs.get((request.call_id, request.to_tag or "", request.from_tag or ""))
        if entry is None or entry[0].is_over:
            self._answer(transaction, 481)
            return
        dialog, call = entry
        if request.cseq_number <= dialog.remote_cseq:
            self._answer(transaction, 500)
            return
        dialog.remote_cseq = request.cseq_number
        if request.method == "BYE":
            self._answer(transaction, 200)
            call.ended_by_peer(dialog)
        elif request.method == "INVITE":
            dialog.refresh(request)
            self._answer(transaction, 200, (f"Contact: <{self.contact}>",), self.session)
        else:
            self._handle(request, transaction)

    def _handle(self, request: Message, transaction: ServerTransaction) -> None:
        handler = self._handlers.get(request.method)
        status = handler(request) if handler is not None else 200
        if status is not None:
            self._answer(transaction, status)

    def _answer(
        self, transaction: ServerTransaction, status: int, lines: Sequence[str] = (), body: bytes = b""
    ) -> None:
        tag = transaction.to_tag
        data = response_to(transaction.request, status, to_tag=tag, lines=lines, body=body)
        transaction.reply(status, data)

    @property
    def open_requests(self) -> int:
        """How many requests of this phone's own have a transaction that is not over."""
        return sum(not machine.is_terminated for machine in self._clients.values())

    @property
    def live_transactions(self) -> int:
        """How many of this phone's transactions are not over."""
        machines = [*self._clients.values(), *self._servers.values()]
        return sum(not machine.is_terminated for machine in machines)


def _server_key(request: Message, method: str) -> tuple[str, str, str]:
    """RFC 3261 §17.2.3: branch, sent-by, method (ACK counts as its INVITE)."""
    via = request.via()
    if via is None:
        return "", "", method
    return via.branch or "", f"{via.host}:{via.port}", method


def _host_of(uri: str) -> str:
    """Host and port of a URI as text."""
    parsed = Uri(uri)
    return parsed.host if parsed.port is None else f"{parsed.host}:{parsed.port}"
