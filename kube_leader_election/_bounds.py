"""What is promised of an election with these parameters, in seconds of true time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ._core.timing import CLOCK_RATE_MARGIN, ElectorTiming, Timing, lock_timing
from ._core.watching import LONGEST_SILENCE, jittered
from ._errors import InvalidParamsError
from ._params import LeaderElectorParams, LeaseLockParams, timing_of


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How long what takes, at worst, among candidates that all have the same parameters.

    In seconds of true time, and with the letters of docs/guarantees.rst: L for `lease_ttl`, E for
    what a write is believed in by its writer's clock, D for `renew_deadline` (which is an
    elector's E), P for `retry_period`, C for `call_every`, Q for the time for one attempt, K for
    `max_clock_skew`, R for `request_time`. slow() and fast() are how long, in true time, a
    candidate waits for so many seconds where its clock is as slow, or as fast, as may be.

    `belief`: a confirmed write is believed in for no longer, from when it was composed: slow(E).
    `renew_interval`: from when one renewal was composed to when the next is: slow(D / 3); of a
    lock slow(C) + 2 R.
    `attempt_timeout`: nothing is waited for longer: slow(Q).
    `outage_survived`: whenever an outage as long begins, it ends no term, whether requests are
    refused, lost, or first one and then the other. Tries follow on one another in g to h
    seconds, and the term lasts for w more after the first that failed and before the last that
    would do; with n = floor(w / h) it is max(n g, w - h), less what a request takes on its way.
    An elector's g is min(P, Q), its h is Q, its w 2 D / 3 - 2 R; a lock's C, C + Q and
    E - C - 3 R; all by a fast clock. Meant to be tight. A server that answers `Retry-After` is
    no outage: of one that asks for longer, 7 D / 15 are survived.
    `safety_margin`: so much before another may begin to lead we have ended: fast(L) - slow(E).
    Negative where clocks may be worse than is covered: then two may lead for so long. Meant to
    be tight for electors, and where a skew is declared.

    What follows counts from the commit of the last renewal, or of the release, to when somebody
    else leads. All is meant to be tight, but for a lock that goes by its own clock, whose calls may
    come in step with L. A lock has no watch: its are the same in all ways.

    `takeover_after_crash`: of an elector that watches: slow(L) + 2 R. Of a lock L + 2 K +
    slow(C) + 2 R by the wall clocks, slow(L) + 2 slow(C) + 4 R by its own; what is less counts.
    `takeover_after_crash_polled`: where the Lease cannot be watched: slow(L + 1.2 P) + 3 R.
    `takeover_after_crash_stalled`: where the watch tells nothing any more, and nobody has
    noticed: slow(1.5 L) + 4 R.
    `takeover_after_release`: of an elector 2 R, of a lock slow(C) + 3 R.
    `takeover_after_release_polled`: slow(1.2 P) + 2 R.
    `takeover_after_release_stalled`: slow(L / 2) + 3 R.
    """

    belief: float
    renew_interval: float
    attempt_timeout: float
    outage_survived: float
    safety_margin: float
    takeover_after_crash: float
    takeover_after_crash_polled: float
    takeover_after_crash_stalled: float
    takeover_after_release: float
    takeover_after_release_polled: float
    takeover_after_release_stalled: float


def bounds(
    params: LeaderElectorParams | LeaseLockParams,
    *,
    request_time: float = 0.05,
    clock_error: float = (1 - CLOCK_RATE_MARGIN) / 2,
    call_every: float | None = None,
) -> Bounds:
    """Return what is promised of candidates that all have these parameters.

    They hold while all is well but for what is named. Pure: nothing is asked of anybody.

    :param request_time: within so many seconds a request is answered, and an event of a watch
        comes.
    :param clock_error: no clock runs faster or slower by more; 0.01 is what is covered.
    :param call_every: for a `LeaseLock`: by the caller's clock, from the end of a call to the
        beginning of the next; by default a third of E.
    :raises InvalidParamsError: an argument is no such number, or not for these parameters.
    """
    _check("request_time", request_time, 0 <= request_time < math.inf, "must be 0 or more")
    _check("clock_error", clock_error, 0 <= clock_error < 1, "must be 0 or more, and less than 1")
    if isinstance(params, LeaderElectorParams):
        rule = "is for a LeaseLock: an elector decides by itself when to act"
        _check("call_every", call_every, call_every is None, rule)
        return _of_elector(timing_of(params), _Slack(request_time, clock_error))
    timing = lock_timing(
        lease_ttl=params.lease_ttl,
        max_clock_skew=params.max_clock_skew,
        call_timeout=params.call_timeout,
    )
    every = timing.renew_interval if call_every is None else call_every
    _check("call_every", call_every, 0 <= every < math.inf, "must be 0 or more")
    return _of_lock(timing, every, _Slack(request_time, clock_error))


@dataclass(frozen=True)
class _Slack:
    """What makes things take longer, or shorter, than the parameters say."""

    request_time: float
    clock_error: float

    def slow(self, seconds: float) -> float:
        """Return how long the slowest clock takes to show so many seconds."""
        return seconds / (1 - self.clock_error)

    def fast(self, seconds: float) -> float:
        """Return how long the fastest clock takes to show so many seconds."""
        return seconds / (1 + self.clock_error)

    def margin(self, timing: Timing) -> float:
        """Return for how long nobody leads at least: by observation, which comes first."""
        return self.fast(timing.lease_ttl) - self.slow(timing.belief)


def _of_elector(timing: ElectorTiming, slack: _Slack) -> Bounds:
    slow, fast, request = slack.slow, slack.fast, slack.request_time
    polled_after = slow(jittered(timing.retry_period, _longest))
    looked_after = slow(min(timing.lease_ttl / 2, LONGEST_SILENCE))

    def expired_after(seen_after: float) -> float:
        return _expired_after(timing, seen_after, slow)

    return Bounds(
        belief=slow(timing.belief),
        renew_interval=slow(timing.renew_interval),
        attempt_timeout=slow(timing.attempt_timeout),
        outage_survived=_outage_survived(
            within=fast(timing.belief - timing.renew_interval) - 2 * request,
            shortest=fast(timing.retry_gap),
            longest=fast(timing.attempt_timeout),
            underway=request,
        ),
        safety_margin=slack.margin(timing),
        takeover_after_crash=expired_after(request) + request,
        takeover_after_crash_polled=expired_after(polled_after + request) + 2 * request,
        takeover_after_crash_stalled=expired_after(looked_after + 2 * request) + 2 * request,
        takeover_after_release=2 * request,
        takeover_after_release_polled=polled_after + 2 * request,
        takeover_after_release_stalled=looked_after + 3 * request,
    )


def _of_lock(timing: Timing, call_every: float, slack: _Slack) -> Bounds:
    slow, fast, request = slack.slow, slack.fast, slack.request_time
    every = slow(call_every)
    by_observation = every + 2 * request + slow(timing.lease_ttl)
    expired_after = by_observation
    if timing.max_clock_skew is not None:
        expired_after = min(timing.lease_ttl + 2 * timing.max_clock_skew, by_observation)
    after_crash, after_release = expired_after + every + 2 * request, every + 3 * request
    return Bounds(
        belief=slow(timing.belief),
        renew_interval=every + 2 * request,
        attempt_timeout=slow(timing.attempt_timeout),
        outage_survived=_outage_survived(
            within=fast(timing.belief - call_every) - 3 * request,
            shortest=fast(call_every),
            longest=fast(call_every + timing.attempt_timeout),
            underway=2 * request,
        ),
        safety_margin=slack.margin(timing),
        takeover_after_crash=after_crash,
        takeover_after_crash_polled=after_crash,
        takeover_after_crash_stalled=after_crash,
        takeover_after_release=after_release,
        takeover_after_release_polled=after_release,
        takeover_after_release_stalled=after_release,
    )


def _expired_after(timing: Timing, seen_after: float, slow: Callable[[float], float]) -> float:
    """Return when, after its commit, a record that was seen so late has expired by either rule."""
    by_observation = seen_after + slow(timing.lease_ttl)
    if timing.max_clock_skew is None:
        return by_observation
    by_wall_clocks = slow(timing.lease_ttl + 2 * timing.max_clock_skew)
    return max(seen_after, min(by_observation, by_wall_clocks))


def _outage_survived(*, within: float, shortest: float, longest: float, underway: float) -> float:
    """Return the length of an outage after which one try is left, however the others failed.

    To end the term, some n tries after the first have to fail, each `shortest` to `longest` after
    the one before, the last of them so late that the next may come too late.
    """
    if within <= 0 or longest <= 0:
        return 0.0
    failing = math.floor(within / longest)
    return max(0.0, max(failing * shortest, within - longest) - underway)


def _longest() -> float:
    return 1.0


def _check(field: str, value: object, is_well: bool, rule: str) -> None:
    if not is_well:
        raise InvalidParamsError(field, value, rule)
