"""When two states of a candidate are one, since nothing that comes can tell them apart.

`forget` makes them alike by really taking out of a candidate what can have no effect any more, so
that the production code itself goes on from what is left. `fingerprint` is then all the rest:
every attribute, whatever its name, and the place in the conversation that goes on. An attribute
of a kind that it does not know is an error, and no reason to take two states for one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum
from types import FunctionType, MethodType
from typing import Any

from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import Found, Instant, Read
from kube_leader_election._core.own_writes import OwnWrites
from kube_leader_election._core.record import LeaseRecord
from kube_leader_election._core.timing import Timing

_LONG_AGO = -1e9
# A record that nobody can be shown any more; what it said has no effect.
_OVER = LeaseRecord(
    holder_identity=None,
    lease_duration_seconds=1,
    acquire_time=None,
    renew_time=None,
    lease_transitions=0,
    resource_version="1",
)
# How many terms there were names a term to the shell, and decides nothing. How much news there was
# is only compared with what it was when the request was made, which `_places` does.
_COUNTED = {"_terms", "ordinal", "news"}
# Locals of a conversation that are not read after a yield, or only when they were assigned again.
_DEAD = {"answer", "now", "first"}
_LEAVES = (type(None), int, float, str, datetime, Enum, LeaseRecord, Instant, Timing, Read)


@dataclass(frozen=True)
class Visible:
    """What any candidate can still be shown: records of these `renewTime`s, no older version.

    `reads_first`: a candidate acts on nothing that it has not just read.
    """

    times: frozenset[datetime]
    oldest: int
    reads_first: bool


def forget(candidate: Candidate, now: Instant, visible: Visible) -> None:
    """`candidate`, in no conversation, is rid of what can have no effect from `now` on."""
    candidate.news = 0
    candidate.take_warning()
    candidate._warned.clear()
    if candidate.term(now) is None:
        candidate.forget_term()
    _forget_writes(candidate._writes, now, visible)
    if candidate._may_renew_at <= now.monotonic:
        candidate._may_renew_at = -math.inf
    if candidate._may_create_again_until <= now.monotonic:
        candidate._may_create_again_until = -math.inf
    _forget_sights(candidate, now, visible)


def _forget_writes(mine: OwnWrites, now: Instant, visible: Visible) -> None:
    """A write that is not visible is never recognised; the next is not of this instant again."""
    times = visible.times
    unresolved = (sent for sent in mine._unresolved if sent.record.renew_time in times)
    numbered = (replace(sent, number=int(sent.number > mine._overtaken)) for sent in unresolved)
    mine._unresolved = deque(numbered, mine._unresolved.maxlen)
    mine._overtaken, mine._composed = 0, 1  # a write is overtaken or not, whatever its number
    used = (time for time in mine._times if time in times or (time and time >= now.utc))
    mine._times = deque(used, mine._times.maxlen)
    mine._last_at = max(mine._last_at, now.monotonic - 1.0)  # no more of the time since counts
    last = mine.last
    if last is not None and last.renew_time not in (times | set(mine._times)):
        mine.last = _OVER if (last.version or 0) < visible.oldest else last


def _forget_sights(candidate: Candidate, now: Instant, visible: Visible) -> None:
    """What will not be seen again needs only be remembered as something else."""
    seen, found = candidate._observed, candidate._observed.lease
    if seen._newest_version is not None and seen._newest_version < visible.oldest:
        seen._newest_version = _OVER.version
    if found is not None and visible.reads_first and found.record.renew_time not in visible.times:
        found = seen.lease = Found(replace(_OVER, uid=found.record.uid))
    if (
        found is None
        or found.record.holder_identity is None
        or candidate._writes.is_last(found.record)
        or seen.expires_at(found.record, now, None) <= now.monotonic
    ):
        seen._unchanged_since = _LONG_AGO  # it has expired, or what is counted from is not this
    if seen._absent_since is not None and seen.allows_create_at(now) <= now.monotonic:
        seen._absent_since = _LONG_AGO


def fingerprint(candidate: Candidate, steps: Any) -> Hashable:
    """Return what two states have in common if, and only if, they are one; `steps` a generator."""
    era = candidate._era
    return _print_of(candidate, era), tuple(_places(steps, candidate, era))


def _places(steps: Any, candidate: Candidate, era: object) -> Iterator[Hashable]:
    """Yield where the conversation stands, from its outermost generator to its innermost."""
    while steps is not None and steps.gi_frame is not None:
        frame = steps.gi_frame
        variables = dict(frame.f_locals)
        if "overtaken_from" in variables:
            variables["overtaken_from"] = variables["overtaken_from"] != candidate.news
        prints = tuple(
            (name, _print_of(value, era))
            for name, value in variables.items()
            if name not in _DEAD and value is not candidate
        )
        yield steps.gi_code.co_name, frame.f_lasti, prints
        steps = steps.gi_yieldfrom


def _print_of(thing: Any, era: object) -> Hashable:
    if isinstance(thing, _LEAVES):
        return thing
    if type(thing) is object:
        return thing is era  # eras are compared with the current one, and with no other
    if isinstance(thing, (tuple, list, deque)):
        return tuple(_print_of(each, era) for each in thing)
    if isinstance(thing, (set, frozenset)):
        return frozenset(_print_of(each, era) for each in thing)
    if isinstance(thing, Found):
        return Found, thing.record, thing.source
    if isinstance(thing, (FunctionType, MethodType)):
        return thing.__qualname__
    if type(thing).__module__.startswith("kube_leader_election."):
        return type(thing).__name__, tuple(
            _print_of(value, era) for name, value in vars(thing).items() if name not in _COUNTED
        )
    raise TypeError(f"it is not known when two of {type(thing)} are one")
