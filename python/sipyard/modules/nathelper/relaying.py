"""force_rtp_proxy: lead the media of a call through an RTPProxy by rewriting its session descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sipyard.edited import edited
from sipyard.media.rtpproxy import Place, RelaySet, is_word, place_of
from sipyard.media.session_description import (
    MARKER,
    Address,
    Description,
    Malformed,
    Span,
    Stream,
    read,
)

if TYPE_CHECKING:
    from sipyard.context import Context

_MODIFIERS: Final = "aie"


class NotRelayed(Exception):
    """The message stays as it is; why."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """The flags of force_rtp_proxy: `modifiers` go to the relay (a asymmetric, i and e its inner and outer
    side), `looks_up` l, `ignores_marker` f, `trusts` r, `node` nN."""

    modifiers: str = ""
    looks_up: bool = False
    ignores_marker: bool = False
    trusts: bool = False
    node: int | None = None

    @classmethod
    def parse(cls, flags: str) -> Wishes:
        """From a script's text.

        :raises ValueError: a letter that means nothing.
        """
        letters, n, digits = flags.partition("n")
        if n and not digits.isdecimal():
            raise ValueError("n must be followed by the number of a relay")
        strange = [letter for letter in letters if letter.lower() not in "aielfr"]
        if strange:
            raise ValueError(f"{strange[0]!r} is no flag of force_rtp_proxy")
        letters = letters.lower()
        modifiers = "".join(letter for letter in letters if letter in _MODIFIERS)
        return cls(modifiers, "l" in letters, "f" in letters, "r" in letters, int(digits) if n else None)


@dataclass(frozen=True, slots=True)
class _Call:
    """What names a call to a relay."""

    call_id: str
    first: str
    second: str

    def words(self, stream: int) -> str:
        tags = [f"{tag};{stream}" for tag in (self.first, self.second) if tag]
        return " ".join(tags)


def _call_of(msg: Context, swapped: bool) -> _Call:
    message = msg.message
    first, second = message.from_tag or "", message.to_tag or ""
    if swapped:
        first, second = second, first
    if not first or not all(is_word(each) for each in (message.call_id, first) if each):
        raise NotRelayed("no Call-ID and tag that a relay could know the call by")
    if second and not is_word(second):
        raise NotRelayed("the To-tag has white space")
    return _Call(message.call_id, first, second)


async def relay_media(msg: Context, relays: RelaySet, wishes: Wishes, ip: str) -> None:
    """Lead the streams of a message's session description through a relay.

    :param ip: written in place of the relay's own address; "" for that.
    :raises NotRelayed: it stays as it is. RelayError: no relay answers.
    """
    message = msg.message
    is_offer = message.is_request and not wishes.looks_up
    if message.is_request and message.method != "INVITE":
        raise NotRelayed(f"{message.method} begins no session")
    if not is_offer and not message.to_tag:
        raise NotRelayed("there is no To-tag to look a session up by")
    call = _call_of(msg, swapped=message.is_request and wishes.looks_up)
    try:
        description = read(message.body)
        if description.is_marked and not wishes.ignores_marker:
            raise NotRelayed("another relay is in use already")
        places = await _places(msg, relays, wishes, description, call, "U" if is_offer else "L")
    except Malformed as error:
        raise NotRelayed(f"the session description cannot be read: {error}") from error
    _rewrite(msg, description, places, ip)


async def _places(
    msg: Context, relays: RelaySet, wishes: Wishes, description: Description, call: _Call, command: str
) -> list[tuple[Stream, Place]]:
    """Where the relay takes each stream."""
    if not description.streams:
        raise NotRelayed("no stream has a port")
    found: list[tuple[Stream, Place]] = []
    for number, stream in description.streams:
        address = description.address_of(stream)
        trusted = wishes.trusts or address.is_held
        where = address.ip if trusted else msg.message.source_ip
        if not is_word(where):
            raise NotRelayed(f"{where!r} is no address")
        six = "6" if ":" in where else ""
        port = stream.port.text.decode()
        text = f"{command}{wishes.modifiers}{six} {call.call_id} {where} {port} {call.words(number)}"
        answer = await relays.ask(call.call_id, text, wishes.node)
        place = place_of(answer, msg.core.listeners[max(msg.message.listener, 0)].ip)
        if place is None:
            raise NotRelayed(f"the relay answers {answer!r} to {command}")
        found.append((stream, place))
    return found


def _rewrite(msg: Context, description: Description, places: list[tuple[Stream, Place]], ip: str) -> None:
    """Write the relay's addresses and ports, all of them or none."""
    message, edits, offset = msg.message, edited(msg), msg.message.body_start
    changes: list[tuple[Span, str]] = []

    def lead(addresses: list[Address], place: Place) -> None:
        host = ip or place.ip
        text = f"IP{'6' if ':' in host else '4'} {host}"
        changes.extend((one.span, text) for one in addresses if not one.is_held)

    for stream, place in places:
        changes.append((stream.port, str(place.port)))
        if stream.rtcp is not None:
            changes.append((stream.rtcp, str(place.port + 1)))
        lead(stream.addresses, place)
    lead(description.session, places[0][1])
    if not all(edits.is_free(offset + span.start, offset + span.end) for span, _ in changes):
        raise NotRelayed("the session description was changed before")
    for span, text in changes:
        edits.replace(message, offset + span.start, offset + span.end, text.encode())
    if not description.is_marked:
        line_end = "" if message.body.endswith(b"\n") else "\r\n"
        marker = f"{line_end}a={MARKER.decode()}\r\n"
        edits.insert(message, offset + len(message.body), marker.encode())


async def end_media(msg: Context, relays: RelaySet, node: int | None = None) -> bool:
    """Tell the relay that a call is over; whether it knew it.

    :raises NotRelayed: the message names no call. RelayError: no relay answers.
    """
    call = _call_of(msg, swapped=False)
    tags = " ".join(tag for tag in (call.first, call.second) if tag)
    return (await relays.ask(call.call_id, f"D {call.call_id} {tags}", node)) == "0"
