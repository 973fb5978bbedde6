"""For when an entry of a schedule is sent, and what its task is called for that. No Celery."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Any

from kube_leader_election._core.record import as_utc

_NAMES = uuid.UUID("a7ac4ab1-6f3b-5c55-9d8a-6b8b3a1f0a7e")


def slot_of(entry: Any) -> datetime | None:
    """Return when the entry has become due, in UTC; `None` where it is not known to have run.

    It follows from when the entry last ran, and from nothing else, so that whoever takes over
    from there finds the same. Of a schedule that is neither a crontab nor an interval it is when
    the entry last ran.
    """
    if entry.last_run_at is None:
        return None
    last_run_at = as_utc(entry.last_run_at)
    schedule = entry.schedule
    every = getattr(schedule, "run_every", None)
    if isinstance(every, timedelta):
        return last_run_at + every
    if hasattr(schedule, "remaining_delta"):
        since, until, _ = schedule.remaining_delta(last_run_at)
        return as_utc(since + until)
    return last_run_at


def task_id(election: str, entry: str, slot: datetime) -> str:
    """Return the same for the same entry and slot in all replicas, and another for any other."""
    return str(uuid.uuid5(_NAMES, f"{election} {slot.isoformat()} {entry}"))
