"""The watch of one Lease, over a connection and a thread of its own, in raw JSON."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from ._core.messages import Bookmark, Deleted, Found, WatchEnded, WatchEvent, WatchOpened
from ._core.record import KIND, UnreadableLeaseError
from ._failure import LeaseName
from ._json import decoded
from ._raw import is_status, read_target, retry_after
from ._wire import Wire, clear_frames

MAX_LINE_BYTES = 2 * 1024 * 1024  # as of an answer

Deliver = Callable[["Watch", WatchEvent], object]


class Watch:
    """Tells of every change of one Lease from `start` until it ends, once.

    `deliver` is called from the watch's thread with each event; the last one, whatever happens,
    is one `WatchEnded`, and by then the connection is gone. It must not block or raise.

    Without a `resource_version` it begins with the Lease as it is, if there is one. Each
    operation of the socket takes at most `open_timeout` seconds until the head of the answer has
    come, and after that any time: who watches judges the silence, and calls `close`.
    """

    def __init__(
        self,
        api_client: Any,
        target: LeaseName,
        *,
        lease_ttl: int,
        resource_version: str | None,
        open_timeout: float,
        deliver: Deliver,
    ) -> None:
        self.thread = threading.Thread(
            target=self._run, name="kube-leader-election-watch", daemon=True
        )
        self._target = target
        self._lease_ttl = lease_ttl
        self._resource_version = resource_version
        self._open_timeout = open_timeout
        self._deliver = deliver
        self._wire = Wire(api_client, api_client.configuration.host)

    def start(self) -> None:
        """The thread runs. Where none can be started, the `WatchEnded` is delivered from here."""
        try:
            self.thread.start()
        except RuntimeError as error:
            if self.thread.ident is not None:
                raise
            self._deliver(self, self._failed("not sent, no thread could be started", error))

    def close(self) -> None:
        """Nothing more is sent or told, and the end follows at once.

        Does not block, and may be repeated. For any thread and for signal handlers. A thread that
        hangs in name resolution or in an auth plugin ends when that returns. In a forked child
        nothing of the parent's connection is touched.
        """
        self._wire.hang_up()

    def _run(self) -> None:
        end = self._end()
        self._wire.close()
        self._deliver(self, end)
        # An error refers to the watch, by frames that could not be emptied while they ran, and
        # what is delivered to, a queue say, to the error.
        del end, self._deliver

    def _end(self) -> WatchEnded:
        """Watch, and return why that is over."""
        try:
            return self._watch()
        except UnreadableLeaseError as error:
            return self._failed(f"an event came, but {error}")
        except BaseException as error:  # noqa: BLE001 (urllib3's, the system's, an auth plugin's)
            clear_frames(error)
            return self._failed(f"failed ({type(error).__name__})", error)

    def _failed(self, what: str, cause: BaseException | None = None) -> WatchEnded:
        if self._wire.given_up:  # what `close` breaks is no failure
            return WatchEnded()
        return WatchEnded(self._target.error("watch", what, cause=cause))

    def _watch(self) -> WatchEnded:
        with closing(self._open()) as response:
            if response.status != HTTPStatus.OK:
                error = self._target.status_error("watch", response.status)
                return WatchEnded(error, response.status, retry_after(response.headers))
            self._tell(WatchOpened())
            for line in _lines(self._wire.pieces()):
                event = self._event(line)
                if isinstance(event, WatchEnded):
                    return event
                self._tell(event)
        return WatchEnded()

    def _tell(self, event: WatchEvent) -> None:
        if self._wire.given_up:
            raise ConnectionAbortedError("the watch was closed")
        self._deliver(self, event)

    def _open(self) -> Any:
        """Ask, and once more if the credentials were refused: they may be newer now."""
        # With the selector, a Role with this one name in its resourceNames suffices.
        path = (
            f"/apis/coordination.k8s.io/v1/namespaces/{self._target.namespace}/leases"
            "?watch=true&allowWatchBookmarks=true"
            f"&fieldSelector=metadata.name%3D{self._target.name}"
        )
        if self._resource_version:
            path += f"&resourceVersion={quote(self._resource_version, safe='')}"
        deadline_at = time.monotonic() + self._open_timeout
        response = self._wire.send("GET", path, deadline_at=deadline_at)
        if response.status == HTTPStatus.UNAUTHORIZED:
            response.close()
            response = self._wire.send("GET", path, deadline_at=deadline_at)
        return response

    def _event(self, line: bytes) -> WatchEvent:
        event = decoded(line)
        if not isinstance(event, dict):
            raise UnreadableLeaseError("it is no JSON object")
        kind, thing = event.get("type"), event.get("object")
        if kind == "BOOKMARK":
            return _bookmark(thing)
        if kind == "ERROR":
            return self._error(thing)
        if kind not in ("ADDED", "MODIFIED", "DELETED"):
            raise UnreadableLeaseError("of no type that is known")
        record = read_target(thing, self._target, lease_ttl=self._lease_ttl)
        return Deleted(record) if kind == "DELETED" else Found(record, thing)

    def _error(self, thing: object) -> WatchEnded:
        status = thing.get("code") if is_status(thing) else None
        if not isinstance(status, int) or isinstance(status, bool):
            raise UnreadableLeaseError("it is an error without a code")
        return WatchEnded(self._target.status_error("watch", status), status)


def _bookmark(thing: object) -> Bookmark:
    if not isinstance(thing, dict) or thing.get("kind") != KIND:
        raise UnreadableLeaseError("not with a Lease")
    metadata = thing.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
    if not isinstance(version, str) or not version:
        raise UnreadableLeaseError("without a resourceVersion")
    return Bookmark(version)


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield each line that is not empty, as soon as its end has come.

    :raises UnreadableLeaseError: it is too long, or has no end.
    """
    line = bytearray()
    for piece in pieces:
        for number, part in enumerate(piece.split(b"\n")):
            if number:
                if line.strip():
                    yield bytes(line)
                line.clear()
            line += part
            if len(line) > MAX_LINE_BYTES:
                raise UnreadableLeaseError("it is longer than 2 MiB")
    if line.strip():
        raise UnreadableLeaseError("it was cut")
