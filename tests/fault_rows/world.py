"""The Leases of one namespace, at the stand-in or the real server, and whoever wants one of them"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeVar

import pytest
from kubernetes.client import Configuration, CoordinationV1Api

from kube_leader_election import (
    LeaderElector,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
)
from kube_leader_election.testing import ApiServer, FakeClock, faults
from kube_leader_election.testing.faults import Fault
from tests.apiserver.server import ADMIN, USERS
from tests.apiserver.server import ApiServer as KubeApiServer
from tests.conformance.leases import HttpLeases
from tests.electors import Electors
from tests.scripts import Script

NAME = "leader"
TTL = 15
BELIEF = 0.98 * TTL
MAX_INT32 = 2**31 - 1

LONG = 15.0  # the most that the default lease_ttl allows, for calls that end before
SHORT = 0.5
PATIENCE = 10.0  # how long a call may take that would take for ever if its deadline were ignored

CANDIDATE, OTHER = "candidate", "other"
START = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
NOW = "2026-01-01T12:00:00.123456Z"
TEN_SECONDS_AGO = "2026-01-01T11:59:50.123456Z"
LONG_AGO = "2020-01-01T00:00:00.000000Z"
HELD: dict[str, Any] = {
    "holder_identity": "b",
    "lease_duration_seconds": TTL,
    "acquire_time": NOW,
    "renew_time": NOW,
    "lease_transitions": 3,
}
EXPIRED: dict[str, Any] = {**HELD, "acquire_time": LONG_AGO, "renew_time": LONG_AGO}
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")

_Server = TypeVar("_Server", bound="Server")
Asked = list[tuple[str, int | None]]


class Server:
    """The Leases of one namespace, candidates for one of them, and somebody else who writes it"""

    short = SHORT

    def __init__(self, others: HttpLeases, clock: FakeClock, log: pytest.LogCaptureFixture) -> None:
        self.others = others
        self.clock = clock
        self._log = log
        self._electors = Electors(None, None)

    def __enter__(self: _Server) -> _Server:
        self._electors.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._electors.__exit__(*exc)

    def client(self) -> Any:
        raise NotImplementedError

    def elector_client(self) -> Any:
        """One whose requests no `race` counts"""
        return self.client()

    def requests(self) -> Asked:
        """(verb, status) of all that the candidates asked; no status where none was answered"""
        raise NotImplementedError

    def put(self, **spec: Any) -> None:
        """The Lease says `spec`, which another wrote"""
        raise NotImplementedError

    def race(self, *actions: Callable[[], object]) -> None:
        """The first comes between the candidates' next read and the write, and so on"""
        raise NotImplementedError

    def silent(self) -> AbstractContextManager[None]:
        """What is asked is not answered, and the connection stays open"""
        raise NotImplementedError

    def refusing(self) -> AbstractContextManager[None]:
        """Nobody listens"""
        raise NotImplementedError

    def cut(self) -> None:
        """All connections are ended; new ones are served"""
        raise NotImplementedError

    def kubeconfig(self) -> Path:
        raise NotImplementedError

    def lock(
        self, holder_id: str | None = "a", *, client: Any = None, clock: Any = None, **params: Any
    ) -> LeaseLock:
        params = {"lease_name": NAME, "holder_id": holder_id, "call_timeout": LONG, **params}
        return LeaseLock(
            client or self.client(),
            self.others.namespace,
            LeaseLockParams(**params),
            clock=clock or self.clock,
        )

    def elector(
        self, holder_id: str | None = "a", *, client: Any = None, **options: Any
    ) -> LeaderElector:
        """It is stopped at the end of the test; its clock is the machine's unless one is given"""
        client = client or self.elector_client()
        return self._electors(holder_id, client=client, namespace=self.others.namespace, **options)

    def script(self, text: str, **options: Any) -> Script:
        """In a process of its own, where the candidates' rights are its"""
        return Script(self.kubeconfig(), text, namespace=self.others.namespace, **options)

    def leader(self, **options: Any) -> LeaseLock:
        lock = self.lock(**options)
        assert lock.try_acquire_or_renew()
        return lock

    def asked_by(self, act: Callable[[], object]) -> Asked:
        before = len(self.requests())
        act()
        return self.requests()[before:]

    @property
    def told(self) -> list[str]:
        """What was logged by the library"""
        ours = "kube_leader_election"
        return [record.getMessage() for record in self._log.records if record.name == ours]

    def failure(
        self,
        lock: LeaseLock,
        kind: type[LeaseError],
        status: int | None,
        act: Callable[[], object] | None = None,
    ) -> tuple[LeaseError, Asked]:
        """The call fails so, in time; what was believed is believed still, and nothing is logged"""
        believed, told = (lock.is_leader(), lock.fencing_token), self.told
        caught: list[LeaseError] = []

        def call() -> None:
            with pytest.raises(LeaseError) as info:
                (act or lock.try_acquire_or_renew)()
            caught.append(info.value)

        began_at = time.monotonic()
        asked = self.asked_by(call)
        assert time.monotonic() - began_at < PATIENCE
        (error,) = caught
        assert (type(error), error.status) == (kind, status)
        assert (error.namespace, error.lease_name) == (self.others.namespace, NAME)
        if act is None:
            assert (lock.is_leader(), lock.fencing_token) == believed
            assert self.told == told
        return error, asked

    def lease(self) -> dict[str, Any]:
        reply = self.others.read(NAME)
        assert reply.status == 200, reply
        lease: dict[str, Any] = reply.body
        return lease

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.lease()["spec"]
        return spec

    @property
    def version(self) -> int:
        return int(self.lease()["metadata"]["resourceVersion"])

    def edit(self, **metadata: Any) -> None:
        lease = self.lease()
        lease["metadata"] |= metadata
        reply = self.others.replace(NAME, lease)
        assert reply.status == 200, reply

    def make_again(self, spec: dict[str, Any]) -> None:
        """Another deletes the Lease and makes one that says `spec`, in the form of its JSON"""
        assert self.others.delete(NAME).status == 200
        assert self.others.create({"metadata": {"name": NAME}, "spec": spec}).status == 201


class Http(Server):
    """The stand-in"""

    def __init__(self, stand_in: ApiServer, clock: FakeClock, log: pytest.LogCaptureFixture):
        token = stand_in.token(OTHER)
        super().__init__(HttpLeases(stand_in.url, namespace="default", token=token), clock, log)
        self.stand_in = stand_in

    def client(self) -> Any:
        return CoordinationV1Api(self.stand_in.client(CANDIDATE))

    def requests(self) -> Asked:
        return [(each.verb, each.status) for each in self.stand_in.requests if each.user != OTHER]

    def put(self, **spec: Any) -> None:
        self.stand_in.put_lease(NAME, **spec)

    def race(self, *actions: Callable[[], object]) -> None:
        for action in actions:
            self.stand_in.before_next(action, verb="update", user=CANDIDATE)

    @contextmanager
    def silent(self) -> Iterator[None]:
        self.stand_in.fail_next(faults.hang())
        yield

    def refusing(self) -> AbstractContextManager[None]:
        return self.stand_in.refuse_connections()

    def cut(self) -> None:
        self.stand_in.cut_connections()

    def kubeconfig(self) -> Path:
        return self.stand_in.write_kubeconfig(user=CANDIDATE)

    def fail(self, fault: Fault, verb: str | None = None, times: int | None = 1) -> None:
        self.stand_in.fail_next(fault, verb=verb, user=CANDIDATE, times=times)

    def bodies(self, verb: str) -> list[Any]:
        """What was sent with each such request"""
        return [each.body for each in self.stand_in.requests if each.verb == verb]


class Real(Server):
    """kube-apiserver, where the candidates may do what they need and no more"""

    short = 3.0

    def __init__(
        self, server: KubeApiServer, namespace: str, clock: FakeClock, log: pytest.LogCaptureFixture
    ) -> None:
        others = HttpLeases(
            server.url, namespace=namespace, ca_file=server.ca_file, token=server.token(ADMIN)
        )
        super().__init__(others, clock, log)
        self.server = server
        self._actions: list[Callable[[], object]] = []
        server.grant(USERS[0], namespace, ["get", "create", "update", "watch"])

    def client(self) -> Any:
        client = self.server.api_client(USERS[0])
        client.configuration.refresh_api_key_hook = self._before_a_request
        return CoordinationV1Api(client)

    def elector_client(self) -> Any:
        return CoordinationV1Api(self.server.api_client(USERS[0]))

    def _before_a_request(self, _: Configuration) -> None:
        if self._actions:
            self._actions.pop(0)()

    def requests(self) -> Asked:
        return [*self.server.requests(user=USERS[0], namespace=self.others.namespace)]

    def put(self, **spec: Any) -> None:
        said = {_camel(name): value for name, value in spec.items() if value is not None}
        reply = self.others.create({"metadata": {"name": NAME}, "spec": said})
        if reply.status == 409:
            reply = self.others.replace(NAME, {**self.lease(), "spec": said})
        assert reply.status in (200, 201), reply

    def race(self, *actions: Callable[[], object]) -> None:
        for action in actions:
            self._actions += [lambda: None, action]

    @contextmanager
    def silent(self) -> Iterator[None]:
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()

    @contextmanager
    def refusing(self) -> Iterator[None]:
        self.server.kube_apiserver.kill()
        try:
            yield
        finally:
            self.server.restore()

    def cut(self) -> None:
        self.server.restart()

    def kubeconfig(self) -> Path:
        return self.server.kubeconfig(USERS[0])


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def cases(table: dict[str, Any]) -> list[Any]:
    """For `parametrize`: sentences, and a value for each"""
    return [pytest.param(value, id=sentence) for sentence, value in table.items()]
