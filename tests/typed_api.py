# pyright: strict
"""The public surface as a user's type checker sees it. Checked, never run.

A line with an ignore comment is a mistake that must stay one: mypy and pyright both honour
such a comment, and both are told to refuse one that is not needed.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import MagicMock

from kubernetes.client import ApiClient, CoordinationV1Api, V1Lease

from kube_leader_election import (
    AcquireLeaseError,
    Clock,
    CreateLeaseError,
    Event,
    GetLeaseError,
    InvalidParamsError,
    LeaderElectionError,
    LeaderElector,
    LeaderElectorParams,
    Leadership,
    LeaderState,
    LeaseApi,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    LeaseLockResult,
    LeaseRecord,
    NotLeadingError,
    ReleaseLeaseError,
    RenewLeaseError,
    only_leader,
)


def seen(*things: object) -> None:
    """Takes anything."""


# Params


params = LeaseLockParams(lease_name="leader")
full = LeaseLockParams(
    lease_name="leader", holder_id="a", lease_ttl=15, max_clock_skew=0.5, call_timeout=2
)
by_timedelta = LeaseLockParams(
    lease_name="leader",
    holder_id=None,
    lease_ttl=timedelta(seconds=15),
    max_clock_skew=None,
    call_timeout=None,
)
lease_name: str = params.lease_name
holder_id: str | None = params.holder_id
lease_ttl: int | timedelta = params.lease_ttl
max_clock_skew: float | None = params.max_clock_skew
call_timeout: float | None = params.call_timeout

LeaseLockParams()  # type: ignore[call-arg]
LeaseLockParams("leader")  # type: ignore[call-arg]
LeaseLockParams(lease_name="leader", lease_ttl=15.5)  # type: ignore[arg-type]
LeaseLockParams(lease_name="leader", lease_ttl="15")  # type: ignore[arg-type]
LeaseLockParams(lease_name="leader", max_clock_skew="1")  # type: ignore[arg-type]
LeaseLockParams(lease_name="leader", call_timeout=timedelta(seconds=1))  # type: ignore[arg-type]
LeaseLockParams(lease_name=None)  # type: ignore[arg-type]
LeaseLockParams(lease_name="leader", ttl=15)  # type: ignore[call-arg]
params.lease_ttl = 30  # type: ignore[misc]


# Clients and clocks


class Fake:
    """Written by hand, for the three methods."""

    def read_namespaced_lease(self, name: str, namespace: str) -> V1Lease:
        raise NotImplementedError

    def create_namespaced_lease(self, namespace: str, body: V1Lease) -> V1Lease:
        raise NotImplementedError

    def replace_namespaced_lease(self, name: str, namespace: str, body: V1Lease) -> V1Lease:
        raise NotImplementedError


class WithOptions:
    """Takes what the real client takes, and may answer nothing to a write."""

    def read_namespaced_lease(self, name: str, namespace: str, **options: Any) -> V1Lease:
        raise NotImplementedError

    def create_namespaced_lease(self, namespace: str, body: Any, **options: Any) -> None:
        raise NotImplementedError

    def replace_namespaced_lease(
        self, name: str, namespace: str, body: Any, **options: Any
    ) -> None:
        raise NotImplementedError


class NoReplace:
    def read_namespaced_lease(self, name: str, namespace: str) -> V1Lease:
        raise NotImplementedError

    def create_namespaced_lease(self, namespace: str, body: V1Lease) -> V1Lease:
        raise NotImplementedError


class StoppedClock:
    def monotonic(self) -> float:
        return 0.0

    def utcnow(self) -> datetime:
        return datetime(2024, 1, 1, tzinfo=timezone.utc)


class HalfAClock:
    def monotonic(self) -> float:
        return 0.0


fake: LeaseApi = Fake()
with_options: LeaseApi = WithOptions()
real: LeaseApi = CoordinationV1Api()
no_replace: LeaseApi = NoReplace()  # type: ignore[assignment]
no_lease_api: LeaseApi = ApiClient()  # type: ignore[assignment]

clock: Clock = StoppedClock()
half: Clock = HalfAClock()  # type: ignore[assignment]


def make_locks() -> list[LeaseLock]:
    return [
        LeaseLock(CoordinationV1Api(), "default", params),
        LeaseLock(CoordinationV1Api(ApiClient()), "default", params),
        LeaseLock(ApiClient(), "default", params),
        LeaseLock(Fake(), "default", params),
        LeaseLock(WithOptions(), "default", params),
        LeaseLock(MagicMock(), "default", params),
        LeaseLock(client=Fake(), namespace="default", params=params, clock=StoppedClock()),
        LeaseLock(Fake(), "default", params, clock=None),
    ]


def make_no_locks() -> None:
    LeaseLock(Fake())  # type: ignore[call-arg]
    LeaseLock(Fake(), params)  # type: ignore[call-arg, arg-type]
    LeaseLock(Fake(), 1, params)  # type: ignore[arg-type]
    LeaseLock(Fake(), "default", "leader")  # type: ignore[arg-type]
    LeaseLock(Fake(), "default", params, StoppedClock())  # type: ignore[call-arg]
    LeaseLock(Fake(), "default", params, clock=HalfAClock())  # type: ignore[arg-type]


# A lock and what it tells


def use(lock: LeaseLock) -> None:
    result: LeaseLockResult = lock.try_acquire_or_renew()
    acquired: bool = result.acquired_lease
    lease: LeaseRecord | None = result.lease
    token: int | None = result.fencing_token
    truth: bool = bool(result)
    if result:
        acquired = truth
    leading: bool = lock.is_leader()
    own_token: int | None = lock.fencing_token
    own_name: str = lock.holder_id
    read: LeaseRecord | None = lock.read()
    lock.step_down()
    seen(acquired, lease, token, leading, own_token, own_name, read, repr(lock))


def use_badly(lock: LeaseLock, result: LeaseLockResult) -> None:
    # The mistake of all mistakes: a method is always true.
    if lock.is_leader:  # type: ignore[truthy-function]
        pass
    with lock:  # type: ignore[attr-defined]
        pass
    lock.holder_id = "b"  # type: ignore[misc]
    lock.fencing_token = 1  # type: ignore[misc]
    lock.holder_id()  # type: ignore[operator]
    result.acquired_lease = True  # type: ignore[misc]
    token: int = result.fencing_token  # type: ignore[assignment]
    holder: str | None = result.lease.holder_identity  # type: ignore[union-attr]
    outcome: bool = result  # type: ignore[assignment]
    seen(token, holder, outcome)


def use_record(record: LeaseRecord) -> None:
    holder: str | None = record.holder_identity
    seconds: int = record.lease_duration_seconds
    acquired: datetime | None = record.acquire_time
    renewed: datetime | None = record.renew_time
    transitions: int = record.lease_transitions
    uid: str | None = record.uid
    version: str | None = record.resource_version
    record.holder_identity = None  # type: ignore[misc]
    seen(holder, seconds, acquired, renewed, transitions, uid, version)


def elect(lock: LeaseLock, work: Callable[[int | None], None]) -> None:
    """As a user's loop may look."""
    try:
        if lock.try_acquire_or_renew():
            work(lock.fencing_token)
    except GetLeaseError as error:
        verb: str = error.verb
        seen(verb, error.namespace, error.lease_name)
    except (CreateLeaseError, AcquireLeaseError, RenewLeaseError) as error:
        status: int | None = error.status
        seen(status)
    except LeaseError as error:
        seen(error.status)
    try:
        lock.step_down()
    except NotLeadingError as error:
        holder: str | None = error.holder_identity
        seen(holder)
    except ReleaseLeaseError as error:
        seen(error.status, error.__cause__)
    except LeaderElectionError as error:
        pickle.dumps(error)


def check(error: InvalidParamsError) -> None:
    a_value_error: ValueError = error
    field: str = error.field
    rule: str = error.rule
    value: object = error.value
    seen(a_value_error, field, rule, value)


def confuse(error: LeaseError, other: NotLeadingError) -> None:
    seen(error.holder_identity)  # type: ignore[attr-defined]
    seen(other.status)  # type: ignore[attr-defined]
    status: int = error.status  # type: ignore[assignment]
    get_error: GetLeaseError = error  # type: ignore[assignment]
    seen(status, get_error)


# An elector and what it tells


elector_params = LeaderElectorParams(lease_name="leader")
all_elector_params = LeaderElectorParams(
    lease_name="leader",
    holder_id="a",
    lease_ttl=timedelta(seconds=15),
    renew_deadline=10,
    retry_period=2,
    max_clock_skew=None,
    drain_timeout=20,
)
renew_deadline: float = elector_params.renew_deadline
retry_period: float = elector_params.retry_period
drain_timeout: float = elector_params.drain_timeout

LeaderElectorParams()  # type: ignore[call-arg]
LeaderElectorParams("leader")  # type: ignore[call-arg]
LeaderElectorParams(lease_name="leader", lease_ttl=15.5)  # type: ignore[arg-type]
LeaderElectorParams(lease_name="leader", renew_deadline=None)  # type: ignore[arg-type]
LeaderElectorParams(lease_name="leader", renew_deadline=timedelta(10))  # type: ignore[arg-type]
LeaderElectorParams(lease_name="leader", call_timeout=2)  # type: ignore[call-arg]
elector_params.drain_timeout = 1  # type: ignore[misc]


def started(leadership: Leadership) -> None:
    seen(leadership)


def stopped() -> int:
    return 1


def new_leader(holder_identity: str) -> None:
    seen(holder_identity)


def make_electors() -> list[LeaderElector]:
    return [
        LeaderElector(CoordinationV1Api(), "default", elector_params),
        LeaderElector(ApiClient(), "default", elector_params),
        LeaderElector(Fake(), "default", elector_params),
        LeaderElector(WithOptions(), "default", elector_params, clock=StoppedClock()),
        LeaderElector(MagicMock(), "default", elector_params),
        LeaderElector(
            client=Fake(),
            namespace="default",
            params=all_elector_params,
            on_started_leading=started,
            on_stopped_leading=stopped,
            on_new_leader=new_leader,
            clock=None,
        ),
    ]


def make_no_electors() -> None:
    LeaderElector(Fake())  # type: ignore[call-arg]
    LeaderElector(Fake(), "default", params)  # type: ignore[arg-type]
    LeaseLock(Fake(), "default", elector_params)  # type: ignore[arg-type]
    LeaderElector(NoReplace(), "default", elector_params)  # type: ignore[arg-type]
    LeaderElector(Fake(), "default", elector_params, started)  # type: ignore[call-arg]
    LeaderElector(Fake(), "default", elector_params, clock=HalfAClock())  # type: ignore[arg-type]
    LeaderElector(
        Fake(),
        "default",
        elector_params,
        on_started_leading=stopped,  # type: ignore[arg-type]
    )
    LeaderElector(
        Fake(),
        "default",
        elector_params,
        on_stopped_leading=started,  # type: ignore[arg-type]
    )


def follow(elector: LeaderElector) -> None:
    with elector as entered:
        same: LeaderElector = entered
        leading: bool = elector.is_leader()
        state: LeaderState = elector.state
        holder: str | None = elector.holder_identity
        own_name: str = elector.holder_id
        token: int | None = elector.fencing_token
        term: Leadership | None = elector.leadership
        waited_for: Leadership | None = elector.wait_until_leading()
        in_time: Leadership | None = elector.wait_until_leading(timeout=1.5)
        healthy: bool = elector.healthy() and elector.healthy(tolerance=30)
        changes: Iterator[LeaderState] = elector.changes()
        for change in changes:
            is_leading: bool = change is LeaderState.LEADING
            seen(is_leading)
        seen(same, leading, state, holder, own_name, token, term, waited_for, in_time, healthy)
    elector.start()
    elector.stop()
    elector.stop(wait=False)


def run(elector: LeaderElector) -> None:
    elector.run(started)
    elector.run(lambda leadership: leadership.fencing_token)
    elector.run(started, stop_on=[signal.SIGTERM, signal.SIGINT])
    elector.run(started, stop_on=iter({signal.SIGTERM}))


def use_term(leadership: Leadership) -> None:
    valid: bool = leadership.is_valid()
    truth: bool = bool(leadership)
    left: float = leadership.remaining()
    token: int | None = leadership.fencing_token
    stopping: Event = leadership.stopping
    lost: Event = leadership.lost
    happened: bool = stopping.wait() or stopping.wait(1) or lost.wait(timeout=0.5)
    is_set: bool = stopping.is_set()
    leadership.ensure_valid()
    seen(valid, truth, left, token, happened, is_set)


def use_elector_badly(elector: LeaderElector, leadership: Leadership) -> None:
    # The mistake of all mistakes: a method is always true.
    if elector.is_leader:  # type: ignore[truthy-function]
        pass
    if leadership.is_valid:  # type: ignore[truthy-function]
        pass
    elector.stop(False)  # type: ignore[call-arg]
    elector.run()  # type: ignore[call-arg]
    elector.run(stopped)  # type: ignore[arg-type]
    elector.run(started, stop_on=signal.SIGTERM)  # type: ignore[arg-type]
    elector.run(started, [signal.SIGTERM])  # type: ignore[call-arg]
    elector.try_acquire_or_renew()  # type: ignore[attr-defined]
    elector.state = LeaderState.LEADING  # type: ignore[misc]
    elector.leadership.ensure_valid()  # type: ignore[union-attr]
    elector.wait_until_leading().stopping.wait()  # type: ignore[union-attr]
    elector.state()  # type: ignore[operator]
    leadership.stopping.set()  # type: ignore[attr-defined]
    token: int = elector.fencing_token  # type: ignore[assignment]
    seen(token)


def guard(elector: LeaderElector) -> None:
    @only_leader(elector)
    def add(one: int, other: int) -> int:
        return one + other

    result: int | None = add(1, 2)
    add("1", 2)  # type: ignore[arg-type]
    seen(result)
