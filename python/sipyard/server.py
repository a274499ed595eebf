"""A running server: sockets, loop, signals, around an engine on a checked script or a routes file."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import ipaddress
import logging
import logging.handlers
import math
import os
import pwd
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sipyard import memory
from sipyard._native.core import Endpoint, Listener
from sipyard.engine import Engine
from sipyard.errors import ConfigError
from sipyard.loop import EndpointLoop, FlushingSelector
from sipyard.management.datagram_socket import UnixDatagrams, answer_lines
from sipyard.management.fifo import Fifo, ReplyPipes
from sipyard.management.ownership import Ownership
from sipyard.management.registry import CHANGES, RpcFault
from sipyard.management.unix_socket import UnixSocket
from sipyard.reload import Reloader
from sipyard.settings import Listen, interface_addresses
from sipyard.sip.transports import PORTS, SECURE, TRANSPORTS, WEB
from sipyard.site import Site
from sipyard.watchdog import Watchdog

if TYPE_CHECKING:
    from sipyard.settings import Settings
    from sipyard.watchdog import Heart

SER_PORT: Final = 5060
HOLD: Final = 0.002
"""Seconds between two looks of a starting server at what else there is to do."""
LOOK: Final = 0.1
"""Seconds between two looks of a stopping server at what is still unanswered."""
FLUSH: Final = 6
"""Seconds of `exit_timeout` that are kept for waiting handlers and for modules that write what they have."""
_log = logging.getLogger("sipyard.server")


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; it beats the script.

    :param listen: sockets instead of the script's.
    :param threads: I/O threads; 0: the loop's own selector does the I/O.
    :param debug_more: how much more than the script's `debug` is printed.
    :param stderr: log to the terminal whatever the script says.
    :param ctl: socket of `sipyard ctl`; "" none, None what the script says.
    :param drain: seconds for which requests may wait for their answers when the server stops; None: most of
        the script's `exit_timeout`.
    """

    listen: Sequence[str] = ()
    threads: int = 0
    debug_more: int = 0
    stderr: bool = True
    ctl: str | None = None
    drain: float | None = None


class Server:
    """Runs a site until it is told to stop.

    :param site: what to serve.
    :param say: prints a line for the person who started it.
    """

    def __init__(
        self, site: Site, options: Options | None = None, say: Callable[[str], None] = print
    ) -> None:
        self.site = site
        self.options = Options() if options is None else options
        self.settings: Settings = site.settings
        self.settings.debug += self.options.debug_more
        self._say = say
        self.endpoint = Endpoint(threads=self.options.threads)
        self.engine: Engine = site.engine(self.endpoint.core)
        self._stop: asyncio.Event | None = None
        self._reloads: set[asyncio.Task[None]] = set()

    # -- sockets ---------------------------------------------------------------------------------------------

    def listen(self) -> list[Listener]:
        """Open the sockets of the command line, else the script's, else one on each interface.

        :raises ConfigError: none could be opened, or one that was asked for by name.
        """
        wanted = [Listen.parse(text) for text in self.options.listen] or self.settings.listens()
        is_asked = bool(wanted)
        if not wanted:
            wanted = [Listen(address) for address in interface_addresses()]
        listeners: list[Listener] = []
        for one in wanted:
            if one.protocol not in ("", *TRANSPORTS):
                self._say(f"not listening on {one}: there is no {one.protocol.upper()} here")
                continue
            if one.protocol in SECURE and "tls" not in self.site.modules:
                raise ConfigError(f'listening on {one} needs loadmodule "tls"')
            listeners += self._open(one, is_asked)
        if not listeners:
            raise ConfigError("there is no socket to listen on")
        return listeners

    def _open(self, one: Listen, is_asked: bool) -> Iterator[Listener]:
        """An address by its protocol; without one by all that there are (SER)."""
        settings = self.settings
        for address in one.addresses():
            is_multicast = ipaddress.ip_address(address.partition("%")[0]).is_multicast
            chosen = settings.port if one.port is None else one.port
            for protocol in (one.protocol,) if one.protocol else self._protocols(is_multicast):
                port = chosen
                if protocol == "tls" and (one.port is None or not one.protocol):
                    port = settings.tls_port_no
                elif protocol in WEB and one.port is None:
                    port = PORTS[protocol]
                listener = self._open_one(Listen(address, port, protocol), is_multicast, is_asked)
                if listener is not None:
                    chosen = listener.port  # TCP's is UDP's, also where the system chose it
                    yield listener

    def _protocols(self, is_multicast: bool) -> Iterator[str]:
        """What an address without a protocol is listened on by."""
        yield "udp"
        if not (self.settings.disable_tcp or is_multicast):
            yield "tcp"
            if self.settings.enable_tls and "tls" in self.site.modules:
                yield "tls"

    def _open_one(self, one: Listen, is_multicast: bool, is_asked: bool) -> Listener | None:
        settings = self.settings
        try:
            return self.endpoint.listen(
                one.protocol,
                one.host,
                one.port or 0,
                advertised_host=settings.advertised_address or None,
                advertised_port=settings.advertised_port or None,
                multicast_ttl=settings.mcast_ttl if settings.mcast_ttl >= 0 else 1,
                multicast_loopback=settings.mcast_loopback,
                tos=settings.tos,
                receive_buffer=settings.maxbuffer,
                reuse_port=is_multicast,
            )
        except OSError as error:
            text = f"cannot listen on {one}: {error.strerror or error}"
            if error.errno == errno.EADDRINUSE:
                text += " (another server runs there; choose a port with -l)"
            if is_asked:
                raise ConfigError(text) from error
            _log.warning("%s", text)
            return None

    # -- life ------------------------------------------------------------------------------------------------

    def run(self, announce: Callable[[Sequence[Listener]], None] | None = None) -> None:
        """Serve until TERM or INT. Blocks.

        :raises ConfigError: it cannot be started as asked.
        """
        self._set_up_logging()
        with contextlib.closing(self.endpoint), self._loop() as runner:
            listeners = self.listen()
            self._change_process()
            runner.run(self._serve(listeners, announce))

    def _loop(self) -> asyncio.Runner:
        if self.options.threads:
            selector = FlushingSelector(self.endpoint)
            self._heart: Heart = selector
            return asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector))

        def make() -> asyncio.AbstractEventLoop:
            loop = EndpointLoop(self.endpoint)
            loop.on_events(self._hold)
            self._heart = loop.endpoint_selector
            return loop

        return asyncio.Runner(loop_factory=make)

    async def _serve(
        self, listeners: Sequence[Listener], announce: Callable[[Sequence[Listener]], None] | None
    ) -> None:
        loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop_now, signal.Signals(number).name)
        loop.add_signal_handler(signal.SIGHUP, _log.info, "SIGHUP: not yet, still starting")
        loop.add_signal_handler(signal.SIGUSR1, self._say_status)
        await self.engine.start()
        if isinstance(loop, EndpointLoop):
            loop.on_events(self.engine.poll)
        doors = await self._open_doors()
        memory.settle()
        watchdog = Watchdog(self._heart, self.settings.stall_limit / 1000)
        self._declare(watchdog)
        watchdog.start()
        if self.options.threads:
            loop.add_reader(self.endpoint.fileno(), self._on_events)
        (announce or self._announce)(listeners)
        try:
            await self._stop.wait()
            await self._drain()
        finally:
            if self.options.threads:
                loop.remove_reader(self.endpoint.fileno())
            watchdog.stop()
            for door in doors:
                await door.stop()
            for task in self._reloads:
                task.cancel()
            await self.engine.stop()
            self.endpoint.flush()
            _log.info("stopped")

    async def _open_doors(self) -> list[UnixSocket | Fifo | UnixDatagrams]:
        """Where commands come in: the socket of `sipyard ctl`, and what a script of SER 0.9 asks for.

        :raises ConfigError: one that was asked for cannot be had.
        """
        settings, commands = self.settings, self.engine.commands
        ownership = Ownership(settings.fifo_mode, settings.fifo_user, settings.fifo_group)
        doors: list[UnixSocket | Fifo | UnixDatagrams] = []
        if settings.fifo:
            replies = ReplyPipes(Path(settings.fifo_dir))
            doors.append(Fifo(commands, settings.fifo, replies, ownership))
        if settings.unix_sock:
            reply = partial(answer_lines, commands)
            doors.append(UnixDatagrams(settings.unix_sock, ownership, reply))
        for door in doors:
            await door.start()
        return doors + await self._open_ctl()

    async def _open_ctl(self) -> list[UnixSocket]:
        """Only a socket that was asked for on the command line must be had."""
        path = self.settings.ctl_socket if self.options.ctl is None else self.options.ctl
        if not path:
            return []
        door = UnixSocket(self.engine.commands, path)
        try:
            await door.start()
        except ConfigError as error:
            if self.options.ctl is not None:
                raise
            _log.warning("no commands by sipyard ctl: %s", error.message)
            return []
        return [door]

    def _declare(self, watchdog: Watchdog) -> None:
        """Commands and the signal that need a running server."""

        def prepared(site: Site) -> None:
            site.settings.debug += self.options.debug_more

        def taken() -> None:
            watchdog.limit = self.settings.stall_limit / 1000
            logging.getLogger("sipyard").setLevel(self.settings.log_level)

        def held_up() -> dict[str, Any]:
            """Routes that computed or blocked too long, by place, and messages given up at their deadline."""
            return {**watchdog.status(), "given_up": self.engine.incidents.given_up}

        reloader = Reloader(self.engine, self.site, prepared, taken)
        add = self.engine.commands.add
        add("core.reload", reloader.reload, old_name="reload", traits=CHANGES)
        add("core.script", reloader.status)
        add("core.watchdog", held_up)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon, reloader)

    def _reload_soon(self, reloader: Reloader) -> None:
        task = asyncio.get_running_loop().create_task(_reload(reloader))
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    def _hold(self) -> int:
        """While modules start (a table of bindings is read, say) what comes in waits in the core's queue; who
        is not registered is known only afterwards."""
        if self.endpoint.core.pending:
            time.sleep(HOLD)
        return 0

    def _on_events(self) -> None:
        """Thread mode: the eventfd is readable."""
        self.endpoint.acknowledge()
        self.engine.poll()

    def stop(self) -> None:
        """End `run()`; to be called on the loop."""
        if self._stop is not None:
            self._stop.set()

    def _patience(self) -> float:
        """Seconds for which requests may wait for their answers when the server stops."""
        if self.options.drain is not None:
            return self.options.drain
        return max(self.settings.exit_timeout - FLUSH, 0)

    async def _drain(self) -> None:
        """Let requests that were taken get their answers; new ones are refused meanwhile."""
        patience = self._patience()
        self.engine.refuse_newcomers(max(round(patience), 1))
        end = asyncio.get_running_loop().time() + patience
        while unanswered := self.endpoint.core.unanswered():
            left = end - asyncio.get_running_loop().time()
            if left <= 0:
                _log.warning("%d unanswered requests are given up", unanswered)
                return
            await asyncio.sleep(min(left, LOOK))

    def _stop_now(self, name: str) -> None:
        """First signal: an orderly end, at most `exit_timeout` long. The second one: at once."""
        if self._stop is None or self._stop.is_set():
            raise SystemExit(128 + signal.Signals[name].value)
        _log.info("%s: stopping", name)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(max(self.settings.exit_timeout, math.ceil(self._patience()) + FLUSH))
        self._stop.set()

    def _say_status(self) -> None:
        """USR1: what there is, to the log."""
        core = self.endpoint.core
        _log.warning("status: %s waiting=%d", core.live(), len(self.engine.tasks))
        _log.warning("counters: %s", {name: count for name, count in core.counters().items() if count})

    def _announce(self, listeners: Sequence[Listener]) -> None:
        for listener in listeners:
            self._say(f"listening on {listener.protocol}:{_shown(listener)}")

    # -- the process -----------------------------------------------------------------------------------------

    def _set_up_logging(self) -> None:
        logging.addLevelName(25, "NOTICE")
        handler: logging.Handler
        if self.options.stderr or self.settings.log_stderror:
            handler = logging.StreamHandler(sys.stderr)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        else:
            handler = logging.handlers.SysLogHandler("/dev/log", self.settings.syslog_facility)
            handler.setFormatter(logging.Formatter("sipyard[%(process)d]: %(name)s: %(message)s"))
        root = logging.getLogger("sipyard")
        root.handlers[:] = [handler]
        root.setLevel(self.settings.log_level)
        root.propagate = False

    def _change_process(self) -> None:
        """Working directory, root directory, group and user, after the sockets are open.

        :raises ConfigError: one of them cannot be had.
        """
        settings = self.settings
        try:
            if settings.open_files_limit > 0:
                _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (min(settings.open_files_limit, hard), hard))
            user = _user(settings.user) if settings.user else None
            group = _group(settings.group) if settings.group else None
            if settings.chroot:
                os.chroot(settings.chroot)
                os.chdir("/")
            if settings.workdir:
                os.chdir(Path(settings.workdir))
            if user is not None or group is not None:
                os.setgroups([])
                os.setgid(
                    group.gr_gid if group is not None else user.pw_gid if user is not None else os.getgid()
                )
            if user is not None:
                os.setuid(user.pw_uid)
        except (OSError, KeyError, ValueError) as error:
            raise ConfigError(f"cannot take on user, group or directory as asked: {error}") from error


async def _reload(reloader: Reloader) -> None:
    """SIGHUP: there is nobody to tell but the log, and the reloader has told it."""
    with contextlib.suppress(RpcFault):
        await reloader.reload()


def _user(text: str) -> pwd.struct_passwd:
    """By name or number; KeyError."""
    return pwd.getpwuid(int(text)) if text.isdecimal() else pwd.getpwnam(text)


def _group(text: str) -> grp.struct_group:
    """By name or number; KeyError."""
    return grp.getgrgid(int(text)) if text.isdecimal() else grp.getgrnam(text)


def _shown(listener: Listener) -> str:
    host = f"[{listener.ip}]" if ":" in listener.ip else listener.ip
    advertised = "" if listener.host in (host, listener.ip) else f" (as {listener.host})"
    return f"{host}:{listener.port}{advertised}"


def how_to_try(listener: Listener, *, has_passwords: bool) -> str:
    """What to do with a server that has just been started, for a person with a phone."""
    at = _shown(listener).partition(" ")[0]
    host = at.rpartition(":")[0]
    if has_passwords:
        return (
            f"Try it: add two users, register a phone for each (domain and proxy {at}) and call\n"
            f"from one to the other, or ask the server from another terminal:\n"
            f"  sipsak -vv -s sip:{at}"
        )
    return (
        f"Try it: register two phones (any user, domain {host}, proxy {at}) and call from one to the other,\n"
        f"or register alice and ask the server from another terminal:\n"
        f"  sipsak -U -C sip:alice@{host}:5099 -x 600 -s sip:alice@{at}\n"
        f"  sipsak -vv -s sip:{at}"
    )
