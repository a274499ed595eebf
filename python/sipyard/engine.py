"""The engine: takes events from the core, runs the routes of the script, hands back what they decided.

Everything happens in one thread. A handler coroutine is stepped by hand; only one that really waits
becomes a task (`stepping.py`). What a transaction's later routes need (attributes, flags, names of routes)
is kept here by transaction id, and only for transactions that armed something.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from sipyard._native import core as native
from sipyard._native.core import Core, Listener, Message, Target, Transaction
from sipyard.arguments import RouteKind
from sipyard.client import Clients
from sipyard.context import Context
from sipyard.errors import answer_to
from sipyard.incidents import Incidents
from sipyard.management.registry import Commands
from sipyard.own_name import learn_full_name
from sipyard.registry import Modules
from sipyard.sip.hostport import split_hostport
from sipyard.sip.resolver import Resolver
from sipyard.sip.transports import TRANSPORTS
from sipyard.stepping import Waiting, pause, rest_of, suspended_on
from sipyard.storage import Databases
from sipyard.transaction_state import TransactionState

if TYPE_CHECKING:
    from sipyard._native.core import _Event as Event
    from sipyard.attributes import Attribute

Route = Callable[[Context], Coroutine[Any, Any, int]]
Finish = Callable[[Context, int], None]


class Routes(Protocol):
    """What the engine runs: a compiled script (`sipyard.script`) or routes written in Python
    (`sipyard.routes`)."""

    @property
    def main(self) -> Route | None: ...
    @property
    def onreply(self) -> Route | None: ...
    @property
    def onsend(self) -> Route | None: ...
    @property
    def routes(self) -> Mapping[str, Route]: ...
    @property
    def failure(self) -> Mapping[str, Route]: ...
    @property
    def onreply_named(self) -> Mapping[str, Route]: ...
    @property
    def branch(self) -> Mapping[str, Route]: ...


_REQUEST: Final = native.REQUEST
FAILURES: Final = (Exception, native.PanicException)
"""What costs one message and no more. A panic is a bug in the core; it is counted there (`panics`)."""


def _no_domain(_host: str) -> str | None:
    """Until a module knows domains: the identifier (did) of the domain of this name."""
    return None


_REPLY_LINGER: Final = 40.0
"""Seconds for which a transaction's onreply route stays known after its final reply: a 2xx is retransmitted
for 64*T1 = 32 s (RFC 3261 §13.3.1.4) and each passes the route."""


class Engine:
    """Decides about the events of one core.

    :param core: of an `Endpoint` or `OfflineEndpoint`.
    :param routes: what to run.
    :param modules: loaded modules; `start()` starts them.
    :param resolver: RFC 3263; one on the system's DNS servers by default.
    :param suspended_limit: messages that may wait at once for something slow; more are answered 503.
    :param message_deadline: seconds after which one that still waits is given up and answered 503; 0 never.
    """

    takes_commands: bool = True
    """Modules open doors for management commands; a virtual network's servers get theirs from the test."""
    _retry_after = 0
    serve_http: Callable[[Context], None] | None = None
    """Serves HTTP requests on SIP ports, for the module that asked for them."""

    def __init__(
        self,
        core: Core,
        routes: Routes,
        modules: Modules | None = None,
        *,
        resolver: Resolver | None = None,
        debug: int = 0,
        suspended_limit: int = 20_000,
        message_deadline: float = 0.0,
    ) -> None:
        self.core = core
        self.routes = routes
        self.modules = Modules() if modules is None else modules
        self.resolver = Resolver() if resolver is None else resolver
        self.debug = debug
        self.suspended_limit = suspended_limit
        self.commands = Commands()
        self.databases = Databases()
        self.clients = Clients(core)
        self.incidents = Incidents()
        self.global_attributes: list[Attribute] | None = None
        self.before_request: list[Callable[[Context], None]] = []
        self.after_request: list[Callable[[Context], None]] = []
        self.own_domains: list[Callable[[str], bool]] = []
        # Called with the number of a watched connection that ended (`Core.watch_connection`), and why.
        self.connection_closed: list[Callable[[int, str], None]] = []
        self.domain_identifier: Callable[[str], str | None] = _no_domain
        # The world outside, for modules: a test puts its own here.
        self.wall: Callable[[], float] = time.time
        self.random_bytes: Callable[[int], bytes] = os.urandom
        self.states: dict[int, TransactionState] = {}
        self.tasks = Waiting(message_deadline)
        self.is_stopping = False
        self._is_stepping = False
        self._holds_answers = False
        # Final answers given while their script still runs.
        self._early_answers: dict[int, Event] = {}
        self._lingering: deque[tuple[float, int]] = deque()
        self._listeners: dict[str, Listener] = {}
        self._main = routes.main
        self._onreply = routes.onreply
        # Some version of the script has an onsend_route: messages that began under it may still be here.
        self.watches_sending = routes.onsend is not None
        # With an unnamed onreply_route every transaction's replies pass through Python.
        self.watches_replies = routes.onreply is not None
        self._handlers: dict[int, Callable[[Event], None]] = {
            native.REPLY: self._on_reply,
            native.FAILURE: self._on_failure,
            native.FINAL: self._on_final,
            native.ENDED: self._on_ended,
            native.STRAY_REPLY: self._on_stray_reply,
            native.CLIENT_REPLY: self.clients.on_reply,
            native.CLIENT_TIMEOUT: self.clients.on_timeout,
            native.CLOSED: self._on_closed,
            native.HTTP: self._on_http,
            native.NOTICE: _on_notice,
        }
        core.configure(onreply=self._onreply is not None)

    # -- life ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the modules and offer their management commands."""
        await learn_full_name()
        self.commands.add_all(self.modules.rpcs())
        await self.modules.start(self)

    async def stop(self, patience: float = 5.0) -> None:
        """Let handlers that wait finish for `patience` seconds, cancel the rest, stop the modules."""
        self.is_stopping = True
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=patience)
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.modules.stop()
        await self.databases.close()

    @property
    def is_idle(self) -> bool:
        """No handler waits for anything."""
        return not self.tasks

    def replace_routes(self, routes: Routes) -> None:
        """Run these from the next message on. What is under way (messages that wait, transactions with armed
        routes) goes on with the routes that it began with, which are freed with the last of it."""
        self.routes = routes
        self._main, self._onreply = routes.main, routes.onreply
        self.watches_sending = self.watches_sending or routes.onsend is not None
        self.watches_replies = routes.onreply is not None
        self.core.configure(onreply=routes.onreply is not None)
        if self._retry_after:
            self.refuse_newcomers(self._retry_after)

    def refuse_newcomers(self, retry_after: int) -> None:
        """From now on requests that begin something are answered 503 (RFC 3261 §21.5.4); what belongs to a
        call goes on.

        :param retry_after: seconds after which to come again.
        """
        self._retry_after = retry_after
        main, headers = self.routes.main, f"Retry-After: {retry_after}\r\n"

        async def only_what_goes_on(msg: Context) -> int:
            message = msg.message
            if message.to_tag is None and message.method not in ("ACK", "CANCEL"):
                self.core.reply(message, 503, "Service Unavailable", headers=headers)
                msg.is_settled = True
                return 0
            return 0 if main is None else await main(msg)

        self._main = only_what_goes_on

    # -- events ----------------------------------------------------------------------------------------------

    def poll(self) -> int:
        """Take and handle all waiting events; returns how many."""
        core, count = self.core, 0
        events = core.poll_events()
        while events:
            count += len(events)
            self.dispatch(events)
            events = core.poll_events() if core.pending else []
        return count

    def dispatch(self, events: Sequence[Event]) -> None:
        """Handle events. Never raises for what a message or a script did."""
        was_stepping, self._is_stepping = self._is_stepping, True
        on_request, handlers = self._on_request, self._handlers
        for event in events:
            kind = event[0]
            try:
                if kind == _REQUEST:
                    on_request(event[1])
                else:
                    handlers[kind](event)
            except FAILURES as error:  # after the route: in what finishes it, or in handing it to its task
                self.incidents.handler_failed(error)
        self._is_stepping = was_stepping

    def _on_request(self, message: Message | None) -> None:
        """A new request: run the main route. This is the hot path."""
        main = self._main
        if main is None or message is None:
            return
        msg = Context(self, message)
        try:
            for hook in self.before_request:
                hook(msg)
            coroutine = main(msg)
            yielded = coroutine.send(None)
        except StopIteration:
            if self.after_request or not msg.is_settled:
                self._finish_request(msg, 1)
        except FAILURES as error:
            self._failed(msg, error)
            self._finish_request(msg, -1)
        else:
            self._wait(msg, coroutine, yielded, self._finish_request)

    def _finish_request(self, msg: Context, _result: int) -> None:
        """Post-script: hooks, and a transaction that nobody did anything with is released (semantics §1)."""
        transaction = msg.transaction
        if transaction is not None and not msg.is_settled:
            self.log_incident("script writer didn't release transaction", logging.WARNING)
            transaction.release()
        for hook in self.after_request:
            hook(msg)
        if self._holds_answers and transaction is not None:
            self._let_answers_go(transaction)

    def _on_reply(self, event: Event) -> None:
        """A reply on an armed transaction: unnamed onreply_route, then the named one, then on its way."""
        _, message, transaction, token, branch = event
        if message is None or not isinstance(transaction, Transaction):
            return
        state = self.states.get(transaction.id)
        msg = Context(self, message, RouteKind.ONREPLY)
        msg.reply_status = message.status
        msg.transaction = transaction
        msg.is_settled = True
        if state is not None:
            state.restore(msg)
            state.branch = branch
        self._run(msg, self._reply_routes(msg, state, token), _nothing)

    async def _reply_routes(self, msg: Context, state: TransactionState | None, token: int) -> int:
        transaction, forward = msg.transaction, True
        try:
            if msg.routes.onreply is not None:
                forward = await msg.routes.onreply(msg) > 0
            named = msg.routes.onreply_named.get(state.on_reply or "") if state is not None else None
            if forward and named is not None:
                await named(msg)
            if forward and state is not None and msg.reply_status < 200:
                state.tell_of_provisional(msg.message)
        finally:
            if state is not None:
                state.keep(msg)
            if transaction is not None:
                edited = msg.message if msg.message.is_edited else None
                transaction.resume_reply(token, forward, edited)
        return 1

    def _on_final(self, event: Event) -> None:
        """A final answer is on its way to the caller, or waits until we let it go."""
        _, message, transaction, status, is_held = event
        if not isinstance(transaction, Transaction):
            return
        state = self.states.get(transaction.id)
        if not is_held:
            if state is not None:
                state.tell_of_final(status, message)
        elif state is not None and state.is_ready:
            self._send_after(transaction, state.tell_of_final(status, message))
        elif transaction.is_answer_held:
            self._early_answers[transaction.id] = event

    def _send_after(self, transaction: Transaction, waits: list[asyncio.Future[None]]) -> None:
        """Let a final answer go once all of this is done, also what fails."""
        if waits:
            all_of_it = asyncio.gather(*waits, return_exceptions=True)
            all_of_it.add_done_callback(lambda _: transaction.resume_final())
        else:
            transaction.resume_final()

    def _let_answers_go(self, transaction: Transaction) -> None:
        """The script of a request is done: its final answer waits for those who want to know of it."""
        early = self._early_answers.pop(transaction.id, None)
        state = self.states.get(transaction.id)
        if state is None:
            transaction.resume_final()
            return
        if state.is_ready:
            return  # this is another request that means the same transaction
        state.is_ready = True
        if not state.before_final:
            transaction.resume_final()
        elif early is not None:
            self._on_final(early)

    def _on_failure(self, event: Event) -> None:
        """All branches failed: run the failure route on a fresh copy of the stored request (semantics §6)."""
        _, picked, transaction, status, _ = event
        if not isinstance(transaction, Transaction):
            return
        state = self.states.get(transaction.id)
        route = state.routes.failure.get(state.on_failure or "") if state is not None else None
        if state is None or route is None:
            transaction.resume_failure()
            return
        state.on_failure = None  # one-shot: a route that forks again arms again
        msg = Context(self, state.message.copy(), RouteKind.FAILURE)
        state.restore(msg)
        msg.uri, msg.dst_uri = state.uri, state.dst_uri
        msg.reply, msg.reply_status = picked, status
        self._run(msg, route(msg), self._finish_failure)

    def _finish_failure(self, msg: Context, _result: int) -> None:
        transaction = msg.transaction
        if transaction is None:
            return
        state = self.states.get(transaction.id)
        if state is not None:
            state.keep(msg)
        transaction.resume_failure()

    def _on_ended(self, event: Event) -> None:
        _, _, transaction, status, _ = event
        if not isinstance(transaction, Transaction):
            return
        now, lingering = self.core.now, self._lingering
        while lingering and lingering[0][0] <= now:
            self.states.pop(lingering.popleft()[1], None)
        state = self.states.get(transaction.id)
        if state is None:
            return
        if state.on_reply is None:
            del self.states[transaction.id]
        else:
            lingering.append((now + _REPLY_LINGER, transaction.id))
        for hook in state.on_ended:
            hook(state, status)

    def _on_stray_reply(self, event: Event) -> None:
        """A reply of no transaction, while the script has an unnamed onreply_route."""
        message = event[1]
        if message is None or self._onreply is None:
            return
        msg = Context(self, message, RouteKind.ONREPLY)
        msg.reply_status = message.status
        self._run(msg, self._onreply(msg), self._finish_stray_reply)

    def _finish_stray_reply(self, msg: Context, result: int) -> None:
        if result > 0:
            self.core.forward_reply(msg.message)

    # -- running ---------------------------------------------------------------------------------------------

    def _run(self, msg: Context, coroutine: Coroutine[Any, Any, int], finish: Finish) -> None:
        try:
            yielded = coroutine.send(None)
        except StopIteration as stop:
            finish(msg, stop.value)
        except FAILURES as error:
            self._failed(msg, error)
            finish(msg, -1)
        else:
            self._wait(msg, coroutine, yielded, finish)

    def run(self, msg: Context, route: Route) -> None:
        """Run a route for a module (a timer's, an RPC's) as the main one is run; errors are logged."""
        was_stepping, self._is_stepping = self._is_stepping, True
        try:
            for hook in self.before_request:
                hook(msg)
            self._run(msg, route(msg), self._finish_request)
        except FAILURES as error:  # before or after the route
            self.incidents.handler_failed(error)
        finally:
            self._is_stepping = was_stepping

    def _wait(self, msg: Context, coroutine: Coroutine[Any, Any, int], yielded: Any, finish: Finish) -> None:
        """The handler really waits: the rest of it becomes a task. Until it made a transaction the core
        absorbs
        retransmissions of its request."""
        yielded = suspended_on(yielded)
        is_request = msg.kind is RouteKind.REQUEST and msg.message.listener >= 0
        if len(self.tasks) >= self.suspended_limit:
            coroutine.close()
            self._refuse(msg)
            finish(msg, -1)
            return
        is_held = is_request and msg.transaction is None and self.core.hold(msg.message)
        msg.routes = msg.routes  # the script may be replaced while it waits
        if self.watches_replies:
            msg.is_hooked = True  # and the next version may not want replies, as this one does
        self.tasks.start(self._finish_later(msg, coroutine, yielded, finish, is_held))

    async def _finish_later(
        self, msg: Context, coroutine: Coroutine[Any, Any, int], yielded: Any, finish: Finish, is_held: bool
    ) -> None:
        result = -1
        try:
            result = await rest_of(coroutine, yielded)
        except FAILURES as error:
            self._failed(msg, error)
        except asyncio.CancelledError as error:
            if not self.tasks.is_overdue():
                raise
            self.incidents.waited_too_long(error, msg.kind, self.tasks.limit)
            if is_unanswered(msg):
                self._refuse(msg)
        finally:
            if is_held:
                self.core.unhold(msg.message)
            finish(msg, result)

    def _refuse(self, msg: Context) -> None:
        """Too many messages wait already, or this one has waited too long. RFC 3261 §21.5.4."""
        self._answer(msg, 503, "Service Unavailable", "Retry-After: 5\r\n")

    def _failed(self, msg: Context, error: BaseException) -> None:
        """A route raised: say where in the script, answer for this message only."""
        self.incidents.script_failed(error, msg.kind)
        was_answered = msg.is_settled and msg.transaction is None
        if msg.kind is RouteKind.REQUEST and msg.message.is_request and not was_answered:
            self._answer(msg, *answer_to(error))

    def _answer(self, msg: Context, status: int, reason: str, headers: str = "") -> None:
        try:
            if msg.transaction is not None:
                msg.transaction.reply(status, reason, headers=headers)
                msg.is_settled = True
            elif msg.message.method != "ACK":
                self.core.reply(msg.message, status, reason, headers=headers)
        except ValueError as error:
            self.incidents.note(f"cannot answer {status}: {error}", logging.ERROR)

    def log_incident(self, text: str, level: int = logging.ERROR) -> None:
        """Log what a peer can provoke: at most some lines a second of each kind."""
        self.incidents.note(text, level)

    # -- for routes and modules ------------------------------------------------------------------------------

    def remember(self, msg: Context) -> TransactionState:
        """Keep what the later routes of this message's transaction need, and arm the core for them."""
        transaction = msg.transaction
        if transaction is None:
            raise LookupError("remember() needs a transaction")
        state = self.states.get(transaction.id)
        if state is None:
            state = TransactionState(transaction, msg)
            if transaction.status >= 200 and not transaction.is_answer_held:
                return state  # it is over: nothing will come that would take it away again
            self.states[transaction.id] = state
        else:
            state.keep(msg)
        state.on_failure = msg.on_failure
        state.on_reply = msg.on_reply
        self.arm(state)
        return state

    def hold_answers(self) -> None:
        """From now on final answers wait for the futures of those who are told of them (`before_final`)."""
        self._holds_answers = True
        self.core.configure(hold_finals=True)

    def arm(self, state: TransactionState) -> None:
        """Have the core tell what a transaction's routes, `before_final` and `before_provisional` want to
        know."""
        has_reply = bool(state.on_reply or state.before_provisional) or state.routes.onreply is not None
        is_watched = bool(state.before_final)
        state.transaction.arm(reply=has_reply, failure=bool(state.on_failure), final=is_watched, ended=True)

    async def allowed_targets(self, msg: Context, targets: list[Target]) -> list[Target]:
        """Those targets that onsend_route lets pass; it runs once for each (semantics §12: a refused one
        counts
        as a failed send)."""
        route = msg.routes.onsend
        if route is None:
            return targets
        allowed: list[Target] = []
        for target in (self._with_listener(msg, one) for one in targets):
            sending = Context(self, msg.message, RouteKind.ONSEND)
            sending.uri, sending.dst_uri = msg.uri, msg.dst_uri
            sending.flags, sending._attributes = msg.flags, msg._attributes
            sending.outgoing, sending.routes = target, msg.routes
            if await route(sending) != 0:
                allowed.append(target)
            msg.flags = sending.flags
        return allowed

    def _with_listener(self, msg: Context, target: Target) -> Target:
        """The listener made definite, so that onsend_route can ask for our side (snd_ip)."""
        if target.listener >= 0:
            return target
        is_v6 = ":" in target.ip
        usable = [
            one.index
            for one in self.core.listeners
            if one.protocol == target.protocol and (":" in one.ip) == is_v6
        ]
        if not usable:
            return target
        index = msg.message.listener if msg.message.listener in usable else usable[0]
        return target.sent_from(index)

    def is_own_host(self, host: str, port: int = 0, protocol: str | None = None) -> bool:
        """Is it one of our sockets, aliases, or a domain that a module says we serve?"""
        if self.core.is_myself(host, port, protocol):
            return True
        return any(knows(host) for knows in self.own_domains)

    def listener_named(self, name: str) -> Listener | None:
        """The listener that ``[proto:]host[:port]`` means, None when there is none."""
        found = self._listeners.get(name) or self._find_listener(name)
        if found is not None:  # an address may become ours later
            self._listeners[name] = found
        return found

    def _find_listener(self, name: str) -> Listener | None:
        protocol, colon, rest = name.partition(":")
        if not colon or protocol.lower() not in TRANSPORTS:
            protocol, rest = "", name
        host, port = split_hostport(rest)
        for listener in self.core.listeners:
            if protocol and listener.protocol != protocol.lower():
                continue
            names = (listener.ip, listener.host.strip("[]").lower())
            if host.strip("[]").lower() in names and port in (None, "", str(listener.port)):
                return listener
        return None

    def _on_http(self, event: Event) -> None:
        """An HTTP request on a SIP port."""
        message = event[1]
        if message is not None and self.serve_http is not None:
            self.serve_http(Context(self, message))

    def _on_closed(self, event: Event) -> None:
        """CLOSED of the core."""
        _, _, reason, _, connection = event
        for hook in self.connection_closed:
            hook(connection, str(reason))

    async def in_task(self) -> None:
        """Await this before using what only works inside an asyncio task (timeouts, most drivers): a
        handler that is being stepped by hand is suspended once and goes on as a task."""
        if self._is_stepping:
            await pause()


def _on_notice(event: Event) -> None:
    """NOTICE of the core."""
    logging.getLogger("sipyard.core").warning("%s", event[2])


def is_unanswered(msg: Context) -> bool:
    """A request that nothing was done with yet."""
    return msg.kind is RouteKind.REQUEST and msg.message.is_request and not msg.is_settled


def _nothing(_msg: Context, _result: int) -> None:
    """Nothing is left to do after this route."""
