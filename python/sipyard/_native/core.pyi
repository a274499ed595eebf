"""The native core: SIP messages, transactions, sockets. Python pulls events from it and decides.

Text crosses as `str` with surrogateescape in both directions, so bytes that are not UTF-8 survive a round
trip. Times are seconds (`float`) on the core's monotonic clock, ports are `int`, IP addresses `str` without
brackets. Every object is immutable from Python's view, apart from a message's edit list, and may be used
from any thread.
"""

from collections.abc import Sequence
from types import EllipsisType
from typing import Final, Literal, TypeAlias, TypedDict, Unpack, final

__all__ = [
    "CLIENT_REPLY",
    "CLIENT_TIMEOUT",
    "CLOSED",
    "ENDED",
    "EVENT_READ",
    "EVENT_WRITE",
    "FAILURE",
    "FINAL",
    "HTTP",
    "NOTICE",
    "RELAY_CANCELLED",
    "RELAY_FINAL",
    "RELAY_LOOP",
    "RELAY_NOT_SENT",
    "RELAY_NO_BRANCHES",
    "RELAY_TOO_MANY",
    "REPLY",
    "REQUEST",
    "STRAY_REPLY",
    "Branch",
    "ClientTransaction",
    "Connection",
    "Core",
    "Endpoint",
    "Listener",
    "Message",
    "NameAddr",
    "OfflineEndpoint",
    "PanicException",
    "ParseError",
    "Target",
    "TlsFacts",
    "TlsSection",
    "Transaction",
    "Uri",
    "Via",
    "version",
]

# --- constants --------------------------------------------------------------------------------------------

REQUEST: Final[int]
"""Event: a new request. (REQUEST, message, None, 0, 0)."""
REPLY: Final[int]
"""Event: a reply on a transaction whose reply route is armed. (REPLY, reply, transaction, token, branch).
Nothing happens to the reply until `transaction.resume_reply(token, ...)`."""
FAILURE: Final[int]
"""Event: all branches failed and the failure route is armed. (FAILURE, picked reply or None, transaction,
status, branch). Nothing is sent upstream until `transaction.resume_failure()`."""
FINAL: Final[int]
"""Event: an armed transaction sent its final reply upstream. (FINAL, relayed reply or None for one made here,
transaction, status, 0), or 1 at the end: with `configure(hold_finals=True)` nothing is sent upstream until
`transaction.resume_final()`."""
ENDED: Final[int]
"""Event: the core has forgotten an armed transaction. (ENDED, None, transaction, final status or 0, 0)."""
STRAY_REPLY: Final[int]
"""Event: a reply of no transaction, only with `configure(onreply=True)`. (STRAY_REPLY, reply, None, 0, 0).
"""
CLIENT_REPLY: Final[int]
"""Event: a reply to a request of our own. (CLIENT_REPLY, reply, client transaction, status, 0)."""
CLIENT_TIMEOUT: Final[int]
"""Event: a request of our own ended without a final reply. (CLIENT_TIMEOUT, None, client transaction,
status, 0); status 408 (no answer) or 503 (could not be sent)."""

CLOSED: Final[int]
"""Event: a connection that was watched has ended. (CLOSED, None, why, 0, connection)."""
HTTP: Final[int]
"""Event: an HTTP request over TCP or TLS, with `configure(http=True)`. (HTTP, message, None, 0, 0). The
message has the fields that SIP demands, made up; `answer_http` answers it."""
NOTICE: Final[int]
"""Event: something for the log, at most one a second. (NOTICE, None, text, 0, 0)."""

RELAY_NOT_SENT: Final[int]
"""`relay`, `forward`: no branch could be sent (-1)."""
RELAY_NO_BRANCHES: Final[int]
"""`relay`, `forward`: there was no branch, or none had a target (-2)."""
RELAY_CANCELLED: Final[int]
"""`relay`: a CANCEL of this request came before; answer it with 487 (-3)."""
RELAY_FINAL: Final[int]
"""`relay`: the transaction already has a final reply (-4)."""
RELAY_TOO_MANY: Final[int]
"""`relay`: more branches than `max_branches` (-5)."""
RELAY_LOOP: Final[int]
"""`relay`: the request was here before, unchanged; answer it with 482 (-6, RFC 5393)."""

EVENT_READ: Final[int]
"""Readiness of a foreign descriptor in `Endpoint.wait`, as in `selectors` (1)."""
EVENT_WRITE: Final[int]
"""Readiness of a foreign descriptor in `Endpoint.wait`, as in `selectors` (2)."""

def version() -> str:
    """The native core's version, such as "0.1.0"."""

# --- syntax -----------------------------------------------------------------------------------------------

class PanicException(BaseException):
    """The core panicked: a bug in it. The call that raised it did nothing further; the core goes on."""

class ParseError(ValueError):
    """What a peer (or a script) wrote is not SIP. `str()` says what is wrong."""

    offset: int
    """Byte offset of the mistake in the text that was parsed."""
    header: str | None
    """Name of the header field at fault; None when it is the start line, the framing, or not a header."""
    status: int
    """The status to answer a request with: 400, 413, 414, 416, 505 …"""

@final
class Uri:
    """A URI as text (RFC 3261 §19.1). Immutable; `==` and `hash` are textual, see `equivalent`."""

    def __new__(cls, text: str) -> Uri:
        """Parse `text`; ParseError when it is not a URI. Any scheme is accepted; its opaque part is then
        `host`."""
    @property
    def scheme(self) -> str:
        """In lower case: "sip", "sips", "tel", …"""
    @property
    def user(self) -> str | None:
        """User part as written, escapes kept; the number of a tel: URI; None when there is no "@"."""
    @property
    def password(self) -> str | None:
        """Password as written."""
    @property
    def host(self) -> str:
        """Host as written; an IPv6 reference keeps its brackets."""
    @property
    def port(self) -> int | None:
        """Port when written."""
    @property
    def parameters(self) -> str:
        """URI parameters without the leading ";", such as "transport=tcp;lr"."""
    @property
    def headers(self) -> str:
        """URI headers without the "?", such as "Subject=hi"."""
    def parameter(self, name: str) -> str | None:
        """Value of a URI parameter, "" when it has none, None when the parameter is absent. Name in any
        case."""
    def replace(
        self,
        *,
        scheme: str | EllipsisType = ...,
        user: str | EllipsisType | None = ...,
        password: str | EllipsisType | None = ...,
        host: str | EllipsisType = ...,
        port: int | EllipsisType | None = ...,
        parameters: str | EllipsisType | None = ...,
        headers: str | EllipsisType | None = ...,
    ) -> Uri:
        """A URI with parts changed: `...` keeps, None removes. ParseError when the result is not a URI."""
    def equivalent(self, other: Uri) -> bool:
        """Equality of RFC 3261 §19.1.4."""
    def __str__(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class NameAddr:
    """A value of From, To, Contact, Route …: display name, URI, parameters (RFC 3261 §20.10). Immutable."""

    def __new__(cls, text: str) -> NameAddr:
        """Parse one name-addr or addr-spec; ParseError."""
    @property
    def display_name(self) -> str | None:
        """Display name, quotes and escapes removed."""
    @property
    def uri(self) -> str:
        """The URI as written, without angle brackets."""
    @property
    def parameters(self) -> list[tuple[str, str | None]]:
        """Header parameters in order, as written (quotes kept); None for one without value."""
    def parameter(self, name: str) -> str | None:
        """Value of a header parameter, quotes removed, "" when it has none, None when absent. Name in any
        case."""
    @property
    def tag(self) -> str | None:
        """The tag parameter."""
    def __str__(self) -> str: ...

@final
class Via:
    """One Via value (RFC 3261 §20.42). Immutable."""

    @property
    def protocol(self) -> str:
        """Protocol name, "SIP"."""
    @property
    def version(self) -> str:
        """Protocol version, "2.0"."""
    @property
    def transport(self) -> str:
        """Transport as written, such as "UDP"."""
    @property
    def host(self) -> str:
        """Sent-by host; an IPv6 reference keeps its brackets."""
    @property
    def port(self) -> int | None:
        """Sent-by port when written."""
    @property
    def branch(self) -> str | None:
        """The branch parameter."""
    @property
    def received(self) -> str | None:
        """The received parameter."""
    @property
    def rport(self) -> int | Literal[""] | None:
        """The rport parameter (RFC 3581): its number, "" when it has no value, None when absent."""
    def parameter(self, name: str) -> str | None:
        """Value of a Via parameter, "" when it has none, None when absent. Name in any case."""
    def __str__(self) -> str: ...

@final
class Target:
    """Where to send: protocol, address, and the listener to send from. Immutable; compares by value."""

    @property
    def protocol(self) -> str:
        """One of "udp", "tcp", "tls", "ws", "wss"."""
    @property
    def ip(self) -> str:
        """Remote address."""
    @property
    def port(self) -> int:
        """Remote port."""
    @property
    def listener(self) -> int:
        """Index of the listener to send from; -1: the core chooses."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def sent_from(self, listener: int) -> Target:
        """The same destination, to be sent to from the listener of this index."""

@final
class Listener:
    """A socket that we listen on. Immutable."""

    @property
    def index(self) -> int:
        """Position in `Core.listeners`."""
    @property
    def protocol(self) -> str:
        """One of "udp", …"""
    @property
    def ip(self) -> str:
        """Local address; a wildcard socket has one listener for each address of the host."""
    @property
    def port(self) -> int:
        """Local port (the real one when 0 was asked for)."""
    @property
    def host(self) -> str:
        """Host that goes into Via and Record-Route: the advertised one or the address (IPv6 in brackets)."""
    @property
    def uri(self) -> str:
        """Our URI on this listener, such as "sip:192.0.2.1:5070"."""

# --- messages ---------------------------------------------------------------------------------------------

@final
class Message:
    """A message as received, an edit list (SER's lumps), and where it came from.

    Reading methods show the message *as received*; edits take effect when it is written. Header names are
    matched in any case and compact forms equal long ones. A value that cannot be parsed reads as None (or
    "" / -1 where the type has no None); only methods that say so raise ParseError.
    """

    @staticmethod
    def parse(data: bytes) -> Message:
        """Parse one message, as if it had come in one datagram; ParseError. See `check` for the deeper
        tests."""
    def check(self) -> None:
        """What every received message was held to before Python sees it: the headers that routing needs are
        present, single and well formed (RFC 3261 §8.1.1, §16.3); ParseError."""
    @property
    def id(self) -> int:
        """Number of this message, counting up in the order of reception; copies keep it."""
    @property
    def is_request(self) -> bool: ...
    @property
    def is_http(self) -> bool:
        """It came as an HTTP request."""
    @property
    def method(self) -> str:
        """Method of the request, or of the reply's CSeq. An interned string for known methods."""
    @property
    def request_uri(self) -> str:
        """Request-URI as received; "" for a reply."""
    @property
    def status(self) -> int:
        """Status code of a reply; 0 for a request."""
    @property
    def reason(self) -> str:
        """Reason phrase of a reply; "" for a request."""
    @property
    def version(self) -> str:
        """Protocol version as received, "SIP/2.0"."""
    @property
    def length(self) -> int:
        """Bytes received (after trailing bytes were cut)."""
    @property
    def raw(self) -> bytes:
        """The bytes as received."""
    @property
    def body(self) -> bytes:
        """The body as received."""
    @property
    def headers_end(self) -> int:
        """Offset in `raw` just after the last header's CRLF, where the empty line begins."""
    @property
    def body_start(self) -> int:
        """Offset in `raw` of the first byte of the body."""
    @property
    def source_ip(self) -> str:
        """Who sent it; "" for a message that was not received."""
    @property
    def source_port(self) -> int: ...
    @property
    def destination_ip(self) -> str:
        """The local address it was sent to (for a wildcard listener: the real one)."""
    @property
    def destination_port(self) -> int: ...
    @property
    def protocol(self) -> str:
        """Protocol it came by, such as "udp"; "" for a message that was not received."""
    @property
    def connection(self) -> int:
        """Number of the connection that it came over, 0 for a datagram."""
    @property
    def listener(self) -> int:
        """Index of the listener it came in by; -1 for a message that was not received."""
    @property
    def received_at(self) -> float:
        """When, in seconds on the core's clock."""
    @property
    def call_id(self) -> str: ...
    @property
    def cseq_number(self) -> int:
        """-1 when unreadable."""
    @property
    def cseq_method(self) -> str: ...
    @property
    def from_uri(self) -> str | None: ...
    @property
    def from_tag(self) -> str | None: ...
    @property
    def to_uri(self) -> str | None: ...
    @property
    def to_tag(self) -> str | None: ...
    @property
    def from_(self) -> NameAddr:
        """The From header; ParseError."""
    @property
    def to(self) -> NameAddr:
        """The To header; ParseError."""
    @property
    def expires(self) -> int | None:
        """Expires in seconds; None when absent or unreadable. Values over 2^32-1 read as 2^32-1."""
    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards; None when absent, -1 when unreadable."""
    @property
    def content_type(self) -> str | None: ...
    def header(self, name: str, index: int = 0) -> str | None:
        """Value of the index-th field of that name (negative counts from the end), trimmed; None when
        absent."""
    def headers(self, name: str) -> list[str]:
        """Values of all fields of that name, in order, comma lists not split."""
    def values(self, name: str) -> list[str]:
        """All values of that header, comma lists split (quotes and angle brackets respected)."""
    def has_header(self, name: str) -> bool: ...
    def all_headers(self) -> list[tuple[str, str]]:
        """Every field in order, names as written."""
    def fields(self) -> list[tuple[str, str, int, int]]:
        """Every field in order: name as written, value, and the offsets in `raw` of its first byte and just
        after its CRLF; for `replace_range` and `insert_at`."""
    def via(self, index: int = 0) -> Via | None:
        """The index-th Via value from the top; None when there is none; ParseError."""
    def routes(self) -> list[NameAddr]:
        """All Route values; ParseError."""
    def record_routes(self) -> list[NameAddr]:
        """All Record-Route values; ParseError."""
    def contacts(self) -> list[NameAddr] | Literal["*"]:
        """All Contact values, or "*"; ParseError."""
    @property
    def contact_star(self) -> bool:
        """True when a Contact value is "*"."""
    def append_header(self, text: str) -> None:
        """Append whole header line(s) at the end; CRLF is added when missing. ValueError when `text` would
        end the headers or break their framing."""
    def prepend_header(self, text: str) -> None:
        """Insert whole header line(s) before the first header."""
    def insert_header_before(self, name: str, text: str) -> bool:
        """Insert whole line(s) before the first field of that name; False when there is none."""
    def insert_header_after(self, name: str, text: str) -> bool:
        """Insert whole line(s) after the last field of that name; False when there is none."""
    def remove_header(self, name: str) -> int:
        """Remove all fields of that name; returns how many."""
    def remove_value(self, name: str, index: int) -> bool:
        """Remove the index-th value (counted over comma lists as in `values`); False when there is none."""
    def replace_value(self, name: str, index: int, text: str) -> bool:
        """Replace the index-th value (counted as in `values`); False when there is none."""
    def replace_range(self, start: int, end: int, text: bytes) -> None:
        """Replace bytes [start, end) of `raw`; ValueError outside the message. Content-Length follows the
        body."""
    def insert_at(self, offset: int, text: bytes) -> None:
        """Insert before byte `offset` of `raw`; ValueError outside the message."""
    def set_body(self, body: bytes, content_type: str | None = None) -> None:
        """Replace the body, and Content-Type when given; Content-Length is corrected on writing."""
    def set_request_uri(self, uri: str) -> None:
        """Rewrite the Request-URI in this edit list (a Branch's `uri` goes before it)."""
    def set_reply_status(self, status: int, reason: str) -> None:
        """Rewrite the status line of a reply; ValueError for a request or a change of class to 1xx/2xx."""
    def record_route(self, user: str | None = None, params: str = "", preset: str | None = None) -> bool:
        """Ask for our Record-Route (RFC 3261 §16.6.4); address and r2 are filled in when the sending
        listener is known. `params` begins with ";" or is empty and replaces nothing: ";lr" is always
        written. `preset`: a host[:port][;params] to write instead of our own. False when it was asked for
        already."""
    def remove_record_route(self) -> bool:
        """Take `record_route` back; False when it was not asked for."""
    def append_to_reply(self, text: str) -> None:
        """Header line(s) for every reply that is made locally from this request from now on."""
    def clear_reply_headers(self) -> None:
        """Forget all `append_to_reply` lines."""
    def decrement_max_forwards(self, default: int, limit: int) -> int:
        """Lower Max-Forwards by one, first to `limit` when it is higher; add one with `default` when
        absent. Returns the new value, -1 when it was 0, -2 when it is unreadable."""
    def force_rport(self) -> None:
        """Treat the top Via as if it had an rport parameter (RFC 3581)."""
    def set_advertised(self, host: str | None, port: int | None) -> None:
        """Host and port for the Via and Record-Route of this message instead of the listener's."""
    def remove_routes(self, count: int) -> None:
        """Remove the topmost `count` Route values; ParseError."""
    def set_routes(self, routes: list[str]) -> None:
        """Replace all Route values by these (name-addr texts, top first)."""
    def copy(self) -> Message:
        """The same message with an edit list of its own (starting with what this one has)."""
    @property
    def is_edited(self) -> bool:
        """True when writing it would differ from `raw`."""
    def to_bytes(self) -> bytes:
        """As it would be written now; no Via added or removed, no Record-Route."""

# --- transactions -----------------------------------------------------------------------------------------

@final
class Branch:
    """One branch to relay to: a message with its edits, the Request-URI to write, targets in order of
    preference."""

    def __new__(cls, message: Message, uri: str | None, targets: list[Target], q: int = -1) -> Branch:
        """`uri` None keeps the Request-URI. `q` is 0…1000 or -1 for unknown; it only documents (3xx,
        reports): grouping by q is the script's."""
    @property
    def uri(self) -> str | None: ...
    @property
    def q(self) -> int: ...

@final
class Transaction:
    """A server transaction with its response context (RFC 3261 §16.7, §17.2). Compares by `id`.

    When the core has forgotten it, facts read as 0, False, "terminated"; commands do nothing (False, 0).
    """

    @property
    def id(self) -> int:
        """Never reused while the process lives."""
    @property
    def method(self) -> str: ...
    @property
    def request(self) -> Message:
        """The request as stored when the transaction was created, with the edits it had then; each read is
        a new copy with an edit list of its own."""
    @property
    def status(self) -> int:
        """Last status sent upstream, 0 before the first."""
    @property
    def is_answer_held(self) -> bool:
        """Its final reply waits for `resume_final`."""
    @property
    def picked_status(self) -> int:
        """Status of the best response so far, 0 while there is none."""
    @property
    def is_cancelled(self) -> bool:
        """True when a CANCEL for it arrived."""
    @property
    def is_alive(self) -> bool:
        """False when the core has forgotten it."""
    @property
    def state(self) -> str:
        """One of "trying", "proceeding", "completed", "confirmed", "accepted", "terminated"."""
    @property
    def any_timeout(self) -> bool:
        """A branch timed out (t_any_timeout)."""
    @property
    def any_replied(self) -> bool:
        """A branch got any reply (t_any_replied)."""
    @property
    def branch_timeout(self) -> bool:
        """The branch of the running failure or reply route timed out."""
    @property
    def branch_replied(self) -> bool:
        """The branch of the running failure or reply route got a reply."""
    @property
    def to_tag(self) -> str:
        """The To-tag that replies made locally for it carry."""
    def branches(self) -> list[tuple[str, int, bool]]:
        """Every branch so far: URI, last status received (0 none), whether it is finished."""
    def reply(
        self, status: int, reason: str, *, headers: str = "", body: bytes = b"", to_tag: str | None = None
    ) -> bool:
        """Answer statefully; False when it already has a final reply. ValueError for a bad status or bad
        headers. A final reply cancels the branches that are still open."""
    def relay(self, branches: list[Branch]) -> int:
        """Send these branches in parallel; each fails over along its targets. Returns how many were sent,
        or one of the negative RELAY_ constants."""
    def arm(
        self,
        *,
        reply: bool | None = None,
        failure: bool | None = None,
        final: bool | None = None,
        ended: bool | None = None,
    ) -> None:
        """Which events to raise; None leaves as it is. `failure` is disarmed when it is raised."""
    def resume_reply(self, token: int, forward: bool = True, message: Message | None = None) -> None:
        """Go on with a reply after REPLY: with the edits of `message` when given; `forward` False drops a
        provisional (a final reply still completes its branch)."""
    def resume_final(self) -> None:
        """Let the final reply go, now if it waits, otherwise once there is one; it waits only with
        `configure(hold_finals=True)`."""
    def resume_failure(self) -> None:
        """Go on after FAILURE: when nothing new was relayed or answered, the picked reply goes upstream."""
    def set_timers(self, fr: float = 0.0, fr_inv: float = 0.0) -> None:
        """Final-response timers in seconds, 0 leaves as it is; running ones are changed as well."""
    def cancel_branches(self) -> int:
        """Cancel all open branches; returns how many."""
    def retransmit_reply(self) -> bool:
        """Send the last reply again; False when there is none."""
    def release(self) -> None:
        """The script is done with it and has neither answered nor relayed: forget it."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class ClientTransaction:
    """A request of our own (RFC 3261 §17.1). Compares by identity of `id`."""

    @property
    def id(self) -> int: ...
    @property
    def method(self) -> str: ...
    @property
    def is_alive(self) -> bool: ...
    def cancel(self) -> bool:
        """CANCEL an INVITE that has no final reply; False when there is nothing to cancel."""
    def ack(self, reply: Message, headers: str = "", body: bytes = b"") -> bool:
        """ACK a 2xx to INVITE, along its route set; False when it is not one or its Contact has no numeric
        host."""
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

_Event: TypeAlias = tuple[int, Message | None, Transaction | ClientTransaction | str | None, int, int]
"""kind, message, transaction, a, b: see the event constants."""

# --- core -------------------------------------------------------------------------------------------------

class _Settings(TypedDict, total=False):
    t1: float
    t2: float
    t4: float
    fr_timer: float
    fr_inv_timer: float
    wait_timer: float
    restart_fr_on_each_reply: bool
    aggregate_challenges: bool
    hold_finals: bool
    best_response: Literal["2.0", "0.9"]
    server_header: str
    user_agent_header: str
    reply_warning: bool
    reply_to_via: bool
    ruri_matching: bool
    via1_matching: bool
    check_via: bool
    syn_branch: bool
    dns_failover: bool
    blacklist: bool
    blacklist_expire: float
    blacklist_memory: int
    blacklist_methods_add: int
    blacklist_methods_lookup: int
    double_record_route: bool
    loop_detection: bool
    aliases: list[tuple[str, int, str | None]]
    onreply: bool
    stun: bool
    answer_malformed: bool
    malformed_rate_source: int
    malformed_rate_total: int
    max_branches: int
    max_transactions: int
    queue_limit: int
    retry_after: int
    udp_mtu: int
    tcp_max_connections: int
    tcp_max_of_one: int
    tcp_max_strangers_of_one: int
    tcp_queue: int
    tcp_connect_timeout: float
    tcp_send_timeout: float
    tcp_connection_lifetime: float
    tcp_first_message: float
    tcp_message_time: float
    tcp_accept_aliases: bool
    http: bool
    ws_origins: list[str]

@final
class Core:
    """The operations that an online and an offline endpoint share."""

    def configure(self, **settings: Unpack[_Settings]) -> None:
        """Change settings; those not named stay. Timers in seconds; `server_header` and `user_agent_header`
        are values ("" = no header); `aliases` (host, port or 0 for any, protocol or None) replaces the
        table of names that are ours besides the listeners; `onreply` raises STRAY_REPLY; rates are answers
        a second; TypeError for an unknown name, ValueError for a bad value."""
    @property
    def listeners(self) -> list[Listener]: ...
    @property
    def now(self) -> float:
        """The core's clock in seconds (monotonic). Offline: the last time handed in."""
    @property
    def pending(self) -> int:
        """Events that wait in the queue."""
    def is_myself(self, host: str, port: int, protocol: str | None = None) -> bool:
        """Is host:port (port 0: any) one of our listeners or aliases? Host in any case, IPv6 with or
        without brackets."""
    def is_myself_uri(self, uri: str) -> bool:
        """`is_myself` of a URI's host, port (5060, sips 5061 by default) and transport; False when it is
        not sip(s)."""
    def target(self, uri: str, listener: int = -1) -> Target | None:
        """Where a URI with a numeric host points to (RFC 3263 §4: transport=, maddr=, default ports; sips
        is tls). None: the host is a name and needs a resolver. ParseError; ValueError when we have no
        listener that could send."""
    def target_for(self, protocol: str, ip: str, port: int, listener: int = -1) -> Target:
        """A target from its parts; ValueError when one of them is bad."""
    def new_transaction(self, message: Message) -> Transaction | None:
        """Create the server transaction of a request (t_newtran). None: the message was absorbed
        (retransmission), so the script ends. An ACK never creates one (None); one that reaches the script is
        never absorbed: `forward` it."""
    def find_transaction(self, message: Message) -> Transaction | None:
        """The transaction that this request made or repeats (t_lookup_request); None for a reply."""
    def find_cancelled(self, message: Message) -> Transaction | None:
        """The INVITE transaction that this CANCEL means (t_lookup_cancel)."""
    def find_invites(self, call_id: str, cseq: int) -> list[Transaction]:
        """Live INVITE transactions of this Call-ID and CSeq number (the command tm.cancel); looks at all."""
    def transaction(self, id: int) -> Transaction | None:
        """A live transaction by its id."""
    def relay_cancel(self, message: Message) -> int:
        """t_relay of a CANCEL: 1 handled (answered 200, branches cancelled), 0 no such INVITE: relay it as
        an ordinary request."""
    def reply(
        self,
        message: Message,
        status: int,
        reason: str,
        *,
        headers: str = "",
        body: bytes = b"",
        to_tag: str | None = None,
    ) -> None:
        """Answer statelessly (sl); the ACK to it is absorbed. ValueError for a bad status, bad headers or a
        reply; nothing happens for an ACK."""
    def forward(self, message: Message, uri: str | None, targets: list[Target]) -> int:
        """Send a request on statelessly, to the first target that can be sent to: 1, or a negative RELAY_
        constant."""
    def forward_reply(self, message: Message) -> bool:
        """Relay a reply statelessly by its second Via, with the edits of `message`; False when it has no
        sane one."""
    def send_raw(self, data: bytes, target: Target) -> bool:
        """Send bytes as they are; False when no listener can."""
    def request(
        self, method: str, uri: str, headers: str, body: bytes, targets: list[Target]
    ) -> ClientTransaction:
        """Send a request of our own. `headers`: all header lines but Via, Content-Length and what is added
        when missing: Max-Forwards, CSeq, Call-ID, From-tag. ValueError when From or To is missing or
        anything is malformed."""
    def hold(self, message: Message) -> bool:
        """The script suspended before it created a transaction: absorb retransmissions of this request.
        False when the table is full. `new_transaction`, `reply`, `forward` and `unhold` end it, as do
        three minutes."""
    def unhold(self, message: Message) -> None: ...
    def counters(self) -> dict[str, int]:
        """Everything counted since the start, by dotted name: "received.requests", "dropped.short"."""
    def unanswered(self) -> int:
        """How many requests of others still wait for their final reply; looks at all transactions."""
    def live(self) -> dict[str, int]:
        """What there is now: "transactions", "clients", "timers", "queue", "held"."""
    def blacklist(self) -> list[tuple[str, str, int, float]]:
        """Destinations that did not answer lately: protocol, address, port, seconds left."""
    @property
    def blacklist_memory(self) -> tuple[int, int]:
        """Bytes that they take, about, and the most that they may take."""
    def add_alias(self, message: Message, port: int | None) -> bool:
        """Let requests to this port of a request's sender (None: its Via's) take the connection that the
        request came over. False: it came over none, or another one has that address."""
    def watch_connection(self, connection: int) -> bool:
        """Make the end of a connection an event; False when it has ended."""
    def answer_http(self, message: Message, answer: bytes) -> bool:
        """Answer an HTTP request with a whole response, and close its connection behind it. False: it has
        gone."""
    def close_connection(self, connection: int) -> None:
        """Close one, once what waits in it is sent."""
    def connection(self, connection: int) -> Connection | None: ...
    def set_tls(self, sections: Sequence[TlsSection]) -> None:
        """What new connections over TLS show and demand; those that stand keep what they have."""
    @property
    def most_connections(self) -> int:
        """How many there may be at once."""
    def connections(self) -> list[int]:
        """The numbers of all connections."""
    def named(self, target: Target, name: str) -> Target:
        """A target whose peer must show a certificate of this domain (RFC 5922); the same one where there
        are no certificates."""
    def clear_blacklist(self) -> int:
        """Forget them all; how many those were."""
    def poll_events(self, limit: int = 256) -> list[_Event]:
        """Take up to `limit` events off the queue."""

@final
class Connection:
    """A connection as it was when it was asked about. Immutable."""

    @property
    def number(self) -> int: ...
    @property
    def protocol(self) -> str: ...
    @property
    def listener(self) -> int:
        """Index of the listener that took it, or that it was made from."""
    @property
    def remote(self) -> tuple[str, int]:
        """The peer's address and port."""
    @property
    def local(self) -> tuple[str, int]: ...
    @property
    def is_ours(self) -> bool:
        """Whether we asked for it."""
    @property
    def is_open(self) -> bool:
        """Whether messages may flow (it is neither being made nor being closed)."""
    @property
    def aliases(self) -> list[tuple[str, int]]:
        """Other addresses whose messages take it (`force_tcp_alias`)."""
    @property
    def tls(self) -> TlsFacts | None:
        """What its TLS handshake came to; None before its end and without TLS."""
    @property
    def left(self) -> float:
        """Seconds until it is closed if nothing happens."""

@final
class TlsFacts:
    """What a TLS handshake came to. Immutable."""

    @property
    def version(self) -> str:
        """TLSv1.2 or TLSv1.3."""
    @property
    def cipher(self) -> str:
        """The cipher suite by IANA's name."""
    @property
    def server_name(self) -> str | None:
        """The name that the peer asked for (SNI)."""
    @property
    def is_verified(self) -> bool:
        """The peer showed a certificate, and it was checked and is good."""
    @property
    def peer(self) -> list[bytes]:
        """The peer's certificate and what it sent with it, as DER."""
    @property
    def own(self) -> bytes | None:
        """Our certificate, as DER."""

@final
class TlsSection:
    """How connections of one address, or of all others, are secured. Immutable.

    `address`: ours for connections that we take, the peer's for those that we make (`is_client`); None: all
    others. `identities`: certificate chain and key as PEM, with the server names that ask for it (none: all).
    `authorities`, `revoked`: PEM. `oldest`: 2 or 3, the oldest version TLS 1.x. `ciphers`: IANA's names.
    ValueError says what is wrong with a certificate, a key or a name.
    """

    def __new__(
        cls,
        *,
        is_client: bool,
        address: tuple[str, int] | None = None,
        identities: Sequence[tuple[bytes, bytes, Sequence[str]]] = ...,
        authorities: bytes = ...,
        revoked: bytes = ...,
        verify: bool = False,
        require: bool = False,
        oldest: int = 2,
        ciphers: Sequence[str] = ...,
    ) -> TlsSection: ...

@final
class Endpoint:
    """The core on real sockets.

    Selector mode (`threads=0`): the asyncio loop's selector calls `wait`, which does all I/O with the
    interpreter detached. Thread mode (`threads=1`): an I/O thread does it and `fileno()` becomes readable
    when events wait.
    """

    def __new__(cls, *, threads: int = 0, queue_limit: int = 4096, seed: int | None = None) -> Endpoint: ...
    @property
    def core(self) -> Core: ...
    def listen(
        self,
        protocol: str,
        ip: str,
        port: int,
        *,
        advertised_host: str | None = None,
        advertised_port: int | None = None,
        multicast_interface: str | None = None,
        multicast_ttl: int = 1,
        multicast_loopback: bool = False,
        tos: int = 16,
        receive_buffer: int = 4194304,
        reuse_port: bool = False,
    ) -> Listener:
        """Open a socket ("udp", "tcp" or "tls", else ValueError) and return its listener. A wildcard
        address stands for one listener for each address of the host, the first is returned. A multicast `ip`
        is joined on `multicast_interface` (its address or name). OSError with errno when the system refuses.
        """
    def fileno(self) -> int:
        """An eventfd that is readable while events wait (thread mode)."""
    def wait(self, timeout: float | None) -> list[tuple[int, int]]:
        """Selector mode: send what is queued, then do I/O until events wait, a registered descriptor is
        ready, `wake` is called or `timeout` seconds (None: for ever) have passed. Returns ready descriptors
        with EVENT_ bits. A signal ends the wait early."""
    def wake(self) -> None:
        """End a `wait` of another thread."""
    def register(self, fd: int, events: int) -> None:
        """Watch a foreign descriptor in `wait`; OSError."""
    def modify(self, fd: int, events: int) -> None: ...
    def unregister(self, fd: int) -> None: ...
    def flush(self) -> None:
        """Send what is queued, in as few system calls as possible; `wait` does it as well."""
    def acknowledge(self) -> None:
        """Thread mode: reset the eventfd before `poll_events`."""
    def now(self) -> float: ...
    @property
    def is_closed(self) -> bool: ...
    def close(self) -> None:
        """Send what is queued, stop the thread, close the sockets. Calls after it raise ValueError or do
        nothing."""

@final
class OfflineEndpoint:
    """The same core without sockets: time and datagrams are handed in, transmissions are polled.
    Deterministic: the same seed and the same calls give the same bytes."""

    def __new__(cls, *, seed: int = 0, queue_limit: int = 4096) -> OfflineEndpoint: ...
    @property
    def core(self) -> Core: ...
    def listen(
        self,
        protocol: str,
        ip: str,
        port: int,
        *,
        advertised_host: str | None = None,
        advertised_port: int | None = None,
    ) -> Listener:
        """A virtual listener; ValueError."""
    def receive(
        self, now: float, data: bytes, listener: int, ip: str, port: int, *, destination_ip: str | None = None
    ) -> None:
        """A datagram from ip:port arrives on a listener (`destination_ip`: for a wildcard one); ValueError
        for an unknown listener or a bad address. Time never goes back: an earlier `now` is taken as the
        last one."""
    def accept(self, now: float, listener: int, ip: str, port: int) -> int | None:
        """A peer at ip:port connects to a listener: the connection's number, or None: he is not wanted."""
    def connected(self, now: float, connection: int, ip: str, port: int) -> None:
        """A connection that `poll_streams` asked for stands; ip:port is our end of it."""
    def receive_stream(self, now: float, connection: int, data: bytes) -> None:
        """Bytes come over a connection."""
    def hang_up(self, now: float, connection: int, refused: bool) -> None:
        """The peer closed a connection, or refused it."""
    def poll_streams(self, now: float) -> list[tuple[int, tuple[str, str, str, int] | None, bytes | None]]:
        """What to do with connections, after `poll_transmits`: the number, and where to connect it to
        (protocol, our address, ip, port), or what to send, or neither: close it."""
    def transport_failed(self, now: float, data: bytes, ip: str, port: int) -> None:
        """The network says (ICMP) that this datagram, sent to ip:port, could not be delivered."""
    def advance(self, now: float) -> None:
        """Run all timers up to `now`."""
    def next_timeout(self) -> float | None:
        """When `advance` has something to do next; None: never."""
    def poll_transmits(self, limit: int = 1024) -> list[tuple[int, str, str, int, bytes]]:
        """What to send: listener, protocol, ip, port, data."""
