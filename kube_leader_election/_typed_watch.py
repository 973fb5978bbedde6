"""The watch of one Lease, from a client of `V1Lease` objects that has one to offer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ._core.messages import Bookmark, Deleted, Found, WatchEnded, WatchEvent, WatchOpened
from ._core.record import UnreadableLeaseError
from ._failure import LeaseName
from ._typed import TypedLeases, is_mock


class LeaseEvents(Protocol):
    """What `watch_namespaced_lease` returns."""

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """Yield the type of each event and its `V1Lease`; of an `ERROR` the status."""

    def close(self) -> None:
        """The iteration ends at once. For any thread."""


def offers_watch(api: object) -> bool:
    """Whether `api`, which no mock is, has a `watch_namespaced_lease`."""
    method = getattr(api, "watch_namespaced_lease", None)
    return callable(method) and not is_mock(method)


class TypedWatch:
    """As `Watch`: tells of every change from `start` until it ends, once."""

    def __init__(
        self,
        api: Any,
        target: LeaseName,
        *,
        lease_ttl: int,
        resource_version: str | None,
        deliver: Callable[[Any, WatchEvent], object],
    ) -> None:
        self.thread = threading.Thread(
            target=self._run, name="kube-leader-election-watch", daemon=True
        )
        self._api = api
        self._target = target
        self._leases = TypedLeases(api, target, lease_ttl=lease_ttl)
        self._resource_version = resource_version
        self._deliver = deliver
        self._events: LeaseEvents | None = None
        self._is_closed = False

    def start(self) -> None:
        """The thread runs. Where none can be started, the `WatchEnded` is delivered from here."""
        try:
            self.thread.start()
        except RuntimeError as error:  # the interpreter exits
            self._deliver(self, self._failed(error))

    def close(self) -> None:
        """Nothing more is told, and the end follows at once. Does not block."""
        self._is_closed = True
        if self._events is not None:
            self._events.close()

    def _run(self) -> None:
        try:
            end = self._watch()
        except UnreadableLeaseError as error:
            end = WatchEnded(self._target.error("watch", f"an event came, but {error}"))
        except Exception as error:  # noqa: BLE001 (a client may raise anything)
            end = self._failed(error)
        self._deliver(self, end)

    def _failed(self, error: Exception) -> WatchEnded:
        status = getattr(error, "status", None)
        if isinstance(status, int):
            return WatchEnded(self._target.status_error("watch", status, cause=error), status)
        what = f"failed ({type(error).__name__})"
        return WatchEnded(self._target.error("watch", what, cause=error))

    def _watch(self) -> WatchEnded:
        self._events = events = self._api.watch_namespaced_lease(
            self._target.name, self._target.namespace, resource_version=self._resource_version
        )
        if self._is_closed:
            events.close()
        self._deliver(self, WatchOpened())
        for kind, lease in events:
            if kind == "ERROR":
                return WatchEnded(self._target.status_error("watch", lease), lease)
            if kind == "BOOKMARK":
                self._deliver(self, Bookmark(lease.metadata.resource_version))
            else:
                record = self._leases.read(lease)
                is_gone = kind == "DELETED"
                self._deliver(self, Deleted(record) if is_gone else Found(record, lease))
        return WatchEnded()
