"""What happened, in order: blocks with their steps, and messages that went out or came in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sipyard.context import Context


@dataclass(slots=True)
class Change:
    """Something of the message that a step changed; None: it was or is not there."""

    what: str
    before: str | None
    after: str | None


@dataclass(slots=True)
class Value:
    """What a part of a statement gave: a function's result, the two sides and the truth of a comparison."""

    text: str
    value: str
    because: str = ""


@dataclass(slots=True)
class Step:
    """One statement. `block` is the one that it stands in, which a route call changes."""

    block: str
    line: int
    text: str
    values: list[Value] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Block:
    """One run of a block that the engine started, with the blocks that it called."""

    title: str
    about: str
    at: float
    steps: list[Step] = field(default_factory=list)
    result: int | None = None
    error: str = ""


@dataclass(slots=True)
class Packet:
    """A message on the virtual wire. `added` and `removed` are header lines in comparison with the request
    that it was made from; `host` is the name that the address stands for, if it was one."""

    is_sent: bool
    address: str
    first_line: str
    at: float
    host: str = ""
    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Story:
    """Everything, in the order of happening."""

    request: str
    source: str
    events: list[Block | Packet] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Teller:
    """Is told by the routes what they do; knows which step of which message is under way."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        #: Seconds since the beginning.
        self.clock: Callable[[], float] = lambda: 0.0
        self._now: list[tuple[Context, Block, dict[str, str]]] = []
        self._current: Step | None = None

    def begin(self, msg: Context, title: str, about: str) -> Block:
        """The engine starts a block."""
        block = Block(title, about, self.clock())
        self.blocks.append(block)
        self._now.append((msg, block, facts(msg)))
        self._current = None
        return block

    def end(self, msg: Context) -> None:
        """It is over."""
        self._changed(msg)
        self._now = [each for each in self._now if each[0] is not msg]
        self._current = None

    def step(self, msg: Context, block: str, line: int, text: str) -> None:
        """A statement begins."""
        self._changed(msg)
        run = self._run_of(msg)
        self._current = Step(block, line, text)
        if run is not None:
            run.steps.append(self._current)

    def value(self, msg: Context, value: Value) -> None:
        """A part of the statement has a value."""
        run = self._run_of(msg)
        if run is not None and run.steps:
            run.steps[-1].values.append(value)

    def note(self, text: str) -> None:
        """Something else to be said about the current step."""
        if self._current is not None:
            self._current.notes.append(text)

    def _run_of(self, msg: Context) -> Block | None:
        return next((block for each, block, _ in reversed(self._now) if each is msg), None)

    def _changed(self, msg: Context) -> None:
        """Give what is different now to the last step of this message."""
        for number, (each, block, before) in enumerate(self._now):
            if each is not msg:
                continue
            after = facts(msg)
            names = [*before, *(name for name in after if name not in before)]
            found = [Change(name, before.get(name), after.get(name)) for name in names]
            changes = [change for change in found if change.before != change.after]
            if block.steps:
                block.steps[-1].changes += changes
            self._now[number] = (each, block, after)


def facts(msg: Context) -> dict[str, str]:
    """What of a message may change and is worth telling, by name."""
    found: dict[str, str] = {}
    if msg.message.is_request:
        found["request URI"] = msg.request_uri
    if msg.dst_uri:
        found["next hop"] = msg.dst_uri
    for number, branch in enumerate(msg.branches, 1):
        found[f"branch {number}"] = branch.uri + (f" by {branch.dst_uri}" if branch.dst_uri else "")
    flags = [str(flag) for flag in range(32) if msg.flags >> flag & 1]
    if flags:
        found["flags"] = " ".join(flags)
    for what, name in (("failure", msg.on_failure), ("onreply", msg.on_reply), ("branch", msg.on_branch)):
        if name:
            found[f"armed {what}_route"] = name
    if msg.send_socket is not None:
        found["sending socket"] = f"{msg.send_socket.ip}:{msg.send_socket.port}"
    if msg.has_attributes:
        found.update(msg.attributes.shown())
    if msg.transaction is not None:
        found["transaction"] = "made"
    return found
