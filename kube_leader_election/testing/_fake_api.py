"""Leases in memory, behind the methods of the kubernetes client."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from ._client import Models, api_exception, connection_refused, no_answer
from ._clock import FakeClock
from ._identity import DEFAULT_USER
from ._kinds import LEASE
from ._lease_watch import LeaseWatch
from ._refusal import Refusal
from ._service import Call, Reply, Service, name_in
from ._stand_in import StandIn
from ._stream import WatchStream
from .faults import Fault, LateAnswer, NoAnswer, Silence

_LIST_QUERY = {
    "field_selector": "fieldSelector",
    "label_selector": "labelSelector",
    "resource_version": "resourceVersion",
    "resource_version_match": "resourceVersionMatch",
    "send_initial_events": "sendInitialEvents",
    "timeout_seconds": "timeoutSeconds",
    "allow_watch_bookmarks": "allowWatchBookmarks",
}
# Options of the client's methods that change nothing here.
_IGNORED = {"pretty", "field_manager", "field_validation", "limit"}


class FakeCoordinationV1Api(StandIn):
    """A `kubernetes.client.CoordinationV1Api` whose API server is in memory. Thread-safe.

    The methods take and return what those of the client do, and refuse what the API server
    refuses: a version that is not the stored one, the uid of a deleted Lease, a time without six
    digits. Bodies and answers are converted by the client that is installed, as on their way to
    a server. Used as a context manager it checks, at the end, that every armed fault was met.
    """

    def __init__(self, *, clock: FakeClock | None = None) -> None:
        """There is no Lease yet. `clock` tells the times, and passes where an answer is late."""
        super().__init__(Service(clock))
        self._clock = clock
        self._models = Models()
        self._user = DEFAULT_USER
        self._refusing = _Refusing()

    def as_user(self, user: str) -> FakeCoordinationV1Api:
        """Return a client of the same Leases for another `user`, for faults by user and the log."""
        other = copy.copy(self)
        other._user = user  # noqa: SLF001
        return other

    @contextmanager
    def refuse_connections(self) -> Iterator[None]:
        """Within the block no request arrives: each raises what a refused connection does."""
        self._refusing.change(1)
        try:
            yield
        finally:
            self._refusing.change(-1)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all watches, let no request in, and check that every armed fault was met."""
        self._refusing.change(1)
        self._service.memory.close()
        super().__exit__(kind, error, trace)

    def read_namespaced_lease(self, name: str, namespace: str, **options: Any) -> Any:
        """Return the Lease.

        :return: V1Lease
        :raises ApiException: as from the API server; 404: there is none.
        """
        return self._ask("get", name, namespace, options)

    def create_namespaced_lease(self, namespace: str, body: Any, **options: Any) -> Any:
        """Create the Lease, and return it.

        :return: V1Lease
        :raises ApiException: as from the API server; 409: there is one.
        """
        return self._ask("create", "", namespace, options, body)

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any, **options: Any) -> Any:
        """Replace the Lease if it is still the version in `body`, and return it.

        :return: V1Lease
        :raises ApiException: as from the API server; 409: somebody wrote, or it was deleted.
        """
        return self._ask("update", name, namespace, options, body)

    def patch_namespaced_lease(self, name: str, namespace: str, body: Any, **options: Any) -> Any:
        """Merge `body` into the Lease, and return it.

        :return: V1Lease
        :raises ApiException: as from the API server.
        """
        return self._ask("patch", name, namespace, options, body)

    def delete_namespaced_lease(
        self, name: str, namespace: str, body: Any = None, **options: Any
    ) -> Any:
        """Delete the Lease; `body` (`V1DeleteOptions`) may have preconditions.

        :return: V1Status
        :raises ApiException: as from the API server.
        """
        return self._ask("delete", name, namespace, options, body)

    def list_lease_for_all_namespaces(self, **options: Any) -> Any:
        """As `list_namespaced_lease`, of every namespace.

        :return: V1LeaseList
        :rtype: V1LeaseList
        :raises ApiException: as from the API server.
        """
        return self._list(None, options)

    def list_namespaced_lease(self, namespace: str, **options: Any) -> Any:
        """Return the Leases of the namespace, or, with `watch=True`, a response to stream from.

        `kubernetes.watch.Watch().stream(api.list_namespaced_lease, namespace)` works as usual.

        :return: V1LeaseList
        :rtype: V1LeaseList
        :raises ApiException: as from the API server.
        """
        return self._list(namespace, options)

    def watch_namespaced_lease(
        self, name: str, namespace: str, *, resource_version: str | None = None
    ) -> LeaseWatch:
        """Return what comes of the Lease from `resource_version` on, `(type, V1Lease)` by turns.

        The client has no such method: a `LeaderElector` on this fake watches by it, instead of
        polling.

        :raises ApiException: as from the API server.
        """
        query = {
            "fieldSelector": f"metadata.name={name}",
            "resourceVersion": resource_version or "",
            "allowWatchBookmarks": "true",
        }
        return LeaseWatch(self._watch(namespace, query, {}), self._models)

    def _list(self, namespace: str | None, options: dict[str, Any]) -> Any:
        query = {field: _text(options.pop(option, None)) for option, field in _LIST_QUERY.items()}
        options.pop("_preload_content", None)
        if options.pop("watch", False):
            return self._watch(namespace, query, options)
        return self._ask("list", "", namespace, options, query=query)

    def _watch(
        self, namespace: str | None, query: Mapping[str, str], options: dict[str, Any]
    ) -> Any:
        timeout = _timeout(options)
        call = Call("watch", LEASE, namespace, user=self._user, query=query)
        record, fault = self._meet(call, timeout)
        if not self._service.opens_watch(call, fault):
            return self._answer(call, record, fault, timeout)
        try:
            stream = WatchStream(self._service.memory, call, fault)
        except Refusal as refusal:
            record.status = refusal.status
            raise api_exception(Reply(refusal.status, refusal.document())) from None
        self._wait_for(fault, timeout)
        record.status = 200
        return _StreamedResponse(stream, timeout)

    def _ask(
        self,
        verb: str,
        name: str,
        namespace: str | None,
        options: dict[str, Any],
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
    ) -> Any:
        timeout = _timeout(options)
        document = self._models.to_json(body)
        if verb == "create":
            name = name_in(document)
        call = Call(verb, LEASE, namespace, name, self._user, document, query or {})
        record, fault = self._meet(call, timeout)
        return self._answer(call, record, fault, timeout)

    def _meet(self, call: Call, timeout: float | None) -> tuple[Any, Fault | None]:
        if self._refusing.count:
            raise connection_refused()
        if self._service.plan.meet_connection():
            raise self._given_up(Silence.HANDSHAKE, timeout)
        return self._service.meet(call)

    def _answer(self, call: Call, record: Any, fault: Fault | None, timeout: float | None) -> Any:
        reply = self._service.reply(call, fault)
        if isinstance(fault, NoAnswer):
            raise self._given_up(fault.how, timeout)
        self._wait_for(fault, timeout)
        record.status = reply.status
        if not 200 <= reply.status <= 299:
            raise api_exception(reply)
        kinds = {"list": "V1LeaseList", "delete": "V1Status"}
        text = json.dumps(reply.document) if reply.content is None else reply.content.decode()
        return self._models.from_json(text, kinds.get(call.verb, "V1Lease"))

    def _wait_for(self, fault: Fault | None, timeout: float | None) -> None:
        if isinstance(fault, LateAnswer):
            if timeout is not None and fault.seconds >= timeout:
                raise self._given_up(Silence.HANG, timeout)
            self._pass(fault.seconds)

    def _given_up(self, how: Silence, timeout: float | None) -> Exception:
        """Return what the client raises where no answer comes, when its patience has passed."""
        if how not in (Silence.CLOSE, Silence.RESET):
            self._pass(timeout or 0.0)
        return no_answer(how)

    def _pass(self, seconds: float) -> None:
        if self._clock is not None:
            self._clock.advance(seconds)
        else:
            time.sleep(seconds)


class _Refusing:
    """How many blocks refuse connections now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def change(self, by: int) -> None:
        with self._lock:
            self.count += by


class _StreamedResponse:
    """What the client returns with `_preload_content=False`, as far as a watch uses it."""

    status = 200

    def __init__(self, stream: WatchStream, timeout: float | None) -> None:
        self._stream = stream
        self._timeout = timeout

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield the lines of the watch, until it ends or `close` is called.

        :raises ReadTimeoutError: nothing came for as long as the client waits.
        """
        heard_at = time.monotonic()
        for line in self._stream.lines(poll=self._timeout or 60.0):
            if line:
                yield line
                heard_at = time.monotonic()
            elif self._timeout is not None and time.monotonic() >= heard_at + self._timeout:
                self._stream.close()
                raise no_answer(Silence.HANG)

    def close(self) -> None:
        """End the watch."""
        self._stream.close()

    def release_conn(self) -> None:
        """Nothing is left to release."""


def _timeout(options: dict[str, Any]) -> float | None:
    """Take the client's timeout out of `options`; no option but those that are known is left."""
    timeout = options.pop("_request_timeout", None)
    unknown = sorted(options.keys() - _IGNORED)
    if unknown:
        raise TypeError(f"{unknown[0]!r} is an option that FakeCoordinationV1Api does not know")
    seconds: float | None = timeout[1] if isinstance(timeout, tuple) else timeout
    return seconds


def _text(option: object) -> str:
    if isinstance(option, bool):
        return "true" if option else "false"
    return "" if option is None else str(option)
