"""Schedules by chance: each seed gives one, of any candidates, in which anything may happen."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from enum import Enum

from ._schedule import Fault, Happening, OnEvent, OnRequest, Replica, Rules, Schedule, What

# Two clocks that each run up to 1 % wrong are covered by the margin of what is believed.
COVERED_RATE, UNCOVERED_RATE = 0.01, 0.05
# In seconds. Among those who see no less of a time a lock must declare so much skew, and an elector
# have a deadline so much shorter.
COVERS_WHOLE_SECONDS = 1.0
# In seconds: a year, which is nothing to those who trust no wall clock.
_FAR = 3.2e7
_STATUSES = (409, 429, 500, 503, 504)
_NAMES = "abcdefgh"


class Beyond(Enum):
    """An assumption that does not hold in a schedule, so that two may lead."""

    RATES = "clocks run 5 % apart"
    SKEW = "wall clocks differ by more than is declared"


def random_schedule(seed: int, *, beyond: Beyond | None = None) -> Schedule:
    """Return the schedule of this seed; within all assumptions, unless one is named."""
    return _Chance(seed, beyond).schedule()


class _Chance:
    """The dice of one seed, and what they have decided for the whole election."""

    def __init__(self, seed: int, beyond: Beyond | None) -> None:
        self._seed = seed
        self._beyond = beyond
        self._dice = dice = random.Random(seed)
        self._count = dice.choices((2, 3, 4, 5, 6, 8), (40, 35, 10, 6, 5, 4))[0]
        self._calm_at = dice.uniform(6.0, 16.0)
        self._ttl = dice.randint(3, 6)
        trusts_walls = beyond is Beyond.SKEW or dice.random() < 0.4
        self._skew = dice.choice((0.2, 0.5, 1.0)) if trusts_walls else None
        kinds = [What.CRASH, What.RENAMED, What.PAUSE, What.LEAVE, What.GIVE_UP, What.WALL_JUMP]
        kinds += [What.WATCH_ENDS, What.WATCH_STALLS, What.OUTAGE, What.LABEL, What.INTRUDE]
        self._mixed = dice.random() < 0.2
        if self._mixed and self._skew is not None:
            self._skew = COVERS_WHOLE_SECONDS
        self._restores = not self._mixed and self._skew is None and dice.random() < 0.05
        self._deletes = not self._mixed and not self._restores and dice.random() < 0.25
        self._kinds = (
            kinds + 3 * [What.DELETE] * self._deletes + 2 * [What.RESTORE] * self._restores
        )

    def schedule(self) -> Schedule:
        replicas = [self._replica(name) for name in _NAMES[: self._count]]
        electors = [n for n, each in enumerate(replicas) if each.rules is Rules.ELECTOR]
        # Namesakes who go by the wall clock act at one time of it, and what they write is the same.
        if self._skew is None and len(electors) > 1 and self._dice.random() < 0.1:
            one, other = electors[:2]
            replicas[one] = replace(replicas[one], holder_id=replicas[other].name)
        faults = tuple(self._faults())
        return Schedule(self._seed, tuple(replicas), faults, self._calm_at)

    def _replica(self, name: str) -> Replica:
        dice, rules = self._dice, self._rules()
        ttl = self._ttl if self._deletes or dice.random() < 0.7 else dice.randint(3, 6)
        longest = 0.98 * ttl - (self._skew or 0.0) - (COVERS_WHOLE_SECONDS if self._mixed else 0.0)
        deadline = max(1.0, longest * dice.choice((1.0, 1.0, 0.8)))
        return Replica(
            rules,
            name,
            lease_ttl=ttl,
            renew_deadline=deadline,
            retry_period=min(dice.uniform(0.5, 1.5), deadline / 1.3),
            max_clock_skew=self._skew,
            watches=dice.random() < 0.8,
            busy_for=dice.choice((0.0, 0.0, 0.3, 2.0)) if rules is Rules.ELECTOR else 0.0,
            rate=self._rate(),
            ahead=self._ahead(),
            starts_at=dice.uniform(0.0, 3.0),
        )

    def _rules(self) -> Rules:
        if self._mixed and self._dice.random() < 0.4:
            return self._dice.choice((Rules.CLIENT_GO, Rules.WALL_CLOCK)[: 1 + bool(self._skew)])
        if self._mixed and self._skew is None:
            return Rules.ELECTOR
        return self._dice.choice((Rules.LOCK, Rules.ELECTOR, Rules.ELECTOR))

    def _rate(self) -> float:
        most = UNCOVERED_RATE if self._beyond is Beyond.RATES else COVERED_RATE
        return 1.0 + self._dice.choice((-most, most, self._dice.uniform(-most, most)))

    def _ahead(self) -> float:
        if self._skew is None:
            most = self._dice.choice((0.0, 2.0, _FAR))
            return self._dice.uniform(-most, most)
        most = self._skew * (2.0 if self._beyond is Beyond.SKEW else 0.5)
        return self._dice.uniform(-most, most)

    def _faults(self) -> Iterator[Fault]:
        dice = self._dice
        names = _NAMES[: self._count]
        for _ in range(dice.choice((0, 1, 2, 3, 5, 8))):
            yield self._on_request(dice.choice(names), dice.randrange(20))
        for _ in range(dice.choice((0, 0, 1, 3))):
            late = dice.choice((0.0, dice.uniform(0.0, 4.0)))
            twice = dice.uniform(0.0, 4.0) if dice.random() < 0.5 else None
            yield OnEvent(dice.choice(names), dice.randrange(20), late, twice)
        for _ in range(dice.choice((0, 1, 2, 3, 4, 6))):
            yield self._happening(dice.choice(self._kinds), dice.choice(names))

    def _on_request(self, replica: str, number: int) -> OnRequest:
        dice, luck = self._dice, self._dice.random()
        soon, late = dice.uniform(0.0, 0.05), dice.uniform(0.0, 2.5)
        if luck < 0.2:
            return OnRequest(replica, number, arrives_after=None)
        if luck < 0.4:
            return OnRequest(replica, number, soon, None)
        if luck < 0.55:
            return OnRequest(replica, number, late, dice.choice((None, soon)))
        if luck < 0.7:
            return OnRequest(replica, number, soon, late)
        if luck < 0.8:
            again = dice.uniform(0.0, 6.0)
            return OnRequest(replica, number, soon, dice.choice((None, soon)), again_after=again)
        if luck < 0.9:
            return OnRequest(replica, number, earlier=dice.randint(1, 4))
        return OnRequest(replica, number, status=dice.choice(_STATUSES))

    def _happening(self, what: What, replica: str) -> Happening:
        dice = self._dice
        # What takes time is over when it is calm.
        at = dice.uniform(0.5, self._calm_at - 2.0)
        most = self._calm_at - at
        seconds = 0.0
        if what in (What.CRASH, What.RENAMED, What.LEAVE):
            seconds = min(most, dice.choice((0.0, dice.uniform(0.0, 8.0))))
        elif what is What.PAUSE:
            seconds = min(most, dice.uniform(0.1, 8.0))
        elif what is What.OUTAGE:
            seconds = min(most, dice.uniform(0.1, 5.0))
        elif what is What.WALL_JUMP:
            seconds = self._ahead()
        elif what is What.INTRUDE:
            seconds = float(dice.randint(6, 7))  # no less than anybody promised
        elif what is What.RESTORE:
            seconds = dice.uniform(0.0, 6.0)
        return Happening(at, what, "" if what.is_of_all else replica, seconds)
