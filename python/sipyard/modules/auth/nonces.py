"""Nonces: what a challenge gives out, and what may come back of it.

A nonce carries its own expiry and a MAC, so that nothing is kept for those who only ask (semantics §9 names
SER's form: 8 hexadecimal digits of the moment, 32 of a hash). What is kept, when the server is asked to look
for replays, is the use of nonces that somebody has answered with the right password.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_NONCE: Final = re.compile(r"[0-9a-f]{8}[0-9a-f]{8}[0-9a-f]{32}")
TABLE: Final = 200_000
"""Nonces whose use is remembered; when there are more, clients are asked to take a new one."""


class Freshness(enum.Enum):
    """What can be said of a nonce that came back."""

    GOOD = enum.auto()
    EXPIRED = enum.auto()
    FOREIGN = enum.auto()
    """Not made here, or for another realm or other contacts."""


@dataclass(slots=True)
class _Use:
    expires: int
    highest: int
    proof: object


class Nonces:
    """Makes and knows nonces.

    :param secret: key of the MAC; servers that share it accept each other's nonces.
    :param lifetime: seconds.
    :param wall: seconds since 1970.
    :param first: what the numbers that tell nonces of one moment apart begin with.
    """

    def __init__(self, secret: bytes, lifetime: int, wall: Callable[[], float], first: int = 0) -> None:
        self._key = hashlib.sha256(secret).digest()
        self._numbers = itertools.count(first)
        self.lifetime = lifetime
        self._wall = wall
        self._uses: dict[str, _Use] = {}

    def make(self, realm: str, bound: str = "") -> str:
        """A new nonce for a realm. `bound` is whatever must be the same when it comes back."""
        head = f"{int(self._wall()) + self.lifetime & 0xFFFFFFFF:08x}{next(self._numbers) & 0xFFFFFFFF:08x}"
        return head + self._mac(head, realm, bound)

    def _mac(self, head: str, realm: str, bound: str) -> str:
        text = f"{head}\0{realm}\0{bound}".encode("utf-8", "surrogateescape")
        return hashlib.blake2s(text, digest_size=16, key=self._key).hexdigest()

    def judge(self, nonce: str, realm: str, bound: str = "") -> Freshness:
        """Whether it is one of ours, and whether it is still good."""
        if _NONCE.fullmatch(nonce) is None:
            return Freshness.FOREIGN
        if not hmac.compare_digest(self._mac(nonce[:16], realm, bound), nonce[16:]):
            return Freshness.FOREIGN
        return Freshness.GOOD if self.is_fresh(nonce) else Freshness.EXPIRED

    def is_fresh(self, nonce: str) -> bool:
        """Whether one that was made here is not too old."""
        return int(nonce[:8], 16) > self._wall()

    def use(self, nonce: str, count: int, proof: object, *, only_once: bool) -> bool:
        """Note that a nonce was used with that count (0: none was said), rightly. False: it must not be, as
        the count was used before (RFC 7616 §3.4) or the nonce, if only once is allowed.

        :param proof: what a retransmission has in common with the first; it is let pass again.
        """
        known = self._uses.get(nonce)
        if known is not None:
            if known.proof == proof:
                return True
            if only_once or count <= known.highest:
                return False
            known.highest, known.proof = count, proof
            return True
        if len(self._uses) >= TABLE and not self._forget_expired():
            return False
        self._uses[nonce] = _Use(int(nonce[:8], 16), count, proof)
        return True

    def _forget_expired(self) -> bool:
        now = self._wall()
        for nonce in [nonce for nonce, use in self._uses.items() if use.expires <= now]:
            del self._uses[nonce]
        return len(self._uses) < TABLE

    @property
    def remembered(self) -> int:
        """How many nonces' use is remembered."""
        return len(self._uses)
