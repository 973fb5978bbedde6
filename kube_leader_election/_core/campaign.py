"""When a candidate that contends by itself acts: the decisions of an elector, without its threads.

Whoever drives a `Campaign` asks for its `news` and tells them, asks for its `step` until there
is none and carries each out, sleeps until `acts_at` or until something happens, and reports that.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from .attempt import Arrival, acquire_or_renew, step_down
from .candidate import Candidate
from .messages import Absent, Answer, Deleted, Failed, Found, Instant, Read, Request, WatchEvent
from .news import News, Party, Reporter
from .timing import ElectorTiming
from .watching import LONGEST_BACKOFF, CloseWatch, Jitter, OpenWatch, Watching, jittered

Conversation = Generator[Request, Arrival, object]

_TIMEOUT, _TOO_MANY_REQUESTS = 408, 429


@dataclass(frozen=True)
class Attempt:
    """Carry the requests of `conversation` out, all of them before `deadline_at`."""

    conversation: Conversation
    deadline_at: float


@dataclass(frozen=True)
class GiveUp:
    """The request under way is to fail now; what came of it is unknown."""


@dataclass(frozen=True)
class Finish:
    """The election is over: end the watch, and ask for no step any more."""


Step = Attempt | GiveUp | OpenWatch | CloseWatch | Finish


class Campaign:
    """One candidate from the start of its elector to the end. Not thread-safe.

    `parties` are told of each term, and each reports when it has finished with it: the Lease is
    not released before all have, and not contended for while one is still busy with a term
    that is over. `watches`: whether the Lease can be watched.
    """

    def __init__(
        self,
        candidate: Candidate,
        timing: ElectorTiming,
        *,
        parties: frozenset[Party],
        watches: bool,
        jitter: Jitter,
    ) -> None:
        self._candidate = candidate
        self._timing = timing
        self._jitter = jitter
        self._watching = Watching(timing, enabled=watches, jitter=jitter)
        self._reporter = Reporter(candidate, parties=parties)
        self._in_flight = self._gave_up = False
        self._give_up_at = self._due_at = math.inf
        self._ready_at = self._rests_until = -math.inf
        self._failures = 0
        self._stopping = False
        self._drain_until: float | None = None
        self._over_by = math.inf
        self._may_release = False

    def news(self, now: Instant) -> Iterator[News]:
        """Yield what has changed since this was called last, in order."""
        if self._drain_until is not None and self._over_by == math.inf:
            self._leave(now, self._drain_until)
        self._reporter.no_watch(self._watching.take_warning())
        leaving = self._drain_until is not None
        return self._reporter.news(now, leaving=leaving, stopping=self._stopping)

    def step(self, now: Instant) -> Step | None:
        """Return what is to be done now, which is then taken for begun; `None` if nothing is."""
        if self._in_flight and now.monotonic < self._over_by:
            if now.monotonic >= self._give_up_at:
                self._give_up_at, self._gave_up = math.inf, True
                return GiveUp()
        elif self._over_by < math.inf:
            return self._release(now)
        elif now.monotonic >= self._contends_at(now):
            return self._contend(now)
        return self._watching.step(now)

    def acts_at(self, now: Instant) -> float:
        """Return when, by the monotonic clock, there is a step or news if nothing happens."""
        term = self._candidate.term(now)
        changes_at = [term.ends_at(now) if term else self._candidate.acts_at(now)]
        changes_at = [at for at in changes_at if at > now.monotonic]
        if self._drain_until is not None and self._over_by == math.inf:
            changes_at.append(self._drain_until)
        attempt_at = self._give_up_at if self._in_flight else self._contends_at(now)
        return min(attempt_at, self._over_by, self._watching.acts_at(), *changes_at)

    def stuck_since(self) -> float:
        """Return since when, by the monotonic clock, something is overdue; infinity if nothing.

        An answer is after the deadline of its attempt, and the end of work after that of its term.
        """
        return min(self._due_at, self._reporter.held_back_since)

    def watched(self, event: WatchEvent, now: Instant) -> None:
        """The watch has told `event`."""
        self._watching.told(event, now)
        if isinstance(event, Found):
            self._candidate.observe(event, now)
        elif isinstance(event, Deleted):
            self._candidate.observe_deletion(event.record, now)

    def stop(self, now: Instant, *, drain_timeout: float | None = None) -> None:
        """Lead no more once all parties have finished, or their time to do so is over."""
        self._stopping = True
        timeout = self._timing.drain_timeout if drain_timeout is None else drain_timeout
        self._drain_within(timeout, now)

    def work_ended(self, ordinal: int, now: Instant, *, failed: bool) -> None:
        """Work has returned, which ends the election, or has `failed`.

        It does not where the work has returned because its term was lost, or is given up.
        """
        if failed or (self.leads_in(ordinal, now) and self._drain_until is None):
            self.stop(now)
        self._reporter.finished(Party.WORK, ordinal)

    def abandon_work(self, now: Instant) -> None:
        """The election ends, and whatever work there was has."""
        self.stop(now)
        self._reporter.finished(Party.WORK)

    def callbacks_ended(self, ordinal: int) -> None:
        """The callbacks that this term was told to have returned."""
        self._reporter.finished(Party.CALLBACKS, ordinal)

    def give_up(self, ordinal: int, now: Instant) -> None:
        """End the term of this number, but not the election.

        The Lease is contended for again after `lease_ttl`, so that another candidate comes first.
        """
        if self.leads_in(ordinal, now):
            self._drain_within(self._timing.drain_timeout, now)

    def leads_in(self, ordinal: int, now: Instant) -> bool:
        """Whether we lead, and in the term of this number."""
        term = self._candidate.term(now)
        return term is not None and term.ordinal == ordinal

    def _drain_within(self, timeout: float, now: Instant) -> None:
        until = now.monotonic + timeout
        self._drain_until = until if self._drain_until is None else min(self._drain_until, until)

    def _contends_at(self, now: Instant) -> float:
        leading = self._candidate.is_leader(now)
        if self._reporter.is_held_back(now):
            return math.inf
        at = self._candidate.acts_at(now)
        if not leading:
            lease, duration = self._candidate.lease, self._timing.lease_ttl
            if lease is not None and at < math.inf:
                duration = lease.lease_duration_seconds
            at = min(at, self._watching.look_at(duration))
        return max(at, self._ready_at, self._rests_until)

    def _contend(self, now: Instant) -> Attempt:
        leading = self._candidate.is_leader(now)
        is_known = leading or not self._watching.must_read
        is_due = is_known and now.monotonic >= self._candidate.acts_at(now)
        timeout = self._timing.attempt_timeout
        if leading:
            timeout = min(timeout, self._candidate.remaining(now))
        steps = acquire_or_renew(self._candidate, now if is_due else None)
        return self._attempt(steps, now, now.monotonic + timeout)

    def _leave(self, now: Instant, drain_until: float) -> None:
        """End the term for good, if no party needs it any more or none has time left."""
        self._may_release = not self._reporter.is_engaged
        if self._may_release or now.monotonic >= drain_until:
            self._candidate.end_term()
            patience = self._timing.attempt_timeout / 2
            self._over_by = now.monotonic + 2 * patience
            if self._in_flight:
                is_worth_it = self._may_release and self._candidate.may_hold
                self._give_up_at = now.monotonic + (patience if is_worth_it else 0.0)

    def _release(self, now: Instant) -> Step | None:
        if self._may_release and self._candidate.may_hold and now.monotonic < self._over_by:
            self._may_release = False
            return self._attempt(step_down(self._candidate, now), now, self._over_by)
        if self._stopping:
            return Finish()
        self._drain_until, self._over_by = None, math.inf
        self._rests_until = now.monotonic + self._timing.lease_ttl
        return self._watching.step(now)

    def _attempt(self, steps: Conversation, now: Instant, deadline_at: float) -> Attempt:
        self._in_flight, self._gave_up, self._due_at = True, False, deadline_at
        return Attempt(self._talk(steps, now), deadline_at)

    def _talk(self, steps: Conversation, began: Instant) -> Generator[Request, Arrival, None]:
        answer: Answer | None = None
        try:
            request = next(steps)
            while not self._is_given_up():
                answer, now = yield request
                if isinstance(request, Read) and self._is_given_up():
                    break  # it could only lead to a write
                request = steps.send((answer, now))
        except StopIteration:
            self._failures = 0
            self._reporter.recovered()
            self._watching.answered(self._candidate.lease, now)
            is_done = self._candidate.acts_at(now) > now.monotonic
            self._ready_at = -math.inf if is_done else began.monotonic + self._timing.retry_gap
        except Exception as error:
            if answer is None or isinstance(answer, Found) or answer.error is not error:
                raise
            self._failures += 1
            status = answer.status if isinstance(answer, Failed) else None
            if not self._gave_up:
                self._reporter.attempt_failed(error, status)
            self._ready_at = self._retries_at(answer, began, now)
        self._watching.attempted(began)
        self._in_flight = False
        self._give_up_at = self._due_at = math.inf

    def _is_given_up(self) -> bool:
        return self._gave_up

    def _retries_at(self, answer: Answer, began: Instant, now: Instant) -> float:
        asked = (answer.retry_after if isinstance(answer, Failed) else None) or 0.0
        remaining = self._candidate.remaining(now)
        if remaining:
            # However long we are asked to wait, a last try is left before the term ends.
            asked = min(asked, max(0.0, remaining - self._timing.attempt_timeout))
            return max(began.monotonic + self._timing.retry_gap, now.monotonic + asked)
        gap = jittered(self._timing.retry_period, self._jitter)
        if _is_refusal(answer):
            gap = min(LONGEST_BACKOFF, gap * 2.0 ** min(self._failures - 1, 10))
        return max(began.monotonic + gap, now.monotonic + min(asked, LONGEST_BACKOFF))


def _is_refusal(answer: Answer) -> bool:
    """Whether the same request will be answered the same until a person has changed something."""
    if isinstance(answer, Failed):
        status = answer.status or 0
        return 400 <= status < 500 and status not in (_TIMEOUT, _TOO_MANY_REQUESTS)
    return isinstance(answer, Absent)
