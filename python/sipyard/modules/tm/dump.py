"""t_write_req and t_write_unix: a request written for an external application, such as SEMS, which answers it
through the command `t_reply`.

The form is SER's: lines of text in a fixed order, "." for an empty one. The FIFO or socket is the
operator's; writing never blocks, and one that nobody reads is an error that the script can handle.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from sipyard._native.core import NameAddr, Uri
from sipyard.arguments import ArgumentError
from sipyard.attributes import Name

if TYPE_CHECKING:
    from sipyard._native.core import Message, Transaction
    from sipyard.context import Context

VERSION: Final = "0.3"
NOTHING: Final = "."
_ELEMENT = re.compile(r"(?:(?P<title>[^=;\[\]]+)=)?(?P<kind>avp|hdr|msg)\[(?P<name>[^\]]+)\]", re.IGNORECASE)


class Element(NamedTuple):
    """One extra item of an append list."""

    title: str
    header: str | None = None
    attribute: Name | None = None

    def value(self, msg: Context) -> str | None:
        """What the message has for it, None to leave it out."""
        if self.attribute is not None:
            found = msg.attributes.value(self.attribute)
            return None if found is None else str(found)
        return msg.message.header(self.header or "")


class Append(NamedTuple):
    """A named list of extra items (parameter tw_append)."""

    name: str
    elements: tuple[Element, ...]
    has_body: bool

    @classmethod
    def parse(cls, text: str) -> Append:
        """``name:title=avp[$x];hdr[Subject];msg[body]``.

        :raises ArgumentError: not of that form.
        """
        name, colon, rest = text.partition(":")
        if not colon or not name.strip():
            raise ArgumentError(f'"{text}" does not begin with a name and a colon')
        elements, has_body = [], False
        for part in filter(None, (one.strip() for one in rest.split(";"))):
            match = _ELEMENT.fullmatch(part)
            if match is None:
                raise ArgumentError(f'"{part}" is none of avp[…], hdr[…], msg[body]')
            word, title = match["name"].strip(), match["title"]
            match match["kind"].lower():
                case "hdr":
                    elements.append(Element(title or word, header=word))
                case "avp":
                    elements.append(Element(title or word, attribute=_attribute(word)))
                case _:
                    if word.lower() != "body":
                        raise ArgumentError(f"msg[{word}] is not known, only msg[body]")
                    has_body = True
        return cls(name.strip(), tuple(elements), has_body)


def _attribute(word: str) -> Name:
    try:
        return Name.parse(word)
    except ValueError as error:
        raise ArgumentError(str(error)) from None


def identifier(transaction: Transaction) -> str:
    """How other programs name a transaction: SER's "hash:label", here always ``id:0``."""
    return f"{transaction.id}:0"


def number_of(text: str) -> int:
    """The transaction's id in such a name.

    :raises ValueError: no such name.
    """
    number, colon, label = text.partition(":")
    if colon and label != "0":
        raise ValueError(f"{text} names no transaction")
    return int(number)


def dump(msg: Context, transaction: Transaction, action: str, append: Append | None) -> bytes:
    """The request as lines.

    :raises ParseError: a header that an application needs cannot be read.
    """
    message = msg.message
    target, routes, next_hop = dialog_of(message)
    uri = Uri(msg.request_uri)
    extra = [f"P-MsgFlags: {msg.flags:x}"]
    for element in append.elements if append is not None else ():
        if (value := element.value(msg)) is not None:
            extra.append(f"{element.title}: {' '.join(value.split())}")
    has_body = message.method in ("INVITE", "INFO") or (append is not None and append.has_body)
    lines = [
        VERSION,
        f"sip_request.{action}",
        message.method,
        uri.user or "",
        uri.host,
        message.destination_ip,
        NOTHING if message.destination_port == 5060 else str(message.destination_port),
        message.request_uri,
        target,
        message.header("From") or "",
        message.header("To") or "",
        message.call_id,
        message.from_tag or "",
        message.to_tag or "",
        str(message.cseq_number),
        identifier(transaction),
        ",".join(f"<{route}>" for route in routes) or NOTHING,
        next_hop or NOTHING,
        "\n".join([*extra, NOTHING]),
    ]
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    return text + (message.body if has_body else NOTHING.encode()) + b"\n"


def dialog_of(message: Message) -> tuple[str, list[str], str]:
    """Remote target, route set and next hop ("" when it is the target) of the dialog that a request opens,
    for
    the one who answers it (RFC 3261 §12.1.1)."""
    contacts = message.contacts()
    contact = next(iter(contacts), None)
    target = contact.uri if isinstance(contact, NameAddr) else message.from_.uri
    recorded = [route.uri for route in message.record_routes()]
    if not recorded:
        return target, [], ""
    if Uri(recorded[0]).parameter("lr") is not None:
        return target, recorded, recorded[0]
    return recorded[0], [*recorded[1:], target], ""


class Outlet(Protocol):
    """Where a dump is written."""

    def write(self, data: bytes) -> None:
        """:raises OSError: nobody reads, or it is full."""


class Fifo:
    """A named pipe that an application reads."""

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, data: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        try:
            # Up to PIPE_BUF bytes go in whole or not at all; more may be cut, which the reader cannot repair.
            if os.write(descriptor, data) != len(data):
                raise OSError(errno.EAGAIN, "the pipe is full", self.path)
        finally:
            os.close(descriptor)


class UnixSocket:
    """A unix datagram socket that an application reads."""

    def __init__(self, path: str) -> None:
        self.path = path

    def write(self, data: bytes) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(data, self.path)


__all__ = ["Append", "Fifo", "Outlet", "UnixSocket", "dialog_of", "dump", "identifier", "number_of"]
