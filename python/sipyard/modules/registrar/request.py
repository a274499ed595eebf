"""What a REGISTER asks for (RFC 3261 §10.2): its contacts as bindings to be, or everything to go.

The whole request is read before anything is changed; what is wrong with it is raised as `Refused`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipyard._native.core import NameAddr, ParseError, Uri
from sipyard.context import q_of
from sipyard.modules.usrloc import Contact
from sipyard.modules.usrloc.extras import method_mask
from sipyard.modules.usrloc.table import SharedTexts
from sipyard.sip.field_text import one_line

if TYPE_CHECKING:
    from sipyard._native.core import Message
    from sipyard.context import Context
    from sipyard.modules.usrloc.contact import Attribute

LONGEST_URI: Final = 1024
LONGEST_CALL_ID: Final = 512
LONGEST_TEXT: Final = 255
LONGEST_PATH: Final = 2048
BAD_EXPIRES: Final = 3600
"""RFC 3261 §10.2.1.1: a malformed value is as 3600."""
LATEST: Final = 2**31 - 1
HOUR: Final = 3600


class Refused(Exception):
    """The REGISTER is answered with this instead."""

    def __init__(self, status: int, reason: str, why: str, headers: str = "") -> None:
        super().__init__(why)
        self.status = status
        self.reason = reason
        self.why = why
        self.headers = headers


def bad_request(why: str) -> Refused:
    """400, with the reason for the log of whoever wrote the client."""
    return Refused(400, "Bad Request", why)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the parameters say about expiry and q."""

    default_expires: int = 3600
    min_expires: int = 60
    max_expires: int = 0
    default_q: int = -1
    reject_too_brief: bool = False
    received_param: str = "received"
    contact_limit: int = 128
    keeps_methods: bool = False

    def seconds(self, asked: int) -> int:
        """How long a binding lasts that asked for so many seconds; 0 removes and stays 0.

        :raises Refused: 423 when the script wants brief intervals refused.
        """
        if self.min_expires <= asked <= (self.max_expires or LATEST):
            return asked
        if asked <= 0:
            return 0
        if asked < self.min_expires:
            # RFC 3261 §10.3 step 7: only intervals below an hour may be refused.
            if self.reject_too_brief and asked < HOUR:
                headers = f"Min-Expires: {self.min_expires}\r\n"
                raise Refused(423, "Interval Too Brief", f"{asked} s is too brief", headers)
            asked = self.min_expires
        if 0 < self.max_expires < asked:
            asked = self.max_expires
        return min(asked, LATEST)


class Registration:
    """One REGISTER.

    :ivar contacts: the bindings to be, in order; one with `expires` 0 is to go.
    :ivar is_star: all bindings are to go.
    """

    __slots__ = ("aor", "call_id", "contacts", "cseq", "is_star", "uid")

    def __init__(self, uid: str, aor: str, call_id: str, cseq: int) -> None:
        self.uid = uid
        self.aor = aor
        self.call_id = call_id
        self.cseq = cseq
        self.contacts: list[Contact] = []
        self.is_star = False


class Circumstances:
    """What every contact of one REGISTER shares besides what the message says of it."""

    __slots__ = ("attributes", "flags", "methods", "now", "path", "received", "socket")

    def __init__(
        self,
        now: float,
        socket: str,
        flags: int,
        received: str,
        path: str,
        attributes: tuple[Attribute, ...] | None,
    ) -> None:
        self.now = now
        self.socket = socket
        self.flags = flags
        self.received = received
        self.path = path
        self.attributes = attributes
        self.methods = 0


def read(msg: Context, uid: str, limits: Limits, shared: SharedTexts, around: Circumstances) -> Registration:
    """Read a REGISTER; Refused."""
    message = msg.message
    aor, call_id = message.to_uri or "", message.call_id
    if len(call_id) > LONGEST_CALL_ID or len(aor) > LONGEST_URI:
        raise bad_request("Call-ID or To is too long")
    registration = Registration(uid, aor, call_id, message.cseq_number)
    try:
        values = message.contacts()
    except ParseError as error:
        raise bad_request(f"Contact: {error}") from None
    if not values:
        return registration
    if isinstance(values, str):
        _read_star(registration, message)
        return registration
    if len(values) > limits.contact_limit:
        raise Refused(503, "Service Unavailable", f"{len(values)} contacts in one request are too many")
    expires = message.expires
    default = limits.default_expires if expires is None else expires
    agent = message.header("User-Agent") or ""
    if len(agent) > LONGEST_TEXT or not agent.isprintable():
        agent = one_line(agent)[:LONGEST_TEXT]
    agent = shared(agent)
    if limits.keeps_methods:
        around.methods = method_mask(message.values("Allow"))
    for value in values:
        registration.contacts.append(_binding(registration, value, default, agent, limits, around))
    return registration


def _read_star(registration: Registration, message: Message) -> None:
    # RFC 3261 §10.2.2: "*" only with an Expires header field of 0, and nothing beside it.
    if message.expires != 0:
        raise bad_request("Contact * needs Expires: 0")
    registration.is_star = True


def _binding(
    registration: Registration,
    value: NameAddr,
    default: int,
    agent: str,
    limits: Limits,
    around: Circumstances,
) -> Contact:
    uri = value.uri
    if len(uri) > LONGEST_URI:
        raise bad_request("Contact URI is too long")
    seconds, q, received, instance = default, limits.default_q, around.received, ""
    if value.parameters:
        if (text := value.parameter("expires")) is not None:
            seconds = _seconds(text)
        if (text := value.parameter("q")) is not None:
            q = _q(text)
        if text := value.parameter(limits.received_param):
            received = _received(text)
        if text := value.parameter("+sip.instance"):
            instance = _instance(text, value.parameter("reg-id"))
    seconds = limits.seconds(seconds)
    contact = Contact(registration.uid, uri, around.now + seconds if seconds else 0)
    contact.aor = registration.aor
    contact.q = q
    contact.call_id = registration.call_id
    contact.cseq = registration.cseq
    contact.flags = around.flags
    contact.user_agent = agent
    contact.received = received
    contact.instance = instance
    contact.path = around.path
    contact.socket = around.socket
    contact.attributes = around.attributes
    if limits.keeps_methods:
        contact.methods = method_mask((value.parameter("methods") or "").split(",")) or around.methods
    return contact


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        return BAD_EXPIRES
    return int(text) if len(text) <= 10 else LATEST


def _q(text: str) -> int:
    try:
        return q_of(text)
    except ValueError:
        raise bad_request("Invalid q parameter") from None


def _received(text: str) -> str:
    if len(text) > LONGEST_TEXT or not text.isprintable() or any(char in text for char in '"<> \\'):
        raise bad_request("received is not a URI")
    try:
        Uri(text)
    except ParseError:
        raise bad_request("received is not a URI") from None
    return text


def _instance(text: str, reg_id: str | None) -> str:
    """The instance, with the reg-id when there is one: flows of one instance are bindings of their own (RFC
    5626 §4.2)."""
    if len(text) > LONGEST_TEXT or not text.isprintable() or '"' in text or "\\" in text:
        raise bad_request("+sip.instance is malformed")
    if reg_id and reg_id.isascii() and reg_id.isdigit() and len(reg_id) <= 10:
        return f"{text};reg-id={int(reg_id)}"
    return text


def tokens(msg: Context, name: str) -> list[str]:
    """Option tags of a header, in lower case."""
    return [tag for value in msg.message.values(name) if (tag := one_line(value).strip().lower())]


def path_of(message: Message) -> str:
    """The Path values, top first, with commas between (RFC 3327 §5.3); Refused."""
    values = [one_line(value) for value in message.values("Path")]
    try:
        for value in values:
            Uri(NameAddr(value).uri)
    except ParseError as error:
        raise bad_request(f"Path: {error}") from None
    path = ", ".join(values)
    if len(path) > LONGEST_PATH:
        raise bad_request("Path is too long")
    return path
