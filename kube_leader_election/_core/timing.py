"""The durations of an election, what follows from them, and the rules they must obey.

All are in seconds. `belief` is the E of the formulae: how long a confirmed write
lets its writer lead, counted from the instant at which the write was composed. It
is shorter than the Lease lasts for others, so that it ends before they may begin.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeGuard

from .record import MAX_INT32

# Two clocks that each run up to 1 % wrong: the leader's slow, the other's fast.
CLOCK_RATE_MARGIN = 0.98
# Below this there is no room for a write and its answer before belief ends.
SHORTEST_BELIEF = 0.75


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long a candidate claims the Lease, believes to lead, and tries in one attempt."""

    lease_ttl: int
    max_clock_skew: float | None
    belief: float
    renew_interval: float
    attempt_timeout: float

    def warnings(self) -> Iterator[str]:
        """Yield what is allowed but fragile, each with its numbers."""
        if self.attempt_timeout < 1:
            yield (
                f"one attempt has only {self.attempt_timeout:.2f} s to reach the API server;"
                " a longer lease_ttl or call_timeout makes slow answers survivable"
            )
        if self.max_clock_skew is not None:
            covered = (1 - CLOCK_RATE_MARGIN) / 2 * self.lease_ttl + 2 * self.max_clock_skew
            if covered < 0.1:
                yield (
                    f"wall clocks that differ by more than {covered:.3f} s let two replicas lead:"
                    f" 0.01 * lease_ttl ({self.lease_ttl}) + 2 * max_clock_skew"
                    f" ({self.max_clock_skew:g}); declare the skew, or trust no wall clock (None)"
                )


def lock_timing(
    *, lease_ttl: int | timedelta, max_clock_skew: float | None, call_timeout: float | None
) -> Timing:
    """Return the timing of a candidate whose caller decides when to renew."""
    ttl = whole_seconds(lease_ttl)
    belief = belief_after(ttl, max_clock_skew)
    return Timing(
        lease_ttl=ttl,
        max_clock_skew=max_clock_skew,
        belief=belief,
        renew_interval=belief / 3,
        attempt_timeout=belief / 5 if call_timeout is None else call_timeout,
    )


def belief_after(lease_ttl: int, max_clock_skew: float | None) -> float:
    """Return how long a write may be believed in, from the instant it was composed."""
    return CLOCK_RATE_MARGIN * lease_ttl - (max_clock_skew or 0)


def whole_seconds(duration: int | timedelta) -> int:
    """Return `duration` in seconds, which `lease_ttl_rule` has found to be whole ones."""
    return duration // timedelta(seconds=1) if isinstance(duration, timedelta) else duration


def lease_ttl_rule(value: object) -> str | None:
    """Return the rule that `value` breaks as a `lease_ttl`, if any."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, timedelta))
        or (isinstance(value, timedelta) and value % timedelta(seconds=1))
    ):
        return "must be a whole number of seconds, as an int or a timedelta"
    if not 1 <= whole_seconds(value) <= MAX_INT32:
        return f"must be from 1 to {MAX_INT32} seconds (an int32 in the Lease)"
    return None


def max_clock_skew_rule(value: object, lease_ttl: int) -> str | None:
    """Return the rule that `value` breaks as a `max_clock_skew` beside `lease_ttl`, if any."""
    if value is None:
        return None
    if not _is_finite(value) or value < 0:
        return "must be a finite number of seconds, 0 or more, or None (trust no wall clock)"
    belief = belief_after(lease_ttl, value)
    # 0.98 is no binary fraction, so what is 0.75 by the numbers may be a little less.
    if belief < SHORTEST_BELIEF - 1e-6:
        return (
            f"leaves {belief:.2f} s to lead in: {CLOCK_RATE_MARGIN} * lease_ttl ({lease_ttl})"
            f" - max_clock_skew must be at least {SHORTEST_BELIEF} s"
        )
    return None


def call_timeout_rule(value: object, lease_ttl: int) -> str | None:
    """Return the rule that `value` breaks as a `call_timeout` beside `lease_ttl`, if any."""
    if value is None or (_is_finite(value) and 0 < value <= lease_ttl):
        return None
    return (
        f"must be a number of seconds, more than 0 and at most lease_ttl ({lease_ttl}),"
        " or None (derived from lease_ttl)"
    )


def _is_finite(value: object) -> TypeGuard[float]:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
