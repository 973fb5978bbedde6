"""What both ways to a Lease have in common: models from a fake, and raw JSON from a server."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.client import CoordinationV1Api, V1OwnerReference
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
from kube_leader_election._core.messages import Absent, Conflict, Failed, Read
from kube_leader_election._failure import LeaseName
from kube_leader_election._store import Store
from kube_leader_election.testing import (
    ApiServer,
    FakeClock,
    FakeCoordinationV1Api,
    UnmetFaultsError,
    faults,
)
from tests.conftest import stored_spec

WAYS = ["fake", "CoordinationV1Api", "ApiClient"]
TTL = 15
ABSENT = faults.answer(404)
CONFLICT = faults.answer(409)
ANSWER_LOST = faults.answer(500, committed=True)
ANOTHER = "another"
START = FakeClock().utcnow()


def micro_time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S.%f}Z"


@dataclass
class World:
    """One stand-in, its clock, and a client that reaches it one way or another."""

    client: Any
    api: FakeCoordinationV1Api | ApiServer
    clock: FakeClock
    another: Any
    """Has the methods of `CoordinationV1Api`, and is another user of the same Leases."""

    def lock(self, holder_id: str = "a", **params: Any) -> LeaseLock:
        values = {"lease_name": "leader", "holder_id": holder_id, "call_timeout": TTL, **params}
        return LeaseLock(self.client, "default", LeaseLockParams(**values), clock=self.clock)

    def put(self, holder: str | None = "b", *, ago: float = 0.0, **spec: Any) -> None:
        renewed = self.clock.utcnow() - timedelta(seconds=ago)
        said = {"lease_transitions": 3, "acquire_time": START, "renew_time": renewed, **spec}
        self.api.put_lease("leader", holder_identity=holder, **said)

    def delete(self) -> None:
        self.api.remove_lease("leader")

    @property
    def absent(self) -> bool:
        return self.api.stored_lease("leader") is None

    @property
    def document(self) -> dict[str, Any]:
        """The stored Lease in the form of its JSON."""
        lease = self.api.stored_lease("leader")
        assert lease is not None
        return lease

    @property
    def spec(self) -> dict[str, Any]:
        return stored_spec(self.api)

    @property
    def version(self) -> int:
        """What a token is that was given out for the last write."""
        return int(self.document["metadata"]["resourceVersion"])

    @property
    def asked(self) -> list[str]:
        """What for, by all but `another`."""
        return [each.verb for each in self.api.requests if each.user != ANOTHER]

    @property
    def bodies(self) -> list[Any]:
        return [each.body for each in self.api.requests if each.body is not None]

    def wall(self, seconds_ago: float = 0.0) -> str:
        return micro_time(self.clock.utcnow() - timedelta(seconds=seconds_ago))


@contextlib.contextmanager
def world_by(way: str) -> Iterator[World]:
    clock = FakeClock()
    if way == "fake":
        with FakeCoordinationV1Api(clock=clock) as api:
            yield World(api, api, clock, api.as_user(ANOTHER))
        return
    with ApiServer(clock=clock) as server:
        client: Any = server.client()
        client = client if way == "ApiClient" else CoordinationV1Api(client)
        yield World(client, server, clock, CoordinationV1Api(server.client(ANOTHER)))


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
    assert result.fencing_token == lock.fencing_token == world.version
    assert world.asked == ["get", "create"]


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
    assert result.fencing_token == world.version
    assert world.asked == ["get", "update"]


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
    assert world.asked == ["get"]


def test_our_lease_is_renewed(world: World) -> None:
    lock = world.lock()
    lock.try_acquire_or_renew()
    created = world.version
    world.clock.advance(5)
    result = lock.try_acquire_or_renew()
    assert world.spec["acquireTime"] == world.wall(seconds_ago=5)
    assert world.spec["renewTime"] == world.wall()
    assert world.spec["leaseTransitions"] == 0
    assert result.acquired_lease is True
    assert result.fencing_token == created
    assert world.version == created + 1
    assert world.asked == ["get", "create", "get", "update"]


def test_our_own_lease_of_an_earlier_life_is_renewed_as_a_new_term(world: World) -> None:
    world.put("a", ago=3)
    result = world.lock().try_acquire_or_renew()
    assert result.acquired_lease is True
    assert result.fencing_token == world.version
    assert world.spec["acquireTime"] == micro_time(START)
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
    assert world.asked == ["get"]


def test_what_is_absent_is_not_released(world: World) -> None:
    with pytest.raises(NotLeadingError) as caught:
        world.lock().step_down()
    assert caught.value.holder_identity is None
    assert world.absent


def test_reading_does_not_contend(world: World) -> None:
    lock = world.lock()
    assert lock.read() is None
    world.put(None)
    record = lock.read()
    assert record is not None
    assert record.holder_identity is None
    assert record.resource_version == str(world.version)
    assert world.spec["leaseTransitions"] == 3
    assert world.asked == ["get", "get"]


def test_a_lost_race_to_create_is_a_refusal(world: World) -> None:
    world.api.before_next(world.put, verb="create")
    result = world.lock().try_acquire_or_renew()
    assert result.acquired_lease is False
    assert world.spec["holderIdentity"] == "b"
    assert world.asked == ["get", "create", "get"]


def test_a_lost_race_to_take_over_is_a_refusal(world: World) -> None:
    world.put(ago=60)
    world.api.before_next(lambda: world.put("c"), verb="update")
    result = world.lock().try_acquire_or_renew()
    assert result.acquired_lease is False
    assert world.spec["holderIdentity"] == "c"
    assert world.asked == ["get", "update", "get"]


def test_a_renewal_survives_two_conflicts(world: World) -> None:
    lock = world.lock()
    lock.try_acquire_or_renew()
    created = world.version
    renewed = world.clock.utcnow()
    world.clock.advance(5)

    def say_the_same_anew() -> None:
        world.put("a", lease_transitions=0, acquire_time=renewed, renew_time=renewed)

    for _ in range(2):
        world.api.before_next(say_the_same_anew, verb="update")
    result = lock.try_acquire_or_renew()
    assert result.acquired_lease is True
    assert result.fencing_token == created
    assert world.version == created + 3
    assert world.spec["renewTime"] == world.wall(-2e-6)  # unlike either refused one
    assert world.asked[2:] == ["get", "update"] * 3


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
    sent = len(world.asked)
    world.api.fail_next(CONFLICT, verb=verb, times=3)
    error = attempt(lock, kind)
    assert type(error) is kind
    assert (error.verb, error.status) == (verb, 409)
    assert world.asked[sent:] == ["get", verb] * 3


def test_the_third_conflict_is_an_error_of_the_write_that_met_it(world: World) -> None:
    world.api.before_next(lambda: world.put(""), verb="create")
    world.api.fail_next(CONFLICT, verb="update", times=2)
    error = attempt(world.lock(), AcquireLeaseError)
    assert type(error) is AcquireLeaseError
    assert error.status == 409
    assert world.asked == ["get", "create"] + ["get", "update"] * 2


def test_what_was_there_a_moment_ago_is_not_created_though_it_is_absent(world: World) -> None:
    world.api.fail_next(CONFLICT, verb="create")
    result = world.lock().try_acquire_or_renew()
    assert (result.acquired_lease, result.lease) == (False, None)
    assert world.asked == ["get", "create", "get"]
    assert world.absent


@pytest.mark.parametrize(("kind", "verb"), KINDS)
@pytest.mark.parametrize("status", [400, 403, 408, 410, 418, 422, 429, 500, 502, 503, 504, 599])
def test_a_status_is_an_error_of_its_request(
    world: World, kind: type[LeaseError], verb: str, status: int
) -> None:
    lock = prepare(world, kind)
    leading = lock.is_leader()
    sent = len(world.asked)
    world.api.fail_next(faults.answer(status), verb=verb)
    error = attempt(lock, kind)
    assert type(error) is kind
    assert (error.verb, error.namespace, error.lease_name) == (verb, "default", "leader")
    assert error.status == status
    assert lock.is_leader() is (leading and kind is not ReleaseLeaseError)
    assert world.asked[sent:] == ["get", verb][: 1 + (kind is not GetLeaseError)]


def test_a_404_for_a_create_is_an_error_that_names_the_namespace(world: World) -> None:
    world.api.fail_next(ABSENT, verb="create")
    error = call(world.lock(), "try")
    assert type(error) is CreateLeaseError
    assert error.status == 404
    assert "no such namespace" in str(error)
    assert world.asked == ["get", "create"]


@pytest.mark.parametrize(
    ("answered", "asked"),
    [(409, ["get", "update", "get", "create"]), (404, ["get", "update", "create"])],
)
def test_a_lease_deleted_under_a_leader_is_created_anew_as_a_new_term(
    world: World, answered: int, asked: list[str]
) -> None:
    lock = world.lock()
    first = lock.try_acquire_or_renew()
    world.clock.advance(1)
    created = world.version
    world.api.before_next(world.delete, verb="update")
    if answered == 404:
        world.api.fail_next(ABSENT, verb="update")
    second = lock.try_acquire_or_renew()
    assert second.acquired_lease is True
    assert (first.fencing_token, second.fencing_token) == (created, world.version)
    assert created < world.version
    assert world.asked[2:] == asked
    assert world.api.requests[3].status == answered


def test_a_lease_deleted_under_its_holder_is_not_created_by_another_at_once(world: World) -> None:
    world.put()
    lock = world.lock()
    assert lock.try_acquire_or_renew().acquired_lease is False
    world.delete()
    result = lock.try_acquire_or_renew()
    assert (result.acquired_lease, result.lease) == (False, None)
    world.clock.advance(TTL)
    assert lock.try_acquire_or_renew().acquired_lease is True


def test_a_lease_made_anew_by_another_is_not_overwritten(world: World) -> None:
    lock = world.lock()
    lock.try_acquire_or_renew()

    def make_anew() -> None:
        world.delete()
        world.put("b")

    world.api.before_next(make_anew, verb="update")
    assert lock.try_acquire_or_renew().acquired_lease is False
    assert lock.is_leader() is False
    assert world.spec["holderIdentity"] == "b"


@pytest.mark.parametrize("kind", [CreateLeaseError, AcquireLeaseError, RenewLeaseError])
def test_a_write_whose_answer_was_lost_is_recognised(world: World, kind: type[LeaseError]) -> None:
    lock = prepare(world, kind)
    token = lock.fencing_token
    world.api.fail_next(ANSWER_LOST, verb="create" if kind is CreateLeaseError else "update")
    error = attempt(lock, kind)
    sent = len(world.asked)
    result = lock.try_acquire_or_renew()
    assert type(error) is kind
    assert result.acquired_lease is True
    assert result.fencing_token == (token if kind is RenewLeaseError else world.version)
    assert world.asked[sent:] == ["get"]


@pytest.mark.parametrize(("kind", "verb"), KINDS[1:])
def test_a_write_is_not_sent_when_the_read_took_all_the_time(
    world: World, kind: type[LeaseError], verb: str
) -> None:
    lock = prepare(world, kind)
    before = world.api.stored_lease("leader")
    sent = len(world.asked)
    world.api.before_next(lambda: world.clock.advance(TTL))
    error = attempt(lock, kind)
    assert type(error) is kind
    assert (error.verb, error.status) == (verb, None)
    assert world.asked[sent:] == ["get"]
    assert world.api.stored_lease("leader") == before


def test_a_release_whose_answer_was_lost_leaves_the_lease_free(world: World) -> None:
    lock = prepare(world, ReleaseLeaseError)
    world.api.fail_next(ANSWER_LOST, verb="update")
    error = attempt(lock, ReleaseLeaseError)
    assert type(error) is ReleaseLeaseError
    assert world.spec["holderIdentity"] == ""
    assert lock.is_leader() is False


# What a refusal says besides


def refused(world: World, fault: faults.Fault) -> object:
    """What the store makes of it."""
    world.api.fail_next(fault)
    store = Store(world.client, LeaseName("default", "leader"), lease_ttl=TTL)
    return store.carry(Read(), 30)


@pytest.mark.parametrize("status", [400, 403, 408, 410, 429, 500, 503, 599])
def test_a_refusal_tells_its_status(world: World, status: int) -> None:
    answered = refused(world, faults.answer(status))
    assert isinstance(answered, Failed)
    assert answered.status == status
    assert answered.retry_after is None


@pytest.mark.parametrize(
    ("status", "kind"), [(404, Absent), (409, Conflict)], ids=["absent", "conflict"]
)
def test_what_is_absent_or_was_changed_is_no_refusal(
    world: World, status: int, kind: type[object]
) -> None:
    assert isinstance(refused(world, faults.answer(status)), kind)


@pytest.mark.parametrize(
    "fault",
    [faults.lose_request(), faults.answer(200, body="{}"), faults.answer(200, body=faults.html)],
    ids=["no answer", "nothing", "html"],
)
def test_what_is_no_refusal_has_no_status(raw_world: World, fault: faults.Fault) -> None:
    answered = refused(raw_world, fault)
    assert isinstance(answered, Failed)
    assert (answered.status, answered.retry_after) == (None, None)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("007", 7.0),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 0.0),
        ("Thursday, 01-Jan-26 00:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("7, 8", None),
        ("0x10", None),
        ("\u00b2", None),
        ("9" * 5000, None),
        ("Thu, 01 Jan 99999 00:00:00 GMT", None),
    ],
)
def test_a_refusal_tells_how_long_to_wait(
    raw_world: World, text: str, seconds: float | None
) -> None:
    answered = refused(raw_world, faults.answer(429, headers={"Retry-After": text}))
    assert isinstance(answered, Failed)
    assert (answered.status, answered.retry_after) == (429, seconds)


def test_a_time_to_wait_until_is_told_in_seconds(raw_world: World) -> None:
    in_an_hour = format_datetime(datetime.now(timezone.utc) + timedelta(hours=1), usegmt=True)
    answered = refused(raw_world, faults.answer(503, headers={"retry-after": in_an_hour}))
    assert isinstance(answered, Failed)
    assert answered.retry_after is not None
    assert 3000 < answered.retry_after <= 3600


# Fields


KEPT = {
    "labels": {"team": "blue"},
    "annotations": {"example.com/note": "é"},
    "finalizers": ["example.com/keep"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}],
}


def furnish(world: World) -> None:
    lease = world.another.read_namespaced_lease("leader", "default")
    lease.metadata.labels = {"team": "blue"}
    lease.metadata.annotations = {"example.com/note": "é"}
    lease.metadata.finalizers = ["example.com/keep"]
    owner = V1OwnerReference(api_version="v1", kind="Pod", name="p", uid="u")
    lease.metadata.owner_references = [owner]
    world.another.replace_namespaced_lease("leader", "default", lease)


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


Body = Callable[[Mapping[str, Any]], bytes]


def said_too(*, top: Any = None, metadata: Any = None, spec: Any = None) -> Body:
    """A body for an answer: what the stand-in says, and what it has no field for."""

    def body(true: Mapping[str, Any]) -> bytes:
        parts = {"metadata": metadata or {}, "spec": spec or {}}
        merged = {name: {**true[name], **more} for name, more in parts.items()}
        return json.dumps({**true, **(top or {}), **merged}).encode()

    return body


def test_managed_fields_are_left_to_the_server(world: World) -> None:
    world.put(ago=60)
    managed = {"managedFields": [{"manager": "m", "operation": "Update"}]}
    world.api.fail_next(faults.answer(200, body=said_too(metadata=managed)), verb="get")
    world.lock().try_acquire_or_renew()
    [body] = world.bodies
    assert "managedFields" not in body["metadata"]
    assert world.spec["holderIdentity"] == "a"


FOREIGN = {
    "strategy": "OldestEmulationVersion",
    "preferredHolder": "c",
    "fieldOfTheFuture": {"a": [1, None, "é"], "empty": {}},
}


def test_fields_that_no_client_knows_survive_in_raw_json(raw_world: World) -> None:
    of_the_future = said_too(
        top={"status": {"odd": 1}}, metadata={"fieldOfTheFuture": True}, spec=FOREIGN
    )
    lock = raw_world.lock()
    lock.try_acquire_or_renew()
    raw_world.api.fail_next(faults.answer(200, body=of_the_future), verb="get", times=None)
    for _ in range(10):
        raw_world.clock.advance(5)
        lock.try_acquire_or_renew()
    lock.step_down()
    created, *replaced = raw_world.bodies
    assert created["spec"].keys().isdisjoint(FOREIGN)
    for body in replaced:
        assert {name: body["spec"][name] for name in FOREIGN} == FOREIGN
        assert body["metadata"]["fieldOfTheFuture"] is True
        assert body["status"] == {"odd": 1}
    assert len(replaced) == 11
    assert raw_world.spec["preferredHolder"] == "c"
    assert raw_world.spec["holderIdentity"] == ""


def test_times_on_the_raw_wire_have_six_digits_also_one_that_is_kept(raw_world: World) -> None:
    on_the_second = START.replace(microsecond=0)
    raw_world.put("a", acquire_time=on_the_second, renew_time=on_the_second)
    lock = raw_world.lock()
    for seconds in (0, 1, 0.5, 0.000001, 1.999999):
        raw_world.clock.advance(seconds)
        lock.try_acquire_or_renew()
    lock.step_down()
    times = [
        body["spec"][name] for body in raw_world.bodies for name in ("acquireTime", "renewTime")
    ]
    assert times[:2] == ["2026-01-01T12:00:00.000000Z", "2026-01-01T12:00:00.123456Z"]
    assert {len(time) for time in times} == {len("2026-01-01T12:00:00.000000Z")}
    assert len(set(times[1::2])) == 6


def test_a_raw_body_says_what_it_is(raw_world: World) -> None:
    lock = raw_world.lock()
    lock.try_acquire_or_renew()
    version = raw_world.version
    raw_world.clock.advance(1)
    lock.try_acquire_or_renew()
    created, replaced = raw_world.bodies
    for body in (created, replaced):
        assert (body["apiVersion"], body["kind"]) == ("coordination.k8s.io/v1", "Lease")
        assert body["metadata"]["name"] == "leader"
        assert body["metadata"]["namespace"] == "default"
    assert "resourceVersion" not in created["metadata"]
    assert replaced["metadata"]["resourceVersion"] == str(version)
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
    versions = [int(record.resource_version or "") for record in copies]
    assert versions == [versions[0], versions[0] + 1, versions[0] + 2]


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
                use_up(world)
            elif step == "advance":
                world.clock.advance(value)
            elif step == "put":
                world.put(value)
            elif step == "delete" and not world.absent:
                world.delete()
            elif step == "fail":
                world.api.fail_next(faults.answer(value))
            elif step == "fail second":
                world.api.fail_next(faults.answer(value), skip=1)
            elif step == "lose second":
                world.api.fail_next(faults.answer(value, committed=True), skip=1)
            traced.append([(lock.is_leader(), lock.fencing_token) for lock in locks.values()])
            traced.append(None if world.absent else world.spec)
        traced.append(world.asked)
        use_up(world)
    return traced


def use_up(world: World) -> None:
    """What was armed for one call, and that did not meet, shall not fail a later one."""
    while not all_was_met(world):
        with contextlib.suppress(ApiException):
            world.another.list_namespaced_lease("default")


def all_was_met(world: World) -> bool:
    try:
        world.api.check_faults_met()
    except UnmetFaultsError:
        return False
    return True


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
