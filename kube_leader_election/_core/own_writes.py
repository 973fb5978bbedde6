"""The writes of one candidate: which may have been committed, and which last was."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime

from .messages import Instant
from .record import LeaseRecord

# kube-apiserver gives up on a request after 60 s by default (--request-timeout);
# far fewer writes than these can be under way that long.
_MOST_REMEMBERED = 1000


@dataclass(frozen=True)
class SentWrite:
    """A write composed at `anchor`, in an `era`: the time between two ends of terms."""

    record: LeaseRecord
    replaced_version: str | None
    anchor: Instant
    era: object

    def is_what(self, seen: LeaseRecord) -> bool:
        """Whether `seen`, as read from the server, is this write, committed."""
        if self.record.uid is None:
            return self.record.says_the_same_as(replace(seen, uid=None))
        return self.record.says_the_same_as(seen) and seen.resource_version != self.replaced_version


class OwnWrites:
    """Each write from its composition until it, or a later one, is known to be committed.

    No refusal resolves one: something on the way may have sent it twice, and the second
    try been refused because of the first.
    """

    def __init__(self) -> None:
        self._unresolved: deque[SentWrite] = deque(maxlen=_MOST_REMEMBERED)
        self._times: deque[datetime | None] = deque(maxlen=_MOST_REMEMBERED)
        self.last: LeaseRecord | None = None

    def add(self, sent: SentWrite) -> None:
        """`sent` is about to be sent: from now on it may be committed."""
        self._unresolved.append(sent)
        self._times.append(sent.record.renew_time)

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
        self.last = record
        while self._unresolved.popleft() is not sent:
            pass

    def times(self) -> set[datetime | None]:
        """Return the renewal times of our writes, which no other one may bear.

        Of the committed ones too: after a stale read a write would else be like the one that
        is stored, and pass for committed when it was refused.
        """
        return set(self._times)

    def is_last(self, seen: LeaseRecord) -> bool:
        """Whether `seen` is our last committed write, foreign fields aside."""
        return self.last is not None and self.last.says_the_same_as(seen)

    def are_older_than(self, seen: LeaseRecord) -> bool | None:
        """Whether `seen` came after our last committed write, `None` where that is unknown."""
        ours = self.last.version if self.last else None
        if ours is None or seen.version is None:
            return None
        return seen.version > ours
