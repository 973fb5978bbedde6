"""A time of leading, which a clock ends and nobody has to."""

from __future__ import annotations

from dataclasses import dataclass

from .messages import Instant


@dataclass(frozen=True)
class Term:
    """From a committed write until `belief` seconds after the last one that confirmed it.

    `token` is the version of the write that began it, `ordinal` its number among the terms
    of this candidate, `anchor` the instant at which the last write was composed. Once its
    `era` is not the candidate's any more, it was ended. `wall_counts`: the monotonic clock
    stands still while the machine sleeps, so that the term also ends by the wall clock.
    """

    ordinal: int
    token: int | None
    anchor: Instant
    era: object
    belief: float
    wall_counts: bool = False

    def ends_at(self, now: Instant) -> float:
        """Return when, by the monotonic clock, the term is over, as far as `now` can tell."""
        ends_at = self.anchor.monotonic + self.belief
        if self.wall_counts:
            slept = (now.utc - self.anchor.utc).total_seconds()
            ends_at -= max(0.0, slept - (now.monotonic - self.anchor.monotonic))
        return ends_at

    def remaining(self, now: Instant) -> float:
        """Return the seconds that are left at `now`, 0 where the term is over."""
        return max(0.0, self.ends_at(now) - now.monotonic)
