"""What went over the virtual wire, in order, and its drawing as a ladder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

#: Reason phrases of the first line of a ladder's arrow are cut to this many characters.
_LABEL_WIDTH = 24
_COLUMN_GAP = 20


class Address(NamedTuple):
    """An IP address and a UDP port. `str()` gives `192.0.2.1:5060` or `[2001:db8::1]:5060`."""

    ip: str
    port: int

    @classmethod
    def parse(cls, text: str | Address) -> Address:
        """Read `ip`, `ip:port`, `[ipv6]` or `[ipv6]:port`; the port is 5060 when it is left out.

        Raises ValueError for anything else (names are not resolved here).
        """
        if isinstance(text, Address):
            return text
        if text.startswith("["):
            ip, bracket, port = text[1:].partition("]")
            if not bracket or (port and not port.startswith(":")):
                raise ValueError(f"not an address: {text!r} (write [2001:db8::1]:5060)")
            port = port[1:]
        elif text.count(":") > 1:
            ip, port = text, ""
        else:
            ip, _, port = text.partition(":")
        if not ip or (port and not port.isdigit()):
            raise ValueError(f"not an address: {text!r} (write 192.0.2.1:5060)")
        return cls(ip, int(port or "5060"))

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"

    @property
    def host(self) -> str:
        """The IP address as it stands in a URI (IPv6 in brackets)."""
        return f"[{self.ip}]" if ":" in self.ip else self.ip


@dataclass(slots=True)
class Packet:
    """One datagram: who sent it to whom, when (microseconds of the network's clock), and what became of it.

    `fate` is `on its way`, `delivered`, `lost`, `nobody` (no node has that address) or `refused` (the
    node's address, but no such port: the sender gets an ICMP error).
    """

    number: int
    sent_us: int
    source: str
    destination: str
    source_address: Address
    destination_address: Address
    data: bytes
    fate: str = "on its way"
    arrived_us: int = 0
    copies: int = 1

    @property
    def start_line(self) -> str:
        """The first line, with bytes that are not UTF-8 shown as escapes."""
        return self.data.split(b"\r\n", 1)[0].decode("utf-8", "backslashreplace")

    @property
    def is_request(self) -> bool:
        """True unless it starts like a SIP response."""
        return not self.data.startswith(b"SIP/2.0 ")

    @property
    def status(self) -> int:
        """The status code of a response, 0 for a request or if it is no number."""
        code = b"" if self.is_request else self.data[8:11]
        return int(code) if code.isdigit() else 0

    @property
    def method(self) -> str:
        """The method: of a request its first word, of a response that of its CSeq."""
        if self.is_request:
            return self.start_line.split(" ", 1)[0]
        return self.header("CSeq").rpartition(" ")[2]

    def header(self, name: str) -> str:
        """The first header of that name as plain text, empty if there is none (compact forms are not
        expanded)."""
        return next(self.headers(name), "")

    def headers(self, name: str) -> Iterator[str]:
        """Every header of that name, in order (each as it stands, comma lists not split, folds joined)."""
        wanted = name.lower().encode() + b":"
        head = self.data.split(b"\r\n\r\n", 1)[0].replace(b"\r\n ", b" ").replace(b"\r\n\t", b" ")
        for line in head.split(b"\r\n")[1:]:
            if line[: len(wanted)].lower() == wanted:
                yield line[len(wanted) :].strip().decode("utf-8", "backslashreplace")

    @property
    def label(self) -> str:
        """What stands on the ladder's arrow: `INVITE` or `200 OK`."""
        if 53 in (self.source_address.port, self.destination_address.port):
            return "DNS"
        line = self.start_line
        return line.split(" ", 1)[0] if self.is_request else line[8:]

    def __str__(self) -> str:
        lost = "" if self.fate in ("delivered", "on its way") else f"   ({self.fate})"
        return f"{self.source} -> {self.destination}  {self.label}{lost}"


class Trace(Sequence[Packet]):
    """Every packet of a network, in the order of sending."""

    def __init__(self, start_us: int) -> None:
        self._packets: list[Packet] = []
        self._start_us = start_us

    def add(self, packet: Packet) -> None:
        """Append a packet (the network calls this)."""
        self._packets.append(packet)

    def __len__(self) -> int:
        return len(self._packets)

    @overload
    def __getitem__(self, index: int) -> Packet: ...
    @overload
    def __getitem__(self, index: slice) -> list[Packet]: ...
    def __getitem__(self, index: int | slice) -> Packet | list[Packet]:
        """One packet, or a list of some."""
        return self._packets[index]

    def __iter__(self) -> Iterator[Packet]:
        return iter(self._packets)

    def between(self, *names: str) -> list[Packet]:
        """The packets whose two ends are both among the named nodes."""
        return [packet for packet in self._packets if packet.source in names and packet.destination in names]

    def seconds(self, packet: Packet) -> float:
        """When it was sent, in seconds since the network began."""
        return (packet.sent_us - self._start_us) / 1_000_000

    def to_bytes(self) -> bytes:
        """The whole trace, bit by bit: equal for equal seeds and equal scenarios."""
        chunks: list[bytes] = []
        for packet in self._packets:
            sent = packet.sent_us - self._start_us
            arrived = packet.arrived_us - self._start_us if packet.arrived_us else -1
            chunks.append(
                f"{sent} {packet.source_address} {packet.destination_address} {packet.fate} {arrived} "
                f"x{packet.copies} {len(packet.data)}\n".encode()
            )
            chunks.append(packet.data)
            chunks.append(b"\n")
        return b"".join(chunks)

    def ladder(
        self, *names: str, packets: Iterable[Packet] | None = None, marks: dict[int, str] | None = None
    ) -> str:
        """Draw the packets as a ladder diagram as RFC 3665 does.

        `names` are the columns in order (default: every node in order of appearance), `packets` the packets
        to draw (default: all), `marks` remarks to the right of a packet, by its `number`.
        """
        drawn = list(self._packets if packets is None else packets)
        columns = list(names)
        for packet in drawn:
            columns += [end for end in (packet.source, packet.destination) if end not in columns]
        gap = max([_COLUMN_GAP, *(len(name) + 4 for name in columns)])
        head = " " * 10 + "".join(name.center(gap) for name in columns)
        lines = [head.rstrip()]
        for packet in drawn:
            line = f"{self.seconds(packet):9.3f} " + _arrow(packet, columns, gap)
            mark = (marks or {}).get(packet.number)
            lines.append(f"{line.rstrip()}   {mark}" if mark else line.rstrip())
        return "\n".join(lines)


def _arrow(packet: Packet, columns: list[str], gap: int) -> str:
    """One row: a bar a column and the arrow between its two ends."""
    row = list((" " * (gap // 2) + "|" + " " * (gap - gap // 2 - 1)) * len(columns))
    start, end = columns.index(packet.source), columns.index(packet.destination)
    left, right = sorted((start * gap + gap // 2, end * gap + gap // 2))
    if left == right:
        return "".join(row) + f" {packet.label[:_LABEL_WIDTH]} (to itself)"
    lost = packet.fate not in ("delivered", "on its way")
    label = packet.label[: max(4, right - left - 5)].center(right - left - 1, "-")
    body = list(label)
    head = "X" if lost else (">" if end > start else "<")
    body[-1 if end > start else 0] = head
    row[left + 1 : right] = body
    if lost and packet.fate != "lost":
        row += list(f" {packet.fate}")
    return "".join(row)
