"""The writes of one candidate: composed here, and kept until it is known which were committed."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

from . import writes
from .messages import Create, Found, Instant, Intent, Replace, Write
from .record import LeaseRecord

# kube-apiserver gives up on a request after 60 s by default (--request-timeout);
# far fewer writes than these can be under way that long.
_MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class SentWrite:
    """A write composed at `anchor`, in an `era`: the time between two ends of terms.

    `number` is its own among all, and `is_create`: there was to be no Lease before it.
    """

    number: int
    is_create: bool
    record: LeaseRecord
    replaced_version: str | None
    anchor: Instant
    era: object

    def is_what(self, seen: LeaseRecord) -> bool:
        """Whether `seen`, as read from the server, is this write, committed."""
        if self.record.renew_time != seen.renew_time:  # by far the most, and quickly told
            return False
        if self.record.uid is None:
            return self.record.says_the_same_as(replace(seen, uid=None))
        return self.record.says_the_same_as(seen) and seen.resource_version != self.replaced_version


class OwnWrites:
    """Each write from its composition until it, or a later one, is known to be committed.

    No refusal resolves one: something on the way may have sent it twice, and the second
    try been refused because of the first.
    """

    def __init__(self, holder_id: str, lease_ttl: int) -> None:
        self._holder_id = holder_id
        self._lease_ttl = lease_ttl
        self._unresolved: deque[SentWrite] = deque(maxlen=_MOST_REMEMBERED)
        self._times: deque[datetime | None] = deque(maxlen=_MOST_REMEMBERED)
        self._composed = self._overtaken = 0
        self._last_at = -math.inf
        self.last: LeaseRecord | None = None

    def claim(self, over: Found | None, now: Instant, era: object) -> Write:
        """Return the write that makes the Lease ours, `over` what it says."""
        stamp = self._stamp(now, unlike=over)
        record = writes.claim(
            self._holder_id, self._lease_ttl, stamp, over=over.record if over else None
        )
        return self._remember(record, over, Intent.ACQUIRE, now, era)

    def renewal(self, of: Found, now: Instant, era: object) -> Write:
        """Return the write that renews our Lease, which says `of`."""
        stamp = self._stamp(now, unlike=of, soonest=self._soonest(now))
        record = writes.renewal(self._lease_ttl, stamp, of=of.record)
        return self._remember(record, of, Intent.RENEW, now, era)

    def release(self, of: Found, now: Instant, era: object) -> Write:
        """Return the write that frees our Lease, which says `of`."""
        record = writes.release(self._stamp(now, unlike=of), of=of.record)
        return self._remember(record, of, Intent.RELEASE, now, era)

    @property
    def any_unresolved(self) -> bool:
        """Whether a write may be committed of which that is not known."""
        return bool(self._unresolved)

    def unresolved(self, record: LeaseRecord) -> SentWrite | None:
        """Return the write of `record`, `None` if it is resolved already."""
        return next((sent for sent in self._unresolved if sent.record is record), None)

    def committed_as(self, seen: LeaseRecord) -> SentWrite | None:
        """Return the unresolved write that `seen`, as read from the server, turns out to be."""
        return next((sent for sent in self._unresolved if sent.is_what(seen)), None)

    def confirm(self, sent: SentWrite, record: LeaseRecord) -> None:
        """`sent`, one of the unresolved, is stored as `record`.

        The guard lets no earlier one follow it. A later one may have: a stale read shows the past.
        """
        self.last, self._last_at = record, sent.anchor.monotonic
        while self._unresolved.popleft() is not sent:
            pass

    def overtake(self) -> None:
        """There is a Lease: a create composed before now comes about only after its deletion."""
        self._overtaken = self._composed

    def was_overtaken(self, sent: SentWrite) -> bool:
        """Whether `sent` is a create before which there was another Lease."""
        return sent.is_create and sent.number <= self._overtaken

    def is_last(self, seen: LeaseRecord) -> bool:
        """Whether `seen` is our last committed write, foreign fields aside."""
        return self.last is not None and self.last.says_the_same_as(seen)

    def are_older_than(self, seen: LeaseRecord) -> bool | None:
        """Whether `seen` came after our last committed write, `None` where that is unknown."""
        ours = self.last.version if self.last else None
        if ours is None or seen.version is None:
            return None
        return seen.version > ours

    def are_past(self, seen: LeaseRecord) -> bool:
        """Whether `seen` is one of ours from before our last committed write."""
        return seen.renew_time in self._times and self.are_older_than(seen) is False

    def _remember(
        self, record: LeaseRecord, base: Found | None, intent: Intent, now: Instant, era: object
    ) -> Write:
        """From now on the write may be committed."""
        replaced_version = base.record.resource_version if base else None
        self._composed += 1
        self._unresolved.append(
            SentWrite(self._composed, base is None, record, replaced_version, now, era)
        )
        self._times.append(record.renew_time)
        return Replace(record, base, intent) if base else Create(record)

    def _soonest(self, now: Instant) -> datetime | None:
        after = self.last.renew_time if self.last else None
        if after is None:
            return None
        return writes.soonest_renewal(after, elapsed=now.monotonic - self._last_at)

    def _stamp(
        self, now: Instant, *, unlike: Found | None, soonest: datetime | None = None
    ) -> datetime:
        # Unlike the committed ones too: after a stale read a write would else be like the one that
        # is stored, and pass for committed when it was refused.
        taken = {*self._times, unlike.record.renew_time if unlike else None}
        return writes.stamp(now.utc, soonest=soonest, unlike=taken)
