"""What one candidate has seen of the Lease, and when it first saw it so."""

from __future__ import annotations

import math
from datetime import timedelta

from .messages import Found, Instant
from .record import LeaseRecord

_ZERO = timedelta(0)
_MICROSECOND = timedelta(microseconds=1)


class Observation:
    """The Lease as last seen, its absence, and how long either has lasted by our clock."""

    def __init__(self, *, lease_ttl: int) -> None:
        self.lease: Found | None = None
        self._unchanged_since = 0.0
        self._absent_since: float | None = None
        self._exists_or_did = False
        self._newest_version: int | None = None
        self._longest_duration = lease_ttl

    def see(self, found: Found, now: Instant) -> None:
        """The Lease was shown to be `found`, by an answer or event that came at `now`."""
        record = found.record
        if self.lease is None or not self.lease.record.says_the_same_as(record):
            self._unchanged_since = now.monotonic
        self.lease = found
        self._longest_duration = max(self._longest_duration, record.lease_duration_seconds)
        if record.version is not None:
            self._newest_version = record.version
        self.see_existence()

    def see_existence(self) -> None:
        """There was shown to be a Lease, but not what it says."""
        self._exists_or_did = True
        self._absent_since = None

    def see_absence(self, now: Instant) -> None:
        """There was shown to be no Lease, by an answer or event that came at `now`."""
        self.lease = None
        if self._absent_since is None:
            self._absent_since = now.monotonic

    def is_news(self, event: LeaseRecord) -> bool:
        """Whether an event that shows `event` is newer than all that was seen."""
        if event.version is None or self._newest_version is None:
            return True
        return event.version > self._newest_version

    def is_news_of_deletion(self, last: LeaseRecord) -> bool:
        """Whether an event that `last` is gone is newer than all that was seen."""
        if last.version is None or self._newest_version is None:
            return self.lease is not None and self.lease.record.uid == last.uid
        return last.version > self._newest_version

    def may_outdate(self, answer: LeaseRecord) -> bool:
        """Whether what events showed while `answer` was under way may be newer than it."""
        if self.lease is None or answer.version is None or self._newest_version is None:
            return True
        return answer.version < self._newest_version

    def expires_at(self, record: LeaseRecord, now: Instant, max_clock_skew: float | None) -> float:
        """Return when the promise of `record`, which is what we see, has run out by either rule.

        By the monotonic clock, as far as `now` can tell. The duration that counts is the stored
        one. By our own clock it counts from the answer that first showed the record, by the wall
        clocks from its `renew_time`.
        """
        by_observation = _after(self._unchanged_since, record.lease_duration_seconds)
        if max_clock_skew is None:
            return by_observation
        if record.renew_time is None:
            return now.monotonic
        try:
            promised = timedelta(seconds=record.lease_duration_seconds)
            left = promised + timedelta(seconds=max_clock_skew) - (now.utc - record.renew_time)
        except OverflowError:
            return by_observation
        if left < _ZERO:
            return now.monotonic
        # At the very end of the promise it is not over yet.
        return min(by_observation, now.monotonic + max(left, _MICROSECOND).total_seconds())

    def allows_create_at(self, now: Instant) -> float:
        """Return from when on nobody who held the deleted Lease can still believe to lead.

        By the monotonic clock: after the longest duration seen, counted from the first sight of
        this absence. Who never saw the Lease knows of nobody.
        """
        if not self._exists_or_did:
            return now.monotonic
        since = now.monotonic if self._absent_since is None else self._absent_since
        return _after(since, self._longest_duration)

    def wait_all_out(self, now: Instant) -> float:
        """Return when nobody believes any more to lead by what was written until `now`."""
        return _after(now.monotonic, self._longest_duration)


def _after(since: float, seconds: int) -> float:
    try:
        return since + seconds
    except OverflowError:  # more than a float can hold
        return math.inf
