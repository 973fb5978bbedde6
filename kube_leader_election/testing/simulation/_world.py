"""True time, and what is still to happen in it."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from datetime import datetime, timedelta

from kube_leader_election._core.messages import Instant
from kube_leader_election.testing._clock import START

# What a time may be off after a multiplication and a division.
_ROUNDING = 1e-9

_MICROSECONDS_APART = 1e-5

Act = Callable[[], object]


class World:
    """`now` is true time, in seconds from 0. What is due is done in its order, one by one."""

    def __init__(self) -> None:
        self.now = 0.0
        self._numbers = itertools.count()
        self._agenda: list[tuple[float, int, Act]] = []

    def at(self, when: float, act: Act) -> None:
        """Do it then, or now if that is over."""
        if when < math.inf:
            heapq.heappush(self._agenda, (max(when, self.now), next(self._numbers), act))

    def after(self, seconds: float, act: Act) -> None:
        """Do it so many seconds from now."""
        self.at(self.now + seconds, act)

    def run(self, until: float) -> None:
        """All that is due until then was done, and it is then."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= until:
            self.now, _, act = heapq.heappop(agenda)
            act()
        self.now = until

    def utcnow(self) -> datetime:
        """Return the true time on the wall."""
        return START + timedelta(seconds=self.now)


class Clocks:
    """Both of one machine: one runs at `rate`; that on the wall is kept, `ahead` of true time."""

    def __init__(self, world: World, *, rate: float, ahead: float, number: int) -> None:
        """No two walls show one microsecond at the same time, whose `number` is not the same."""
        self._world = world
        self._apart = number * _MICROSECONDS_APART
        self.rate = rate
        self.ahead = ahead
        self._seen: tuple[float, float, Instant] | None = None

    def look(self) -> Instant:
        """Return what they show now."""
        now, ahead = self._world.now, self.ahead
        if self._seen is None or self._seen[:2] != (now, ahead):
            wall = START + timedelta(seconds=now + ahead + self._apart)
            self._seen = now, ahead, Instant(now * self.rate, wall)
        return self._seen[2]

    def true(self, monotonic: float) -> float:
        """Return the true time at which they show this, by no rounding less."""
        return monotonic / self.rate + _ROUNDING
