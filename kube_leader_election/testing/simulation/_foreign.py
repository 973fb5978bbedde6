"""Neighbours in a mixed election: candidates by the rules of other implementations.

Each believes to lead for as long as its own rules promise, counted from the instant at which its
last confirmed write was composed: what it makes of that beyond is its own mistake, and not looked
at here.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from datetime import timedelta

from kube_leader_election._core import writes
from kube_leader_election._core.messages import (
    Answer,
    Create,
    Failed,
    Found,
    Instant,
    Intent,
    Read,
    Replace,
    Request,
    Write,
)
from kube_leader_election._core.record import LeaseRecord
from kube_leader_election._core.timing import CLOCK_RATE_MARGIN

from ._process import Observer, Place, Process


class ForeignProcess(Process):
    """Reads, and writes if its rules allow it; then waits for `retry_period`."""

    belief: float

    def __init__(self, place: Place, name: str, observer: Observer) -> None:
        super().__init__(place, name, observer)
        self._believed_until = -math.inf

    def start(self) -> None:
        """It contends."""
        self._ask(Read())

    def believed_until(self) -> float:
        """Return when what it promises is over."""
        return self.place.clocks.true(self._believed_until)

    def leave(self) -> None:
        """It leaves the Lease to lapse."""
        self._believed_until = -math.inf
        self.end()

    def give_up(self) -> None:
        """It knows of no such wish."""

    @abstractmethod
    def may_take(self, record: LeaseRecord, now: Instant) -> bool:
        """Whether the Lease of another, which says `record`, has expired by its rules."""

    def _ask(self, request: Request) -> None:
        now = self.look()
        patience = now.monotonic + self.replica.renew_deadline / 2
        self.ask(request, now, patience, lambda answer: self._go_on(request, answer, now))

    def _go_on(self, request: Request, answer: Answer, composed: Instant) -> None:
        now = self.look()
        if isinstance(request, Read) and not isinstance(answer, Failed):
            write = self._compose(answer if isinstance(answer, Found) else None, now)
            if write is not None:
                self._ask(write)
                return
        elif isinstance(answer, Found):
            self._believed_until = composed.monotonic + self.belief
        self.wake_at(now.monotonic + self.replica.retry_period, lambda: self._ask(Read()))

    def _compose(self, found: Found | None, now: Instant) -> Write | None:
        ttl, stamp = self.replica.lease_ttl, writes.stamp(now.utc, unlike=())
        if found is None:
            return Create(writes.claim(self.name, ttl, stamp, over=None))
        record = found.record
        if record.holder_identity == self.name:
            renewal = writes.renewal(ttl, stamp, of=record)
            return Replace(renewal, found, Intent.RENEW)
        self._believed_until = -math.inf
        if record.holder_identity is None or self.may_take(record, now):
            return Replace(writes.claim(self.name, ttl, stamp, over=record), found, Intent.ACQUIRE)
        return None


class ClientGoProcess(ForeignProcess):
    """Goes by how long it has seen the record unchanged, in which it sees whole seconds only."""

    def __init__(self, place: Place, name: str, observer: Observer) -> None:
        super().__init__(place, name, observer)
        self.belief = self.replica.renew_deadline
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0

    def may_take(self, record: LeaseRecord, now: Instant) -> bool:
        """Whether it was unchanged for its duration since it was first seen so."""
        rough = replace(
            record,
            renew_time=record.renew_time and record.renew_time.replace(microsecond=0),
            acquire_time=record.acquire_time and record.acquire_time.replace(microsecond=0),
            uid=None,
            resource_version=None,
        )
        if rough != self._seen:
            self._seen, self._seen_at = rough, now.monotonic
        return now.monotonic >= self._seen_at + record.lease_duration_seconds


class WallClockProcess(ForeignProcess):
    """Goes by `renewTime` and the clock on the wall, as the crate kube-leader-election does."""

    def __init__(self, place: Place, name: str, observer: Observer) -> None:
        super().__init__(place, name, observer)
        skew = self.replica.max_clock_skew or 0.0
        self.belief = CLOCK_RATE_MARGIN * self.replica.lease_ttl - skew

    def may_take(self, record: LeaseRecord, now: Instant) -> bool:
        """Whether its time is over on the wall, plus the skew that is declared."""
        skew = timedelta(seconds=self.replica.max_clock_skew or 0.0)
        promised = timedelta(seconds=record.lease_duration_seconds)
        return record.renew_time is None or now.utc > record.renew_time + promised + skew
