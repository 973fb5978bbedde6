"""What each write says, field by field."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from datetime import MAXYEAR, datetime, timedelta

from .record import MAX_INT32, LeaseRecord

_MICROSECOND = timedelta(microseconds=1)


def claim(
    holder_id: str, lease_ttl: int, stamp: datetime, *, over: LeaseRecord | None
) -> LeaseRecord:
    """Return a new Lease of ours, or one taken `over` from whoever held it."""
    return LeaseRecord(
        holder_identity=holder_id,
        lease_duration_seconds=lease_ttl,
        acquire_time=stamp,
        renew_time=stamp,
        lease_transitions=min(over.lease_transitions + 1, MAX_INT32) if over else 0,
        uid=over.uid if over else None,
    )


def renewal(lease_ttl: int, stamp: datetime, *, of: LeaseRecord) -> LeaseRecord:
    """Return our record, renewed."""
    return replace(
        of,
        lease_duration_seconds=lease_ttl,
        acquire_time=of.acquire_time or stamp,
        renew_time=stamp,
        resource_version=None,
    )


def release(stamp: datetime, *, of: LeaseRecord) -> LeaseRecord:
    """Return a record that anybody may take at once, as client-go leaves it."""
    return replace(
        of,
        holder_identity=None,
        lease_duration_seconds=1,
        acquire_time=stamp,
        renew_time=stamp,
        resource_version=None,
    )


def soonest_renewal(after: datetime, *, elapsed: float) -> datetime:
    """Return the least that a renewal says, `elapsed` seconds after the one that said `after`.

    Candidates of client-go, which see whole seconds, would take a Lease for expired whose renewals
    are told by less than the time between them, as after the wall clock was set back. More than
    a second is not needed for that, and a clock that was set back is caught up with.
    """
    return after if after.year == MAXYEAR else after + timedelta(seconds=min(elapsed, 1.0))


def stamp(
    utc: datetime, *, soonest: datetime | None = None, unlike: Container[datetime | None]
) -> datetime:
    """Return a `renewTime`: `utc`, but no sooner than `soonest`, none of `unlike`, no whole second.

    A write that equals what is stored would be a no-op for the server, and two alike could not be
    told apart when one of their answers is lost. A typed client writes a whole second without the
    six digits that the server insists on.
    """
    time = max(utc, soonest) if soonest else utc
    step = _MICROSECOND if time.year < MAXYEAR else -_MICROSECOND
    while time in unlike or time.microsecond == 0:
        time += step
    return time
