"""The library without one of its rules, in this process only: a run must find out"""

from __future__ import annotations

from dataclasses import replace

from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Conflict,
    Create,
    Found,
    Instant,
    Intent,
    Read,
    Replace,
    Request,
)
from kube_leader_election._core.observation import Observation
from kube_leader_election._core.term import Term
from kube_leader_election._store import Store

_FOR_EVER = 1e6


def _without_conflict_guard() -> None:
    """What a write was refused for is overwritten."""
    carry = Store.carry

    def insist(store: Store, request: Request, timeout: float) -> Answer:
        answer = carry(store, request, timeout)
        if isinstance(request, Read) or not isinstance(answer, Conflict):
            return answer
        found = carry(store, Read(), timeout)
        if isinstance(found, Found):
            record = replace(request.record, uid=found.record.uid)
            intent = request.intent if isinstance(request, Replace) else Intent.ACQUIRE
            return carry(store, Replace(record, found, intent), timeout)
        if isinstance(found, Absent):
            return carry(store, Create(replace(request.record, uid=None)), timeout)
        return found

    Store.carry = insist  # type: ignore[method-assign, assignment]


def _without_local_deadline() -> None:
    """A term ends only where something is heard that ends it."""

    def remaining(term: Term, now: Instant) -> float:
        return _FOR_EVER

    def ends_at(term: Term, now: Instant) -> float:
        return now.monotonic + _FOR_EVER

    Term.remaining = remaining  # type: ignore[method-assign, assignment]
    Term.ends_at = ends_at  # type: ignore[method-assign, assignment]


def _without_deletion_rule() -> None:
    """An absent Lease is made at once."""

    def allows_create_at(observation: Observation, now: Instant) -> float:
        return now.monotonic

    Observation.allows_create_at = allows_create_at  # type: ignore[method-assign, assignment]


RULES = {
    "conflict-guard": _without_conflict_guard,
    "local-deadline": _without_local_deadline,
    "deletion-rule": _without_deletion_rule,
}
