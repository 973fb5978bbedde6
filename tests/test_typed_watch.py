"""The watch of one Lease by a fake that offers one."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, create_autospec

import pytest
from kubernetes.client import CoordinationV1Api

from kube_leader_election import GetLeaseError, LeaseError
from kube_leader_election._core.messages import (
    Bookmark,
    Deleted,
    Found,
    WatchEnded,
    WatchEvent,
    WatchOpened,
)
from kube_leader_election._failure import LeaseName
from kube_leader_election._typed_watch import TypedWatch, offers_watch
from kube_leader_election.testing import FakeCoordinationV1Api, faults

PATIENCE = 30.0


class Watched:
    """A watch, and what it tells."""

    def __init__(self, api: Any, version: str | None = None) -> None:
        self.events: queue.SimpleQueue[WatchEvent] = queue.SimpleQueue()
        self.watch = TypedWatch(
            api,
            LeaseName("default", "leader"),
            lease_ttl=15,
            resource_version=version,
            deliver=lambda _, event: self.events.put(event),
        )
        self.watch.start()

    def next(self) -> WatchEvent:
        return self.events.get(timeout=PATIENCE)

    def change(self) -> WatchEvent:
        """The next event but for the bookmark after what there was at the beginning."""
        event = self.next()
        return self.next() if isinstance(event, Bookmark) else event

    def end(self) -> WatchEnded:
        """The last event; nothing comes after it."""
        event = self.next()
        while not isinstance(event, WatchEnded):
            event = self.next()
        self.watch.thread.join(PATIENCE)
        assert not self.watch.thread.is_alive()
        assert self.events.empty()
        return event


@pytest.fixture
def api(lease_api: FakeCoordinationV1Api) -> Iterator[FakeCoordinationV1Api]:
    yield lease_api
    lease_api.__exit__(None, None, None)


def failure(end: WatchEnded) -> LeaseError:
    assert isinstance(end.error, GetLeaseError)
    assert end.error.verb == "watch"
    return end.error


def test_every_change_is_told_with_the_lease_to_be_written_back(api: FakeCoordinationV1Api) -> None:
    api.put_lease("leader", holder_identity="a")
    watched = Watched(api)
    assert watched.next() == WatchOpened()
    added = watched.next()
    assert isinstance(added, Found)
    assert added.record.holder_identity == "a"
    api.put_lease("leader", holder_identity="b")
    changed = watched.change()
    assert isinstance(changed, Found)
    lease: Any = changed.source
    assert (lease.spec.holder_identity, lease.metadata.name) == ("b", "leader")
    assert changed.record.resource_version == lease.metadata.resource_version
    watched.watch.close()
    assert watched.end() == WatchEnded()


def test_a_deletion_is_told_with_a_version_of_its_own(api: FakeCoordinationV1Api) -> None:
    api.put_lease("leader", holder_identity="a")
    watched = Watched(api)
    assert watched.next() == WatchOpened()
    added = watched.next()
    api.remove_lease("leader")
    gone = watched.change()
    assert isinstance(added, Found)
    assert isinstance(gone, Deleted)
    assert gone.record.uid == added.record.uid
    assert (gone.record.version or 0) > (added.record.version or 0)
    watched.watch.close()


def test_it_goes_on_from_the_version_that_is_given(api: FakeCoordinationV1Api) -> None:
    lease = api.put_lease("leader", holder_identity="a")
    api.put_lease("leader", holder_identity="b")
    watched = Watched(api, lease["metadata"]["resourceVersion"])
    assert watched.next() == WatchOpened()
    event = watched.next()
    assert isinstance(event, Found)
    assert event.record.holder_identity == "b"
    watched.watch.close()


def test_another_lease_is_not_told_of(api: FakeCoordinationV1Api) -> None:
    watched = Watched(api)
    assert watched.next() == WatchOpened()
    api.put_lease("another", holder_identity="a")
    api.put_lease("leader", holder_identity="b")
    event = watched.change()
    assert isinstance(event, Found)
    assert event.record.holder_identity == "b"
    watched.watch.close()


def test_a_bookmark_is_told_as_one(api: FakeCoordinationV1Api) -> None:
    api.fail_next(faults.bookmarks_only(), verb="watch")
    lease = api.put_lease("leader", holder_identity="a")
    watched = Watched(api)
    assert watched.next() == WatchOpened()
    assert watched.next() == Bookmark(lease["metadata"]["resourceVersion"])
    watched.watch.close()


def test_an_end_by_the_server_is_no_failure(api: FakeCoordinationV1Api) -> None:
    api.fail_next(faults.end_watch(), verb="watch")
    assert Watched(api).end() == WatchEnded()


def test_an_error_event_ends_it_with_its_status(api: FakeCoordinationV1Api) -> None:
    api.fail_next(faults.error_event(410), verb="watch")
    end = Watched(api).end()
    assert (end.status, failure(end).status) == (410, 410)


def test_a_refusal_ends_it_with_its_status(api: FakeCoordinationV1Api) -> None:
    api.fail_next(faults.answer(403), verb="watch")
    end = Watched(api).end()
    assert (end.status, failure(end).status) == (403, 403)


def test_without_a_connection_it_ends_without_a_status(api: FakeCoordinationV1Api) -> None:
    with api.refuse_connections():
        end = Watched(api).end()
    assert end.status is None
    assert failure(end).__cause__ is not None


class Odd:
    """Tells of a Lease whose holder is no text."""

    def watch_namespaced_lease(self, *_: object, **__: object) -> Odd:
        return self

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        yield "ADDED", SimpleNamespace(spec=SimpleNamespace(holder_identity=7))

    def close(self) -> None:
        pass


def test_an_event_that_cannot_be_read_ends_it() -> None:
    assert "holderIdentity is a int" in str(failure(Watched(Odd()).end()))


class Slow(Odd):
    """Is asked for a watch, and answers only once that was closed."""

    def __init__(self) -> None:
        self.asked: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.may_answer: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.is_closed = False

    def watch_namespaced_lease(self, *_: object, **__: object) -> Odd:
        self.asked.put(None)
        self.may_answer.get()
        return self

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return iter(())

    def close(self) -> None:
        self.is_closed = True


def test_one_that_is_closed_before_it_was_opened_ends_as_soon_as_it_is() -> None:
    api = Slow()
    watched = Watched(api)
    api.asked.get(timeout=PATIENCE)
    watched.watch.close()
    api.may_answer.put(None)
    watched.end()
    assert api.is_closed


def test_where_no_thread_can_be_started_it_ends_at_once(
    api: FakeCoordinationV1Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    event = Watched(api).next()
    assert isinstance(event, WatchEnded)
    assert failure(event).__cause__ is not None


@pytest.mark.parametrize(
    "client",
    [MagicMock(), create_autospec(CoordinationV1Api, instance=True), CoordinationV1Api()],
    ids=["MagicMock", "autospec", "client"],
)
def test_neither_a_mock_nor_the_client_itself_offers_one(client: object) -> None:
    assert not offers_watch(client)
