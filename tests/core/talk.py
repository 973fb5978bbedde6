"""Drives one conversation of a candidate by hand: what it asks, what it is told, and when."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime, timedelta, timezone
from typing import Any, Generic, TypeVar

import pytest

from kube_leader_election._core.attempt import (
    Arrival,
    LeaseLockResult,
    StepDownResult,
    acquire_or_renew,
    step_down,
)
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Conflict,
    Create,
    Failed,
    Found,
    Instant,
    Read,
    Replace,
    Request,
)
from kube_leader_election._core.record import LeaseRecord
from kube_leader_election._core.timing import lock_timing

T = TypeVar("T")

START = datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
TTL = 10
BELIEF = 9.8


class Trouble(Exception):
    """What went wrong with a request."""


def at(seconds: float, *, wall: float | None = None) -> Instant:
    """The instant `seconds` after the start; `wall`, if given, is what the wall clock says."""
    elapsed = seconds if wall is None else wall
    return Instant(seconds, START + timedelta(seconds=elapsed))


def time_at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def candidate(
    holder_id: str = "a",
    *,
    ttl: int = TTL,
    skew: float | None = 0.0,
    adopts: bool = True,
    wall_ends_term: bool = False,
) -> Candidate:
    timing = lock_timing(lease_ttl=ttl, max_clock_skew=skew, call_timeout=None)
    return Candidate(holder_id, timing, adopts=adopts, wall_ends_term=wall_ends_term)


def lease(
    holder: str | None,
    *,
    version: int | str | None = 1,
    renewed: float = 0.0,
    duration: int = TTL,
    transitions: int = 0,
    uid: str | None = "uid-1",
    **fields: Any,
) -> Found:
    record = LeaseRecord(
        holder_identity=holder,
        lease_duration_seconds=duration,
        lease_transitions=transitions,
        uid=uid,
        resource_version=None if version is None else str(version),
        **{"acquire_time": time_at(renewed), "renew_time": time_at(renewed), **fields},
    )
    return Found(record, source=f"version {version}")


class Talk(Generic[T]):
    """One conversation: `request` is what was asked last, `result` what came of it all."""

    def __init__(self, steps: Generator[Request, Arrival, T]) -> None:
        self._steps = steps
        self.request: Request | None = next(steps)
        self.asked: list[Request] = [self.request]
        self._result: list[T] = []

    def tell(self, answer: Answer, now: Instant) -> Talk[T]:
        try:
            self.request = self._steps.send((answer, now))
            self.asked.append(self.request)
        except StopIteration as end:
            self.request = None
            self._result.append(end.value)
        return self

    @property
    def result(self) -> T:
        assert self.request is None, f"not finished: {self.request}"
        return self._result[0]

    @property
    def written(self) -> LeaseRecord:
        """The record that is to be written now."""
        assert isinstance(self.request, (Create, Replace)), self.request
        return self.request.record

    def found(self, lease: Found, now: Instant) -> Talk[T]:
        return self.tell(lease, now)

    def absent(self, now: Instant) -> Talk[T]:
        return self.tell(Absent(Trouble("404")), now)

    def conflict(self, now: Instant) -> Talk[T]:
        return self.tell(Conflict(Trouble("409")), now)

    def failed(self, now: Instant) -> Trouble:
        """Answer with a failure, and return the error that comes out."""
        trouble = Trouble("no answer")
        with pytest.raises(Trouble) as caught:
            self.tell(Failed(trouble), now)
        assert caught.value is trouble
        return trouble

    def stored(self, now: Instant, *, version: int | str | None) -> Talk[T]:
        """Answer a write with success: the Lease now says what was written."""
        return self.tell(as_stored(self.request, version=version), now)


def as_stored(request: Request | None, *, version: int | str | None, uid: str = "uid-1") -> Found:
    """What a read shows once `request`, a write, was committed."""
    assert isinstance(request, (Create, Replace)), request
    record = request.record
    fields = {**vars(record), "uid": record.uid or uid}
    fields["resource_version"] = None if version is None else str(version)
    return Found(LeaseRecord(**fields), source=f"version {version}")


def attempt(candidate: Candidate) -> Talk[LeaseLockResult]:
    talk = Talk(acquire_or_renew(candidate))
    assert talk.request == Read()
    return talk


def stepping_down(candidate: Candidate) -> Talk[StepDownResult]:
    return Talk(step_down(candidate))


def leader(since: float = 0.0, *, version: int = 2, **options: Any) -> tuple[Candidate, Found]:
    """A candidate that created the Lease at `since`, and the Lease as it then is stored."""
    leading = candidate(**options)
    talk = attempt(leading).absent(at(since))
    found = as_stored(talk.request, version=version)
    talk.tell(found, at(since))
    assert talk.result.acquired_lease
    return leading, found
