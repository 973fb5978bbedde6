"""The watch of a Lease against a real API server: what no stand-in for it can confirm"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kube_leader_election._core.messages import (
    Bookmark,
    Deleted,
    Found,
    WatchEnded,
    WatchEvent,
    WatchOpened,
)
from kube_leader_election._failure import LeaseName
from kube_leader_election._watch import Watch
from tests.apiserver.server import ADMIN, NOBODY, USERS, ApiServer
from tests.programs import PATIENCE

pytestmark = pytest.mark.apiserver

NAME = "leader"


class Leases:
    """The Leases of one namespace, and watches of the one"""

    def __init__(self, server: ApiServer, namespace: str) -> None:
        self.server = server
        self.namespace = namespace
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"

    def create(self, name: str = NAME) -> dict[str, Any]:
        spec = {"holderIdentity": "a", "leaseDurationSeconds": 15}
        return self._call("POST", self._path, {"metadata": {"name": name}, "spec": spec})

    def update(self, lease: dict[str, Any], holder: str) -> dict[str, Any]:
        changed = {**lease, "spec": {**lease["spec"], "holderIdentity": holder}}
        return self._call("PUT", f"{self._path}/{lease['metadata']['name']}", changed)

    def delete(self, name: str = NAME) -> None:
        self._call("DELETE", f"{self._path}/{name}")

    @contextmanager
    def watched(self, version: str | None = None, user: str = ADMIN) -> Iterator[Told]:
        told = Told()
        watch = Watch(
            self.server.api_client(user),
            LeaseName(self.namespace, NAME),
            lease_ttl=15,
            resource_version=version,
            open_timeout=PATIENCE,
            deliver=told,
        )
        watch.start()
        try:
            yield told
        finally:
            watch.close()
            watch.thread.join(PATIENCE)
        assert not watch.thread.is_alive()

    def _call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        status, answer = self.server.call(method, path, body)
        assert status < 300, answer
        found: dict[str, Any] = answer
        return found


class Told:
    """What a watch told; bookmarks are for whoever wants one"""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[WatchEvent] = queue.SimpleQueue()

    def __call__(self, watch: Watch, event: WatchEvent) -> None:
        self._events.put(event)

    def next(self) -> WatchEvent:
        while isinstance(event := self._events.get(timeout=PATIENCE), Bookmark):
            pass
        return event

    def found(self) -> Found:
        event = self.next()
        assert isinstance(event, Found), event
        return event

    def refused(self) -> WatchEnded:
        while isinstance(event := self.next(), WatchOpened):
            pass
        assert isinstance(event, WatchEnded), event
        return event


@pytest.fixture
def leases(apiserver: ApiServer, apiserver_namespace: str) -> Leases:
    return Leases(apiserver, apiserver_namespace)


def version(lease: dict[str, Any]) -> str:
    text: str = lease["metadata"]["resourceVersion"]
    return text


def test_the_lease_as_it_is_and_every_change_are_told(leases: Leases) -> None:
    lease = leases.create()
    with leases.watched() as told:
        assert told.next() == WatchOpened()
        assert told.found().source == lease
        for holder in "bcd":
            leases.create(f"other-{holder}")
            lease = leases.update(lease, holder)
            event = told.found()
            assert event.source == lease
            assert event.record.holder_identity == holder


def test_what_came_after_a_version_is_told(leases: Leases) -> None:
    first = leases.create()
    second = leases.update(first, "b")
    with leases.watched(version(first)) as told:
        assert told.next() == WatchOpened()
        assert told.found().source == second


def test_a_deletion_is_told_with_a_newer_version_than_the_last_write(leases: Leases) -> None:
    lease = leases.create()
    with leases.watched(version(lease)) as told:
        assert told.next() == WatchOpened()
        leases.delete()
        gone = told.next()
        again = leases.create()
        assert told.found().source == again
    assert isinstance(gone, Deleted)
    assert gone.record.uid == lease["metadata"]["uid"]
    assert int(version(lease)) < (gone.record.version or 0) < int(version(again))


def test_a_role_for_one_name_suffices(leases: Leases) -> None:
    user = USERS[9]
    leases.server.grant(user, leases.namespace, ["watch"], name=NAME)
    lease = leases.create()
    with leases.watched(user=user) as told:
        assert told.next() == WatchOpened()
        assert told.found().source == lease
        lease = leases.update(lease, "b")
        assert told.found().source == lease


def test_without_permission_the_watch_is_refused(leases: Leases) -> None:
    leases.create()
    with leases.watched(user=NOBODY) as told:
        ended = told.refused()
    assert ended.status == 403
    assert "a Role must allow 'watch'" in str(ended.error)


def test_a_version_that_is_too_old_is_gone(leases: Leases) -> None:
    leases.server.restart()  # it knows of nothing before; one with a new etcd, of all from 1
    leases.create()
    with leases.watched("1") as told:
        ended = told.refused()
    assert ended.status == 410
    assert "410 Gone" in str(ended.error)


def test_a_server_that_dies_ends_the_watch(leases: Leases) -> None:
    leases.create()
    with leases.watched() as told:
        assert told.next() == WatchOpened()
        told.found()
        leases.server.kube_apiserver.kill()
        assert told.refused().status is None
