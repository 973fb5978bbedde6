"""What is written down of one process, and the rules that one process can break alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from kube_leader_election._core.attempt import LeaseLockResult
from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Conflict,
    Create,
    Deleted,
    Failed,
    Found,
    Instant,
    Intent,
    Read,
    Replace,
    Request,
    WatchEvent,
    Write,
)
from kube_leader_election._core.news import News, TermBegan, TermEnded, TermStopping
from kube_leader_election._core.term import Term

from ._elector import ElectorProcess
from ._lock import LockProcess
from ._process import OurProcess

# For numbers that are sums of the same parts in another order.
ROUNDING = 1e-6
# The end of a term is told so soon, in seconds.
TOLD_WITHIN = 0.05


class Violation(Exception):
    """An invariant, by its number in docs/guarantees.rst, that did not hold at a true time."""

    def __init__(self, invariant: int, at: float, text: str) -> None:
        super().__init__(invariant, at, text)
        self.invariant = invariant
        self.at = at
        self.text = text

    def __str__(self) -> str:
        return f"invariant {self.invariant} does not hold at {self.at:.3f} s: {self.text}"


@dataclass
class _Claim:
    """A write that makes or keeps its writer the leader, and when it was composed."""

    composed_at: float
    is_committed: bool = False


class Dossier:
    """One process by its own clock: what it composed, heard, believed and told."""

    def __init__(self, process: OurProcess) -> None:
        self.process = process
        self.created_at = -math.inf
        self.is_disturbed = False
        self._is_sure = True
        self.seen_uid: str | None = None
        self.is_leaving = False
        self._claims: dict[datetime | None, _Claim] = {}
        self._times: set[datetime | None] = set()
        self._release_bases: set[str | None] = set()
        self._versions_are_new_from = 0
        self._has_seen = self._is_absent = self._was_told_of_absence = False
        self._absent_since = self._may_create_until = -math.inf
        self._longest_duration = process.timing.lease_ttl
        self._term: Term | None = None
        self._ends_at = -math.inf
        self._told: News | None = None
        self._last_answer: Answer | None = None
        self._attempts = 0
        self._has_learnt = False

    def leaves(self) -> None:
        """It is asked to end its term: by a call to a lock, which does so at once."""
        self.is_leaving = True
        if isinstance(self.process, LockProcess):
            self._claims.clear()

    def restored(self, new_from: int) -> None:
        """Below `new_from` versions mean two things now: its own too."""
        self._versions_are_new_from = new_from
        self._is_sure = False

    def composed(self, request: Request, now: Instant) -> None:
        """A request is about to be sent."""
        self.learnt()
        self._check_gap()
        if isinstance(request, Read):
            return
        self._check_time(request)
        if isinstance(request, Create):
            self._check_create(now)
        if isinstance(request, Replace) and request.intent is Intent.RELEASE:
            self._check_release(request.base)
            self._release_bases.add(request.base.record.resource_version)
        else:
            self._claims[request.record.renew_time] = _Claim(now.monotonic)

    def committed(self, write: Write) -> None:
        """A write of its own is stored; nobody else's came between it and what it replaces."""
        if isinstance(write, Replace):
            self.is_disturbed = False
            before = write.base.record.renew_time
            is_renewal = write.intent is Intent.RENEW and self.process.believes()
            if is_renewal and before in self._times and not _is_later(write, before):
                self._broken(4, "a renewal has an earlier time than the write before")
        claim = self._claims.get(write.record.renew_time)
        if claim is not None:
            claim.is_committed = True

    def heard(self, what: Answer | WatchEvent) -> None:
        """It is about to learn from an answer or an event."""
        if isinstance(what, Answer):
            self._last_answer = what
        self._has_learnt = self._has_learnt or not isinstance(what, Failed)
        if isinstance(what, Found):
            self._has_seen, self.seen_uid = True, what.record.uid
        elif isinstance(what, Conflict):
            self._has_seen, self._is_absent = True, False
        elif isinstance(what, (Absent, Deleted)):
            self._was_told_of_absence = True

    def learnt(self) -> None:
        """It has taken in what it heard."""
        told, self._was_told_of_absence = self._was_told_of_absence, False
        lease = self.process.candidate.lease
        if lease is not None:
            self._is_absent = False
            self._longest_duration = max(self._longest_duration, lease.lease_duration_seconds)
        elif told and not self._is_absent:
            now = self.process.look().monotonic
            self._is_absent, self._absent_since = True, now
            if self._ends_at > now:
                self._may_create_until = self._ends_at
            self._claims.clear()

    def believed_no_more(self) -> None:
        """It does not lead now."""
        now = self.process.look().monotonic
        if isinstance(self.process, LockProcess) and not self.process.is_over:
            self._check_cause(now)  # that of an elector when it is told
        self._ends_at = min(self._ends_at, now)

    @property
    def token(self) -> int | None:
        """The token of the term in which it was seen to lead last."""
        return self._term.token if self._term else None

    def believed(self, version: int) -> bool:
        """It leads; `version` is the Lease's. Return whether it is in a new term."""
        now, term, before = self.process.look(), self.process.term(), self._term
        if term is None:
            return False
        ends_at = term.ends_at(now)
        proofs = (each.composed_at for each in self._claims.values() if each.is_committed)
        proven_until = max(proofs, default=-math.inf) + self.process.timing.belief
        if ends_at > proven_until + ROUNDING:
            self._broken(2, "it believes for longer than its committed writes prove")
        if version >= self._versions_are_new_from and str(version) in self._release_bases:
            self._broken(3, "it believes while a release of its own may be committed")
        is_new = before is None or term.ordinal != before.ordinal
        if before is not None and not is_new:
            if term.token != before.token:
                self._broken(6, "the token has changed within a term")
            if now.monotonic >= self._ends_at + ROUNDING:
                self._broken(6, "a term goes on after it had lapsed")
        self._term, self._ends_at = term, ends_at
        return is_new

    def returned(self, result: LeaseLockResult | None) -> None:
        """A call to a lock has returned this, or raised an error."""
        has_learnt, self._has_learnt = self._has_learnt, False
        process = self.process
        term = process.term()
        if result is None:
            if not has_learnt and term is not None and term.ends_at(process.look()) > self._ends_at:
                self._broken(7, "a call that learnt nothing has let belief grow")
        elif result.acquired_lease != process.believes():
            self._broken(7, "what a call returned is not what is believed")
        elif result.fencing_token != (term.token if term else None):
            self._broken(7, "the token that a call returned is not that of the term")

    def told(self, news: News) -> None:
        """An elector has told this."""
        if not isinstance(news, TermBegan | TermStopping | TermEnded):
            return
        follows = {
            TermBegan: (type(None), TermEnded),
            TermStopping: (TermBegan,),
            TermEnded: (TermStopping,),
        }
        if type(self._told) not in follows[type(news)]:
            self._broken(11, f"{news} was told after {self._told}")
        self._told = news
        if isinstance(news, TermBegan):
            self.is_leaving = False  # it had given its term up, and leads again
        if isinstance(news, TermEnded):
            self._check_end()
            if self.is_leaving:
                self._claims.clear()

    def _check_gap(self) -> None:
        process = self.process
        if not isinstance(process, ElectorProcess) or len(process.attempts) == self._attempts:
            return
        self._attempts = len(process.attempts)
        failed = isinstance(self._last_answer, Failed)
        if failed and self._attempts > 1 and not self.is_leaving:
            before, began = process.attempts[-2:]
            gap = min(0.8 * process.timing.retry_period, process.timing.attempt_timeout)
            if began - before < gap - ROUNDING:
                self._broken(11, "it tries again too soon after a failure")

    def _check_time(self, write: Write) -> None:
        time = write.record.renew_time
        if isinstance(write, Replace):
            before = write.base.record.renew_time
            if time == before:
                self._broken(4, "a write has the time of the one that it replaces")
        if time in self._times:
            self._broken(4, "two writes have one time")
        self._times.add(time)

    def _check_create(self, now: Instant) -> None:
        self.created_at = self.process.world.now
        if not self._has_seen or now.monotonic < self._may_create_until:
            return
        absent_for = now.monotonic - self._absent_since if self._is_absent else 0.0
        if absent_for < self._longest_duration - ROUNDING:
            self._broken(9, "the Lease is created while its last holder may believe still")

    def _check_release(self, base: Found) -> None:
        process = self.process
        if process.believes():
            self._broken(8, "the Lease is released by one who believes to lead")
        if isinstance(process, ElectorProcess) and process.is_working:
            self._broken(8, "the Lease is released under work that runs")
        adopts = isinstance(process, LockProcess)
        if base.record.holder_identity != process.name or not (
            adopts or base.record.renew_time in self._times
        ):
            self._broken(8, "what is released is another's")

    def _check_end(self) -> None:
        process, now = self.process, self.process.look().monotonic
        late = now - max(self._ends_at, process.stood_until())
        if late > TOLD_WITHIN:
            self._broken(11, f"the end of a term was told {late:.3f} s late")
        self._check_cause(now)

    def _check_cause(self, now: float) -> None:
        """A term that is over at `now` has lapsed, or there is a reason for its end."""
        is_asked = self.is_leaving or self.is_disturbed
        if now < self._ends_at - ROUNDING and self._is_sure and not is_asked:
            self._broken(10, "a term has ended by what was older than its own write")

    def _broken(self, invariant: int, text: str) -> None:
        raise Violation(invariant, self.process.world.now, f"{self.process.name}: {text}")


def _is_later(write: Write, before: datetime | None) -> bool:
    time = write.record.renew_time
    return time is not None and (before is None or time > before)
