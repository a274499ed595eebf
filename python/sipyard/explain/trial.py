"""One hypothetical request through a script, on the real engine in the sandbox."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sipyard._native.core import ParseError, Uri
from sipyard.arguments import Generation
from sipyard.errors import ConfigError, StorageError
from sipyard.explain import sandbox
from sipyard.explain.databases import copy_databases
from sipyard.explain.hypothesis import Hypothesis, address_of
from sipyard.explain.peers import Callees, Caller, Names
from sipyard.explain.story import Block, Packet, Story, Teller
from sipyard.explain.telling import telling_compiler
from sipyard.incidents import place_of
from sipyard.management.registry import RpcFault
from sipyard.registry import Modules
from sipyard.routes import PythonRoutes
from sipyard.script.check import Checked, read_file
from sipyard.script.program import Script, build
from sipyard.sip.resolver import Resolver
from sipyard.site import Site
from sipyard.testing import Address, Network, SipServer
from sipyard.testing.trace import Packet as Traced

if TYPE_CHECKING:
    from sipyard.context import Context
    from sipyard.engine import Engine, Route

_SCRIPT_LOG: Final = logging.getLogger("sipyard.script")
_FOR_A_WHILE: Final = 0.4
"""Seconds that pass when nobody answers: less than T1, so nothing is sent twice (RFC 3261 §17.1.1.2)."""


def explain(path: Path, hypothesis: Hypothesis, generation: Generation | None = None) -> Story:
    """What a script does with a request.

    :raises ConfigError: the script cannot be loaded, or something supposed makes no sense. OSError: the
        script cannot be read.
    """
    checked = read_file(path, generation)
    teller = Teller()
    script = build(checked, telling_compiler(teller, checked.report.source, checked.loading))
    with tempfile.TemporaryDirectory(prefix="sipyard-explain-") as name:
        folder = Path(name)
        notes = copy_databases(checked.modules, folder)
        site = Site.of_script(str(path), script)
        site.settings.debug = 4  # every log line is worth telling
        site = replace(site, routes=_told(script, teller), modules=TrialModules(site.modules, notes))
        addresses = _addresses(hypothesis, site)
        with sandbox.closed(folder), Network() as network:
            return _Trial(network, site, addresses, hypothesis, teller, notes).run(checked)


def _addresses(hypothesis: Hypothesis, site: Site) -> list[Address]:
    """Where the server listens on the virtual network: as it would outside, UDP only."""
    settings = site.settings
    if hypothesis.listen:
        return [address_of(text, "--listen") for text in hypothesis.listen]
    found: list[Address] = []
    for one in settings.listens():
        if one.protocol in ("", "udp"):
            port = settings.port if one.port is None else one.port
            found += [Address(ip.partition("%")[0], port) for ip in one.addresses()]
    return found or [Address("10.0.0.1", settings.port)]


class TrialModules(Modules):
    """The same modules, of which those that need a socket, a FIFO or a server to start do not start."""

    def __init__(self, modules: Modules, notes: list[str]) -> None:
        super().__init__(modules.generation)
        self.loaded = modules.loaded
        self.notes = notes

    async def start(self, engine: Engine) -> None:
        """Start those that can be; the others are noted. What some do by the clock has nothing to do with the
        request."""
        for module in self:
            if module.acts_by_clock:
                continue
            try:
                await module.start(engine)
                self._started.append(module)
            except (OSError, StorageError, sandbox.SideEffect) as error:
                self.notes.append(f"module {module.name} did not start: {error}")


class _Trial:
    """The network, the people on it, and what came of it."""

    def __init__(
        self,
        network: Network,
        site: Site,
        addresses: list[Address],
        hypothesis: Hypothesis,
        teller: Teller,
        notes: list[str],
    ) -> None:
        self.network, self.hypothesis, self.teller = network, hypothesis, teller
        self.site = site
        self.request = hypothesis.message()
        self.names = Names(hypothesis.names)
        first, *others = addresses
        self.server = SipServer(network, site, address=first, listen=others, name="server")
        self.server.engine.resolver = Resolver(self.names, seed=1, settings=self.site.settings.dns())
        try:
            self.caller = Caller(network, "caller", hypothesis.source)
            network.attach(self.caller)
        except ValueError as error:
            raise ConfigError(f"--source: {error}") from error
        network.elsewhere = Callees(network, hypothesis.answers)
        first_line = self.request.split(b"\r\n", 1)[0].decode("utf-8", "replace")
        self.story = Story(first_line, str(self.caller.address), notes=notes)
        teller.clock = lambda: network.timeline.elapsed

    def run(self, checked: Checked) -> Story:
        """Register, send, let time pass, tell."""
        for aor, contact in self.hypothesis.bindings:
            self._bind(aor, contact, checked.report.generation)
        log = _Log(self.teller)
        _SCRIPT_LOG.addHandler(log)
        before = _SCRIPT_LOG.level, _SCRIPT_LOG.propagate
        _SCRIPT_LOG.setLevel(logging.DEBUG)
        _SCRIPT_LOG.propagate = False
        try:
            self.caller.send(self.request, self.server.address)
            self.network.run(None if self.hypothesis.answers else _FOR_A_WHILE)
        finally:
            _SCRIPT_LOG.removeHandler(log)
            _SCRIPT_LOG.setLevel(before[0])
            _SCRIPT_LOG.propagate = before[1]
        self._tell()
        return self.story

    def _bind(self, aor: str, contact: str, generation: Generation) -> None:
        if "usrloc" not in self.site.modules:
            raise ConfigError("--binding: the script does not load usrloc")
        usrloc = self.site.modules["usrloc"]
        try:
            uri = Uri(aor)
        except ParseError as error:
            raise ConfigError(f"--binding: {aor} is no URI: {error}") from error
        user = (uri.user or "").lower()
        if generation is Generation.SER_0_9 and vars(usrloc).get("use_domain"):
            user = f"{user}@{uri.host.lower()}"
        try:
            self.server.rpc("usrloc.add_contact", "location", user, contact, 0, -1.0)
        except RpcFault as error:
            raise ConfigError(f"--binding: {error}") from error

    # -- telling ---------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Blocks and packets by time; what a block decided leaves after it."""
        packets = [packet for packet in self._packets() if packet is not None]
        everything: list[Block | Packet] = [*self.teller.blocks, *packets]
        self.story.events = sorted(everything, key=lambda each: (each.at, _order(each)))

    def _packets(self) -> Iterable[Packet | None]:
        seen: set[bytes] = {self.request}
        for traced in self.network.trace:
            if traced.data not in seen:
                seen.add(traced.data)
                yield self._packet(traced)

    def _packet(self, traced: Traced) -> Packet | None:
        is_sent = traced.source == "server"
        if traced.method == "ACK" and self.hypothesis.method != "ACK":
            return None  # hop by hop: the core's own
        address = traced.destination_address if is_sent else traced.source_address
        moment = traced.sent_us if is_sent else traced.arrived_us
        at = self.network.timeline.since_start(moment)
        packet = Packet(is_sent, str(address), traced.start_line, at, self.names.names.get(address.ip, ""))
        if is_sent:
            ours, theirs = _lines(traced.data), _lines(self.request)
            packet.added = [line for line in ours if line not in theirs and not _is_copied(line, traced)]
            if traced.is_request:
                packet.removed = [line for line in theirs if line not in ours]
        return packet


def _order(event: Block | Packet) -> int:
    if isinstance(event, Block):
        return 1
    return 2 if event.is_sent else 0


def _lines(data: bytes) -> list[str]:
    head = data.split(b"\r\n\r\n", 1)[0].decode("utf-8", "replace")
    return head.split("\r\n")[1:]


def _is_copied(line: str, traced: Traced) -> bool:
    """What every answer repeats or has to have (RFC 3261 §8.2.6)."""
    name = line.partition(":")[0].lower()
    return not traced.is_request and name in (
        "via",
        "from",
        "to",
        "call-id",
        "cseq",
        "content-length",
        "server",
    )


class _Log(logging.Handler):
    """Log lines of the script, told with the step that wrote them."""

    def __init__(self, teller: Teller) -> None:
        super().__init__()
        self.teller = teller

    def emit(self, record: logging.LogRecord) -> None:
        """One line."""
        self.teller.note(f"log: {record.getMessage()}")


# -- routes --------------------------------------------------------------------------------------------------


def _told(script: Script, teller: Teller) -> PythonRoutes:
    """The script's routes, which tell the teller when they begin and end."""

    def told(route: Route, title: str) -> Route:
        async def run(msg: Context) -> int:
            block = teller.begin(msg, title, _about(msg))
            try:
                block.result = await route(msg)
            except Exception as error:
                block.error = f"{place_of(error)}: {type(error).__name__}: {error}"
                raise
            finally:
                teller.end(msg)
            return block.result

        return run

    def named(routes: Mapping[str, Route], kind: str) -> dict[str, Route]:
        titles = {name: kind if name == "0" else f"{kind}[{name}]" for name in routes}
        return {name: told(route, titles[name]) for name, route in routes.items()}

    return PythonRoutes(
        main=None if script.main is None else told(script.main, "route"),
        onreply=None if script.onreply is None else told(script.onreply, "onreply_route"),
        onsend=None if script.onsend is None else told(script.onsend, "onsend_route"),
        routes=named(script.routes, "route"),
        failure=named(script.failure, "failure_route"),
        onreply_named=named(script.onreply_named, "onreply_route"),
        branch=named(script.branch, "branch_route"),
    )


def _about(msg: Context) -> str:
    """What the block was given."""
    if msg.reply_status:
        return f"after {msg.reply_status}"
    if msg.outgoing is not None:
        return f"to {msg.outgoing.ip}:{msg.outgoing.port}"
    return msg.request_uri if msg.message.is_request else ""
