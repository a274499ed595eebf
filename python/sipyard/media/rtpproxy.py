"""The control protocol of RTPProxy: a client for it and for those who speak it too (rtpengine's listen-udp).

Over UDP a request begins with a cookie, which its answer repeats, and is sent again until there is an answer;
the relay knows repetitions by the cookie. Over a unix socket each command has a connection of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from sipyard.errors import StorageError
from sipyard.sip.hostport import host_and_port, shown

_log = logging.getLogger("sipyard.media")
PORT: Final = 22222


class RelayError(StorageError):
    """No relay answered, or it refused."""


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """Where a relay takes commands: `unix`, `udp` or `udp6`, a path or a host, a port, and its share of calls
    beside others of its set."""

    kind: str
    place: str
    port: int = 0
    weight: int = 1

    @classmethod
    def parse(cls, text: str) -> RelayAddress:
        """``unix:/var/run/rtpproxy.sock``, ``udp:host:port``, ``udp6:[host]:port``, a bare path; ``=2``
        behind gives it two shares.

        :raises ValueError: it is none of these.
        """
        where, equals, share = text.strip().rpartition("=") if "=" in text else (text.strip(), "", "1")
        if not share.isdecimal() or (equals and not int(share)):
            raise ValueError(f"{text!r}: the weight must be a number above 0")
        kind, colon, place = where.partition(":")
        if not colon or kind not in ("unix", "udp", "udp6"):
            kind, place = "unix", where
        if kind == "unix":
            if not place.startswith("/"):
                raise ValueError(f"{text!r} is neither unix:/path nor udp:host:port")
            return cls(kind, place, 0, int(share))
        host, port = host_and_port(place, PORT)
        return cls(kind, host, port, int(share))

    def __str__(self) -> str:
        return f"{self.kind}:{shown(self.place, self.port) if self.port else self.place}"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a relay is waited for: `tries` of `timeout` seconds, and then `pause` seconds without it."""

    tries: int = 6
    timeout: float = 1.0
    pause: float = 60.0


class _Answers(asyncio.DatagramProtocol):
    """The answer to one cookie."""

    def __init__(self, cookie: bytes) -> None:
        self._cookie = cookie + b" "
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Perhaps it."""
        if data.startswith(self._cookie) and not self.answer.done():
            self.answer.set_result(data[len(self._cookie) :])

    def error_received(self, exc: Exception) -> None:
        """Nobody is there, says the host."""
        if not self.answer.done():
            self.answer.set_exception(exc)


class Relay:
    """One RTPProxy."""

    def __init__(self, address: RelayAddress, patience: Patience) -> None:
        self.address = address
        self._patience = patience
        self._cookies = itertools.count(1)
        self._salt = os.urandom(4).hex()

    async def ask(self, command: str) -> str:
        """The answer to a command, without its line end.

        :raises RelayError: none in time.
        """
        try:
            if self.address.kind == "unix":
                found = await self._by_stream(command.encode("utf-8", "surrogateescape"))
            else:
                found = await self._by_datagram(command.encode("utf-8", "surrogateescape"))
        except (OSError, TimeoutError) as error:
            raise RelayError(f"{self.address} does not answer: {error or 'no time left'}") from error
        return found.decode("utf-8", "surrogateescape").strip()

    async def _by_stream(self, command: bytes) -> bytes:
        async with asyncio.timeout(self._patience.timeout):
            reader, writer = await asyncio.open_unix_connection(self.address.place)
            try:
                writer.write(command + b"\n")
                await writer.drain()
                return await reader.readline()
            finally:
                writer.close()

    async def _by_datagram(self, command: bytes) -> bytes:
        cookie = f"{self._salt}_{next(self._cookies)}".encode()
        where = (self.address.place, self.address.port)
        loop = asyncio.get_running_loop()
        transport, answers = await loop.create_datagram_endpoint(lambda: _Answers(cookie), remote_addr=where)
        try:
            for _ in range(self._patience.tries):
                transport.sendto(cookie + b" " + command + b"\n")
                done, _pending = await asyncio.wait([answers.answer], timeout=self._patience.timeout)
                if done:
                    return answers.answer.result()
            raise TimeoutError(f"{self._patience.tries} tries")
        finally:
            transport.close()


@dataclass(eq=False)
class RelaySet:
    """Relays that share calls: all commands of a call go to the same one, as long as it is there."""

    relays: Sequence[Relay]
    patience: Patience
    clock: Callable[[], float]
    _away: dict[Relay, float] = field(default_factory=dict)

    async def ask(self, call_id: str, command: str, number: int | None = None) -> str:
        """The answer of the call's relay, or of that with a number (from 0).

        :raises RelayError: none of them answers, or there is none of that number.
        """
        if number is not None:
            if number >= len(self.relays):
                raise RelayError(f"there is no relay {number}")
            return await self._ask_one(self.relays[number], command)
        error = RelayError("all media relays are away")
        for relay in self._in_order(call_id):
            try:
                return await self._ask_one(relay, command)
            except RelayError as refused:
                error = refused
        raise error

    async def _ask_one(self, relay: Relay, command: str) -> str:
        try:
            answer = await relay.ask(command)
        except RelayError as error:
            self._away[relay] = self.clock() + self.patience.pause
            _log.warning("%s; not asked for %g s", error.message, self.patience.pause)
            raise
        self._away.pop(relay, None)
        return answer

    def _in_order(self, call_id: str) -> list[Relay]:
        """Those that are there, the call's first: of highest random weight (rendezvous hashing)."""
        now = self.clock()
        there = [each for each in self.relays if self._away.get(each, 0.0) <= now]

        def score(relay: Relay) -> float:
            text = f"{relay.address}\n{call_id}".encode("utf-8", "surrogateescape")
            drawn = (int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") + 1) / 2.0**64
            return float(drawn ** (1 / relay.address.weight))

        return sorted(there, key=score, reverse=True)


def is_word(text: str) -> bool:
    """Whether a text can stand in a command: no white space or control character, and not what joins two."""
    return text.isprintable() and " " not in text and text not in ("", "&&")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a relay takes a stream."""

    port: int
    ip: str
    is_v6: bool


def place_of(answer: str, default_ip: str) -> Place | None:
    """The answer to `U` or `L`: ``port [ip [4|6]]``; None: it knows no such session, or refuses.

    :param default_ip: where the answer names none.
    """
    words = answer.split()
    if not words or not words[0].isdecimal() or not 0 < int(words[0]) < 65536:
        return None
    ip = words[1] if len(words) > 1 else default_ip
    return Place(int(words[0]), ip, ":" in ip)
