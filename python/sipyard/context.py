"""What a route sees: one message on its way, and SER's core statements as methods.

A context is made per message and route kind, so it is a plain `__slots__` object; everything that costs
something (attributes, parsed URIs) comes to be when asked for. `uri` and `dst_uri` forget the cached `target`
when they are assigned; whoever knows the target already uses `set_destination`.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import RouteKind
from sipyard.attributes import Attributes
from sipyard.child import run_program
from sipyard.fault import Fault
from sipyard.sip.field_text import for_log
from sipyard.sip.hostport import split_hostport
from sipyard.sip.resolver import ResolutionError

if TYPE_CHECKING:
    from sipyard._native.core import Core, Listener, Message, Target, Transaction
    from sipyard.engine import Engine, Routes
    from sipyard.sip.digest import Verified
    from sipyard.sip.lookup import Budget

MAX_BRANCHES: Final = 12
MAX_URI: Final = 1024

# SER's log() levels, -3 (alert) to 4 (debug), as levels of `logging`; 25 is NOTICE.
LEVELS: Final = {
    -3: logging.CRITICAL,
    -2: logging.CRITICAL,
    -1: logging.ERROR,
    0: logging.ERROR,
    1: logging.WARNING,
    2: 25,
    3: logging.INFO,
    4: logging.DEBUG,
}
_script_log = logging.getLogger("sipyard.script")


class AppendedBranch:
    """A branch beside the Request-URI: where else the next t_relay sends. `q` in thousandths, -1 none; `path`
    are Route values for this branch only (RFC 3327)."""

    __slots__ = ("dst_uri", "path", "q", "send_socket", "target", "uri")

    def __init__(
        self,
        uri: str,
        q: int = -1,
        dst_uri: str | None = None,
        target: Target | None = None,
        send_socket: Listener | None = None,
        path: str = "",
    ) -> None:
        self.uri = uri
        self.path = path
        self.q = q
        self.dst_uri = dst_uri
        self.target = target
        self.send_socket = send_socket


class Context:
    """One message in one route (`msg` there).

    :ivar message: the request; in onreply routes the reply.
    :ivar kind: which kind of route runs.
    :ivar reply: failure routes: the picked reply, None when a branch timed out or was never sent.
    :ivar reply_status: failure routes: the picked status; onreply routes: the reply's; otherwise 0.
    :ivar error: why the last failing action failed (`Fault`), 0 when none did.
    :ivar retcode: ``$?``: result of the last route or function.
    :ivar outgoing: onsend routes: where the request is about to go.
    :ivar is_hooked: a module wants the transaction remembered (`Engine.remember`) although no route is armed.
    :ivar is_settled: the transaction was answered, relayed or released; what is not is released after the
    script.
    :ivar path: Route values that the Request-URI's branch gets (RFC 3327: a registered contact's Path).
    :ivar timers: seconds (fr_inv, fr) set before there was a transaction; 0 unchanged.
    :ivar verified: digest credentials that were checked and found right, None when there are none.
    """

    __slots__ = (
        "_advertised",
        "_attributes",
        "_dns_budget",
        "_dst_uri",
        "_notes",
        "_routes",
        "_uri",
        "branches",
        "core",
        "engine",
        "error",
        "flags",
        "is_hooked",
        "is_settled",
        "kind",
        "message",
        "on_branch",
        "on_failure",
        "on_reply",
        "outgoing",
        "path",
        "reply",
        "reply_status",
        "retcode",
        "ruri_q",
        "send_socket",
        "target",
        "timers",
        "transaction",
        "verified",
    )

    def __init__(self, engine: Engine, message: Message, kind: RouteKind = RouteKind.REQUEST) -> None:
        self.engine = engine
        self.core: Core = engine.core
        self.message = message
        self.kind = kind
        self._uri: str | None = None
        self._dst_uri: str | None = None
        self.target: Target | None = None
        self.send_socket: Listener | None = None
        self.ruri_q = -1
        self.path = ""
        self.branches: list[AppendedBranch] | tuple[()] = ()
        self.flags = 0
        self.retcode = 1
        self.error: int = 0
        self.transaction: Transaction | None = None
        self.on_failure: str | None = None
        self.on_reply: str | None = None
        self.on_branch: str | None = None
        self.is_hooked = False
        self.is_settled = False
        self.reply: Message | None = None
        self.reply_status = 0
        self.outgoing: Target | None = None
        self.timers: tuple[float, float] | None = None
        self.verified: Verified | None = None
        self._attributes: Attributes | None = None
        self._notes: dict[str, Any] | None = None
        self._advertised: tuple[str | None, int | None] | None = None
        self._dns_budget: Budget | None = None

    # -- state -----------------------------------------------------------------------------------------------

    @property
    def routes(self) -> Routes:
        """The version of the script that this message began under: the engine's present one, until somebody
        keeps it because the message waits or a transaction goes on. (The slot stays empty till then.)"""
        kept: Routes | None = getattr(self, "_routes", None)
        return self.engine.routes if kept is None else kept

    @routes.setter
    def routes(self, value: Routes) -> None:
        self._routes = value

    @property
    def uri(self) -> str | None:
        """The rewritten Request-URI, None while it is the received one."""
        return self._uri

    @uri.setter
    def uri(self, value: str | None) -> None:
        self._uri = value
        self.target = None

    @property
    def dst_uri(self) -> str | None:
        """Next hop when it is not the Request-URI: a route, a registered address behind NAT…"""
        return self._dst_uri

    @dst_uri.setter
    def dst_uri(self, value: str | None) -> None:
        self._dst_uri = value
        self.target = None

    @property
    def request_uri(self) -> str:
        """The current Request-URI, rewritten or as received."""
        return self.message.request_uri if self._uri is None else self._uri

    @property
    def next_hop(self) -> str:
        """Where the request goes: dst_uri, else the current Request-URI."""
        return self._dst_uri or self._uri or self.message.request_uri

    @property
    def attributes(self) -> Attributes:
        """Attributes (AVPs) of the message, or of its transaction in the routes that follow."""
        attributes = self._attributes
        if attributes is None:
            attributes = self._attributes = Attributes(self.engine.global_attributes)
        return attributes

    @attributes.setter
    def attributes(self, value: Attributes | None) -> None:
        self._attributes = value

    @property
    def has_attributes(self) -> bool:
        """Whether reading them could find any; spares making the lists."""
        return bool(self._attributes) if self._attributes is not None else bool(self.engine.global_attributes)

    @property
    def notes(self) -> dict[str, Any]:
        """What modules note about this message for later calls, by module name."""
        if self._notes is None:
            self._notes = {}
        return self._notes

    def note(self, name: str) -> Any:
        """A module's note, None when it made none. Cheaper than `notes` when there is none."""
        return None if self._notes is None else self._notes.get(name)

    def set_destination(
        self,
        uri: str,
        dst_uri: str | None = None,
        target: Target | None = None,
        send_socket: Listener | None = None,
        q: int = -1,
        path: str = "",
    ) -> None:
        """Rewrite the Request-URI and the next hop at once, with the target when it is known (a registered
        contact's is computed once, when it registers)."""
        self._uri = uri
        self._dst_uri = dst_uri
        self.target = target
        self.ruri_q = q
        self.path = path
        if send_socket is not None:
            self.send_socket = send_socket

    def add_branch(
        self,
        uri: str,
        q: int = -1,
        dst_uri: str | None = None,
        target: Target | None = None,
        send_socket: Listener | None = None,
        path: str = "",
    ) -> bool:
        """Append a branch; False when there are as many as allowed."""
        limit = MAX_BRANCHES if self.kind is RouteKind.FAILURE else MAX_BRANCHES - 1
        if len(self.branches) >= limit:
            self.error = Fault.TOO_MANY_BRANCHES
            return False
        branch = AppendedBranch(uri, q, dst_uri, target, send_socket, path)
        if isinstance(self.branches, tuple):
            self.branches = [branch]
        else:
            self.branches.append(branch)
        return True

    def clear_branches(self) -> None:
        """Drop all appended branches."""
        self.branches = ()

    def redirect_contact(self) -> str:
        """The Contact line of a local 3xx: the rewritten Request-URI (if it was) and all branches, "" when
        there is nothing to name. RFC 3261 §8.1.3.4."""
        values = [] if self._uri is None else [(self._uri, self.ruri_q)]
        values += [(branch.uri, branch.q) for branch in self.branches]
        if not values:
            return ""
        texts = (f"<{uri}>" if q < 0 else f"<{uri}>;q={q / 1000:g}" for uri, q in values)
        return f"Contact: {', '.join(texts)}\r\n"

    # -- Request-URI -----------------------------------------------------------------------------------------

    def _rewrite(self, **parts: Any) -> int:
        """Replace parts of the current Request-URI. tel: and the like become sip:, sips: stays (RFC 3261
        §26.2.2: no downgrade). 1, or -1 with the URI unchanged."""
        try:
            uri = Uri(self.request_uri)
            changed = str(uri.replace(scheme="sips" if uri.scheme == "sips" else "sip", **parts))
        except ParseError:
            self.error = Fault.BAD_URI
            return -1
        return self.rewrite_uri(changed)

    def routed_message(self) -> Message:
        """The message to send to the Request-URI's branch: with the Route values of `path` on top of those
        it has, in a copy, since other branches do not get them."""
        if not self.path:
            return self.message
        message = self.message.copy()
        message.prepend_header(f"Route: {self.path}\r\n")
        return message

    def rewrite_uri(self, text: str) -> int:
        """seturi: the whole Request-URI. dst_uri stays, as in SER: after loose_route the route still
        leads."""
        if len(text) > MAX_URI:
            self.error = Fault.BAD_URI
            return -1
        self._uri = text
        self.target = None
        return 1

    def revert_uri(self) -> int:
        """Drop all rewriting of the Request-URI."""
        self.uri = None
        self.ruri_q = -1
        self.path = ""
        return 1

    def rewrite_user(self, user: str) -> int:
        """setuser: the user part; an empty one removes it."""
        return self._rewrite(user=user or None)

    def rewrite_userpass(self, text: str) -> int:
        """setuserpass: ``user[:password]``."""
        user, colon, password = text.partition(":")
        return self._rewrite(user=user or None, password=password if colon else None)

    def rewrite_host(self, host: str) -> int:
        """sethost: the host; the port stays."""
        return self._rewrite(host=host)

    def rewrite_hostport(self, text: str) -> int:
        """sethostport: ``host[:port]``; an old port goes."""
        host, port = split_hostport(text)
        if port is not None and not port.isdecimal():
            self.error = Fault.BAD_URI
            return -1
        return self._rewrite(host=host, port=int(port) if port else None)

    def rewrite_port(self, text: str) -> int:
        """setport: the port; an empty text removes it (SER left a dangling colon)."""
        if text and not text.isdecimal():
            self.error = Fault.BAD_URI
            return -1
        return self._rewrite(port=int(text) if text else None)

    def _user(self) -> str | None:
        try:
            return Uri(self.request_uri).user or ""
        except ParseError:
            self.error = Fault.BAD_URI
            return None

    def prefix(self, text: str) -> int:
        """Put text before the user part."""
        user = self._user()
        return -1 if user is None else self.rewrite_user(text + user)

    def strip(self, count: int) -> int:
        """Take characters off the front of the user part; too many empty it."""
        user = self._user()
        return -1 if user is None else self.rewrite_user(user[max(count, 0) :])

    def strip_tail(self, count: int) -> int:
        """Take characters off the end of the user part; too many empty it."""
        user = self._user()
        return -1 if user is None else self.rewrite_user(user[: max(len(user) - max(count, 0), 0)])

    @property
    def uri_host(self) -> str:
        """Host of the current Request-URI (``uri:host``); "" when it has none that can be read."""
        try:
            return Uri(self.request_uri).host
        except ParseError:
            return ""

    @property
    def uri_port(self) -> int:
        """Port of the current Request-URI (``uri:port``), 0 when it has none."""
        try:
            return Uri(self.request_uri).port or 0
        except ParseError:
            return 0

    def append_branch(self, uri: str | None = None, q: str | int | None = None) -> int:
        """Add a branch for the next relay: the given URI, or the current one, without its dst_uri."""
        if uri is not None and not _is_uri(uri):
            self.error = Fault.BAD_URI
            return -1
        try:
            thousandths = self.ruri_q if q is None and uri is None else q_of(q)
        except ValueError:
            self.error = Fault.BAD_Q
            return -1
        return 1 if self.add_branch(uri or self.request_uri, thousandths) else -1

    # -- flags, sockets, log ---------------------------------------------------------------------------------

    def set_flag(self, flag: int) -> int:
        """setflag: 0 to 31."""
        self.flags |= 1 << flag
        return 1

    def reset_flag(self, flag: int) -> int:
        """resetflag."""
        self.flags &= ~(1 << flag)
        return 1

    def is_flag_set(self, flag: int) -> int:
        """isflagset: 1 or -1."""
        return 1 if self.flags >> flag & 1 else -1

    def force_rport(self) -> int:
        """Answer to the source port even when the top Via does not ask for it (RFC 3581)."""
        self.message.force_rport()
        return 1

    def force_tcp_alias(self, port: int | None = None) -> int:
        """Requests to this port of the request's sender (by default its Via's) take the connection that it
        came over. A datagram has none, so nothing is to be done (SER: the same). -1: another connection has
        that address, or this one has four aliases already."""
        message = self.message
        if not message.connection or self.engine.core.add_alias(message, port):
            return 1
        self.log(
            -1, f"force_tcp_alias: {message.source_ip} has another connection of port {port or 'its Via'}"
        )
        return -1

    def force_send_socket(self, name: str | Listener) -> int:
        """Send from this listener: ``[proto:]host[:port]`` as listened on. -1 when there is none."""
        listener = self.engine.listener_named(name) if isinstance(name, str) else name
        if listener is None:
            self.error = Fault.NO_SOCKET
            self.log(-1, f"force_send_socket: not listening on {name}")
            return -1
        self.send_socket = listener
        self.target = None
        return 1

    def set_advertised_address(self, host: str) -> int:
        """Host of the Via (and Record-Route) that this message gets."""
        _, port = self._advertised or (None, None)
        self._advertised = (host, port)
        self.message.set_advertised(host, port)
        return 1

    def set_advertised_port(self, port: int | str) -> int:
        """Port of the Via (and Record-Route) that this message gets."""
        host, _ = self._advertised or (None, None)
        self._advertised = (host, int(port))
        self.message.set_advertised(host, int(port))
        return 1

    def log(self, level: int, text: str) -> int:
        """Print at SER's level (-3 alert … 4 debug) when the server's `debug` is at least that."""
        if level <= self.engine.debug:
            _script_log.log(LEVELS.get(level, logging.DEBUG), "%s", text.rstrip("\n"))
        return 1

    def error_text(self, source: str, target: str) -> int:
        """error("from", "to"): SER parses it and does nothing; here it is at least logged."""
        return self.log(-1, f"error: {source} {target}")

    async def exec(self, command: str) -> int:
        """Run a shell command that the script wrote, without waiting on anybody else's message. 1, or -1 when
        it fails or has to be killed."""
        await self.engine.in_task()
        try:
            status, _ = await run_program(command)
        except (OSError, TimeoutError) as error:
            self.error = Fault.EXTERNAL_LOGIC
            self.engine.log_incident(f"exec: {command!r}: {error or 'took too long and was killed'}")
            return -1
        return 1 if status == 0 else -1

    # -- stateless sending -----------------------------------------------------------------------------------

    @property
    def listener_index(self) -> int:
        """Index of the forced listener, -1 when the core may choose."""
        return -1 if self.send_socket is None else self.send_socket.index

    @property
    def dns_budget(self) -> Budget:
        """What this message may still wait for the DNS, all its branches together."""
        if self._dns_budget is None:
            self._dns_budget = self.engine.resolver.budget()
        return self._dns_budget

    async def targets_of(self, uri: str, listener: int = -1, key: str | None = None) -> list[Target]:
        """Targets of a URI in order of preference, at least one; [] with `error` set when there is none.
        `key` is that of `Resolver.targets`."""
        try:
            target = self.core.target(uri, listener)
            if target is not None:
                return [target]
            return await self.engine.resolver.targets(self.core, uri, listener, self.dns_budget, key)
        except ParseError:
            self.error = Fault.BAD_URI
        except ResolutionError as error:
            self.error = Fault.UNRESOLVABLE
            self.engine.log_incident(f"cannot resolve: {for_log(str(error))}", logging.INFO)
        except ValueError as error:  # RFC 3263 §4.1: no transport that we and they share
            self.error = Fault.NO_SOCKET
            self.engine.log_incident(f"cannot send: {error}", logging.WARNING)
        return []

    async def targets_at(self, host: str, port: int | None, protocol: str | None) -> list[Target]:
        """Targets of a host and port that the script names, as `targets_of`."""
        return await self.targets_of(uri_at(host, port, protocol), self.listener_index, self.message.call_id)

    async def forward(
        self, host: str | None = None, port: int | None = None, protocol: str | None = None
    ) -> int:
        """Stateless relay to the next hop or to the host given. 1, or -1 with `error` set."""
        if host is None:
            known = self.target
            targets = (
                [known]
                if known is not None
                else await self.targets_of(self.next_hop, self.listener_index, self.message.call_id)
            )
        else:
            targets = await self.targets_at(host, port, protocol)
        if self.engine.watches_sending:
            targets = await self.engine.allowed_targets(self, targets)
        if not targets:
            self.error = self.error or Fault.SEND_FAILED
            return -1
        if self.core.forward(self.routed_message(), self._uri, targets) > 0:
            return 1
        self.error = Fault.SEND_FAILED
        return -1

    async def send(self, host: str, port: int | None = None, protocol: str | None = None) -> int:
        """Send the bytes as they were received. 1, or -1 with `error` set."""
        targets = await self.targets_at(host, port, protocol)
        if targets and self.core.send_raw(self.message.raw, targets[0]):
            return 1
        self.error = self.error or Fault.SEND_FAILED
        return -1


def _is_uri(text: str) -> bool:
    try:
        Uri(text)
    except ParseError:
        return False
    return len(text) <= MAX_URI


def uri_at(host: str, port: int | None, protocol: str | None) -> str:
    """The URI that means a host, port and protocol named by a script; brackets are added to IPv6."""
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    transport = f";transport={protocol}" if protocol else ""
    return f"sip:{host}{f':{port}' if port else ''}{transport}"


def source_uri(message: Message) -> str:
    """The URI that leads back to where a message came from (the received parameter of bindings)."""
    protocol = None if message.protocol == "udp" else message.protocol
    return uri_at(message.source_ip, message.source_port, protocol)


def q_of(value: str | int | None) -> int:
    """Thousandths of a q value written as in RFC 3261 §25.1 ("0.7", "1"); -1 for none.

    :raises ValueError: not between 0 and 1 with at most three decimals.
    """
    if value is None or value == "":
        return -1
    whole, _, decimals = str(value).partition(".")
    is_number = whole in ("0", "1", "") and f"0{decimals}".isdecimal() and bool(whole or decimals)
    if not is_number or len(decimals) > 3:
        raise ValueError(f"{value!r} is not a q value")
    thousandths = int(whole or "0") * 1000 + int(decimals.ljust(3, "0") or "0")
    if thousandths > 1000:
        raise ValueError(f"{value!r} is above 1")
    return thousandths
