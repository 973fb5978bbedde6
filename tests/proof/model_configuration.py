"""Which election is explored: its candidates, their clocks, and what may go wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum

from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import Instant
from kube_leader_election._core.timing import CLOCK_RATE_MARGIN, Timing, lock_timing

TTL = 3
# The assumption of CLOCK_RATE_MARGIN at its edge: the one that leads slow, the other fast.
_RATES = (0.99, 1.01, 1.0)
_START = datetime(2024, 1, 1, 12, 0, 0, 500_000, tzinfo=timezone.utc)
# By so much (seconds, per tick) the ticks of one promise outlast it: they are to lie right behind
# its end, where a belief that is hardly too long is seen.
_SHARPNESS = 1e-5
# Walls that are trusted by nobody are far apart; and no two of them tell the same time, so that a
# `renewTime` names its writer.
_UNTRUSTED = 3600.0
_APART = 7e-6


class Fault(Enum):
    """What may happen besides candidates that call, a server that answers, and time."""

    REQUEST_LOST = "a write does not reach the server"
    ANSWER_LOST = "an answer does not arrive"
    LATE = "a write that was given up is committed later"
    TWICE = "a write arrives twice, and the second is answered"
    STALE = "a read shows the past"
    OLD_EVENT = "the watch shows the past"
    PAUSE = "a write or an answer takes until the next tick, or a candidate does"
    CRASH = "a process ends, and one of the same name begins"
    NEW_NAME = "a process ends, and one of another name begins"
    STEP_DOWN = "a candidate steps down"
    EDIT = "somebody edits a label"
    USURPER = "somebody writes another name into the Lease"
    DELETION = "somebody deletes the Lease, of which every candidate knows"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One exploration: all that `names` can do in `ticks`, and with at most `most_faults` faults.

    A candidate begins at most one attempt in each tick, and ends it there unless something is
    late. `watches`: the candidates are those of electors, which hear what was committed, soon or
    later or not at all, and act on what they know without reading. `past`: how many versions back
    a stale read or an old event may go. Without `merges`, two candidates are alike only if they
    have been told the same; this never ends where a watch may tell it again.
    """

    name: str
    faults: frozenset[Fault] = frozenset()
    most_faults: int = 3
    ticks: int = 7
    names: tuple[str, ...] = ("a", "b")
    adopts: bool = True
    watches: bool = False
    max_clock_skew: float | None = None
    ticks_per_ttl: int = 3
    past: int = 2
    merges: bool = True

    def __post_init__(self) -> None:
        fresh = {Fault.CRASH, Fault.NEW_NAME}
        if Fault.DELETION in self.faults and fresh & self.faults:
            # What cannot be made safe: it never saw the holder whose Lease was deleted.
            raise ValueError("a fresh candidate after a deletion may overlap with the holder")
        if self.watches and not self.merges:
            raise ValueError("what a watch tells again makes ever more states, if not merged")

    @property
    def timing(self) -> Timing:
        """What all candidates have been told."""
        return lock_timing(lease_ttl=TTL, max_clock_skew=self.max_clock_skew, call_timeout=None)

    @property
    def remembers(self) -> int:
        """How many versions back anything may be shown."""
        return self.past if self.faults & {Fault.STALE, Fault.OLD_EVENT} else 0

    def candidate(self, name: str) -> Candidate:
        """Return one that knows nothing yet."""
        return Candidate(name, self.timing, adopts=self.adopts)

    def tick_length(self) -> float:
        """Return true seconds: so many that another may just begin after `ticks_per_ttl` of them.

        By the wall clocks that differ most, the promise ends earlier than by the fast clock alone.
        """
        skew = self.max_clock_skew
        fast = max(_RATES)
        promise = TTL / fast if skew is None else min(TTL / fast, TTL + skew - self._wall_error())
        return promise / self.ticks_per_ttl + _SHARPNESS

    def now(self, place: int, tick: int) -> Instant:
        """Return what the clocks of the candidate at `place` show then."""
        elapsed = tick * self.tick_length()
        if self.max_clock_skew is None:
            ahead = -place * (_UNTRUSTED + _APART)
        else:
            ahead = (place % 2) * self._wall_error() - place * _APART
        wall = _START + timedelta(seconds=elapsed + ahead)
        return Instant(elapsed * _RATES[place % len(_RATES)], wall)

    def _wall_error(self) -> float:
        """By how much two wall clocks may differ with nobody the worse, as the warning says."""
        return (1 - CLOCK_RATE_MARGIN) / 2 * TTL + 2 * (self.max_clock_skew or 0.0)
