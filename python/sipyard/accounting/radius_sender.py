"""Records on their way to a RADIUS server: what is said of one, and a queue that does not lose them while no
server answers."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from typing import Final

from sipyard.accounting.accountant import Verdict
from sipyard.accounting.record import Record
from sipyard.radius import Attributes, RadiusClient, RadiusError
from sipyard.storage.backoff import Backoff

_log = logging.getLogger("sipyard.accounting")
START, STOP, INTERIM, FAILED = 1, 2, 3, 15
SIP_SESSION: Final = 15
LIMIT: Final = 100_000
AT_ONCE: Final = 32
_FTAG: Final = re.compile(r";ftag=([^;>\s]+)")


def status_type(record: Record) -> int:
    """Acct-Status-Type: a call begins with an INVITE that is answered and ends with a BYE; what is answered
    between is interim."""
    if not 200 <= record.status < 300:
        return FAILED
    if record.method == "INVITE" and not record.request.to_tag:
        return START
    return STOP if record.method == "BYE" else INTERIM


def attributes_of(
    record: Record, service_type: int, *, swaps: bool = False
) -> list[tuple[str, str | int | bytes]]:
    """What RADIUS is told of a record.

    :param swaps: a request that the callee sends is told from the caller's side.
    """
    message = record.request
    calling, called = message.from_uri or "", message.to_uri or ""
    from_tag, to_tag = message.from_tag or "", record.to_tag
    if swaps and _is_from_callee(record):
        calling, called, from_tag, to_tag = called, calling, to_tag, from_tag
    verified = record.verified
    user = calling.partition(":")[2].partition(";")[0] if verified is None else verified.username
    if verified is not None and "@" not in user:
        user = f"{user}@{verified.realm}"
    found: list[tuple[str, str | int | bytes]] = [
        ("User-Name", user),
        ("Acct-Status-Type", status_type(record)),
        ("Service-Type", SIP_SESSION if service_type < 0 else service_type),
        ("Sip-Response-Code", record.status),
        ("Acct-Session-Id", message.call_id),
        ("Calling-Station-Id", calling),
        ("Called-Station-Id", called),
        ("Sip-From-Tag", from_tag),
        ("Sip-To-Tag", to_tag),
        ("Sip-CSeq", str(message.cseq_number)),
        ("Sip-Translated-Request-URI", record.out_uri),
        ("Sip-Source-Port", message.source_port),
        ("Event-Timestamp", int(record.answered)),
    ]
    if ":" not in message.source_ip:
        found.append(("Sip-Source-IP-Address", message.source_ip))
    return [(name, _fitting(value)) for name, value in found if value != ""]


def _fitting(value: str | int | bytes) -> str | int | bytes:
    """A text cut to what an attribute holds (RFC 2865 §5)."""
    if not isinstance(value, str):
        return value
    return value.encode("utf-8", "surrogateescape")[:253].decode("utf-8", "ignore")


def _is_from_callee(record: Record) -> bool:
    route = record.request.header("Route") or ""
    found = _FTAG.search(route)
    return found is not None and found[1] != record.request.from_tag


class RadiusSender:
    """Sends Accounting-Requests, several at once; while no server answers they wait, bounded."""

    def __init__(self, name: str, client: RadiusClient) -> None:
        self.name = name
        self.lost = 0
        self._client = client
        self._waiting: deque[tuple[float, Attributes]] = deque()
        self._has_work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def waiting(self) -> int:
        """Records that no server has taken yet."""
        return len(self._waiting)

    def put(self, attributes: Attributes) -> None:
        """Accept a record; when too many wait it is logged instead."""
        if len(self._waiting) >= LIMIT:
            self._lose(attributes, "too many records wait")
            return
        self._waiting.append((asyncio.get_running_loop().time(), attributes))
        self._has_work.set()

    def _lose(self, attributes: Attributes, why: str) -> None:
        self.lost += 1
        _log.error("%s: %s; this record is not sent: %s", self.name, why, dict(attributes))

    async def start(self) -> None:
        """Begin."""
        self._is_stopping = False
        self._task = asyncio.get_running_loop().create_task(self._work())

    async def stop(self) -> None:
        """Send what waits; what no server takes now is logged."""
        self._is_stopping = True
        self._has_work.set()
        if self._task is not None:
            await self._task
            self._task = None
        while self._waiting:
            self._lose(self._waiting.popleft()[1], "no server answers")

    async def _work(self) -> None:
        backoff = Backoff()
        while not (self._is_stopping and not self._waiting):
            if not self._waiting:
                self._has_work.clear()
                await self._has_work.wait()
                continue
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            results = await asyncio.gather(*(self._send(*one) for one in batch), return_exceptions=True)
            failed = [one for one, result in zip(batch, results, strict=True) if result is not None]
            for error in (each for each in results if isinstance(each, Exception)):
                if not isinstance(error, RadiusError):
                    _log.error("%s: %s", self.name, error, exc_info=error)
            if not failed:
                backoff.reset()
                continue
            self._waiting.extendleft(reversed(failed))
            if self._is_stopping:
                return
            await asyncio.sleep(backoff.delay())

    async def _send(self, accepted: float, attributes: Attributes) -> None:
        """:raises RadiusError: no server takes it."""
        delay = int(asyncio.get_running_loop().time() - accepted)
        await self._client.account([*attributes, ("Acct-Delay-Time", delay)] if delay else attributes)


def worth_sending(verdict: Verdict) -> bool:
    """RADIUS is told of answers and refusals, not of 183 and ACK."""
    return verdict not in (Verdict.EARLY, Verdict.ACKNOWLEDGED)
