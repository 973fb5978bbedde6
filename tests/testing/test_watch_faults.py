"""How a watch may go wrong, in memory and behind HTTP, as the client's own watch sees it"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes.client import CoordinationV1Api
from kubernetes.client.exceptions import ApiException
from kubernetes.watch import Watch

from kube_leader_election.testing import ApiServer, FakeCoordinationV1Api, faults
from kube_leader_election.testing.faults import Fault

from .conftest import Stage


def events(stage: Stage, seconds: int = 20, **options: Any) -> Iterator[tuple[str, str]]:
    """(type, holder) of each event"""
    api = stage.client("a")
    if isinstance(stage.stand_in, ApiServer):
        api = CoordinationV1Api(api)
    stream = Watch().stream(
        api.list_namespaced_lease, "default", timeout_seconds=seconds, **options
    )
    for event in stream:
        raw = event["raw_object"]
        yield event["type"], raw.get("spec", {}).get("holderIdentity", "")


@pytest.fixture
def version(stage: Stage) -> str:
    """Of the Lease before the four writes that follow it"""
    before = stage.stand_in.put_lease("leader", holder_identity="a")
    for holder in "bcde":
        stage.stand_in.put_lease("leader", holder_identity=holder)
    text: str = before["metadata"]["resourceVersion"]
    return text


@pytest.mark.parametrize(
    ("fault", "holders"),
    [
        (faults.end_watch(), ""),
        (faults.end_watch(after=2), "bc"),
        (faults.duplicate_events(), "bbccddee"),
        (faults.miss_events(), "cde"),
        (faults.miss_events(2, after=1), "be"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_events_are_shown_as_the_fault_says(
    stage: Stage, version: str, fault: Fault, holders: str
) -> None:
    stage.stand_in.remove_lease("leader")
    stage.stand_in.fail_next(fault, verb="watch")
    seen = itertools.takewhile(
        lambda event: event[0] != "DELETED", events(stage, resource_version=version)
    )
    assert list(seen) == [("MODIFIED", holder) for holder in holders]


def test_a_stalled_watch_shows_nothing_more_until_its_time_is_over(
    stage: Stage, version: str
) -> None:
    stage.stand_in.fail_next(faults.stall_watch(after=3), verb="watch")
    seen = events(stage, seconds=1, resource_version=version)
    assert list(seen) == [("MODIFIED", holder) for holder in "bcd"]


def test_without_a_fault_every_event_is_shown_once(stage: Stage, version: str) -> None:
    seen = itertools.islice(events(stage, resource_version=version), 4)
    assert list(seen) == [("MODIFIED", holder) for holder in "bcde"]


@pytest.mark.parametrize("code", [410, 500])
def test_an_error_event_ends_the_watch(stage: Stage, version: str, code: int) -> None:
    stage.stand_in.fail_next(faults.error_event(code, after=1), verb="watch")
    seen: list[tuple[str, str]] = []
    with pytest.raises(ApiException) as caught:
        seen.extend(events(stage, resource_version=version))
    assert caught.value.status == code
    assert seen == [("MODIFIED", "b")]


def test_bookmarks_may_come_in_the_place_of_events(stage: Stage, version: str) -> None:
    stage.stand_in.fail_next(faults.bookmarks_only(), verb="watch")
    seen = itertools.islice(events(stage, resource_version=version), 4)
    assert list(seen) == [("BOOKMARK", "")] * 4


def test_a_watch_may_be_refused_like_any_request(stage: Stage) -> None:
    stage.stand_in.fail_next(faults.answer(403), verb="watch")
    with pytest.raises(ApiException) as caught:
        list(events(stage))
    assert caught.value.status == 403


def test_a_watch_may_be_answered_late(stage: Stage, version: str) -> None:
    stage.stand_in.fail_next(faults.hold_answer(0.01), verb="watch")
    seen = itertools.islice(events(stage, resource_version=version), 4)
    assert list(seen) == [("MODIFIED", holder) for holder in "bcde"]


def test_a_fault_of_watches_is_not_met_by_other_requests(stage: Stage, version: str) -> None:
    stage.stand_in.fail_next(faults.end_watch())
    assert stage.lock().read() is not None
    assert list(events(stage, resource_version=version)) == []


def test_a_version_from_before_what_is_kept_is_gone() -> None:
    api = FakeCoordinationV1Api()
    for _ in range(10_002):
        api.put_lease("leader", holder_identity="a")
    with pytest.raises(ApiException) as caught:
        list(
            Watch().stream(
                api.list_namespaced_lease, "default", timeout_seconds=1, resource_version="1"
            )
        )
    assert caught.value.status == 410
