"""What both ways to a Lease have in common: models from a fake, and raw JSON from a server."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.client import (
    CoordinationV1Api,
    V1ManagedFieldsEntry,
    V1OwnerReference,
)
from kubernetes.client.exceptions import ApiException

from kube_leader_election import (
    AcquireLeaseError,
    CreateLeaseError,
    GetLeaseError,
    LeaderElectionError,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    NotLeadingError,
    ReleaseLeaseError,
    RenewLeaseError,
)
from tests.fakes import START, FakeApi, FakeClock
from tests.hostile import HostileServer
from tests.lease_http import LeaseFront

WAYS = ["fake", "CoordinationV1Api", "ApiClient"]
TTL = 15


@dataclass
class World:
    """One fake server, one clock, and a client that reaches it one way or another."""

    client: Any
    api: FakeApi
    front: LeaseFront
    clock: FakeClock = field(default_factory=FakeClock)

    def lock(self, holder_id: str = "a", **params: Any) -> LeaseLock:
        values = {"lease_name": "leader", "holder_id": holder_id, "call_timeout": TTL, **params}
        return LeaseLock(self.client, "default", LeaseLockParams(**values), clock=self.clock)

    def put(self, holder: str | None = "b", *, ago: float = 0.0, **spec: Any) -> None:
        renewed = self.clock.utcnow() - timedelta(seconds=ago)
        said = {"lease_duration_seconds": TTL, "acquire_time": START, "renew_time": renewed}
        self.api.put(**{"holder_identity": holder, "lease_transitions": 3, **said, **spec})

    @property
    def document(self) -> dict[str, Any]:
        """The stored Lease in the form of its JSON."""
        return self.front.document(self.api.leases["default", "leader"])

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.document["spec"]
        return spec

    def wall(self, seconds_ago: float = 0.0) -> str:
        time = self.clock.utcnow() - timedelta(seconds=seconds_ago)
        return f"{time:%Y-%m-%dT%H:%M:%S.%f}Z"

    def fail(self, *statuses: int | None, after: bool = False) -> None:
        """The next requests answer so, `None` as they should; `after`: but are carried out."""
        hooks = self.api.after if after else self.api.before
        hooks += [failing(status) for status in statuses]


def failing(status: int | None) -> Callable[[], None]:
    def fail() -> None:
        if status is not None:
            raise ApiException(status=status)

    return fail


@contextlib.contextmanager
def world_by(way: str) -> Iterator[World]:
    api = FakeApi()
    front = LeaseFront(api)
    if way == "fake":
        yield World(api, api, front)
        return
    with HostileServer(then=front) as server:
        client = server.api_client()
        yield World(client if way == "ApiClient" else CoordinationV1Api(client), api, front)


@pytest.fixture(params=WAYS)
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with world_by(request.param) as made:
        yield made


@pytest.fixture(params=WAYS[1:])
def raw_world(request: pytest.FixtureRequest) -> Iterator[World]:
    with world_by(request.param) as made:
        yield made


# Outcomes


def test_an_absent_lease_is_created(world: World) -> None:
    lock = world.lock()
    result = lock.try_acquire_or_renew()
    assert world.spec == {
        "holderIdentity": "a",
        "leaseDurationSeconds": TTL,
        "acquireTime": world.wall(),
        "renewTime": world.wall(),
        "leaseTransitions": 0,
    }
    assert result.acquired_lease is True
    assert result.fencing_token == lock.fencing_token == 1
    assert world.api.requests == ["get", "create"]


@pytest.mark.parametrize("holder", ["", None])
def test_a_free_lease_is_taken_over(world: World, holder: str | None) -> None:
    world.put(holder)
    lock = world.lock()
    result = lock.try_acquire_or_renew()
    assert world.spec == {
        "holderIdentity": "a",
        "leaseDurationSeconds": TTL,
        "acquireTime": world.spec["renewTime"],
        "renewTime": world.spec["renewTime"],
        "leaseTransitions": 4,
    }
    assert result.acquired_lease is True
    assert result.fencing_token == 2
    assert world.api.requests == ["get", "update"]


def test_an_expired_lease_is_taken_over(world: World) -> None:
    world.put(ago=TTL + 0.001)
    result = world.lock().try_acquire_or_renew()
    assert world.spec["holderIdentity"] == "a"
    assert world.spec["acquireTime"] == world.spec["renewTime"] == world.wall()
    assert world.spec["leaseTransitions"] == 4
    assert result.acquired_lease is True


def test_a_lease_that_another_holds_is_refused(world: World) -> None:
    world.put(ago=TTL)
    before = world.document
    result = world.lock().try_acquire_or_renew()
    assert result.acquired_lease is False
    assert result.fencing_token is None
    assert result.lease is not None
    assert result.lease.holder_identity == "b"
    assert result.lease.lease_transitions == 3
    assert world.document == before
    assert world.api.requests == ["get"]


def test_our_lease_is_renewed(world: World) -> None:
    lock = world.lock()
    lock.try_acquire_or_renew()
    world.clock.advance(5)
    result = lock.try_acquire_or_renew()
    assert world.spec["acquireTime"] == world.wall(seconds_ago=5)
    assert world.spec["renewTime"] == world.wall()
    assert world.spec["leaseTransitions"] == 0
    assert result.acquired_lease is True
    assert result.fencing_token == 1
    assert world.document["metadata"]["resourceVersion"] == "2"
    assert world.api.requests == ["get", "create", "get", "update"]


def test_our_own_lease_of_an_earlier_life_is_renewed_as_a_new_term(world: World) -> None:
    world.put("a", ago=3)
    result = world.lock().try_acquire_or_renew()
    assert result.acquired_lease is True
    assert result.fencing_token == 2
    assert world.spec["acquireTime"] == f"{START:%Y-%m-%dT%H:%M:%S.%f}Z"
    assert world.spec["leaseTransitions"] == 3


def test_a_lease_is_released(world: World) -> None:
    lock = world.lock()
    lock.try_acquire_or_renew()
    world.clock.advance(1)
    lock.step_down()
    assert world.spec == {
        "holderIdentity": "",
        "leaseDurationSeconds": 1,
        "acquireTime": world.wall(),
        "renewTime": world.wall(),
        "leaseTransitions": 0,
    }
    assert lock.is_leader() is False
    assert world.lock("b").try_acquire_or_renew().acquired_lease is True


@pytest.mark.parametrize("holder", ["b", None])
def test_what_is_not_ours_is_not_released(world: World, holder: str | None) -> None:
    world.put(holder)
    before = world.document
    with pytest.raises(NotLeadingError) as caught:
        world.lock().step_down()
    assert caught.value.holder_identity == holder
    assert world.document == before
    assert world.api.requests == ["get"]


def test_what_is_absent_is_not_released(world: World) -> None:
    with pytest.raises(NotLeadingError) as caught:
        world.lock().step_down()
    assert caught.value.holder_identity is None
    assert world.api.leases == {}


def test_reading_does_not_contend(world: World) -> None:
    lock = world.lock()
    assert lock.read() is None
    world.put(None)
    record = lock.read()
    assert record is not None
    assert record.holder_identity is None
    assert record.resource_version == "1"
    assert world.spec["leaseTransitions"] == 3
    assert world.api.requests == ["get", "get"]


def test_a_lost_race_to_create_is_a_refusal(world: World) -> None:
    world.api.before += [lambda: None, world.put]
    result = world.lock().try_acquire_or_renew()
    assert result.acquired_lease is False
    assert world.spec["holderIdentity"] == "b"
    assert world.api.requests == ["get", "create", "get"]


def test_a_lost_race_to_take_over_is_a_refusal(world: World) -> None:
    world.put(ago=60)
    world.api.before += [lambda: None, lambda: world.put("c")]
    result = world.lock().try_acquire_or_renew()
    assert result.acquired_lease is False
    assert world.spec["holderIdentity"] == "c"
    assert world.api.requests == ["get", "update", "get"]


def test_a_renewal_survives_two_conflicts(world: World) -> None:
    lock = world.lock()
    lock.try_acquire_or_renew()
    world.clock.advance(5)

    def label() -> None:
        same = world.api.spec()
        names = ("holder_identity", "lease_duration_seconds", "acquire_time", "renew_time")
        world.api.put(lease_transitions=0, **{name: getattr(same, name) for name in names})

    world.api.before += [lambda: None, label, lambda: None, label]
    result = lock.try_acquire_or_renew()
    assert result.acquired_lease is True
    assert result.fencing_token == 1
    assert world.spec["renewTime"] == world.wall(-2e-6)  # unlike either refused one
    assert world.api.requests[2:] == ["get", "update"] * 3


def call(lock: LeaseLock, verb: str) -> LeaseError:
    act: Callable[[], object] = lock.try_acquire_or_renew
    with pytest.raises(LeaseError) as caught:
        (lock.step_down if verb == "step_down" else act)()
    return caught.value


def prepare(world: World, kind: type[LeaseError]) -> LeaseLock:
    """A lock whose next call makes the request of which `kind` tells."""
    lock = world.lock()
    if kind is AcquireLeaseError:
        world.put(ago=60)
    if kind in (RenewLeaseError, ReleaseLeaseError):
        lock.try_acquire_or_renew()
        world.clock.advance(1)
    return lock


KINDS: list[tuple[type[LeaseError], str]] = [
    (GetLeaseError, "get"),
    (CreateLeaseError, "create"),
    (AcquireLeaseError, "update"),
    (RenewLeaseError, "update"),
    (ReleaseLeaseError, "update"),
]


def attempt(lock: LeaseLock, kind: type[LeaseError]) -> LeaseError:
    return call(lock, "step_down" if kind is ReleaseLeaseError else "try")


@pytest.mark.parametrize(("kind", "verb"), KINDS[2:])
def test_the_third_conflict_is_an_error(world: World, kind: type[LeaseError], verb: str) -> None:
    lock = prepare(world, kind)
    sent = len(world.api.requests)
    world.fail(*[None, 409] * 3)
    error = attempt(lock, kind)
    assert type(error) is kind
    assert (error.verb, error.status) == (verb, 409)
    assert world.api.requests[sent:] == ["get", verb] * 3


def test_the_third_conflict_is_an_error_of_the_write_that_met_it(world: World) -> None:
    world.api.before += [lambda: None, lambda: world.put("")]
    world.fail(*[None, 409] * 2)
    error = attempt(world.lock(), AcquireLeaseError)
    assert type(error) is AcquireLeaseError
    assert error.status == 409
    assert world.api.requests == ["get", "create"] + ["get", "update"] * 2


def test_what_was_there_a_moment_ago_is_not_created_though_it_is_absent(world: World) -> None:
    world.fail(None, 409)
    result = world.lock().try_acquire_or_renew()
    assert (result.acquired_lease, result.lease) == (False, None)
    assert world.api.requests == ["get", "create", "get"]
    assert world.api.leases == {}


@pytest.mark.parametrize(("kind", "verb"), KINDS)
@pytest.mark.parametrize("status", [400, 403, 408, 410, 418, 422, 429, 500, 502, 503, 504, 599])
def test_a_status_is_an_error_of_its_request(
    world: World, kind: type[LeaseError], verb: str, status: int
) -> None:
    lock = prepare(world, kind)
    leading = lock.is_leader()
    sent = len(world.api.requests)
    world.fail(*[status] if kind is GetLeaseError else [None, status])
    error = attempt(lock, kind)
    assert type(error) is kind
    assert (error.verb, error.namespace, error.lease_name) == (verb, "default", "leader")
    assert error.status == status
    assert lock.is_leader() is (leading and kind is not ReleaseLeaseError)
    assert world.api.requests[sent:] == ["get", verb][: 1 + (kind is not GetLeaseError)]


def test_a_404_for_a_create_is_an_error_that_names_the_namespace(world: World) -> None:
    world.fail(None, 404)
    error = call(world.lock(), "try")
    assert type(error) is CreateLeaseError
    assert error.status == 404
    assert "no such namespace" in str(error)
    assert world.api.requests == ["get", "create"]


def test_a_lease_deleted_under_a_leader_is_created_anew_as_a_new_term(world: World) -> None:
    lock = world.lock()
    first = lock.try_acquire_or_renew()
    world.clock.advance(1)
    world.api.before += [lambda: None, world.api.delete]
    second = lock.try_acquire_or_renew()
    assert second.acquired_lease is True
    assert (first.fencing_token, second.fencing_token) == (1, 2)
    assert world.api.requests[2:] == ["get", "update", "create"]


def test_a_lease_deleted_under_its_holder_is_not_created_by_another_at_once(world: World) -> None:
    world.put()
    lock = world.lock()
    assert lock.try_acquire_or_renew().acquired_lease is False
    world.api.delete()
    result = lock.try_acquire_or_renew()
    assert (result.acquired_lease, result.lease) == (False, None)
    world.clock.advance(TTL)
    assert lock.try_acquire_or_renew().acquired_lease is True


def test_a_lease_made_anew_by_another_is_not_overwritten(world: World) -> None:
    lock = world.lock()
    lock.try_acquire_or_renew()

    def make_anew() -> None:
        world.api.delete()
        world.put("b")

    world.api.before += [lambda: None, make_anew]
    assert lock.try_acquire_or_renew().acquired_lease is False
    assert lock.is_leader() is False
    assert world.spec["holderIdentity"] == "b"


@pytest.mark.parametrize("kind", [CreateLeaseError, AcquireLeaseError, RenewLeaseError])
def test_a_write_whose_answer_was_lost_is_recognised(world: World, kind: type[LeaseError]) -> None:
    lock = prepare(world, kind)
    world.fail(None, 500, after=True)
    error = attempt(lock, kind)
    committed = world.document["metadata"]["resourceVersion"]
    sent = len(world.api.requests)
    result = lock.try_acquire_or_renew()
    assert type(error) is kind
    assert result.acquired_lease is True
    assert result.fencing_token == (1 if kind is RenewLeaseError else int(committed))
    assert world.api.requests[sent:] == ["get"]


@pytest.mark.parametrize(("kind", "verb"), KINDS[1:])
def test_a_write_is_not_sent_when_the_read_took_all_the_time(
    world: World, kind: type[LeaseError], verb: str
) -> None:
    lock = prepare(world, kind)
    before = world.document if world.api.leases else None
    sent = len(world.api.requests)
    world.api.before.append(lambda: world.clock.advance(TTL))
    error = attempt(lock, kind)
    assert type(error) is kind
    assert (error.verb, error.status) == (verb, None)
    assert world.api.requests[sent:] == ["get"]
    assert (world.document if world.api.leases else None) == before


def test_a_release_whose_answer_was_lost_leaves_the_lease_free(world: World) -> None:
    lock = prepare(world, ReleaseLeaseError)
    world.fail(None, 500, after=True)
    error = attempt(lock, ReleaseLeaseError)
    assert type(error) is ReleaseLeaseError
    assert world.spec["holderIdentity"] == ""
    assert lock.is_leader() is False


# Fields


def owner() -> V1OwnerReference:
    return V1OwnerReference(api_version="v1", kind="Pod", name="p", uid="u")


KEPT = {
    "labels": {"team": "blue"},
    "annotations": {"example.com/note": "é"},
    "finalizers": ["example.com/keep"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}],
}


def furnish(world: World) -> None:
    metadata = world.api.leases["default", "leader"].metadata
    metadata.labels = {"team": "blue"}
    metadata.annotations = {"example.com/note": "é"}
    metadata.finalizers = ["example.com/keep"]
    metadata.owner_references = [owner()]


def metadata_of(world: World) -> dict[str, Any]:
    metadata = world.document["metadata"]
    return {name: metadata.get(name) for name in KEPT}


def test_foreign_metadata_survives_a_take_over_ten_renewals_and_a_release(world: World) -> None:
    world.put(ago=60)
    furnish(world)
    uid = world.document["metadata"]["uid"]
    lock = world.lock()
    seen = []
    for _ in range(11):
        lock.try_acquire_or_renew()
        seen.append(metadata_of(world))
        world.clock.advance(5)
    lock.step_down()
    seen.append(metadata_of(world))
    assert seen == [KEPT] * 12
    assert world.document["metadata"]["uid"] == uid
    assert world.spec["holderIdentity"] == ""


def test_managed_fields_are_left_to_the_server(world: World) -> None:
    world.put(ago=60)
    lease = world.api.leases["default", "leader"]
    lease.metadata.managed_fields = [V1ManagedFieldsEntry(manager="m", operation="Update")]
    assert world.document["metadata"]["managedFields"]
    world.lock().try_acquire_or_renew()
    assert "managedFields" not in world.document["metadata"]
    assert lease.metadata.managed_fields[0].manager == "m"


FOREIGN = {
    "strategy": "OldestEmulationVersion",
    "preferredHolder": "c",
    "fieldOfTheFuture": {"a": [1, None, "é"], "empty": {}},
}


def test_fields_that_no_client_knows_survive_in_raw_json(raw_world: World) -> None:
    lock = raw_world.lock()
    lock.try_acquire_or_renew()
    [body] = raw_world.front.bodies
    body["spec"] |= FOREIGN
    body["metadata"]["fieldOfTheFuture"] = True
    body["status"] = {"odd": 1}
    for _ in range(10):
        raw_world.clock.advance(5)
        lock.try_acquire_or_renew()
    lock.step_down()
    document = raw_world.document
    assert {name: document["spec"][name] for name in FOREIGN} == FOREIGN
    assert document["metadata"]["fieldOfTheFuture"] is True
    assert document["status"] == {"odd": 1}
    assert len(raw_world.front.bodies) == 12


def test_times_on_the_raw_wire_have_six_digits_also_one_that_is_kept(raw_world: World) -> None:
    on_the_second = START.replace(microsecond=0)
    raw_world.put("a", acquire_time=on_the_second, renew_time=on_the_second)
    lock = raw_world.lock()
    for seconds in (0, 1, 0.5, 0.000001, 1.999999):
        raw_world.clock.advance(seconds)
        lock.try_acquire_or_renew()
    lock.step_down()
    times = [
        body["spec"][name]
        for body in raw_world.front.bodies
        for name in ("acquireTime", "renewTime")
    ]
    assert times[:2] == ["2024-01-01T12:00:00.000000Z", "2024-01-01T12:00:00.123456Z"]
    assert {len(time) for time in times} == {len("2024-01-01T12:00:00.000000Z")}
    assert len(set(times[1::2])) == 6


def test_a_raw_body_says_what_it_is(raw_world: World) -> None:
    lock = raw_world.lock()
    lock.try_acquire_or_renew()
    raw_world.clock.advance(1)
    lock.try_acquire_or_renew()
    created, replaced = raw_world.front.bodies
    for body in (created, replaced):
        assert (body["apiVersion"], body["kind"]) == ("coordination.k8s.io/v1", "Lease")
        assert body["metadata"]["name"] == "leader"
        assert body["metadata"]["namespace"] == "default"
    assert "resourceVersion" not in created["metadata"]
    assert replaced["metadata"]["resourceVersion"] == "1"
    assert replaced["metadata"]["uid"] == raw_world.document["metadata"]["uid"]


def test_nothing_that_was_answered_is_changed_in_place(world: World) -> None:
    lock = world.lock()
    results = []
    for _ in range(3):
        results.append(lock.try_acquire_or_renew())
        world.clock.advance(1)
    copies = [replace(result.lease) for result in results if result.lease is not None]
    lock.step_down()
    assert [result.lease for result in results] == copies
    versions = [record.resource_version for record in copies]
    assert versions == ["1", "2", "3"]


# The same calls, the same of everything


Trace = list[object]


def told(lock: LeaseLock, step_down: bool) -> object:
    act: Callable[[], object] = lock.step_down if step_down else lock.try_acquire_or_renew
    try:
        outcome = act()
    except NotLeadingError as error:
        return type(error), str(error), error.holder_identity
    except LeaseError as error:
        return type(error), str(error), error.verb, error.status
    except LeaderElectionError as error:
        return type(error), str(error)
    return repr_without_uid(outcome)


def repr_without_uid(outcome: Any) -> object:
    if outcome is None:
        return None
    lease = outcome.lease and replace(outcome.lease, uid=None)
    return outcome.acquired_lease, lease, outcome.fencing_token


Step = tuple[str, Any]
STEPS = st.one_of(
    st.tuples(st.just("try"), st.sampled_from("ab")),
    st.tuples(st.just("try"), st.sampled_from("ab")),
    st.tuples(st.just("step down"), st.sampled_from("ab")),
    st.tuples(st.just("advance"), st.sampled_from([0.5, 3.0, 14.8, 16.0])),
    st.tuples(st.just("put"), st.sampled_from(["", "a", "b", "c", None])),
    st.tuples(st.just("delete"), st.none()),
    st.tuples(st.just("fail"), st.sampled_from([403, 404, 409, 422, 500])),
    st.tuples(st.just("fail second"), st.sampled_from([404, 409, 422, 500])),
    st.tuples(st.just("lose second"), st.sampled_from([408, 500])),
)


def trace(way: str, steps: list[Step]) -> Trace:
    """What each step brings, and how everything stands after it."""
    traced: Trace = []
    with world_by(way) as world:
        locks = {name: world.lock(name) for name in "ab"}
        for step, value in steps:
            if step in ("try", "step down"):
                traced.append(told(locks[value], step == "step down"))
                # What was not used up shall not fail a later call.
                world.api.before.clear()
                world.api.after.clear()
            elif step == "advance":
                world.clock.advance(value)
            elif step == "put":
                world.put(value)
            elif step == "delete" and world.api.leases:
                world.api.delete()
            elif step == "fail":
                world.fail(value)
            elif step == "fail second":
                world.fail(None, value)
            elif step == "lose second":
                world.fail(None, value, after=True)
            traced.append([(lock.is_leader(), lock.fencing_token) for lock in locks.values()])
            traced.append(dict(world.spec) if world.api.leases else None)
        traced.append(list(world.api.requests))
    return traced


@settings(max_examples=40)
@given(st.lists(STEPS, min_size=4, max_size=14))
def test_the_same_calls_bring_the_same_on_every_way(steps: list[Step]) -> None:
    by_models, by_api, by_client = (trace(way, steps) for way in WAYS)
    assert by_api == by_models
    assert by_client == by_models


def test_a_long_story_is_the_same_on_every_way() -> None:
    steps: list[Step] = [("try", "a"), ("try", "b"), ("advance", 3.0), ("lose second", 500)]
    steps += [("try", "a"), ("try", "a"), ("fail second", 409), ("try", "a"), ("advance", 16.0)]
    steps += [("try", "b"), ("try", "a"), ("step down", "a"), ("delete", None), ("try", "b")]
    steps += [("try", "a"), ("advance", 16.0), ("try", "a"), ("fail", 403), ("try", "a")]
    steps += [("step down", "a"), ("step down", "a"), ("put", None), ("try", "b")]
    traces = [trace(way, steps) for way in WAYS]
    assert traces[0] == traces[1] == traces[2]
    assert traces[0][-1].count("get") >= 12  # type: ignore[attr-defined]
