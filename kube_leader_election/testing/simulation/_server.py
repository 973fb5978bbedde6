"""The API server of a simulation: one Lease in the memory of the stand-ins, and its watches."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Bookmark,
    Conflict,
    Create,
    Deleted,
    Failed,
    Found,
    Read,
    Request,
    WatchEnded,
    WatchEvent,
    WatchOpened,
)
from kube_leader_election._core.record import LeaseRecord, lease_to_write, read_lease
from kube_leader_election.testing._events import Event, Selection, Subscription
from kube_leader_election.testing._kinds import LEASE
from kube_leader_election.testing._memory import Backup, Memory
from kube_leader_election.testing._refusal import Refusal

from ._world import World

NAMESPACE, NAME = "default", "leader"
_KEY = (LEASE, NAMESPACE, NAME)
_SELECTION = Selection(LEASE, NAMESPACE)
_GONE = 410


class Trouble(Exception):
    """What stands for the error of a client."""


class Writer(Protocol):
    """Who sends requests, and is known by a name."""

    @property
    def name(self) -> str: ...


class Commits(Protocol):
    """Who is told of all that becomes of the Lease."""

    def committed(self, writer: Writer | None, request: Request | None, *, created: bool) -> None:
        """The request, or somebody's hand, has changed the Lease."""

    def deleted(self, uid: str | None) -> None:
        """The Lease of this uid is gone."""


class Server:
    """One Lease, whose rules are those of the stand-ins."""

    def __init__(self, world: World, commits: Commits) -> None:
        self._world = world
        self._memory = Memory(world.utcnow)
        self._commits = commits
        self._watches: list[Watch] = []
        self._records: dict[int, LeaseRecord] = {}
        self.down_until = -math.inf
        self.lease: Found | None = None

    @property
    def is_down(self) -> bool:
        """Whether nobody reaches it now."""
        return self._world.now < self.down_until

    @property
    def version(self) -> int:
        """The version of the last write."""
        return self._memory.version

    def carry_out(self, request: Request, writer: Writer) -> Answer:
        """Return the answer to the request, which was carried out."""
        if isinstance(request, Read):
            return self.lease or Absent(Trouble("404"))
        try:
            if isinstance(request, Create):
                body = lease_to_write(request.record, lease_name=NAME, namespace=NAMESPACE)
                stored, created = self._memory.create(LEASE, NAMESPACE, body), True
            else:
                base: Any = request.base.source
                body = lease_to_write(
                    request.record, lease_name=NAME, namespace=NAMESPACE, base=base
                )
                stored, created = self._memory.replace(_KEY, body)
        except Refusal as refused:
            return refusal(refused.status, str(refused))
        if self.lease is not None and stored is self.lease.source:
            return self.lease
        self.lease = self._found(stored)
        self._commits.committed(writer, request, created=created)
        self._tell()
        return self.lease

    def earlier(self, versions: int) -> Answer:
        """Return what a read was answered so many versions ago."""
        try:
            return self._found(self._memory.read_earlier(_KEY, versions))
        except Refusal:
            return self.lease or Absent(Trouble("404"))

    def edit(self, spec: Mapping[str, Any], labels: Mapping[str, Any]) -> None:
        """Somebody has changed these fields of the Lease, if there is one."""
        if self.lease is None:
            return
        metadata = {"labels": dict(labels)} if labels else {}
        self.lease = self._found(
            self._memory.patch(_KEY, {"metadata": metadata, "spec": dict(spec)})
        )
        if spec:
            self._commits.committed(None, None, created=False)
        self._tell()

    def delete(self) -> None:
        """The Lease is gone, if there was one."""
        if self.lease is not None:
            uid, self.lease = self.lease.record.uid, None
            self._memory.delete(_KEY, {})
            self._commits.deleted(uid)
            self._tell()

    def backup(self) -> Backup:
        """Return what can be restored."""
        return self._memory.backup()

    def restore(self, backup: Backup) -> None:
        """All is as it was then, the versions too; watches are told nothing, and no end either."""
        self._memory.restore(backup)
        self._records.clear()
        for watch in self._watches:
            watch.stall()
        document = backup.objects.get(_KEY)
        self.lease = self._found(document) if document else None
        self._commits.committed(None, None, created=False)

    def open(self, watch: Watch, version: str | None) -> WatchEnded | None:
        """The watch tells what happens after `version`; or it has ended, and why."""
        try:
            subscription = self._memory.watch(_SELECTION, int(version) if version else None)
        except Refusal as refused:
            return WatchEnded(Trouble(str(refused)), refused.status)
        watch.follow(subscription)
        self._watches.append(watch)
        watch.catch_up(self._event)
        return None

    def forget(self, watch: Watch) -> None:
        """It is told nothing any more."""
        if watch in self._watches:
            self._watches.remove(watch)

    def _tell(self) -> None:
        for watch in self._watches:
            watch.catch_up(self._event)

    def _event(self, event: Event) -> WatchEvent:
        if event.type == "BOOKMARK":
            return Bookmark(str(event.version))
        found = self._found(event.document)
        return Deleted(found.record) if event.type == "DELETED" else found

    def _found(self, document: Mapping[str, Any]) -> Found:
        version = int(document["metadata"]["resourceVersion"])
        record = self._records.get(version)
        if record is None:
            record = self._records[version] = read_lease(document, lease_ttl=1)
        return Found(record, document)


class Watch:
    """One watch: what it tells goes to `tell`, in order, until it is closed or stalls."""

    def __init__(self, tell: Callable[[WatchEvent], object]) -> None:
        self._tell = tell
        self._subscription: Subscription | None = None
        self.is_over = False

    def follow(self, subscription: Subscription) -> None:
        """It tells what this does."""
        self._subscription = subscription
        self._tell(WatchOpened())

    def catch_up(self, translate: Callable[[Event], WatchEvent]) -> None:
        """It tells what has happened."""
        while self._subscription is not None:
            event = self._subscription.next(0)
            if event is None:
                break
            self._tell(translate(event))

    def stall(self) -> None:
        """It tells nothing any more, and does not end either."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None


def refusal(status: int, message: str) -> Answer:
    """Return what a store makes of an answer with this status."""
    error = Trouble(message)
    if status == 409:
        return Conflict(error)
    return Absent(error) if status == 404 else Failed(error, status)
