"""A schedule that violates an invariant is made as small as it can be, and violates it still."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, TypeVar

from ._dossier import Violation
from ._run import play
from ._schedule import PROMPTLY, Happening, OnEvent, OnRequest, Replica, Schedule

_T = TypeVar("_T", bound=Replica | OnRequest | OnEvent | Happening)

# What a replica is like where there is no reason for it to be otherwise; and what a fault may
# be reduced to. In the order of their fields.
_PLAIN_REPLICA: Mapping[str, Any] = {
    "holder_id": None,
    "busy_for": 0.0,
    "rate": 1.0,
    "ahead": 0.0,
    "starts_at": 0.0,
    "watches": False,
}
_PLAIN_REQUEST: Mapping[str, Any] = {
    "arrives_after": PROMPTLY,
    "answered_after": PROMPTLY,
    "again_after": None,
}
_DIGITS = (0, 1, 2)
# What the rules promise goes by these, and nothing may be promised otherwise.
_KEPT = ("rate", "renew_deadline", "retry_period", "max_clock_skew")


def shrink(schedule: Schedule) -> Schedule:
    """Return a schedule that violates the same invariant, from which nothing can be taken.

    No replica and no fault can be left out of it, and no number of it be made simpler, without
    which that invariant would hold.

    :raises ValueError: it violates none.
    """
    violation = play(schedule).violation
    if violation is None:
        raise ValueError("the schedule violates no invariant")
    smallest, found = schedule, violation
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for candidate in _smaller(smallest, found):
            broken = play(candidate).violation
            if broken is not None and broken.invariant == violation.invariant:
                smallest, found, is_smaller = candidate, broken, True
                break
    return smallest


def _smaller(schedule: Schedule, violation: Violation) -> Iterator[Schedule]:
    """Yield what is smaller by one step, the largest steps first."""
    until = math.ceil(violation.at)
    if until < schedule.calm_at:
        yield replace(schedule, calm_at=float(until))
    for replica in schedule.replicas:
        if len(schedule.replicas) > 1:
            yield schedule.without(replica.name)
    faults = schedule.faults
    for size in (len(faults) // 2, len(faults) // 4, 1):
        for begin in range(0, len(faults), max(1, size)):
            if size:
                yield replace(schedule, faults=faults[:begin] + faults[begin + size :])
    for n, replica in enumerate(schedule.replicas):
        for simpler in _simpler(replica, _PLAIN_REPLICA):
            replicas = (*schedule.replicas[:n], simpler, *schedule.replicas[n + 1 :])
            yield replace(schedule, replicas=replicas)
    for n, fault in enumerate(faults):
        plain = _PLAIN_REQUEST if isinstance(fault, OnRequest) else {}
        for simpler_fault in _simpler(fault, plain):
            yield replace(schedule, faults=(*faults[:n], simpler_fault, *faults[n + 1 :]))


def _simpler(thing: _T, plain: Mapping[str, Any]) -> Iterator[_T]:
    for name, value in plain.items():
        if getattr(thing, name) != value:
            yield replace(thing, **{name: value})
    for field in fields(thing):
        value = getattr(thing, field.name)
        is_plain = value == plain.get(field.name, math.nan)
        if isinstance(value, float) and not is_plain and field.name not in _KEPT:
            for digits in _DIGITS:
                shorter: Any = math.trunc(value * 10**digits) / 10**digits
                if shorter != value:
                    yield replace(thing, **{field.name: shorter})
