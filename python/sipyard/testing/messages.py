"""SIP messages as a phone writes them (RFC 3261 §8.1.1, §8.2.6, §9.1, §17.1.1.3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sipyard._native.core import Message

#: Header lines as pairs, as a mapping, or as ready lines ("Name: value").
Headers = Mapping[str, str] | Iterable[tuple[str, str]] | Iterable[str]

REASONS = {
    100: "Trying",
    180: "Ringing",
    181: "Call Is Being Forwarded",
    182: "Queued",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    410: "Gone",
    415: "Unsupported Media Type",
    420: "Bad Extension",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
    604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
}


def header_lines(headers: Headers) -> tuple[str, ...]:
    """Header lines without line ends. ValueError for a line without a colon."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    lines = tuple(item if isinstance(item, str) else f"{item[0]}: {item[1]}" for item in pairs)
    for line in lines:
        if ":" not in line:
            raise ValueError(f"not a header line: {line!r} (write 'Name: value')")
    return lines


def reason_of(status: int) -> str:
    """The usual reason phrase of a status."""
    return REASONS.get(status, "Unknown")


@dataclass(frozen=True, slots=True)
class Request:
    """A request to send: everything but the bytes. `lines` are further header lines, before the body."""

    method: str
    uri: str
    via: str
    from_: str
    to: str
    call_id: str
    cseq: int
    routes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    body: bytes = b""
    content_type: str = "application/sdp"
    max_forwards: int = 70

    @property
    def branch(self) -> str:
        """The branch of our Via."""
        return self.via.rpartition("branch=")[2].partition(";")[0]

    def to_bytes(self) -> bytes:
        """The request as it goes over the wire."""
        lines = [
            f"{self.method} {self.uri} SIP/2.0",
            f"Via: {self.via}",
            f"Max-Forwards: {self.max_forwards}",
            *(f"Route: {route}" for route in self.routes),
            f"From: {self.from_}",
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq} {self.method}",
            *self.lines,
        ]
        return _finish(lines, self.body, self.content_type)

    def cancel(self) -> Request:
        """RFC 3261 §9.1: the same but for the method; same branch, no Require, no body."""
        return replace(self, method="CANCEL", lines=(), body=b"", max_forwards=70)

    def ack(self, response: Message) -> Request:
        """RFC 3261 §17.1.1.3: the ACK to a non-2xx final response, hop by hop: same branch, its To."""
        return replace(self, method="ACK", to=response.header("To") or self.to, lines=(), body=b"")


def response_to(
    request: Message,
    status: int,
    reason: str | None = None,
    *,
    to_tag: str = "",
    lines: Iterable[str] = (),
    body: bytes = b"",
    content_type: str = "application/sdp",
) -> bytes:
    """A response as RFC 3261 §8.2.6 builds it; Record-Route is copied into 1xx and 2xx (§12.1.1)."""
    to = request.header("To") or ""
    if to_tag and request.to_tag is None:
        to += f";tag={to_tag}"
    text = [f"SIP/2.0 {status} {reason_of(status) if reason is None else reason}"]
    text += [f"Via: {value}" for value in _vias(request)]
    if 100 < status < 300:
        text += [f"Record-Route: {value}" for value in request.headers("Record-Route")]
    text += [
        f"From: {request.header('From')}",
        f"To: {to}",
        f"Call-ID: {request.header('Call-ID')}",
        f"CSeq: {request.header('CSeq')}",
        *lines,
    ]
    return _finish(text, body, content_type)


def _vias(request: Message) -> list[str]:
    """All Vias as they came, the top one with `received` and `rport` (RFC 3261 §18.2.1, RFC 3581 §4)."""
    values = request.values("Via")
    top = request.via()
    if top is None:
        return values
    first = values[0]
    if top.rport == "":
        first = first.replace(";rport", f";rport={request.source_port}", 1)
    return [first, *values[1:]]


def _finish(lines: list[str], body: bytes, content_type: str) -> bytes:
    if body:
        lines.append(f"Content-Type: {content_type}")
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body
