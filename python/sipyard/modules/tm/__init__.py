"""tm: transactions (RFC 3261 §16 and §17). The machines are the core's; this is what scripts say to them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from sipyard._native.core import ParseError
from sipyard.arguments import (
    ArgumentError,
    BranchRouteName,
    Dynamic,
    FailureRouteName,
    Generation,
    OnreplyRouteName,
    RouteKind,
    number_of,
)
from sipyard.attributes import Name, Track
from sipyard.module import function, parameter
from sipyard.modules.tm import dump as dumping
from sipyard.modules.tm import relay as relaying
from sipyard.modules.tm.commands import Commands
from sipyard.modules.tm.relay import Destination, relay_at_once
from sipyard.regex import Regex
from sipyard.sip.hostport import split_hostport

if TYPE_CHECKING:
    from sipyard._native.core import Transaction
    from sipyard.context import Context
    from sipyard.engine import Engine


class Transactions(Commands):
    """Stateful relay and replies."""

    name = "tm"
    live_parameters = ("*",)

    def __init__(self) -> None:
        super().__init__()
        self.engine: Engine | None = None
        self._appends: dict[str, dumping.Append] = {}
        self._fr_name: Name | None = None
        self._fr_inv_name: Name | None = None
        self._has_timer_names = False

    async def start(self, engine: Engine) -> None:
        """Tell the core what the parameters say."""
        self.engine = engine
        self.parameters_changed(engine)

    def parameters_changed(self, engine: Engine) -> None:
        engine.core.configure(**self.core_settings())
        self._fr_name = _timer_name(self.fr_timer_avp)
        self._fr_inv_name = _timer_name(self.fr_inv_timer_avp)
        self._has_timer_names = self._fr_name is not None or self._fr_inv_name is not None

    # -- relay -----------------------------------------------------------------------------------------------

    @function("RF")
    async def t_relay(self, msg: Context) -> int:
        """Relay to the Request-URI (or dst_uri) and all branches; in a failure route to the branches appended
        there. 1, or the negative number of a fault that was answered already (SER 0.9: 0, the script
        ends)."""
        if self._has_timer_names and msg.has_attributes:
            self._take_timers(msg)
        result = relay_at_once(msg)
        if result is None:
            result = await relaying.relay(msg)
        return result if result > 0 else self._failed(result)

    async def _relay_to(self, msg: Context, destination: Destination | None) -> int:
        if destination is None:
            return -1
        self._take_timers(msg)
        result = await relaying.relay(msg, destination)
        return result if result > 0 else self._failed(result)

    def _failed(self, result: int) -> int:
        return 0 if self.generation is Generation.SER_0_9 else result

    @function("RF")
    async def t_relay_to_udp(self, msg: Context, host: str, port: int) -> int:
        """As t_relay, but every branch goes to this host and port by UDP."""
        return await self._relay_to(msg, Destination(host, port, "udp"))

    @function("RF")
    async def t_relay_to_tcp(self, msg: Context, host: str, port: int) -> int:
        """As t_relay, but every branch goes to this host and port by TCP."""
        return await self._relay_to(msg, Destination(host, port, "tcp"))

    @function("RF")
    async def t_relay_to_tls(self, msg: Context, host: str, port: int) -> int:
        """As t_relay, but every branch goes to this host and port by TLS."""
        return await self._relay_to(msg, Destination(host, port, "tls"))

    @function("R", generations=Generation.SER_2_0)
    async def t_relay_to(self, msg: Context, protocol: Dynamic[str], hostport: Dynamic[str]) -> int:
        """As t_relay, but every branch goes to ``host[:port]`` by this protocol."""
        return await self._relay_to(msg, _destination(protocol, hostport))

    async def _forward(self, msg: Context, destination: Destination | None) -> int:
        """Only send: no transaction is made, no ACK treated, no error answered."""
        transaction = msg.transaction
        if transaction is None:
            msg.engine.log_incident("t_forward_nonack: no transaction (t_newtran must come before)")
            return -1
        branches = await relaying.collect(msg, destination)
        return relaying.send(msg, transaction, branches)

    @function("R", name="t_forward_nonack_udp")
    @function("R")
    async def t_forward_nonack(self, msg: Context, host: str, port: int) -> int:
        """Send to this host and port in the transaction made by t_newtran. 1, or -1."""
        return await self._forward(msg, Destination(host, port, "udp"))

    @function("R")
    async def t_forward_nonack_tcp(self, msg: Context, host: str, port: int) -> int:
        """As t_forward_nonack, by TCP."""
        return await self._forward(msg, Destination(host, port, "tcp"))

    @function("R")
    async def t_forward_nonack_tls(self, msg: Context, host: str, port: int) -> int:
        """As t_forward_nonack, by TLS."""
        return await self._forward(msg, Destination(host, port, "tls"))

    @function("R")
    async def t_forward_nonack_uri(self, msg: Context) -> int:
        """As t_forward_nonack, to the Request-URI and all branches."""
        return await self._forward(msg, None)

    @function("R", generations=Generation.SER_2_0)
    async def t_forward_nonack_to(self, msg: Context, protocol: Dynamic[str], hostport: Dynamic[str]) -> int:
        """As t_forward_nonack, to ``host[:port]`` by this protocol."""
        destination = _destination(protocol, hostport)
        return -1 if destination is None else await self._forward(msg, destination)

    @function("R", name="t_replicate_udp")
    @function("R")
    async def t_replicate(self, msg: Context, host: str, port: int) -> int:
        """Send a copy of the request there and forget the answers. 1, or -1."""
        return await relaying.replicate(msg, Destination(host, port, "udp"))

    @function("R")
    async def t_replicate_tcp(self, msg: Context, host: str, port: int) -> int:
        """As t_replicate, by TCP."""
        return await relaying.replicate(msg, Destination(host, port, "tcp"))

    @function("R")
    async def t_replicate_tls(self, msg: Context, host: str, port: int) -> int:
        """As t_replicate, by TLS."""
        return await relaying.replicate(msg, Destination(host, port, "tls"))

    @function("R", generations=Generation.SER_2_0)
    async def t_replicate_to(self, msg: Context, protocol: Dynamic[str], hostport: Dynamic[str]) -> int:
        """As t_replicate, to ``host[:port]`` by this protocol."""
        destination = _destination(protocol, hostport)
        return -1 if destination is None else await relaying.replicate(msg, destination)

    # -- the transaction -------------------------------------------------------------------------------------

    @function("R")
    def t_newtran(self, msg: Context) -> int:
        """Create the transaction. 1; 0 (the script ends) for a retransmission; -10 when this script already
        made it. An ACK makes none and gives 1."""
        if msg.transaction is not None:
            return -10
        if msg.message.method == "ACK":
            return 1
        return 1 if relaying.begin(msg) is not None else 0

    @function("R")
    def t_lookup_request(self, msg: Context) -> int:
        """1 when the request belongs to a transaction, -1 when not."""
        found = msg.transaction or msg.core.find_transaction(msg.message)
        return -1 if found is None else 1

    @function("R", generations=Generation.SER_2_0)
    def t_lookup_cancel(self, msg: Context) -> int:
        """1 when the INVITE that this CANCEL means is there, -1 when not."""
        return -1 if msg.core.find_cancelled(msg.message) is None else 1

    @function("R")
    def t_retransmit_reply(self, msg: Context) -> int:
        """Send the transaction's last reply again. 1, or -1 when there is none."""
        transaction = msg.transaction or msg.core.find_transaction(msg.message)
        return 1 if transaction is not None and transaction.retransmit_reply() else -1

    @function("R")
    def t_release(self, msg: Context) -> int:
        """The script is done with the transaction: forget it. 1."""
        if msg.transaction is not None and not msg.is_settled:
            msg.transaction.release()
            msg.is_settled = True
        return 1

    @function("RF")
    def t_reply(self, msg: Context, code: Dynamic[int] | None, reason: Dynamic[str] | None) -> int:
        """Answer through the transaction; a 3xx lists the rewritten Request-URI and the branches as Contacts.
        A final answer cancels what is still under way. 1, or -1 (no transaction, or answered already)."""
        transaction = msg.transaction
        if transaction is None:
            msg.engine.log_incident("t_reply: no transaction (t_newtran must come before)")
            return -1
        status = self.default_code if code is None else code
        text = self.default_reason if reason is None else reason
        if not 100 <= status <= 699:
            return -1
        headers = msg.redirect_contact() if 300 <= status < 400 else ""
        if msg.is_hooked or msg.on_reply or msg.on_failure:
            msg.engine.remember(msg)
        msg.is_settled = True
        return 1 if transaction.reply(status, text, headers=headers) else -1

    # -- routes to come --------------------------------------------------------------------------------------

    @function("RFO")
    def t_on_failure(self, msg: Context, route: FailureRouteName) -> int:
        """Run this failure_route when all branches have failed ("0": none). It is used up by running."""
        msg.on_failure = route or None
        self._rearm(msg)
        return 1

    @function("RFO")
    def t_on_reply(self, msg: Context, route: OnreplyRouteName) -> int:
        """Run this onreply_route for every reply ("0": none)."""
        msg.on_reply = route or None
        self._rearm(msg)
        return 1

    @function("RF", generations=Generation.SER_2_0)
    def t_on_branch(self, msg: Context, route: BranchRouteName) -> int:
        """Run this branch_route for every branch of the next t_relay ("0": none)."""
        msg.on_branch = route or None
        return 1

    @staticmethod
    def _rearm(msg: Context) -> None:
        """Armed after the request was relayed, or in a later route: the core must know at once."""
        if msg.transaction is not None and (msg.kind is RouteKind.ONREPLY or msg.is_settled):
            msg.engine.remember(msg)

    # -- facts -----------------------------------------------------------------------------------------------

    @function("RFO")
    def t_check_status(self, msg: Context, pattern: Regex) -> int:
        """Does the status match: the reply's in an onreply route, the picked one in a failure route, else the
        last one sent upstream? 1 or -1."""
        if msg.kind in _REPLIES:
            status = msg.reply_status
        else:
            status = msg.transaction.status if msg.transaction is not None else 0
        return 1 if status and pattern.search(str(status)) else -1

    @function("F", generations=Generation.SER_2_0)
    def t_branch_timeout(self, msg: Context) -> int:
        """Did the winning branch time out? 1 or -1."""
        return 1 if msg.transaction is not None and msg.transaction.branch_timeout else -1

    @function("F", generations=Generation.SER_2_0)
    def t_branch_replied(self, msg: Context) -> int:
        """Did the winning branch get any reply? 1 or -1."""
        return 1 if msg.transaction is not None and msg.transaction.branch_replied else -1

    @function("RFOB", generations=Generation.SER_2_0)
    def t_any_timeout(self, msg: Context) -> int:
        """Did any branch time out? 1 or -1."""
        return 1 if msg.transaction is not None and msg.transaction.any_timeout else -1

    @function("RFOB", generations=Generation.SER_2_0)
    def t_any_replied(self, msg: Context) -> int:
        """Did any branch get a reply? 1 or -1."""
        return 1 if msg.transaction is not None and msg.transaction.any_replied else -1

    @function("RFOB", generations=Generation.SER_2_0)
    def t_is_canceled(self, msg: Context) -> int:
        """Was the request cancelled? 1 or -1."""
        return 1 if msg.transaction is not None and msg.transaction.is_cancelled else -1

    # -- timers ----------------------------------------------------------------------------------------------

    @function("RFOB", generations=Generation.SER_2_0)
    def t_set_fr(self, msg: Context, fr_inv: Dynamic[int] | None, fr: Dynamic[int] | None = 0) -> int:
        """Milliseconds to wait for a final reply after a provisional one, and before any; 0 leaves one as it
        is. Running timers change as well."""
        if fr_inv is None or fr is None or fr_inv < 0 or fr < 0:
            return -1
        self._set_timers(msg, fr_inv / 1000, fr / 1000)
        return 1

    @staticmethod
    def _set_timers(msg: Context, fr_inv: float, fr: float) -> None:
        if msg.transaction is not None:
            msg.transaction.set_timers(fr, fr_inv)
        else:
            earlier = msg.timers or (0.0, 0.0)
            msg.timers = (fr_inv or earlier[0], fr or earlier[1])

    def _take_timers(self, msg: Context) -> None:
        """Attributes that the operator named may set the timers, in seconds."""
        if not msg.has_attributes:
            return
        fr_inv, fr = (_seconds(msg, name) for name in (self._fr_inv_name, self._fr_name))
        if fr_inv or fr:
            self._set_timers(msg, fr_inv, fr)

    # -- external applications -------------------------------------------------------------------------------

    @parameter(str)
    def tw_append(self, value: str) -> None:
        """A list of extra items for t_write_req and t_write_unix:
        ``name:title=avp[$x];hdr[Subject];msg[body]``."""
        append = dumping.Append.parse(value)
        self._appends[append.name] = append

    @function("RF")
    def t_write_req(self, msg: Context, fifo: str, application: str) -> int:
        """Write the request to a FIFO for an application (``application[/append]``) that will answer it.
        1, or
        -1 when nobody reads there."""
        return self._write(msg, dumping.Fifo(fifo), application)

    @function("RF")
    def t_write_unix(self, msg: Context, path: str, application: str) -> int:
        """As t_write_req, to a unix datagram socket."""
        return self._write(msg, dumping.UnixSocket(path), application)

    def _write(self, msg: Context, outlet: dumping.Outlet, application: str) -> int:
        action, slash, name = application.partition("/")
        append = self._appends.get(name)
        transaction = msg.transaction or (relaying.begin(msg) if msg.message.method != "ACK" else None)
        if transaction is None or not action or (slash and append is None):
            msg.log(-1, f'cannot write the request for "{application}"')
            return -1
        try:
            outlet.write(dumping.dump(msg, transaction, action, append))
        except (OSError, ParseError) as error:
            msg.engine.log_incident(f"t_write for {action}: {error}")
            return -1
        msg.is_settled = True
        if msg.on_failure or msg.on_reply or msg.is_hooked:
            msg.engine.remember(msg)
        # An application that never answers must not leave the caller waiting for ever.
        patience = self.seconds(self.fr_timer)
        asyncio.get_running_loop().call_later(patience, _give_up, transaction)
        return 1


_REPLIES = (RouteKind.ONREPLY, RouteKind.FAILURE)


def _give_up(transaction: Transaction) -> None:
    """The application kept silent (RFC 3261 §21.4.9)."""
    if transaction.is_alive and transaction.status < 200:
        transaction.reply(408, "Request Timeout")


def _destination(protocol: str, hostport: str) -> Destination | None:
    host, port = split_hostport(hostport)
    if protocol.lower() not in ("udp", "tcp", "tls") or not host or (port and not port.isdecimal()):
        return None
    return Destination(host, int(port) if port else None, protocol.lower())


def _timer_name(text: str) -> Name | None:
    """Timer attributes are looked for in the callee's track (semantics §6)."""
    if not text:
        return None
    try:
        name = Name.parse(text)
    except ValueError as error:
        raise ArgumentError(str(error)) from None
    return name if name.track is not None or name.scope is not None else replace(name, track=Track.TO)


def _seconds(msg: Context, name: Name | None) -> float:
    value = None if name is None else msg.attributes.value(name)
    seconds = number_of(value) if isinstance(value, str) else value
    return float(max(seconds or 0, 0))
