"""The conversations of a candidate with the API server, as generators.

Each yields a request and is sent `(answer, instant of its arrival)`. Whoever drives
one carries the requests out, in order, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

from .candidate import Candidate
from .messages import Answer, Conflict, Found, Instant, Read, Request, Write
from .record import LeaseRecord

# A 409 means that somebody wrote, so it is read and decided again. Three in one
# attempt are no longer a race that was lost but a server that cannot be understood.
CONFLICT_ROUNDS = 3

Arrival = tuple[Answer, Instant]
Compose = Callable[[Instant], Write | None]


@dataclass(frozen=True, kw_only=True)
class LeaseLockResult:
    """One attempt's outcome, true at the instant of its last answer; ask `is_leader()` later.

    `lease` is what the Lease said then, `None` if there was none. `fencing_token` is
    that of the term we lead in, `None` where we do not lead or the server's versions
    are no integers. A result is as true as its `acquired_lease`.
    """

    acquired_lease: bool
    lease: LeaseRecord | None
    fencing_token: int | None

    def __bool__(self) -> bool:
        return self.acquired_lease


def acquire_or_renew(
    candidate: Candidate, known_at: Instant | None = None
) -> Generator[Request, Arrival, LeaseLockResult]:
    """Read the Lease, and create, take over or renew it where the rules allow that.

    At `known_at`, if given, what is known already is acted on without a read, where there is
    something to write: whoever has written since makes it a conflict, and then it is read.

    :raises Exception: the error of the request that could not be answered, or of the
        third conflict; what was believed before is then believed still.
    """
    now = yield from _write_until_settled(candidate, candidate.compose_claim, known_at)
    return LeaseLockResult(
        acquired_lease=candidate.is_leader(now),
        lease=candidate.lease,
        fencing_token=candidate.fencing_token(now),
    )


@dataclass(frozen=True, kw_only=True)
class StepDownResult:
    """Whether the Lease was ours to release, and is released; what it says."""

    released: bool
    lease: LeaseRecord | None


def step_down(
    candidate: Candidate, known_at: Instant | None = None
) -> Generator[Request, Arrival, StepDownResult]:
    """End our term at once, then release the Lease if it is ours; `known_at` as above.

    :raises Exception: as `acquire_or_renew`; the term is over all the same.
    """
    candidate.end_term()
    before = candidate.confirmed
    yield from _write_until_settled(candidate, candidate.compose_release, known_at)
    after = candidate.confirmed
    return StepDownResult(
        released=after is not None and after is not before and after.holder_identity is None,
        lease=candidate.lease,
    )


def look(candidate: Candidate) -> Generator[Request, Arrival, LeaseRecord | None]:
    """Read the Lease without contending for it; what is seen counts as in an attempt."""
    yield from _write_until_settled(candidate, lambda _: None, None)
    return candidate.lease


def _write_until_settled(
    candidate: Candidate, compose: Compose, known_at: Instant | None
) -> Generator[Request, Arrival, Instant]:
    """Read, compose and write until nothing is left to write; return the last answer's instant."""
    first = compose(known_at) if known_at else None
    request: Request | None = first or Read()
    conflicts = 0
    while request is not None:
        overtaken_from = candidate.news
        answer, now = yield request
        candidate.take_in(request, answer, now, overtaken=candidate.news != overtaken_from)
        if isinstance(answer, Conflict):
            conflicts += 1
            if conflicts == CONFLICT_ROUNDS:
                raise answer.error
            request = Read()
        elif isinstance(answer, Found) and not isinstance(request, Read):
            request = None
        else:
            request = compose(now)
    return now
