"""When the Lease is watched, from which version on, and when it is read all the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .messages import Bookmark, Instant, WatchEnded, WatchEvent, WatchOpened
from .record import LeaseRecord, integer_version
from .timing import ElectorTiming

# In seconds: after the first failure, and at most.
FIRST_BACKOFF = 0.5
LONGEST_BACKOFF = 60.0
# Of a watch, whatever duration the Lease says: kube-apiserver ends each within an hour. An odd one
# is more than a float can hold.
LONGEST_SILENCE = 3600.0

_UNAUTHORIZED, _FORBIDDEN, _GONE = 401, 403, 410

Jitter = Callable[[], float]


@dataclass(frozen=True)
class OpenWatch:
    """Watch the Lease from `resource_version` on, `None` for from what it is now on."""

    resource_version: str | None


@dataclass(frozen=True)
class CloseWatch:
    """End the watch, which is stalled. This end is told as any other."""


class Watching:
    """What the watch has told, and what is to be done about it.

    One watch at a time: the next is opened after the end of the one before was told. `jitter`
    returns a number from 0 to 1, another each time.
    """

    def __init__(self, timing: ElectorTiming, *, enabled: bool, jitter: Jitter) -> None:
        self._timing = timing
        self._jitter = jitter
        self._enabled = enabled
        self._is_open = self._is_closing = self._has_told = False
        self._telling_since: float | None = None
        self._failures = self._errors = 0
        self._open_at = self._poll_at = self._heard_at = -math.inf
        self.must_read = True
        self._version: str | None = None
        self._told: str | None = None
        self._behind_since = math.inf
        self._is_excused = False
        self._warning: Exception | str | None = None

    def step(self, now: Instant) -> OpenWatch | CloseWatch | None:
        """Return what is to be done now, which is then taken for done."""
        if now.monotonic < self.acts_at():
            return None
        if self._is_open:
            self._is_closing, self._behind_since = True, math.inf
            return CloseWatch()
        self._is_open, self._behind_since = True, now.monotonic
        self._has_told = False
        self._told = self._version
        return OpenWatch(self._version)

    def acts_at(self) -> float:
        """Return when, by the monotonic clock, `step` has something to do."""
        if self._is_open:
            return self._behind_since + self._timing.attempt_timeout
        return math.inf if self.must_read or not self._enabled else self._open_at

    def look_at(self, duration: int) -> float:
        """Return when the Lease, which was claimed for `duration` seconds, is to be read.

        Where the watch tells, that is when it was silent for half the duration, or for an
        hour. After a failure it is not relied on before it has told something.
        """
        if self.must_read:
            return -math.inf
        if self._telling_since is not None and (self._has_told or not self._failures):
            return self._heard_at + min(duration, 2 * LONGEST_SILENCE) / 2
        return self._poll_at

    def attempted(self, began: Instant) -> None:
        """An attempt, whatever came of it, began at `began`."""
        self._poll_at = began.monotonic + self._jittered(self._timing.retry_period)

    def answered(self, lease: LeaseRecord | None, now: Instant) -> None:
        """The API server has just shown the Lease to be `lease`, by an answer."""
        self._heard_at = now.monotonic
        self.must_read = False
        version = lease.resource_version if lease else None
        if not self._is_open:
            self._version = version or self._version
            return
        shown = integer_version(version)
        told = integer_version(self._told) if self._told else 0
        if shown is None or told is None or shown == told:
            return
        if shown < told:
            # After a restore of etcd the watch would wait for what may come in years.
            self._version = self._told = version
            self._behind_since = -math.inf
        else:
            self._behind_since = min(self._behind_since, now.monotonic)

    def told(self, event: WatchEvent, now: Instant) -> None:
        """The watch has told `event`."""
        if isinstance(event, WatchOpened):
            self._telling_since = self._heard_at = now.monotonic
            self._behind_since = math.inf
        elif isinstance(event, WatchEnded):
            self._ended(event, now)
        elif isinstance(event, Bookmark):
            self._goes_on_from(event.resource_version, now)
        else:
            self._heard_at, self._behind_since = now.monotonic, math.inf
            self._told = event.record.resource_version
            self._goes_on_from(self._told, now)

    def take_warning(self) -> Exception | str | None:
        """Return why there is no watch, once for each time that it does not come about."""
        warning, self._warning = self._warning, None
        return warning

    def _goes_on_from(self, version: str | None, now: Instant) -> None:
        self._version = version
        self._has_told = True
        if self._has_lasted(now):
            self._failures = self._errors = 0
            self._is_excused = False

    def _has_lasted(self, now: Instant) -> bool:
        since = self._telling_since
        return since is not None and now.monotonic >= since + self._timing.retry_period

    def _ended(self, end: WatchEnded, now: Instant) -> None:
        lasted, self._telling_since = self._has_lasted(now), None
        stalled, self._is_closing, self._is_open = self._is_closing, False, False
        self._behind_since = math.inf
        backoff = FIRST_BACKOFF * 2.0 ** min(self._failures, 10)
        if end.status == _GONE:
            self.must_read, self._version = True, None
        if self._failures == 0 and lasted and (end.status == _GONE or end.error is None):
            backoff = 0.0
        if end.status == _FORBIDDEN:
            backoff = LONGEST_BACKOFF
        if stalled or end.error is not None or not lasted:
            self._failures += 1
        if stalled or end.error is not None:
            self._errors += 1
            refused = end.status in (_UNAUTHORIZED, _FORBIDDEN)
            if not self._is_excused and (refused or self._errors > 1):
                self._is_excused, self._warning = True, end.error or "its watch stalls"
        backoff = min(LONGEST_BACKOFF, max(backoff, end.retry_after or 0.0))
        self._open_at = now.monotonic + self._jittered(backoff)
        spread = self._timing.retry_period * self._jitter()
        self._poll_at = max(self._poll_at, now.monotonic + spread)

    def _jittered(self, seconds: float) -> float:
        return jittered(seconds, self._jitter)


def jittered(seconds: float, jitter: Jitter) -> float:
    """Return `seconds`, a fifth more or less, so that not all candidates act at once."""
    return seconds * (0.8 + 0.4 * jitter())
