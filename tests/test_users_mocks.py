"""What users of the library may write in their own tests, with mocks and fakes of the client."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from unittest.mock import ANY, MagicMock, create_autospec, patch

import pytest
from kubernetes.client import (
    ApiClient,
    CoordinationV1Api,
    V1Lease,
    V1LeaseSpec,
    V1ObjectMeta,
)
from kubernetes.client.exceptions import ApiException

from kube_leader_election import (
    AcquireLeaseError,
    CreateLeaseError,
    GetLeaseError,
    LeaseLock,
    LeaseLockParams,
    LeaseLockResult,
    NotLeadingError,
    RenewLeaseError,
)
from kube_leader_election.testing import FakeClock
from tests.hostile import Exchange, HostileServer, answer

METHODS = ("read_namespaced_lease", "create_namespaced_lease", "replace_namespaced_lease")
UID = "11111111-1111-1111-1111-111111111111"

MakeLease = Callable[..., Any]


def make_lock(client: Any, **params: Any) -> LeaseLock:
    """On this machine's clock, as a user has it."""
    values = {"lease_name": "leader", "holder_id": "a", "call_timeout": 15, **params}
    return LeaseLock(client, "default", LeaseLockParams(**values))


def ago(seconds: float) -> datetime:
    return datetime.now(timezone.utc) - timedelta(seconds=seconds)


def get_error(lock: LeaseLock) -> GetLeaseError:
    with pytest.raises(GetLeaseError) as caught:
        lock.try_acquire_or_renew()
    assert lock.is_leader() is False
    return caught.value


# Leases as users make them up


def model(holder: str | None, renewed: datetime) -> V1Lease:
    return V1Lease(
        metadata=V1ObjectMeta(name="leader", uid=UID, resource_version="41", labels={"k": "v"}),
        spec=V1LeaseSpec(
            holder_identity=holder,
            lease_duration_seconds=15,
            acquire_time=renewed,
            renew_time=renewed,
            lease_transitions=3,
        ),
    )


def model_without_metadata(holder: str | None, renewed: datetime) -> V1Lease:
    return V1Lease(spec=model(holder, renewed).spec)


def namespace(holder: str | None, renewed: datetime) -> SimpleNamespace:
    spec = SimpleNamespace(
        holder_identity=holder,
        lease_duration_seconds=15,
        acquire_time=renewed,
        renew_time=renewed,
        lease_transitions=3,
    )
    return SimpleNamespace(metadata=SimpleNamespace(uid=UID, resource_version="41"), spec=spec)


def namespace_without_much(holder: str | None, renewed: datetime) -> SimpleNamespace:
    naive = renewed.replace(tzinfo=None)
    spec = SimpleNamespace(
        holder_identity=holder, acquire_time=naive, renew_time=naive, lease_transitions=3
    )
    return SimpleNamespace(spec=spec)


def namespace_with_texts(holder: str | None, renewed: datetime) -> SimpleNamespace:
    lease = namespace(holder, renewed)
    lease.spec.acquire_time = renewed.isoformat(timespec="microseconds")
    lease.spec.renew_time = lease.spec.acquire_time.replace("T", " ")
    return lease


def mock_with_a_spec(holder: str | None, renewed: datetime) -> Any:
    """Only the spec was thought of: the metadata are whatever a mock answers."""
    lease = MagicMock()
    lease.spec = namespace(holder, renewed).spec
    return lease


LEASES: list[MakeLease] = [
    model,
    model_without_metadata,
    namespace,
    namespace_without_much,
    namespace_with_texts,
    mock_with_a_spec,
]


@pytest.fixture(params=LEASES)
def lease(request: pytest.FixtureRequest) -> MakeLease:
    return request.param  # type: ignore[no-any-return]


# A user's tests with mocks

MOCKS: dict[str, Callable[[], Any]] = {
    "autospec of the class": lambda: create_autospec(CoordinationV1Api),
    "autospec of an instance": lambda: create_autospec(CoordinationV1Api, instance=True),
    "MagicMock": MagicMock,
    "MagicMock with spec": lambda: MagicMock(spec=CoordinationV1Api),
}


@pytest.fixture(params=MOCKS.values(), ids=list(MOCKS))
def mock(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_a_mock_says_that_it_acquires_when_absent(mock: Any) -> None:
    mock.read_namespaced_lease.side_effect = ApiException(status=404)
    lock, before = make_lock(mock), ago(0)
    result = lock.try_acquire_or_renew()
    mock.read_namespaced_lease.assert_called_once_with(name="leader", namespace="default")
    mock.create_namespaced_lease.assert_called_once_with(namespace="default", body=ANY)
    mock.replace_namespaced_lease.assert_not_called()
    body = mock.create_namespaced_lease.call_args.kwargs["body"]
    assert body.metadata.name == "leader"
    assert body.spec.holder_identity == "a"
    assert body.spec.lease_duration_seconds == 15
    assert body.spec.lease_transitions == 0
    assert before <= body.spec.renew_time == body.spec.acquire_time <= ago(0)
    assert isinstance(body, V1Lease)
    assert result.acquired_lease is True
    assert lock.is_leader() is True


def test_a_mock_says_that_it_renews(mock: Any, lease: MakeLease) -> None:
    acquired = ago(5)
    mock.read_namespaced_lease.return_value = lease("a", acquired)
    lock = make_lock(mock)
    result = lock.try_acquire_or_renew()
    mock.replace_namespaced_lease.assert_called_once_with(
        name="leader", namespace="default", body=ANY
    )
    mock.create_namespaced_lease.assert_not_called()
    body = mock.replace_namespaced_lease.call_args.kwargs["body"]
    assert body.spec.holder_identity == "a"
    assert body.spec.acquire_time == acquired
    assert body.spec.renew_time > acquired
    assert body.spec.lease_transitions == 3
    assert isinstance(body, V1Lease)
    assert result.acquired_lease is True
    assert lock.is_leader() is True


def test_a_mock_says_that_it_renews_again_and_again(mock: Any, lease: MakeLease) -> None:
    mock.read_namespaced_lease.return_value = lease("a", ago(5))
    lock = make_lock(mock)
    results = [lock.try_acquire_or_renew().acquired_lease for _ in range(3)]
    bodies = [call.kwargs["body"] for call in mock.replace_namespaced_lease.call_args_list]
    assert results == [True, True, True]
    assert len({body.spec.renew_time for body in bodies}) == 3


def test_a_mock_says_that_it_is_refused(mock: Any, lease: MakeLease) -> None:
    mock.read_namespaced_lease.return_value = lease("b", ago(5))
    lock = make_lock(mock)
    result = lock.try_acquire_or_renew()
    mock.read_namespaced_lease.assert_called_once_with(name="leader", namespace="default")
    mock.create_namespaced_lease.assert_not_called()
    mock.replace_namespaced_lease.assert_not_called()
    assert result.acquired_lease is False
    assert result.lease is not None
    assert result.lease.holder_identity == "b"
    assert lock.is_leader() is False


@pytest.mark.parametrize("holder", ["b", None, ""])
def test_a_mock_says_that_it_takes_over_when_expired_or_free(
    mock: Any, lease: MakeLease, holder: str | None
) -> None:
    mock.read_namespaced_lease.return_value = lease(holder, ago(60 if holder else 1))
    lock, before = make_lock(mock), ago(0)
    result = lock.try_acquire_or_renew()
    mock.replace_namespaced_lease.assert_called_once_with(
        name="leader", namespace="default", body=ANY
    )
    mock.create_namespaced_lease.assert_not_called()
    body = mock.replace_namespaced_lease.call_args.kwargs["body"]
    assert body.spec.holder_identity == "a"
    assert body.spec.lease_transitions == 4
    assert before <= body.spec.renew_time == body.spec.acquire_time <= ago(0)
    assert result.acquired_lease is True
    assert lock.is_leader() is True


def test_a_mock_says_that_it_steps_down(mock: Any, lease: MakeLease) -> None:
    mock.read_namespaced_lease.return_value = lease("a", ago(5))
    lock = make_lock(mock)
    lock.step_down()
    mock.replace_namespaced_lease.assert_called_once_with(
        name="leader", namespace="default", body=ANY
    )
    body = mock.replace_namespaced_lease.call_args.kwargs["body"]
    assert body.spec.holder_identity == ""
    assert lock.is_leader() is False


def test_a_mock_says_that_it_cannot_step_down(mock: Any, lease: MakeLease) -> None:
    mock.read_namespaced_lease.return_value = lease("b", ago(5))
    with pytest.raises(NotLeadingError) as caught:
        make_lock(mock).step_down()
    assert caught.value.holder_identity == "b"
    mock.replace_namespaced_lease.assert_not_called()


def test_a_mock_says_that_the_race_to_create_is_lost(mock: Any, lease: MakeLease) -> None:
    mock.read_namespaced_lease.side_effect = [ApiException(status=404), lease("b", ago(1))]
    mock.create_namespaced_lease.side_effect = ApiException(status=409)
    assert make_lock(mock).try_acquire_or_renew().acquired_lease is False


def test_the_version_in_the_read_lease_guards_the_body(mock: Any) -> None:
    mock.read_namespaced_lease.return_value = model("a", ago(5))
    make_lock(mock).try_acquire_or_renew()
    metadata = mock.replace_namespaced_lease.call_args.kwargs["body"].metadata
    assert (metadata.uid, metadata.resource_version) == (UID, "41")
    assert metadata.labels == {"k": "v"}


def test_a_mock_is_asked_for_nothing_but_the_three_methods(mock: Any) -> None:
    mock.read_namespaced_lease.side_effect = [ApiException(status=404), model("a", ago(1))]
    lock = make_lock(mock)
    lock.try_acquire_or_renew()
    lock.try_acquire_or_renew()
    repr(lock)
    assert [name for name, _args, _kwargs in mock.method_calls] == [
        "read_namespaced_lease",
        "create_namespaced_lease",
        "read_namespaced_lease",
        "replace_namespaced_lease",
    ]
    mock.assert_not_called()


def test_an_unconfigured_mock_is_told_what_to_configure(mock: Any) -> None:
    error = get_error(make_lock(mock))
    assert "if the client is a mock, set read_namespaced_lease.return_value or .side_effect" in str(
        error
    )
    assert "Mock" in str(error)
    assert (error.verb, error.status) == ("get", None)
    mock.create_namespaced_lease.assert_not_called()
    mock.replace_namespaced_lease.assert_not_called()


@pytest.mark.parametrize("call", [LeaseLock.step_down, LeaseLock.read])
def test_an_unconfigured_mock_is_told_so_in_every_call(
    mock: Any, call: Callable[[LeaseLock], object]
) -> None:
    with pytest.raises(GetLeaseError, match=r"set read_namespaced_lease\.return_value"):
        call(make_lock(mock))


def test_a_mock_of_a_lease_whose_holder_only_was_set_is_not_taken_over(mock: Any) -> None:
    mock.read_namespaced_lease.return_value = MagicMock()
    mock.read_namespaced_lease.return_value.spec.holder_identity = "b"
    error = get_error(make_lock(mock))
    assert "renewTime" in str(error)
    assert "'b'" in str(error)
    mock.replace_namespaced_lease.assert_not_called()


@pytest.mark.parametrize("holder", [None, ""])
def test_a_mock_of_a_lease_without_a_holder_is_free(mock: Any, holder: str | None) -> None:
    mock.read_namespaced_lease.return_value = MagicMock()
    mock.read_namespaced_lease.return_value.spec.holder_identity = holder
    assert make_lock(mock).try_acquire_or_renew().acquired_lease is True
    body = mock.replace_namespaced_lease.call_args.kwargs["body"]
    assert body.metadata.uid is None
    assert body.spec.lease_transitions == 1


@pytest.mark.parametrize("odd", [MagicMock(), 15.0, "15", True, 0, -3, None], ids=repr)
def test_an_odd_number_in_a_users_lease_is_read_as_null(mock: Any, odd: Any) -> None:
    users = namespace("b", ago(60))
    users.spec.lease_duration_seconds = odd
    users.spec.lease_transitions = odd if not isinstance(odd, int) else True
    mock.read_namespaced_lease.return_value = users
    waiting = make_lock(mock, lease_ttl=600)
    acting = make_lock(mock, lease_ttl=15)
    assert waiting.try_acquire_or_renew().acquired_lease is False
    assert acting.try_acquire_or_renew().acquired_lease is True
    body = mock.replace_namespaced_lease.call_args.kwargs["body"]
    assert (body.spec.lease_duration_seconds, body.spec.lease_transitions) == (15, 1)


@pytest.mark.parametrize("odd", ["yesterday", "", 1700000000, 0.0, True, object()])
def test_a_holder_whose_time_cannot_be_read_is_an_error_and_never_expired(
    mock: Any, odd: Any
) -> None:
    users = namespace("b", ago(60))
    users.spec.renew_time = odd
    mock.read_namespaced_lease.return_value = users
    error = get_error(make_lock(mock))
    assert "spec.renewTime of the holder 'b'" in str(error)
    mock.replace_namespaced_lease.assert_not_called()


@pytest.mark.parametrize("holder", [1, b"b", True, ["b"], object()])
def test_a_holder_that_is_no_text_is_an_error_and_never_free(mock: Any, holder: Any) -> None:
    mock.read_namespaced_lease.return_value = namespace(holder, ago(60))
    error = get_error(make_lock(mock))
    assert type(holder).__name__ in str(error)
    mock.replace_namespaced_lease.assert_not_called()


@pytest.mark.parametrize(
    "users",
    [None, {}, {"spec": {"holderIdentity": "b"}}, "b", b"", 0, [], (), object(), SimpleNamespace()],
    ids=repr,
)
def test_what_is_no_lease_is_an_error_that_names_its_type(mock: Any, users: Any) -> None:
    mock.read_namespaced_lease.return_value = users
    error = get_error(make_lock(mock))
    assert f"with a {type(users).__name__}, not a Lease" in str(error)
    mock.create_namespaced_lease.assert_not_called()
    mock.replace_namespaced_lease.assert_not_called()


@pytest.mark.parametrize("spec", [{"holder_identity": "b"}, {"holderIdentity": "b"}, "b", 1, ["b"]])
def test_a_lease_whose_spec_is_no_object_is_an_error_and_never_free(mock: Any, spec: Any) -> None:
    mock.read_namespaced_lease.return_value = SimpleNamespace(metadata=None, spec=spec)
    error = get_error(make_lock(mock))
    assert type(spec).__name__ in str(error)
    mock.replace_namespaced_lease.assert_not_called()


@pytest.mark.parametrize("method", METHODS)
def test_a_model_that_says_nothing_is_an_error_as_clients_make_one_of_html(
    mock: Any, method: str
) -> None:
    mock.read_namespaced_lease.return_value = namespace("b", ago(60))
    if method == "create_namespaced_lease":
        mock.read_namespaced_lease.side_effect = ApiException(status=404)
    getattr(mock, method).side_effect = lambda **_: V1Lease()
    lock = make_lock(mock)
    with pytest.raises((GetLeaseError, CreateLeaseError, AcquireLeaseError)) as caught:
        lock.try_acquire_or_renew()
    assert "with a V1Lease that says nothing" in str(caught.value)
    assert lock.is_leader() is False


@pytest.mark.parametrize("method", METHODS)
def test_a_coroutine_is_an_error_that_names_it_and_is_not_left_to_wait(
    mock: Any, method: str
) -> None:
    async def answer_later() -> None:
        raise AssertionError

    mock.read_namespaced_lease.return_value = namespace("b", ago(60))
    if method == "create_namespaced_lease":
        mock.read_namespaced_lease.side_effect = ApiException(status=404)
    # A coroutine that nobody waits for is a warning, so an error here.
    getattr(mock, method).side_effect = lambda **_: answer_later()
    lock = make_lock(mock)
    with pytest.raises((GetLeaseError, CreateLeaseError, AcquireLeaseError)) as caught:
        lock.try_acquire_or_renew()
    assert "with a coroutine, not a Lease" in str(caught.value)
    assert lock.is_leader() is False


# What a mock answers to a write


@pytest.mark.parametrize("answered", [None, MagicMock()], ids=repr)
@pytest.mark.parametrize("method", METHODS[1:])
def test_a_write_that_did_not_raise_counts_whatever_it_answers(
    mock: Any, method: str, answered: Any
) -> None:
    mock.read_namespaced_lease.return_value = model("b", ago(60))
    if method == "create_namespaced_lease":
        mock.read_namespaced_lease.side_effect = ApiException(status=404)
    getattr(mock, method).return_value = answered
    lock = make_lock(mock)
    result = lock.try_acquire_or_renew()
    assert result.acquired_lease is True
    assert result.fencing_token is None
    assert result.lease is not None
    assert result.lease.holder_identity == "a"
    assert lock.is_leader() is True
    assert lock.fencing_token is None


def test_the_version_that_a_write_answers_is_the_token(mock: Any) -> None:
    mock.read_namespaced_lease.return_value = model("b", ago(60))
    mock.replace_namespaced_lease.return_value = SimpleNamespace(
        metadata=SimpleNamespace(resource_version="42")
    )
    assert make_lock(mock).try_acquire_or_renew().fencing_token == 42


@pytest.mark.parametrize("version", ["", "0", "042", "-1", "4x", "٤", 42, None, MagicMock()])
def test_a_version_that_is_no_integer_gives_no_token(mock: Any, version: Any) -> None:
    mock.read_namespaced_lease.return_value = model("b", ago(60))
    mock.replace_namespaced_lease.return_value = SimpleNamespace(
        metadata=SimpleNamespace(resource_version=version)
    )
    result = make_lock(mock).try_acquire_or_renew()
    assert (result.acquired_lease, result.fencing_token) == (True, None)


# What a mock raises


class NotFound(Exception):
    """A user's own exception: absence is told by the status, not by the class."""

    status = 404


def test_any_exception_with_status_404_means_absent(mock: Any) -> None:
    mock.read_namespaced_lease.side_effect = NotFound
    assert make_lock(mock).try_acquire_or_renew().acquired_lease is True
    mock.create_namespaced_lease.assert_called_once()


def test_the_same_exception_object_may_be_raised_again(mock: Any) -> None:
    error = ApiException(status=404, reason="Not Found")
    before = copy.deepcopy(vars(error))
    mock.read_namespaced_lease.side_effect = error
    first, second = make_lock(mock), make_lock(mock, holder_id="b")
    assert first.read() is None
    assert second.read() is None
    assert first.try_acquire_or_renew().acquired_lease is True
    assert second.try_acquire_or_renew().acquired_lease is True
    assert vars(error) == before
    assert (error.__cause__, error.__context__) == (None, None)


def test_the_same_failure_raised_again_is_another_error_with_the_same_cause(mock: Any) -> None:
    cause = ApiException(status=500)
    mock.read_namespaced_lease.side_effect = cause
    lock = make_lock(mock)
    first, second = get_error(lock), get_error(lock)
    assert first is not second
    assert first.__cause__ is second.__cause__ is cause
    assert str(first) == str(second)


def test_an_exhausted_side_effect_is_an_error(mock: Any) -> None:
    mock.read_namespaced_lease.side_effect = [model("b", ago(1))]
    lock = make_lock(mock)
    assert lock.try_acquire_or_renew().acquired_lease is False
    error = get_error(lock)
    assert isinstance(error.__cause__, StopIteration)
    assert error.status is None


@pytest.mark.parametrize("method", METHODS[1:])
def test_an_exhausted_side_effect_of_a_write_is_an_error(mock: Any, method: str) -> None:
    mock.read_namespaced_lease.return_value = model("b", ago(60))
    if method == "create_namespaced_lease":
        mock.read_namespaced_lease.side_effect = ApiException(status=404)
    getattr(mock, method).side_effect = []
    lock = make_lock(mock)
    with pytest.raises((CreateLeaseError, AcquireLeaseError)) as caught:
        lock.try_acquire_or_renew()
    assert isinstance(caught.value.__cause__, StopIteration)
    assert lock.is_leader() is False


@pytest.mark.parametrize("verdict", [AssertionError("not this Lease"), KeyboardInterrupt()])
@pytest.mark.parametrize("method", METHODS)
def test_the_verdict_of_a_test_passes_through_and_leaves_a_lock_that_works(
    mock: Any, method: str, verdict: BaseException
) -> None:
    mock.read_namespaced_lease.return_value = model("b", ago(60))
    if method == "create_namespaced_lease":
        mock.read_namespaced_lease.side_effect = ApiException(status=404)
    getattr(mock, method).side_effect = verdict
    lock = make_lock(mock)
    with pytest.raises(type(verdict)) as caught:
        lock.try_acquire_or_renew()
    assert caught.value is verdict
    assert lock.is_leader() is False
    mock.reset_mock(side_effect=True)
    assert lock.try_acquire_or_renew().acquired_lease is True


def test_a_leader_whose_renewal_a_mock_refuses_leads_on(mock: Any) -> None:
    mock.read_namespaced_lease.return_value = model("a", ago(5))
    lock = make_lock(mock)
    lock.try_acquire_or_renew()
    mock.replace_namespaced_lease.side_effect = ApiException(status=500)
    with pytest.raises(RenewLeaseError) as caught:
        lock.try_acquire_or_renew()
    assert caught.value.status == 500
    assert lock.is_leader() is True


# Fakes written by hand


class Keeping:
    """Keeps the very objects that it is given, and answers with the ones that it keeps."""

    def __init__(self) -> None:
        self.lease: Any = None
        self.bodies: list[Any] = []
        self.asked: list[dict[str, Any]] = []

    def read(self, **asked: Any) -> Any:
        self.asked.append(asked)
        if self.lease is None:
            raise ApiException(status=404)
        return self.lease

    def write(self, body: Any, **asked: Any) -> Any:
        self.asked.append(asked)
        self.bodies.append(body)
        self.lease = body
        return body


class Bare(Keeping):
    def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        return self.read(name=name, namespace=namespace)

    def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
        return self.write(body, name=body.metadata.name, namespace=namespace)

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        return self.write(body, name=name, namespace=namespace)


class WithOtherNames(Keeping):
    def read_namespaced_lease(self, lease_name: str, ns: str) -> Any:
        return self.read(name=lease_name, namespace=ns)

    def create_namespaced_lease(self, ns: str, lease: Any) -> Any:
        return self.write(lease, name=lease.metadata.name, namespace=ns)

    def replace_namespaced_lease(self, lease_name: str, ns: str, lease: Any) -> Any:
        return self.write(lease, name=lease_name, namespace=ns)


class WithOtherNamesAndOptions(Keeping):
    def read_namespaced_lease(self, lease_name: str, ns: str, **_: Any) -> Any:
        return self.read(name=lease_name, namespace=ns)

    def create_namespaced_lease(self, ns: str, lease: Any, **_: Any) -> Any:
        return self.write(lease, name=lease.metadata.name, namespace=ns)

    def replace_namespaced_lease(self, lease_name: str, ns: str, lease: Any, **_: Any) -> Any:
        return self.write(lease, name=lease_name, namespace=ns)


class PositionalOnly(Keeping):
    def read_namespaced_lease(self, name: str, namespace: str, /) -> Any:
        return self.read(name=name, namespace=namespace)

    def create_namespaced_lease(self, namespace: str, body: Any, /) -> Any:
        return self.write(body, name=body.metadata.name, namespace=namespace)

    def replace_namespaced_lease(self, name: str, namespace: str, body: Any, /) -> Any:
        return self.write(body, name=name, namespace=namespace)


class KeywordOnly(Keeping):
    def read_namespaced_lease(self, *, name: str, namespace: str) -> Any:
        return self.read(name=name, namespace=namespace)

    def create_namespaced_lease(self, *, namespace: str, body: Any) -> Any:
        return self.write(body, name=body.metadata.name, namespace=namespace)

    def replace_namespaced_lease(self, *, body: Any, namespace: str, name: str) -> Any:
        return self.write(body, name=name, namespace=namespace)


class InAnotherOrder(Keeping):
    def read_namespaced_lease(self, namespace: str, name: str) -> Any:
        return self.read(name=name, namespace=namespace)

    def create_namespaced_lease(self, body: Any, namespace: str) -> Any:
        return self.write(body, name=body.metadata.name, namespace=namespace)

    def replace_namespaced_lease(self, body: Any, namespace: str, name: str) -> Any:
        return self.write(body, name=name, namespace=namespace)


class TakingAnything(Keeping):
    def read_namespaced_lease(self, *args: Any) -> Any:
        return self.read(name=args[0], namespace=args[1])

    def create_namespaced_lease(self, *args: Any) -> Any:
        return self.write(args[1], name=args[1].metadata.name, namespace=args[0])

    def replace_namespaced_lease(self, *args: Any) -> Any:
        return self.write(args[2], name=args[0], namespace=args[1])


class MadeOfLambdas(Keeping):
    def __init__(self) -> None:
        super().__init__()
        self.read_namespaced_lease = lambda name, namespace: self.read(
            name=name, namespace=namespace
        )
        self.create_namespaced_lease = lambda namespace, body: self.write(
            body, name=body.metadata.name, namespace=namespace
        )
        self.replace_namespaced_lease = lambda name, namespace, body: self.write(
            body, name=name, namespace=namespace
        )


FAKES = [
    Bare,
    WithOtherNames,
    WithOtherNamesAndOptions,
    PositionalOnly,
    KeywordOnly,
    InAnotherOrder,
    TakingAnything,
    MadeOfLambdas,
]


@pytest.fixture(params=FAKES)
def fake(request: pytest.FixtureRequest) -> Keeping:
    return request.param()  # type: ignore[no-any-return]


LEADER = {"name": "leader", "namespace": "default"}


def test_a_fake_says_that_it_acquires_when_absent(fake: Keeping) -> None:
    lock = make_lock(fake)
    assert lock.try_acquire_or_renew().acquired_lease is True
    assert fake.lease.spec.holder_identity == "a"
    assert fake.lease.metadata.name == "leader"
    assert fake.asked == [LEADER, LEADER]
    assert lock.is_leader() is True


def test_a_fake_says_that_it_renews(fake: Keeping, lease: MakeLease) -> None:
    fake.lease = lease("a", ago(5))
    lock, before = make_lock(fake), ago(0)
    assert lock.try_acquire_or_renew().acquired_lease is True
    assert fake.lease.spec.holder_identity == "a"
    assert before <= fake.lease.spec.renew_time <= ago(0)
    assert fake.lease.spec.lease_transitions == 3
    assert fake.asked == [LEADER, LEADER]


def test_a_fake_says_that_it_is_refused(fake: Keeping, lease: MakeLease) -> None:
    held = fake.lease = lease("b", ago(5))
    assert make_lock(fake).try_acquire_or_renew().acquired_lease is False
    assert fake.lease is held
    assert fake.asked == [LEADER]


def test_a_fake_says_that_it_takes_over_when_expired(fake: Keeping, lease: MakeLease) -> None:
    fake.lease = lease("b", ago(60))
    assert make_lock(fake).try_acquire_or_renew().acquired_lease is True
    assert fake.lease.spec.holder_identity == "a"
    assert fake.lease.spec.lease_transitions == 4
    assert fake.asked == [LEADER, LEADER]


def test_a_fake_says_that_it_steps_down_and_another_acquires(fake: Keeping) -> None:
    ours, others = make_lock(fake), make_lock(fake, holder_id="b")
    ours.try_acquire_or_renew()
    assert others.try_acquire_or_renew().acquired_lease is False
    ours.step_down()
    assert fake.lease.spec.holder_identity == ""
    assert others.try_acquire_or_renew().acquired_lease is True
    assert ours.try_acquire_or_renew().acquired_lease is False
    assert (ours.is_leader(), others.is_leader()) == (False, True)


class WithTimeout(Bare):
    """Names the timeout, as a wrapper around the real client may."""

    def read_namespaced_lease(  # type: ignore[override]
        self, name: str, namespace: str, _request_timeout: Any
    ) -> Any:
        return self.read(name=name, namespace=namespace, timeout=_request_timeout)


class WithOptions(Bare):
    def read_namespaced_lease(self, name: str, namespace: str, **options: Any) -> Any:
        return self.read(name=name, namespace=namespace, timeout=options.pop("_request_timeout"))


@pytest.mark.parametrize("kind", [WithTimeout, WithOptions])
def test_a_fake_that_takes_a_timeout_is_given_one_within_the_call_timeout(
    kind: type[Keeping],
) -> None:
    fake = kind()
    make_lock(fake, call_timeout=2).try_acquire_or_renew()
    assert all(0 < seconds <= 2 for seconds in fake.asked[0]["timeout"])


def test_bodies_are_new_objects_and_answers_are_never_changed(
    fake: Keeping, lease: MakeLease
) -> None:
    fake.lease = lease("b", ago(60))
    lock = make_lock(fake)
    answers, copies = [], []
    for _ in range(4):
        answers.append(fake.lease)
        copies.append(copy.deepcopy(fake.lease))
        lock.try_acquire_or_renew()
    lock.step_down()
    for answered, copied in zip(answers, copies, strict=True):
        assert parts_of(answered) == parts_of(copied)
    bodies = fake.bodies
    assert len({id(body) for body in bodies}) == len(bodies) == 5
    assert len({id(body.metadata) for body in bodies}) == 5
    assert len({id(body.spec) for body in bodies}) == 5


def parts_of(lease: Any) -> list[Any]:
    """What a Lease says, for models, namespaces and mocks alike."""
    metadata = None if isinstance(lease, MagicMock) else getattr(lease, "metadata", None)
    return [
        part.to_dict() if isinstance(part, (V1ObjectMeta, V1LeaseSpec)) else part
        for part in (metadata, lease.spec)
    ]


def test_a_body_shares_nothing_that_can_be_changed_with_the_answer(fake: Keeping) -> None:
    fake.lease = model("b", ago(60))
    fake.lease.metadata.annotations = {"team": "blue"}
    fake.lease.metadata.finalizers = ["example.com/keep"]
    read = fake.lease
    make_lock(fake).try_acquire_or_renew()
    [body] = fake.bodies
    body.metadata.labels["k"] = "changed"
    body.metadata.annotations.clear()
    body.metadata.finalizers.append("x")
    assert read.metadata.labels == {"k": "v"}
    assert read.metadata.annotations == {"team": "blue"}
    assert read.metadata.finalizers == ["example.com/keep"]


def test_what_a_fake_does_to_a_kept_lease_later_changes_no_result(fake: Keeping) -> None:
    lock = make_lock(fake)
    result = lock.try_acquire_or_renew()
    fake.lease.spec.holder_identity = "b"
    fake.lease.spec.renew_time = ago(0)
    assert result.lease is not None
    assert result.lease.holder_identity == "a"
    assert lock.try_acquire_or_renew().acquired_lease is False


# A real client with a method replaced


@pytest.fixture
def network() -> Iterator[HostileServer]:
    """A server that no request may reach, and answers if one does."""
    with HostileServer(then=answer(status=418)) as server:
        yield server


@contextlib.contextmanager
def patched(target: Any, **answers: Any) -> Iterator[dict[str, Any]]:
    with contextlib.ExitStack() as stack:
        yield {
            method: stack.enter_context(patch.object(target, method, **options))
            for method, options in answers.items()
        }


def attempt(client: Any) -> LeaseLockResult:
    return make_lock(client).try_acquire_or_renew()


@pytest.mark.parametrize("on_the_class", [False, True])
@pytest.mark.parametrize("autospec", [None, True])
def test_a_read_patched_in_the_real_client_is_asked_instead_of_the_network(
    network: HostileServer, on_the_class: bool, autospec: bool | None
) -> None:
    client = CoordinationV1Api(network.api_client())
    target = CoordinationV1Api if on_the_class else client
    read = {"return_value": model("b", ago(5)), "autospec": autospec}
    with patched(target, read_namespaced_lease=read) as mocks:
        result = attempt(client)
    assert result.acquired_lease is False
    assert result.lease is not None
    assert result.lease.holder_identity == "b"
    assert mocks["read_namespaced_lease"].call_count == 1
    assert network.accepted == 0


def test_a_fake_that_changes_its_lease_in_place_still_guards_against_a_stale_take_over() -> None:
    class Live:
        """Answers its one Lease itself, and guards it by its version."""

        def __init__(self) -> None:
            self.lease: Any = model("c", ago(60))
            self.lease.metadata = V1ObjectMeta(name="leader", uid=UID, resource_version="1")

        def read_namespaced_lease(self, name: str, namespace: str) -> Any:
            return self.lease

        def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
            raise AssertionError

        def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
            if body.metadata.resource_version != self.lease.metadata.resource_version:
                raise ApiException(status=409)
            self.lease.spec = body.spec
            self.lease.metadata.resource_version = str(int(body.metadata.resource_version) + 1)
            return self.lease

    class RacingClock(FakeClock):
        """When it is looked at for the second time, after the first answer, `b` takes the Lease."""

        looks = 0

        def utcnow(self) -> datetime:
            self.looks += 1
            if self.looks == 2:
                assert second.try_acquire_or_renew()
            return datetime.now(timezone.utc)

    fake, params = Live(), LeaseLockParams(lease_name="leader", holder_id="a")
    clock = RacingClock()
    first, second = LeaseLock(fake, "default", params, clock=clock), make_lock(fake, holder_id="b")
    clock.looks = 1
    assert not first.try_acquire_or_renew()
    assert second.is_leader()


def test_a_subclass_that_overrides_nothing_is_as_good_as_its_base(network: HostileServer) -> None:
    class Mine(CoordinationV1Api):  # type: ignore[misc, unused-ignore]
        pass

    with pytest.raises(GetLeaseError, match="Lease"):
        attempt(Mine(network.api_client()))
    assert [request.method for request in network.requests] == ["GET"]
    assert network.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_read_patched_in_the_class_is_asked_for_an_api_client_too(network: HostileServer) -> None:
    with patched(CoordinationV1Api, read_namespaced_lease={"return_value": model("b", ago(5))}):
        result = attempt(network.api_client())
    assert result.acquired_lease is False
    assert network.accepted == 0


@pytest.mark.parametrize("on_the_class", [False, True])
@pytest.mark.parametrize("autospec", [None, True])
@pytest.mark.parametrize("write", METHODS[1:])
def test_a_read_and_a_write_patched_in_the_real_client_never_reach_the_network(
    network: HostileServer, on_the_class: bool, autospec: bool | None, write: str
) -> None:
    client = CoordinationV1Api(network.api_client())
    target = CoordinationV1Api if on_the_class else client
    read: dict[str, Any] = {"return_value": model("b", ago(60)), "autospec": autospec}
    if write == "create_namespaced_lease":
        read = {"side_effect": ApiException(status=404), "autospec": autospec}
    answers = {"read_namespaced_lease": read, write: {"return_value": None, "autospec": autospec}}
    with patched(target, **answers) as mocks:
        result = attempt(client)
    assert result.acquired_lease is True
    assert mocks[write].call_args.kwargs["body"].spec.holder_identity == "a"
    assert network.accepted == 0


def test_methods_replaced_by_functions_never_reach_the_network(
    network: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = CoordinationV1Api(network.api_client())
    fake = Bare()
    for method in METHODS:
        monkeypatch.setattr(client, method, getattr(fake, method))
    assert attempt(client).acquired_lease is True
    assert fake.lease.spec.holder_identity == "a"
    assert network.accepted == 0


def test_a_function_put_into_the_class_never_reaches_the_network(
    network: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_namespaced_lease(self: Any, name: str, namespace: str, **_: Any) -> Any:
        return model("b", ago(5))

    monkeypatch.setattr(CoordinationV1Api, "read_namespaced_lease", read_namespaced_lease)
    assert attempt(CoordinationV1Api(network.api_client())).acquired_lease is False
    assert network.accepted == 0


def test_a_subclass_that_overrides_a_method_is_taken_at_its_word(network: HostileServer) -> None:
    class Mine(CoordinationV1Api):
        def read_namespaced_lease(self, *args: Any, **options: Any) -> Any:
            return model("b", ago(5))

    assert attempt(Mine(network.api_client())).acquired_lease is False
    assert network.accepted == 0


@pytest.mark.parametrize("on_the_class", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_patched_api_client_is_asked_instead_of_the_network(
    network: HostileServer, on_the_class: bool, wrapped: bool
) -> None:
    api_client = network.api_client()
    client = CoordinationV1Api(api_client) if wrapped else api_client
    target = ApiClient if on_the_class else api_client
    with patched(target, call_api={"side_effect": ApiException(status=403)}) as mocks:
        error = get_error(make_lock(client))
    assert error.status == 403
    assert mocks["call_api"].call_count == 1
    assert network.accepted == 0


def test_a_real_client_around_a_mock_never_reaches_the_network() -> None:
    api_client = MagicMock(spec=ApiClient)
    api_client.call_api.side_effect = ApiException(status=403)
    api_client.param_serialize = MagicMock(return_value=())
    with pytest.raises(GetLeaseError):
        attempt(CoordinationV1Api(api_client))


def test_whether_a_method_is_patched_is_asked_at_every_call(network: HostileServer) -> None:
    client = CoordinationV1Api(network.api_client())
    lock = make_lock(client)
    statuses = [get_error(lock).status]
    with patched(client, read_namespaced_lease={"return_value": model("b", ago(5))}):
        assert lock.try_acquire_or_renew().acquired_lease is False
        assert len(network.requests) == 1
    statuses.append(get_error(lock).status)
    assert statuses == [418, 418]
    assert len(network.requests) == 2


def test_a_method_patched_in_mid_attempt_never_sees_a_body_without_its_guards() -> None:
    metadata = {"name": "leader", "namespace": "default", "uid": UID, "resourceVersion": "41"}
    free = {"kind": "Lease", "metadata": metadata, "spec": {"holderIdentity": ""}}
    bodies: list[Any] = []
    clients: list[Any] = []

    def replace(name: str, namespace: str, body: Any) -> None:
        bodies.append(body)

    def patch_and_answer(exchange: Exchange) -> None:
        clients[0].replace_namespaced_lease = replace
        answer(free)(exchange)

    with HostileServer(patch_and_answer) as server:
        clients.append(CoordinationV1Api(server.api_client()))
        with contextlib.suppress(AcquireLeaseError):
            attempt(clients[0])
    guards = [(body.metadata.uid, body.metadata.resource_version) for body in bodies]
    assert guards in ([], [(UID, "41")])
    assert len(server.requests) == 1
