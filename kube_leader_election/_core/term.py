"""A time of leading, which a clock ends and nobody has to."""

from __future__ import annotations

from dataclasses import dataclass

from .messages import Instant


@dataclass(frozen=True)
class Term:
    """From a committed write until `belief` seconds after the last one that confirmed it.

    `token` is the version of the write that began it, `anchor` the instant at which the
    last one was composed. Once its `era` is not the candidate's any more, it
    was ended. `wall_counts`: the monotonic clock stands still while the machine
    sleeps, so that the term also ends by the wall clock.
    """

    token: int | None
    anchor: Instant
    era: object
    belief: float
    wall_counts: bool = False

    def remaining(self, now: Instant) -> float:
        """Return the seconds that are left at `now`, 0 where the term is over."""
        elapsed = now.monotonic - self.anchor.monotonic
        if self.wall_counts:
            elapsed = max(elapsed, (now.utc - self.anchor.utc).total_seconds())
        return max(0.0, self.belief - elapsed)
