"""A production candidate while it is run, and what it does wrong by itself."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from kube_leader_election._core.attempt import LeaseLockResult, step_down
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Deleted,
    Failed,
    Found,
    Instant,
    Intent,
    Read,
    Replace,
    Request,
)

from .model_server import Trouble


@dataclass(frozen=True)
class Event:
    """An event of the watch, told apart from an answer."""

    of: Found | Deleted


class Live:
    """A candidate while it is run, and what it does wrong."""

    def __init__(self, candidate: Candidate, *, watches: bool) -> None:
        self.candidate = candidate
        self._watches = watches
        self.steps: Generator[Request, Any, Any] | None = None
        self.request: Request | None = None
        self.violation: str | None = None

    def tell(self, what: Any, now: Instant) -> None:
        """Begin the conversation `what`, or pass the answer or the event on."""
        if callable(what):
            known_at = now if self._watches and self.candidate.lease is not None else None
            self.steps = what(self.candidate, known_at)
            self._go_on(None, now)
            if what is step_down:
                self._must(not self.candidate.is_leader(now), "it leads after it stepped down")
        elif isinstance(what, Event):
            self._observe(what.of, now)
        else:
            self._hear(what, now)

    def _hear(self, answer: Answer, now: Instant) -> None:
        before = self.candidate.term(now)
        is_read, past = isinstance(self.request, Read), self._is_past(answer)
        self._go_on((answer, now), now)
        after = self.candidate.term(now)
        if isinstance(answer, Failed):
            self._must(before == after, "a request without an answer changed the term")
        if is_read and past and before is not None:
            self._must(after is not None, "a stale read ended the term")
        if is_read and not past and self._is_end(answer):
            self._must(after is None, "it leads though it has read that another does, or nobody")

    def _observe(self, event: Found | Deleted, now: Instant) -> None:
        before, past = self.candidate.term(now), self._is_past(event)
        if isinstance(event, Deleted):
            self.candidate.observe_deletion(event.record, now)
        else:
            self.candidate.observe(event, now)
        if past:
            self._must(before == self.candidate.term(now), "an old event changed the term")

    def _go_on(self, arrival: Any, now: Instant) -> None:
        assert self.steps is not None
        try:
            self.request = self.steps.send(arrival)
            self._check_release(now)
        except StopIteration as end:
            self.steps = self.request = None
            result, leads = end.value, self.candidate.is_leader(now)
            if isinstance(result, LeaseLockResult):
                self._must(result.acquired_lease == leads, "acquired_lease is not is_leader()")
        except Trouble:
            self.steps = self.request = None

    def _check_release(self, now: Instant) -> None:
        request = self.request
        if isinstance(request, Replace) and request.intent is Intent.RELEASE:
            self._must(not self.candidate.is_leader(now), "it releases what it leads by")
            holder = request.base.record.holder_identity
            self._must(holder == self.candidate._holder_id, "it releases what is another's")

    def _is_past(self, shown: object) -> bool:
        """Whether a Lease is shown as it was before our last write."""
        ours = self.candidate.confirmed
        if not isinstance(shown, (Found, Deleted)) or ours is None:
            return False
        return (shown.record.version or 0) < (ours.version or 0)

    def _is_end(self, answer: Answer) -> bool:
        """Whether there is no Lease, or it is another's."""
        if isinstance(answer, Found):
            return answer.record.holder_identity != self.candidate._holder_id
        return isinstance(answer, Absent)

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.violation = self.violation or otherwise
