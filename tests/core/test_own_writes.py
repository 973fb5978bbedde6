"""What is remembered of our writes, and for how long."""

from __future__ import annotations

from dataclasses import replace

from kube_leader_election._core.messages import Write
from kube_leader_election._core.own_writes import _MOST_REMEMBERED, OwnWrites
from kube_leader_election._core.record import LeaseRecord

from .talk import TTL, at

ERA = object()


def as_seen(write: Write, version: int) -> LeaseRecord:
    return replace(write.record, uid="uid-1", resource_version=str(version))


def creates(ours: OwnWrites, number: int) -> list[Write]:
    return [ours.claim(None, at(1 + second), ERA) for second in range(number)]


def test_of_more_writes_than_can_be_under_way_the_oldest_are_not_waited_for_any_more() -> None:
    ours = OwnWrites("a", TTL)
    oldest, second, *_ = creates(ours, _MOST_REMEMBERED + 1)
    assert ours.unresolved(oldest.record) is None
    assert ours.committed_as(as_seen(oldest, 1)) is None
    assert ours.unresolved(second.record) is not None
    assert ours.committed_as(as_seen(second, 1)) is not None


def test_of_more_writes_than_can_be_under_way_the_oldest_are_not_known_for_ours_any_more() -> None:
    ours = OwnWrites("a", TTL)
    oldest, second, *_, last = creates(ours, _MOST_REMEMBERED + 1)
    sent = ours.unresolved(last.record)
    assert sent is not None
    ours.confirm(sent, as_seen(last, 3))
    assert not ours.are_past(as_seen(oldest, 1))
    assert ours.are_past(as_seen(second, 2))
