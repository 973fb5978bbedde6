"""The durations of an election, what follows from them, and the rules they must obey.

All are in seconds. `belief` is the E of the formulae: how long a confirmed write
lets its writer lead, counted from the instant at which the write was composed. It
is shorter than the Lease lasts for others, so that it ends before they may begin; an
elector's is its `renew_deadline`, which is no longer than E.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, TypeGuard

from .record import MAX_INT32

# Two clocks that each run up to 1 % wrong: the leader's slow, the other's fast.
CLOCK_RATE_MARGIN = 0.98
# Below this there is no room for a write and its answer before belief ends.
SHORTEST_BELIEF = 0.75
SHORTEST_ELECTOR_TTL = 2
SHORTEST_RENEW_DEADLINE = 1.0
SHORTEST_RETRY_PERIOD = 0.5
# As much longer than the retry period the deadline must be: client-go's JitterFactor.
RETRY_JITTER = 1.2
# Neither 0.98 nor 1.2 is a binary fraction: what is a bound by the numbers may lie a little off it.
_ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long a candidate claims the Lease, believes to lead, and tries in one attempt."""

    lease_ttl: int
    max_clock_skew: float | None
    belief: float
    renew_interval: float
    attempt_timeout: float

    _gives_attempts_time: ClassVar[str] = "lease_ttl or call_timeout"

    def warnings(self) -> Iterator[str]:
        """Yield what is allowed but fragile, each with its numbers."""
        if self.attempt_timeout < 1:
            yield (
                f"one attempt has only {self.attempt_timeout:.2f} s to reach the API server;"
                f" a longer {self._gives_attempts_time} makes slow answers survivable"
            )
        if self.max_clock_skew is not None:
            covered = (1 - CLOCK_RATE_MARGIN) / 2 * self.lease_ttl + 2 * self.max_clock_skew
            if covered < 0.1:
                yield (
                    f"wall clocks that differ by more than {covered:.3f} s let two replicas lead:"
                    f" 0.01 * lease_ttl ({self.lease_ttl}) + 2 * max_clock_skew"
                    f" ({self.max_clock_skew:g}); declare the skew, or trust no wall clock (None)"
                )


@dataclass(frozen=True, kw_only=True)
class ElectorTiming(Timing):
    """Also how far apart failed attempts begin, and how long work that is to end may go on."""

    retry_period: float
    drain_timeout: float

    _gives_attempts_time: ClassVar[str] = "renew_deadline"

    @property
    def retry_gap(self) -> float:
        """From the start of a failed attempt to the start of the next."""
        return min(self.retry_period, self.attempt_timeout)

    def warnings(self) -> Iterator[str]:
        """Yield what is allowed but fragile, each with its numbers."""
        yield from super().warnings()
        safe = belief_after(self.lease_ttl, self.max_clock_skew) - 1
        if self.belief > safe + _ROUNDING:
            yield (
                f"renew_deadline ({_shown(self.belief)}) is more than {_shown(safe)} s:"
                f" {CLOCK_RATE_MARGIN} * lease_ttl ({self.lease_ttl}) - max_clock_skew"
                f" ({self.max_clock_skew or 0}) - 1; candidates that see renewTime in whole"
                " seconds, as client-go's do, may take the Lease while this one still leads"
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


def elector_timing(
    *,
    lease_ttl: int | timedelta,
    renew_deadline: float,
    retry_period: float,
    max_clock_skew: float | None,
    drain_timeout: float,
) -> ElectorTiming:
    """Return the timing of a candidate that renews by itself.

    Three full attempts, begun a third of `renew_deadline` after the last confirmed write, end
    before it.
    """
    return ElectorTiming(
        lease_ttl=whole_seconds(lease_ttl),
        max_clock_skew=max_clock_skew,
        belief=renew_deadline,
        renew_interval=renew_deadline / 3,
        attempt_timeout=renew_deadline / 5,
        retry_period=retry_period,
        drain_timeout=drain_timeout,
    )


def belief_after(lease_ttl: int, max_clock_skew: float | None) -> float:
    """Return how long a write may be believed in, from the instant it was composed."""
    return CLOCK_RATE_MARGIN * lease_ttl - (max_clock_skew or 0)


def whole_seconds(duration: int | timedelta) -> int:
    """Return `duration` in seconds, which `lease_ttl_rule` has found to be whole ones."""
    return duration // timedelta(seconds=1) if isinstance(duration, timedelta) else duration


def lease_ttl_rule(value: object, *, shortest: int = 1) -> str | None:
    """Return the rule that `value` breaks as a `lease_ttl`, if any."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, timedelta))
        or (isinstance(value, timedelta) and value % timedelta(seconds=1))
    ):
        return "must be a whole number of seconds, as an int or a timedelta"
    if not shortest <= whole_seconds(value) <= MAX_INT32:
        return f"must be from {shortest} to {MAX_INT32} seconds (an int32 in the Lease)"
    return None


def max_clock_skew_rule(
    value: object, lease_ttl: int, *, shortest_belief: float = SHORTEST_BELIEF
) -> str | None:
    """Return the rule that `value` breaks as a `max_clock_skew` beside `lease_ttl`, if any."""
    if value is None:
        return None
    if not _is_finite(value) or value < 0:
        return "must be a finite number of seconds, 0 or more, or None (trust no wall clock)"
    belief = belief_after(lease_ttl, value)
    if belief < shortest_belief - _ROUNDING:
        return (
            f"leaves {belief:.2f} s to lead in: {CLOCK_RATE_MARGIN} * lease_ttl ({lease_ttl})"
            f" - max_clock_skew must be at least {shortest_belief} s"
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


def renew_deadline_rule(value: object, lease_ttl: int, max_clock_skew: float | None) -> str | None:
    """Return the rule that `value` breaks as a `renew_deadline` beside the others, if any."""
    longest = belief_after(lease_ttl, max_clock_skew)
    if _is_finite(value) and SHORTEST_RENEW_DEADLINE <= value <= longest + _ROUNDING:
        return None
    return (
        f"must be a number of seconds from {SHORTEST_RENEW_DEADLINE} to {_shown(longest)}:"
        f" {CLOCK_RATE_MARGIN} * lease_ttl ({lease_ttl}) - max_clock_skew ({max_clock_skew or 0})"
    )


def retry_period_rule(value: object, renew_deadline: float) -> str | None:
    """Return the rule that `value` breaks as a `retry_period` beside the deadline, if any."""
    if not _is_finite(value) or value < SHORTEST_RETRY_PERIOD:
        return f"must be a finite number of seconds, {SHORTEST_RETRY_PERIOD} or more"
    if renew_deadline < RETRY_JITTER * value + _ROUNDING:
        return (
            f"leaves no time to retry: {RETRY_JITTER} * retry_period"
            f" ({_shown(RETRY_JITTER * value)} s) must be less than renew_deadline"
            f" ({renew_deadline})"
        )
    return None


def drain_timeout_rule(value: object) -> str | None:
    """Return the rule that `value` breaks as a `drain_timeout`, if any."""
    if _is_finite(value) and value >= 0:
        return None
    return "must be a finite number of seconds, 0 or more"


def _shown(seconds: float) -> str:
    return str(round(seconds, 6))


def _is_finite(value: object) -> TypeGuard[float]:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
