"""nathelper: recognise phones behind NAT, write the address that reaches them, and keep the way to them open.

Messages are read as received; changes take effect when they are written. Media are led through RTPProxy, or
a relay that speaks its protocol; a relay that does not answer costs the message that waits for it its time.

Pings go to the contacts that usrloc holds, from the socket by which they registered, spread evenly over
`natping_interval`. Contacts whose host is a name, and those with a Path (RFC 3327), are not pinged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_address
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, cast

from sipyard._native.core import NameAddr, ParseError, Uri
from sipyard.arguments import ArgumentError, Dynamic, Generation, Loading
from sipyard.attributes import Name
from sipyard.context import source_uri
from sipyard.edited import edited
from sipyard.errors import ConfigError
from sipyard.media.rtpproxy import Patience, Relay, RelayAddress, RelayError, RelaySet
from sipyard.module import Module, Parameter, function, parameter, select
from sipyard.modules.nathelper.pings import Pings, Registrations, Rounds
from sipyard.modules.nathelper.relaying import NotRelayed, Wishes, end_media, relay_media
from sipyard.selects import Reader, SelectPath
from sipyard.sip.field_text import for_log

if TYPE_CHECKING:
    from sipyard._native.core import Message
    from sipyard.context import Context
    from sipyard.engine import Engine

_PRIVATE: Final = [IPv4Network(each) for each in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]
# Up to a URI in angle brackets, a quoted display name passed over whole (RFC 3261 §20.10).
_BRACKET: Final = re.compile(rb'(?:"(?:[^"\\]|\\.)*"|[^"<])*<', re.DOTALL)
_PORT: Final = re.compile(rb":[0-9]+")
_MEDIA_ADDRESS: Final = re.compile(rb"^c=IN (IP[46]) ([^\s/]+)", re.MULTILINE)

_RTPPROXY: Final = "unix:/var/run/rtpproxy.sock"

CONTACT, SOURCE, VIA, SDP, PORT = 1, 2, 4, 8, 16
ACTIVE, ADDRESS, MARKER, PASSIVE = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Method:
    """A request method; "" none."""

    name: str
    says: ClassVar[str] = "a method, such as OPTIONS"

    @classmethod
    def from_script(cls, text: str, loading: Loading) -> Method:
        """As `modparam` writes it."""
        if re.fullmatch(r"[A-Z0-9.!%*_+`'~-]*", text) is None or text in ("INVITE", "ACK", "CANCEL"):
            raise ArgumentError(f'"{text}" is not a method to ping with', "write OPTIONS")
        return cls(text)


class _FlagsKind:
    says = "flags of force_rtp_proxy, such as r"

    def convert(self, value: str | int, loading: Loading) -> Wishes:
        try:
            return Wishes.parse(str(value))
        except ValueError as error:
            raise ArgumentError(str(error)) from error

    def convert_strict(self, value: object, loading: Loading) -> Wishes:
        return value if isinstance(value, Wishes) else self.convert(str(value), loading)


Flags = Annotated[Wishes, _FlagsKind()]
NO_FLAGS: Final = Wishes()


class NatHelper(Module):
    """nathelper: phones behind NAT."""

    name = "nathelper"
    acts_by_clock = True

    received_avp = Parameter(
        int, 42, "Number of the attribute that gets the received URI.", generations=Generation.SER_0_9
    )

    natping_interval = Parameter(int, 0, "Seconds between two pings of a contact; 0 none.")
    natping_method: Parameter[Method] = Parameter(
        Method,
        "",
        "Method of the request that pings; none: four zero bytes over UDP.",
        generations=Generation.SER_2_0,
    )
    ping_nated_only = Parameter(bool, False, "Ping only contacts that registered from behind NAT.")
    force_socket = Parameter(str, "", "Send pings from this listener: ``[proto:]host[:port]``.")

    rtpproxy_disable = Parameter(bool, False, "Use no media relay: force_rtp_proxy returns -1.")
    rtpproxy_disable_tout = Parameter(int, 60, "Seconds without a relay that did not answer.")
    rtpproxy_retr = Parameter(int, 5, "How often a command is sent again over UDP.")
    rtpproxy_tout = Parameter(int, 1, "Seconds of each try.")

    def __init__(self) -> None:
        super().__init__()
        self._rounds: Rounds | None = None
        self._addresses: list[RelayAddress] = []
        self._relays: RelaySet | None = None

    @parameter(str)
    def rtpproxy_sock(self, value: str) -> None:
        """Media relays, by blanks: ``unix:/path``, ``udp:host:port``, ``udp6:[host]:port``, with ``=2``
        behind for two shares of the calls. May be given several times; unix:/var/run/rtpproxy.sock if
        never."""
        try:
            self._addresses += [RelayAddress.parse(each) for each in value.split()]
        except ValueError as error:
            raise ArgumentError(str(error)) from error

    async def start(self, engine: Engine) -> None:
        """Ping contacts from now on, if that is wanted."""
        if not self.rtpproxy_disable:
            self._relays = self._relay_set(engine)
        pings = self._pings(engine)
        if self.natping_interval <= 0:
            return
        if "usrloc" not in engine.modules:
            raise ConfigError("nathelper: natping_interval needs usrloc", hint='loadmodule "usrloc"')
        usrloc: Registrations = cast("Registrations", engine.modules["usrloc"])
        interval = float(self.natping_interval)
        self._rounds = Rounds(pings, usrloc, interval, behind_nat=self.ping_nated_only)
        self._rounds.start()

    def _relay_set(self, engine: Engine) -> RelaySet:
        core = engine.core
        patience = Patience(
            max(self.rtpproxy_retr, 0) + 1, max(self.rtpproxy_tout, 1), max(self.rtpproxy_disable_tout, 0)
        )
        addresses = self._addresses or [RelayAddress.parse(_RTPPROXY)]
        return RelaySet([Relay(each, patience) for each in addresses], patience, lambda: core.now)

    def _pings(self, engine: Engine) -> Pings:
        listener = engine.listener_named(self.force_socket) if self.force_socket else None
        if self.force_socket and listener is None:
            raise ConfigError(f"nathelper: force_socket: not listening on {self.force_socket}")
        method = "" if self.generation is Generation.SER_0_9 else self.natping_method.name
        return Pings(engine, method, listener)

    async def stop(self) -> None:
        if self._rounds is not None:
            self._rounds.stop()

    @function("R", generations=Generation.SER_2_0)
    async def ping_contact(self, msg: Context, uri: Dynamic[str]) -> int:
        """Ping a URI at once, as registered contacts are. 1, or -1 when nothing can be sent there."""
        pings = self._pings(msg.engine)
        targets = await msg.targets_of(uri, -1 if pings.listener is None else pings.listener.index)
        return 1 if pings.ping(uri, targets) else -1

    @function("RFO")
    def nat_uac_test(self, msg: Context, tests: int) -> int:
        """1 when one of these signs of NAT is there, else -1. Sum of: 1 the first Contact is a private
        address (RFC 1918), 2 the source address is not the top Via's, 4 the top Via is a private address,
        8 the session description names a private address, 16 the source port is not the top Via's."""
        message = msg.message
        return 1 if _via_tells(message, tests) or _content_tells(message, tests) else -1

    @function("RO")
    def fix_nated_contact(self, msg: Context) -> int:
        """Put the source address and port in place of those of the first Contact; its parameters stay. 1, or
        -1 when there is no Contact that can be read, or it was changed otherwise before."""
        found = _contacts(msg.message)
        if not found:
            return -1
        edits, first, source = edited(msg), found[0], _source(msg.message).encode()
        if "contact" in edits.done:
            return 1
        if not edits.replace(msg.message, first.host_start, first.host_end, source):
            return -1
        edits.done.add("contact")
        return 1

    @function("R")
    def fix_nated_register(self, msg: Context) -> int:
        """SER 0.9: note the source as received URI for `save`, in the attribute `received_avp`. SER 2.0: add
        the parameter `received` to every Contact, for a registrar that the request is relayed to (`save` here
        takes the source by `save_nat_flag`). 1, or -1 when no Contact can be read."""
        if self.generation is Generation.SER_2_0:
            return self.add_rcv_param(msg)
        msg.attributes.assign(Name(str(self.received_avp)), source_uri(msg.message))
        return 1

    @function("R", generations=Generation.SER_0_9)
    def add_rcv_param(self, msg: Context) -> int:
        """Add the parameter `received` to every Contact. 1, or -1 when no Contact can be read."""
        found = _contacts(msg.message)
        if not found:
            return -1
        edits = edited(msg)
        if "received" not in edits.done:
            edits.done.add("received")
            parameter = f';received="{source_uri(msg.message)}"'.encode()
            for contact in found:
                edits.insert(msg.message, contact.end, parameter)
        return 1

    @function("RFO")
    def fix_nated_sdp(self, msg: Context, changes: int) -> int:
        """Change the session description. Sum of: 1 add `a=direction:active`, 2 put the source address into
        the `c=` lines, 4 add `a=nortpproxy:yes`, 8 add `a=direction:passive`. 1, or -1 without one."""
        message = msg.message
        if not _has_sdp(message):
            return -1
        edits = edited(msg)
        done = edits.done
        if changes & ADDRESS and "sdp" not in done:
            done.add("sdp")
            version = b"IP6" if ":" in message.source_ip else b"IP4"
            for line in _MEDIA_ADDRESS.finditer(message.body):
                start, end = (message.body_start + each for each in (line.start(1), line.end(2)))
                edits.replace(message, start, end, version + b" " + message.source_ip.encode())
        lines = {ACTIVE: "direction:active", MARKER: "nortpproxy:yes", PASSIVE: "direction:passive"}
        added = [text for bit, text in lines.items() if changes & bit and text not in done]
        if added:
            done.update(added)
            lead = "" if message.body.endswith(b"\n") else "\r\n"
            text = lead + "".join(f"a={each}\r\n" for each in added)
            edits.insert(message, message.body_start + len(message.body), text.encode())
        return 1

    @function("RO")
    async def force_rtp_proxy(
        self, msg: Context, flags: Flags = NO_FLAGS, ip: Dynamic[str] | None = None
    ) -> int:
        """Lead the media through a relay: an INVITE begins a session there, a reply finds it. Flags: a both
        sides send from other ports than they say, i and e the relay's inner and outer side (first where the
        message came from), l find a session also for an INVITE, f also when another relay is in use, r
        believe the session description and not the source address, nN take relay N. `ip` is written in place
        of the relay's address. 1, or -1: no session description that can be changed, or no relay."""
        if self._relays is None or not _has_sdp(msg.message):
            return -1
        await msg.engine.in_task()
        try:
            await relay_media(msg, self._relays, flags, ip or "")
        except (NotRelayed, RelayError) as error:
            msg.engine.log_incident(f"force_rtp_proxy: {for_log(str(error))}")
            return -1
        return 1

    @function("RFO")
    async def unforce_rtp_proxy(self, msg: Context, flags: Flags = NO_FLAGS) -> int:
        """Tell the relay that the call is over (`nN`: relay N). 1, or -1: it knows none, or does not
        answer."""
        if self._relays is None:
            return -1
        await msg.engine.in_task()
        try:
            return 1 if await end_media(msg, self._relays, flags.node) else -1
        except (NotRelayed, RelayError) as error:
            msg.engine.log_incident(f"unforce_rtp_proxy: {for_log(str(error))}")
            return -1

    @select("nathelper")
    def rewritten(self, path: SelectPath) -> Reader:
        """The value of a Contact as fix_nated_contact would write it: `@nathelper.rewrite_contact[1]`, and
        `.nameaddr.uri` or `.nameaddr.name` of it."""
        parts = tuple(step.name for step in path[2:])
        if len(path) < 2 or path[1].name != "rewrite_contact":
            raise ArgumentError("@nathelper has one part", "write @nathelper.rewrite_contact[1]")
        if parts not in ((), ("nameaddr",), ("nameaddr", "uri"), ("nameaddr", "name")):
            raise ArgumentError(f"@nathelper.rewrite_contact has no part {'.'.join(parts)}")
        number = path[1].index or 1
        return lambda msg: _rewritten(msg.message, number, parts[1] if len(parts) > 1 else "")


# -- tests ---------------------------------------------------------------------------------------------------


def _is_private(host: str) -> bool:
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.version == 4 and any(address in network for network in _PRIVATE)


def _is_address(host: str, ip: str) -> bool:
    try:
        return ip_address(host.strip("[]")) == ip_address(ip)
    except ValueError:
        return False


def _via_tells(message: Message, tests: int) -> bool:
    try:
        via = message.via()
    except ParseError:
        return False
    if via is None:
        return False
    return bool(
        (tests & SOURCE and not _is_address(via.host, message.source_ip))
        or (tests & VIA and _is_private(via.host))
        or (tests & PORT and message.source_port != (via.port or 5060))
    )


def _content_tells(message: Message, tests: int) -> bool:
    if tests & CONTACT:
        found = _contacts(message)
        if found and _is_private(found[0].host):
            return True
    if not tests & SDP or not _has_sdp(message):
        return False
    return any(
        _is_private(line[2].decode("ascii", "replace")) for line in _MEDIA_ADDRESS.finditer(message.body)
    )


def _has_sdp(message: Message) -> bool:
    kind = (message.content_type or "").partition(";")[0].strip().lower()
    return bool(message.body) and kind == "application/sdp"


# -- addresses -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Contact:
    """One Contact value: where it stands in the message as received, and where its host[:port] does."""

    start: int
    end: int
    host: str
    host_start: int
    host_end: int


def _contacts(message: Message) -> list[_Contact]:
    """The Contact values with SIP URIs in order; [] for `*` or when one cannot be read."""
    raw, found = message.raw, []
    fields = [(start, end) for name, _, start, end in message.fields() if name.lower() in ("contact", "m")]
    try:
        if message.contact_star:
            return []
        at = -1
        for value in message.values("Contact"):
            text = value.encode("utf-8", "surrogateescape")
            places = (raw.find(text, max(start + 2, at), end) for start, end in fields if at < end)
            start = next((place for place in places if place >= 0), -1)
            if start < 0:
                return []
            at = start + len(text)
            if (contact := _located(value, text, start)) is not None:
                found.append(contact)
    except ParseError:
        return []
    return found


def _located(value: str, text: bytes, start: int) -> _Contact | None:
    written = NameAddr(value).uri
    uri = Uri(written)
    if uri.scheme not in ("sip", "sips"):
        return None
    bracket = _BRACKET.match(text)
    at = text.find(written.encode("utf-8", "surrogateescape"), bracket.end() if bracket else 0)
    before = len(uri.scheme) + 1
    if uri.user is not None:
        secret = "" if uri.password is None else f":{uri.password}"
        before += len(f"{uri.user}{secret}@".encode("utf-8", "surrogateescape"))
    host = uri.host.encode("utf-8", "surrogateescape")
    begin = at + before
    if at < 0 or text[begin : begin + len(host)] != host:
        return None
    port = _PORT.match(text, begin + len(host))
    end = port.end() if port else begin + len(host)
    return _Contact(start, start + len(text), uri.host, start + begin, start + end)


def _source(message: Message) -> str:
    ip = f"[{message.source_ip}]" if ":" in message.source_ip else message.source_ip
    return f"{ip}:{message.source_port}"


def _rewritten(message: Message, number: int, part: str) -> str | None:
    found, raw = _contacts(message), message.raw
    if not 1 <= number <= len(found):
        return None
    contact = found[number - 1]
    before, after = raw[contact.start : contact.host_start], raw[contact.host_end : contact.end]
    text = (before + _source(message).encode() + after).decode("utf-8", "surrogateescape")
    if not part:
        return text
    value = NameAddr(text)
    return value.uri if part == "uri" else value.display_name
