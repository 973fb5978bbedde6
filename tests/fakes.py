"""Stand-ins: Leases in memory behind the client's three methods, and clocks set by hand."""

from __future__ import annotations

import copy
import threading
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from kubernetes.client import V1Lease, V1LeaseSpec, V1ObjectMeta
from kubernetes.client.exceptions import ApiException

START = datetime(2024, 1, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)


class FakeClock:
    """Both clocks stand still until they are moved."""

    def __init__(self) -> None:
        self._monotonic = 1000.0
        self._utc = START

    def monotonic(self) -> float:
        return self._monotonic

    def utcnow(self) -> datetime:
        return self._utc

    def advance(self, seconds: float) -> None:
        self._monotonic += seconds
        self._utc += timedelta(seconds=seconds)

    def shift_wall(self, seconds: float) -> None:
        self._utc += timedelta(seconds=seconds)


class FakeApi:
    """Leases with the API server's guards: versions, the uid, and no create over a Lease.

    `requests` lists what was asked for, in order. What is appended to `before` is called
    once, right before the next request is carried out, what is in `after` right after it.
    """

    def __init__(self) -> None:
        self.leases: dict[tuple[str, str], Any] = {}
        self.requests: list[str] = []
        self.before: list[Callable[[], object]] = []
        self.after: list[Callable[[], object]] = []
        self._version = 0
        self._lock = threading.RLock()

    def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        return self._carry_out("get", lambda: self._stored(name, namespace))

    def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
        def create() -> Any:
            if (namespace, body.metadata.name) in self.leases:
                raise ApiException(status=409, reason="AlreadyExists")
            return self._store(namespace, body, uid=str(uuid.uuid4()))

        return self._carry_out("create", create)

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        def replace() -> Any:
            stored, sent = self._stored(name, namespace).metadata, body.metadata
            if (sent.uid, sent.resource_version) != (stored.uid, stored.resource_version):
                raise ApiException(status=409, reason="Conflict")
            return self._store(namespace, body, uid=stored.uid)

        return self._carry_out("update", replace)

    def put(self, name: str = "leader", namespace: str = "default", **spec: Any) -> Any:
        """Store a Lease that says `spec`, as if another had written it."""
        stored = self.leases.get((namespace, name))
        metadata = V1ObjectMeta(name=name) if stored is None else stored.metadata
        uid = metadata.uid or str(uuid.uuid4())
        lease = V1Lease(metadata=metadata, spec=V1LeaseSpec(**spec))
        return self._store(namespace, lease, uid=uid)

    def delete(self, name: str = "leader", namespace: str = "default") -> None:
        del self.leases[namespace, name]

    def spec(self, name: str = "leader", namespace: str = "default") -> Any:
        return self.leases[namespace, name].spec

    def _carry_out(self, verb: str, act: Callable[[], Any]) -> Any:
        with self._lock:
            self.requests.append(verb)
            if self.before:
                self.before.pop(0)()
            try:
                return copy.deepcopy(act())
            finally:
                if self.after:
                    self.after.pop(0)()

    def _stored(self, name: str, namespace: str) -> Any:
        try:
            return self.leases[namespace, name]
        except KeyError:
            raise ApiException(status=404, reason="NotFound") from None

    def _store(self, namespace: str, lease: Any, *, uid: str) -> Any:
        lease = copy.deepcopy(lease)
        self._version += 1
        lease.metadata.uid = uid
        lease.metadata.namespace = namespace
        lease.metadata.resource_version = str(self._version)
        self.leases[namespace, lease.metadata.name] = lease
        return lease
