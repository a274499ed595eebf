"""How a path between two nodes treats packets: latency, jitter, loss, duplication, reordering, corruption,
partition."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import ClassVar

from .clock import MICROSECONDS


@dataclass(slots=True)
class Link:
    """One direction of a path. Times in seconds, the rest are probabilities from 0 to 1 (ValueError
    otherwise).

    `latency` plus a random part of up to `jitter`; packets keep their order unless `reordering` strikes,
    which holds a packet back for up to `reordering_delay`. `corruption` flips one bit. `is_up = False` is a
    partition: all is lost.
    """

    _PROBABILITIES: ClassVar[tuple[str, ...]] = ("loss", "duplication", "reordering", "corruption")

    latency: float = 0.01
    jitter: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    reordering_delay: float = 0.1
    corruption: float = 0.0
    is_up: bool = True
    _last_arrival_us: int = field(default=0, repr=False)

    def __post_init__(self) -> None:
        for name in self._PROBABILITIES:
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name}={value!r}: a probability lies between 0 and 1")
        for name in ("latency", "jitter", "reordering_delay"):
            value = getattr(self, name)
            if value < 0:
                raise ValueError(f"{name}={value!r}: a time in seconds cannot be negative")

    def change(self, **settings: float | bool) -> None:
        """Change some settings by name; TypeError for a name that there is not, ValueError for a bad
        value."""
        known = [name for name in self.__dataclass_fields__ if not name.startswith("_")]
        for name, value in settings.items():
            if name not in known:
                raise TypeError(f"a link has no setting {name!r}; it has {', '.join(known)}")
            setattr(self, name, value)
        self.__post_init__()

    def copy(self) -> Link:
        """The same settings for another path."""
        return Link(**{name: getattr(self, name) for name in self.__dataclass_fields__ if name[0] != "_"})

    def arrivals(self, now_us: int, dice: random.Random) -> list[int]:
        """When the copies of a packet sent now arrive, in microseconds: none if it is lost, two if
        duplicated.

        Draws from `dice` only for what is switched on, so that a setting left at zero changes nobody else's
        luck.
        """
        if not self.is_up or (self.loss and dice.random() < self.loss):
            return []
        count = 2 if self.duplication and dice.random() < self.duplication else 1
        return [self._arrival(now_us, dice) for _ in range(count)]

    def _arrival(self, now_us: int, dice: random.Random) -> int:
        delay = self.latency
        if self.jitter:
            delay += self.jitter * dice.random()
        if self.reordering and dice.random() < self.reordering:
            return now_us + round((delay + self.reordering_delay * dice.random()) * MICROSECONDS)
        arrival = max(now_us + round(delay * MICROSECONDS), self._last_arrival_us)
        self._last_arrival_us = arrival
        return arrival

    def corrupted(self, data: bytes, dice: random.Random) -> bytes:
        """The data as it arrives: now and then one bit is wrong."""
        if not self.corruption or not data or dice.random() >= self.corruption:
            return data
        changed = bytearray(data)
        changed[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        return bytes(changed)
