"""What one candidate knows of one Lease, and what follows from it at an instant.

A candidate learns from answers (`take_in`) and from watch events (`observe`,
`observe_deletion`), composes the next write, and compares: whether we lead is never
stored, it follows from the anchor of a confirmed write and the clock.
"""

from __future__ import annotations

import math
from dataclasses import replace

from .messages import Answer, Conflict, Create, Failed, Found, Instant, Read, Request, Write
from .observation import Observation
from .own_writes import OwnWrites, SentWrite
from .record import LeaseRecord
from .term import Term
from .timing import Timing


class Candidate:
    """One candidate for one Lease. Not thread-safe, but for the questions about the term."""

    def __init__(
        self,
        holder_id: str,
        timing: Timing,
        *,
        adopts: bool = True,
        heeds_strategy: bool = False,
        wall_ends_term: bool = False,
    ) -> None:
        """Know nothing yet.

        `adopts`: an older record under our name is ours to renew, since no other living
        process has this `holder_id`. `heeds_strategy`: a Lease whose holder Kubernetes
        appoints is left alone. `wall_ends_term`: see `Term.wall_counts`.
        """
        self._holder_id = holder_id
        self._timing = timing
        self._adopts = adopts
        self._heeds_strategy = heeds_strategy
        self._wall_ends_term = wall_ends_term
        self.news = 0
        self._observed = Observation(lease_ttl=timing.lease_ttl)
        self._may_create_again_until = -math.inf
        self._may_renew_at = -math.inf
        self._recognised = False
        self._term: Term | None = None
        self._terms = 0
        self._era = object()
        self._writes = OwnWrites(holder_id, timing.lease_ttl)
        self._warning: str | None = None
        self._warned: set[str] = set()

    @property
    def lease(self) -> LeaseRecord | None:
        """What the Lease last said, `None` where there was none."""
        seen = self._observed.lease
        return seen.record if seen else None

    @property
    def confirmed(self) -> LeaseRecord | None:
        """Our last write that is known to have been committed."""
        return self._writes.last

    def is_leader(self, now: Instant) -> bool:
        """Whether our term, if there is one, has not yet ended by our own clock."""
        return self.term(now) is not None

    def remaining(self, now: Instant) -> float:
        """How many seconds of leading are left without another confirmed write."""
        term = self.term(now)
        return term.remaining(now) if term else 0.0

    def fencing_token(self, now: Instant) -> int | None:
        """The version of the write that began our term, `None` where we do not lead."""
        term = self.term(now)
        return term.token if term else None

    def term(self, now: Instant) -> Term | None:
        """The term in which we lead, `None` where we do not."""
        term = self._term
        return term if term and term.era is self._era and term.remaining(now) > 0 else None

    def take_warning(self) -> str | None:
        """Return what the user should be told, once."""
        warning, self._warning = self._warning, None
        return warning

    def end_term(self) -> None:
        """End our term, and let no write composed so far begin another.

        Takes effect at once and from anywhere: another thread, or a signal handler in the
        middle of any other method.
        """
        self._era = object()

    def forget_term(self) -> None:
        """The term that is over stays so, even if a wall clock that ended it is set back."""
        self._term = None

    def take_in(self, request: Request, answer: Answer, now: Instant, *, overtaken: bool) -> None:
        """Learn from the answer to `request`; `overtaken` by an event while it was in flight.

        :raises Exception: the answer's error, where it is a failure.
        """
        self._recognised = False
        if isinstance(request, Create):
            self._may_create_again_until = -math.inf
        if isinstance(answer, Failed):
            raise answer.error
        if isinstance(answer, Found):
            outdated = overtaken and self._observed.may_outdate(answer.record)
            if not isinstance(request, Read):
                self._settle(request, answer, now, outdated)
            elif not outdated:
                self._see(answer, now)
            return
        if isinstance(answer, Conflict):
            self._observed.see_existence()
        elif isinstance(request, Create):
            raise answer.error
        else:
            self._see_absence(now)

    def observe(self, event: Found, now: Instant) -> None:
        """Learn from a watch event that shows the Lease, unless it is old."""
        if self._observed.is_news(event.record):
            self.news += 1
            self._see(event, now)

    def observe_deletion(self, last: LeaseRecord, now: Instant) -> None:
        """Learn from a watch event that the Lease, which `last` was, is gone."""
        if self._observed.is_news_of_deletion(last):
            self.news += 1
            self._see_absence(now)

    def holder(self, now: Instant) -> str | None:
        """Who leads by what we know, `None` where nobody does or nobody is known to."""
        if self.is_leader(now):
            return self._holder_id
        seen = self._observed.lease
        if seen is None or self._is_ours_to_write(seen.record):
            return None
        return seen.record.holder_identity if now.monotonic < self.acts_at(now) else None

    def acts_at(self, now: Instant) -> float:
        """Return from when on, by the monotonic clock, there is a write to make.

        Infinity where that is not foreseeable, since Kubernetes appoints the holder.
        """
        term, seen = self.term(now), self._observed.lease
        if seen is not None and self._is_left_alone(seen.record):
            return math.inf
        if term is not None:
            return term.anchor.monotonic + self._timing.renew_interval
        if seen is None:
            return self._may_create_at(now)
        if self._is_ours_to_write(seen.record):
            return max(now.monotonic, self._may_renew_at)
        return self._free_at(seen.record, now)

    @property
    def may_hold(self) -> bool:
        """Whether the Lease may be ours to release."""
        seen = self._observed.lease
        ours = seen is not None and self._is_ours_to_write(seen.record)
        return ours or self._writes.any_unresolved

    def compose_claim(self, now: Instant) -> Write | None:
        """Return the write that makes or keeps us leader, `None` where there is none to make."""
        seen = self._observed.lease
        if seen is None:
            may_create = now.monotonic >= self._may_create_at(now)
            return self._writes.claim(None, now, self._era) if may_create else None
        record = seen.record
        if self._is_left_alone(record):
            return None
        if self._is_ours_to_write(record) or self._is_our_past(record, now):
            is_due = self._renewal_is_due(now)
            return self._writes.renewal(seen, now, self._era) if is_due else None
        if now.monotonic >= self._free_at(record, now):
            return self._writes.claim(seen, now, self._era)
        return None

    def compose_release(self, now: Instant) -> Write | None:
        """Return the write that gives the Lease up, `None` where it is not ours to give."""
        seen = self._observed.lease
        if seen is None or not self._is_ours_to_write(seen.record):
            return None
        return self._writes.release(seen, now, self._era)

    def _see(self, found: Found, now: Instant) -> None:
        record = found.record
        is_news = self._observed.is_news(record)
        self._observed.see(found, now)
        self._may_create_again_until = -math.inf
        sent = self._writes.committed_as(record)
        if sent is not None:
            self._recognised = True
            self._confirm(sent, record, now, is_news=is_news)
        elif not self._writes.is_last(record) and self._supersedes_ours(record):
            self.end_term()
            if record.holder_identity == self._holder_id:
                self._warn(
                    f"another process leads under our holder_id {self._holder_id!r}:"
                    " give every candidate its own, or leave holder_id unset"
                )
        self._writes.overtake()
        if self._is_left_alone(record):
            self._warn(
                f"it is left alone: its spec.strategy is {record.strategy!r}, so that Kubernetes"
                " itself appoints its holder; use another lease_name"
            )

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self._warning = text

    def _see_absence(self, now: Instant) -> None:
        if self.is_leader(now):
            self._may_create_again_until = now.monotonic + self.remaining(now)
        self._observed.see_absence(now)
        self.end_term()

    def _settle(self, request: Write, answer: Found, now: Instant, outdated: bool) -> None:
        sent = self._writes.unresolved(request.record)
        if sent is None or outdated:
            return
        record = replace(
            request.record,
            uid=answer.record.uid or request.record.uid,
            resource_version=answer.record.resource_version,
        )
        self._observed.see(Found(record, answer.source), now)
        self._confirm(sent, record, now, is_news=True)
        self._writes.overtake()

    def _confirm(
        self, sent: SentWrite, record: LeaseRecord, now: Instant, *, is_news: bool
    ) -> None:
        """`sent` was committed and is now `record`: it begins a term, or extends ours."""
        self._writes.confirm(sent, record)
        if is_news and self._writes.was_overtaken(sent):
            # A Lease was deleted before it, whose leader may believe to lead still.
            self._may_renew_at = self._observed.wait_all_out(now)
            self.end_term()
        if sent.era is not self._era or record.holder_identity != self._holder_id:
            return
        term = self.term(now)
        if term is None:
            self._terms += 1
            belief = self._timing.belief
            term = Term(
                self._terms, record.version, sent.anchor, sent.era, belief, self._wall_ends_term
            )
        self._term = replace(term, anchor=sent.anchor)

    def _renewal_is_due(self, now: Instant) -> bool:
        """Always, unless a write whose answer was lost has just proved to be young enough."""
        term = self.term(now)
        if term is None:
            return now.monotonic >= self._may_renew_at
        if not self._recognised:
            return True
        return now.monotonic >= term.anchor.monotonic + self._timing.renew_interval

    def _supersedes_ours(self, record: LeaseRecord) -> bool:
        """Whether `record` came after our last write; in doubt, whether it is another's."""
        newer = self._writes.are_older_than(record)
        return record.holder_identity != self._holder_id if newer is None else newer

    def _is_ours_to_write(self, record: LeaseRecord) -> bool:
        if record.holder_identity != self._holder_id:
            return False
        if self._writes.is_last(record):
            return True
        return self._adopts and not self._supersedes_ours(record)

    def _is_our_past(self, record: LeaseRecord, now: Instant) -> bool:
        """Whether we lead by a later write: this is a stale read, or etcd was restored."""
        ours = record.holder_identity == self._holder_id
        return ours and self.is_leader(now) and self._writes.are_past(record)

    def _is_left_alone(self, record: LeaseRecord) -> bool:
        return self._heeds_strategy and record.strategy is not None

    def _may_create_at(self, now: Instant) -> float:
        if now.monotonic < self._may_create_again_until:
            return now.monotonic
        return self._observed.allows_create_at(now)

    def _free_at(self, record: LeaseRecord, now: Instant) -> float:
        if record.holder_identity is None:
            return now.monotonic
        return self._observed.expires_at(record, now, self._timing.max_clock_skew)
