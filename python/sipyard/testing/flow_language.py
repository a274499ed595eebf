"""The lines of a call flow: what may be written in `CallFlow.expect`, and how a packet is held against it.

alice -> proxy  INVITE sip:bob@example.com      a request, with its Request-URI if it matters
    Max-Forwards: 70                            (deeper) a header that must be there; * stands for
    anything !Route                                      (deeper) a header that must not be there alice
    <- proxy  100                             a response; the same as: proxy -> alice  100 proxy ->
    alice  200 OK (INVITE) F9              reason, CSeq method and RFC 3665's numbers may be written
    proxy -x bob    INVITE                          a packet that is lost on the way (or finds nobody)
    0.5 proxy -> bob INVITE                         sent 0.5 s after the flow's beginning ? proxy ->
    alice 100                            may be missing {
    what stands in braces may come in any order proxy -> bob    CANCEL proxy -> alice  487 } ...
    any packets, until the next line's # a comment
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeAlias

from .trace import Packet

_MESSAGE = re.compile(
    r"""^(?:(?P<time>\d+(?:\.\d+)?)\s+)?
    (?P<optional>\?\s*)?
    (?P<left>[^\s<>]+)\s+(?P<arrow>->|<-|-x|x-)\s+(?P<right>[^\s<>]+)\s+
    (?P<what>\S+)(?:\s+(?P<rest>.*))?$""",
    re.VERBOSE,
)
_HEADER = re.compile(r"^(?P<not>!)?(?P<name>[A-Za-z][A-Za-z0-9-]*)\s*(?::\s*(?P<value>.*))?$")
_FLOW_NUMBER = re.compile(r"\s*\bF\d+\b\s*$")
_CSEQ_METHOD = re.compile(r"\s*\(([A-Z]+)\)\s*$")
#: A time in a flow is met when it is right to the millisecond.
_TIME_TOLERANCE = 0.0015
_ARRIVED = ("delivered", "on its way")


class FlowSyntaxError(ValueError):
    """A line of a call flow cannot be read."""


@dataclass(slots=True)
class Line:
    """One expected packet."""

    text: str
    source: str
    destination: str
    what: str
    detail: str = ""
    cseq_method: str = ""
    time: float | None = None
    is_optional: bool = False
    is_lost: bool = False
    headers: list[tuple[str, str | None]] = field(default_factory=list)

    def mismatch(self, packet: Packet, seconds: float) -> str:
        """Why the packet is not the one of this line; empty if it is."""
        if (packet.source, packet.destination) != (self.source, self.destination):
            return f"it goes from {packet.source} to {packet.destination}"
        if packet.label.split(" ", 1)[0] != self.what:
            return f"it is {packet.label}"
        if self.cseq_method and packet.method != self.cseq_method:
            return f"it answers {packet.method}"
        return self._mismatch_of_detail(packet) or self._mismatch_of_fate(packet, seconds)

    def _mismatch_of_detail(self, packet: Packet) -> str:
        words = packet.start_line.split(" ", 2)
        found = words[1] if packet.is_request else words[-1]
        if self.detail and not fnmatchcase(found, _pattern(self.detail)):
            return f"its {'Request-URI' if packet.is_request else 'reason'} is {found}"
        for name, wanted in self.headers:
            values = list(packet.headers(name))
            if wanted is None:
                if values:
                    return f"it has {name}: {values[0]}"
            elif not any(fnmatchcase(value, _pattern(wanted)) for value in values):
                return f"its {name} is {', '.join(values)}" if values else f"it has no {name}"
        return ""

    def _mismatch_of_fate(self, packet: Packet, seconds: float) -> str:
        if self.is_lost and packet.fate in _ARRIVED:
            return "it is not lost"
        if not self.is_lost and packet.fate not in _ARRIVED:
            return f"it is {packet.fate}"
        if self.time is not None and abs(seconds - self.time) > _TIME_TOLERANCE:
            return f"it is sent at {seconds:.3f} s"
        return ""


@dataclass(slots=True)
class AnyOrder:
    """Lines whose packets may come in any order."""

    lines: list[Line] = field(default_factory=list)


@dataclass(slots=True)
class Anything:
    """Any packets, until one matches the step that follows."""


Step: TypeAlias = Line | AnyOrder | Anything


def _pattern(text: str) -> str:
    """Only * is special: URIs may hold [ and ?."""
    return text.replace("[", "[[]").replace("?", "[?]")


def parse_flow(text: str) -> list[Step]:
    """Read a call flow. FlowSyntaxError names the line that cannot be read."""
    steps: list[Step] = []
    group: AnyOrder | None = None
    last: Line | None = None
    for number, content in _content(text):
        if content == "...":
            steps.append(Anything())
        elif content == "{":
            group = AnyOrder()
            steps.append(group)
        elif content == "}":
            group = None
        elif _MESSAGE.match(content):
            last = _message(content)
            if group is not None:
                group.lines.append(last)
            else:
                steps.append(last)
        else:
            _header(content, last, number)
    if group is not None:
        raise FlowSyntaxError("a { is never closed")
    return steps


def _content(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        content = re.sub(r"(^|\s)#.*$", "", line).strip()
        if content:
            yield number, content


def _message(content: str) -> Line:
    match = _MESSAGE.match(content)
    if match is None:
        raise FlowSyntaxError(f"cannot read {content!r}")
    left, right, arrow = match["left"], match["right"], match["arrow"]
    rest = _FLOW_NUMBER.sub("", match["rest"] or "")
    cseq = _CSEQ_METHOD.search(rest)
    detail = _CSEQ_METHOD.sub("", rest).strip()
    leftward = arrow in ("<-", "x-")
    return Line(
        text=content,
        source=right if leftward else left,
        destination=left if leftward else right,
        what=match["what"],
        detail=detail,
        cseq_method=cseq[1] if cseq else "",
        time=float(match["time"]) if match["time"] else None,
        is_optional=bool(match["optional"]),
        is_lost="x" in arrow,
    )


def _header(content: str, last: Line | None, number: int) -> None:
    match = _HEADER.match(content)
    if match is None or (match["value"] is None) != bool(match["not"]):
        raise FlowSyntaxError(
            f"line {number} of the flow cannot be read: {content!r}\n"
            "  write: alice -> proxy INVITE, or (below a message) Name: value, !Name, or { } or ..."
        )
    if last is None:
        raise FlowSyntaxError(f"line {number} of the flow: a header stands before any message")
    last.headers.append((match["name"], None if match["not"] else match["value"].strip()))


class Matcher:
    """Holds packets, one after the other, against the steps of a flow."""

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps
        self.done: list[tuple[Line, Packet]] = []
        #: Set with the reason once a packet does not fit.
        self.problem = ""
        self._at = 0
        self._group: list[Line] | None = None
        self._skipping = False

    @property
    def is_complete(self) -> bool:
        """Every line that is not optional was met."""
        return not self.problem and not any(not line.is_optional for line in self.missing())

    @property
    def skips_rest(self) -> bool:
        """The flow ends with `...`: what follows does not matter."""
        return bool(self.steps) and isinstance(self.steps[-1], Anything)

    def missing(self) -> list[Line]:
        """The lines that were not met yet, in order."""
        left: list[Line] = list(self._group or ())
        for step in self.steps[self._at + (self._group is not None) :]:
            left += [step] if isinstance(step, Line) else step.lines if isinstance(step, AnyOrder) else []
        return left

    def feed(self, packet: Packet, seconds: float) -> bool:
        """Take the next packet. False if it belongs to no line; then `problem` says why."""
        reasons: list[str] = []
        while self._at < len(self.steps):
            step = self.steps[self._at]
            if isinstance(step, Anything):
                self._skipping = True
                self._at += 1
                continue
            if self._group is None:
                self._group = list(step.lines) if isinstance(step, AnyOrder) else [step]
            for line in self._group:
                reason = line.mismatch(packet, seconds)
                if not reason:
                    self._met(line, packet)
                    return True
                reasons.append(f"expected {line.text}, but {reason}")
            if self._skipping:
                return True
            if any(not line.is_optional for line in self._group):
                break
            self._next_step()
        if self._skipping and self._at >= len(self.steps):
            return True
        self.problem = "\n".join(reasons) or "nothing more was expected"
        return False

    def _met(self, line: Line, packet: Packet) -> None:
        self.done.append((line, packet))
        self._skipping = False
        if self._group is not None:
            self._group.remove(line)
            if not self._group:
                self._next_step()

    def _next_step(self) -> None:
        self._group = None
        self._at += 1
