from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from kubernetes.client import CoreV1Api
from kubernetes.client.exceptions import ApiException

import kube_leader_election
from kube_leader_election import (
    AcquireLeaseError,
    CreateLeaseError,
    GetLeaseError,
    InvalidParamsError,
    LeaderElectionError,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    NotLeadingError,
    ReleaseLeaseError,
    RenewLeaseError,
)
from kube_leader_election.testing import FakeCoordinationV1Api
from tests.conftest import MakeLock

REQUEST_ERRORS: list[tuple[type[LeaseError], str]] = [
    (GetLeaseError, "get"),
    (CreateLeaseError, "create"),
    (AcquireLeaseError, "update"),
    (RenewLeaseError, "update"),
    (ReleaseLeaseError, "update"),
]


def raised(call: Callable[[], object]) -> LeaderElectionError:
    with pytest.raises(LeaderElectionError) as caught:
        call()
    return caught.value


class Failing:
    """Fails the one request that `make_it_fail` is told of, with `error`."""

    def __init__(self, api: FakeCoordinationV1Api, make_lock: MakeLock) -> None:
        self.api = api
        self.lock = make_lock("a")

    def _fail(self, error: Exception, *, after_requests: int) -> None:
        def fail() -> None:
            raise error

        self.api.before_next(fail, skip=after_requests)

    def raised(self, kind: type[LeaseError], error: Exception) -> LeaderElectionError:
        if kind is GetLeaseError:
            self._fail(error, after_requests=0)
            return raised(self.lock.try_acquire_or_renew)
        if kind is AcquireLeaseError:
            self.api.put_lease("leader", holder_identity="b", acquire_time=None, renew_time=None)
        if kind in (RenewLeaseError, ReleaseLeaseError):
            self.lock.try_acquire_or_renew()
        self._fail(error, after_requests=1)
        if kind is ReleaseLeaseError:
            return raised(self.lock.step_down)
        return raised(self.lock.try_acquire_or_renew)


@pytest.fixture
def failing(lease_api: FakeCoordinationV1Api, make_lock: MakeLock) -> Failing:
    return Failing(lease_api, make_lock)


def test_every_error_of_the_surface_is_a_leader_election_error() -> None:
    errors = [
        thing
        for name in kube_leader_election.__all__
        if isinstance(thing := getattr(kube_leader_election, name), type)
        and issubclass(thing, BaseException)
    ]
    assert len(errors) == 9
    assert all(issubclass(error, LeaderElectionError) for error in errors)
    assert all(error.__module__.startswith("kube_leader_election") for error in errors)


@pytest.mark.parametrize(("kind", "verb"), REQUEST_ERRORS)
def test_the_error_of_a_request_is_a_lease_error_and_none_of_the_others(
    kind: type[LeaseError], verb: str
) -> None:
    assert kind.__mro__[1:3] == (LeaseError, LeaderElectionError)
    assert [other for other, _ in REQUEST_ERRORS if issubclass(kind, other)] == [kind]


def test_not_leading_is_no_lease_error_and_invalid_params_is_a_value_error() -> None:
    assert issubclass(NotLeadingError, LeaderElectionError)
    assert not issubclass(NotLeadingError, (LeaseError, ValueError))
    assert issubclass(InvalidParamsError, LeaderElectionError)
    assert issubclass(InvalidParamsError, ValueError)
    assert not issubclass(InvalidParamsError, LeaseError)


@pytest.mark.parametrize(("kind", "verb"), REQUEST_ERRORS)
@pytest.mark.parametrize("status", [400, 401, 403, 422, 429, 500, 503])
def test_an_error_says_which_request_for_which_lease_and_what_was_answered(
    failing: Failing, kind: type[LeaseError], verb: str, status: int
) -> None:
    cause = ApiException(status=status, reason="Because")
    error = failing.raised(kind, cause)
    assert type(error) is kind
    assert (error.verb, error.namespace, error.lease_name) == (verb, "default", "leader")
    assert error.status == status
    assert error.__cause__ is cause
    assert str(error).startswith(f"{verb} of Lease default/leader: answered {status} ")


@pytest.mark.parametrize(("kind", "verb"), REQUEST_ERRORS)
@pytest.mark.parametrize(
    "cause", [OSError("refused"), TimeoutError(), KeyError("x"), RuntimeError(), StopIteration()]
)
def test_an_error_of_a_client_without_a_status_is_the_cause_and_its_type_is_named(
    failing: Failing, kind: type[LeaseError], verb: str, cause: Exception
) -> None:
    error = failing.raised(kind, cause)
    assert type(error) is kind
    assert (error.verb, error.namespace, error.lease_name) == (verb, "default", "leader")
    assert error.status is None
    assert error.__cause__ is cause
    assert type(cause).__name__ in str(error)


@pytest.mark.parametrize(("kind", "verb"), REQUEST_ERRORS)
def test_a_403_names_the_right_that_is_missing(
    failing: Failing, kind: type[LeaseError], verb: str
) -> None:
    error = failing.raised(kind, ApiException(status=403))
    assert f"{verb!r} on leases.coordination.k8s.io" in str(error)


def test_a_404_for_a_create_names_the_namespace_as_the_reason(failing: Failing) -> None:
    error = failing.raised(CreateLeaseError, ApiException(status=404))
    assert isinstance(error, CreateLeaseError)
    assert error.status == 404
    assert "no such namespace" in str(error)


@pytest.mark.parametrize("status", ["503", True, None, -1, 0, 503.0, MagicMock()])
def test_an_odd_status_of_a_users_exception_is_none(failing: Failing, status: Any) -> None:
    cause = ApiException(status=status)
    error = failing.raised(GetLeaseError, cause)
    assert isinstance(error, GetLeaseError)
    assert error.status is None
    assert error.__cause__ is cause


def test_the_clients_own_error_is_not_changed(failing: Failing) -> None:
    cause = ApiException(status=500, reason="Because")
    cause.body = '{"secret": "hunter2"}'
    before = (dict(vars(cause)), cause.args, cause.__cause__, cause.__suppress_context__)
    error = failing.raised(RenewLeaseError, cause)
    assert (dict(vars(cause)), cause.args, cause.__cause__, cause.__suppress_context__) == before
    assert "hunter2" not in str(error) + repr(error)


def test_not_leading_says_who_does(lease_api: FakeCoordinationV1Api, make_lock: MakeLock) -> None:
    lease_api.put_lease("leader", holder_identity="b")
    error = raised(make_lock("a").step_down)
    assert isinstance(error, NotLeadingError)
    assert error.holder_identity == "b"
    assert "default/leader" in str(error)
    assert "'a'" in str(error)


def test_not_leading_says_that_nobody_does(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    absent = raised(make_lock("a").step_down)
    lease_api.put_lease("leader", holder_identity="")
    free = raised(make_lock("a").step_down)
    assert isinstance(absent, NotLeadingError)
    assert isinstance(free, NotLeadingError)
    assert (absent.holder_identity, free.holder_identity) == (None, None)


# Pickled, as multiprocessing and Celery do


def assert_survives_pickling(error: LeaderElectionError) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        copy = pickle.loads(pickle.dumps(error, protocol))
        assert type(copy) is type(error)
        assert str(copy) == str(error)
        assert copy.args == error.args
        assert repr(copy) == repr(error)
        assert vars(copy) == vars(error)
        assert pickle.loads(pickle.dumps(copy)).args == error.args


@pytest.mark.parametrize(("kind", "verb"), REQUEST_ERRORS)
@pytest.mark.parametrize("cause", [ApiException(status=503), OSError("x"), StopIteration()])
def test_an_error_of_a_request_survives_pickling(
    failing: Failing, kind: type[LeaseError], verb: str, cause: Exception
) -> None:
    assert_survives_pickling(failing.raised(kind, cause))


def test_not_leading_survives_pickling(make_lock: MakeLock) -> None:
    assert_survives_pickling(raised(make_lock("a").step_down))
    assert_survives_pickling(NotLeadingError("no", holder_identity="b"))


@pytest.mark.parametrize("kind", [LeaderElectionError, LeaseError])
def test_the_base_classes_survive_pickling(kind: type[LeaderElectionError]) -> None:
    details = {"verb": "get", "namespace": "n", "lease_name": "l", "status": 500}
    if kind is LeaseError:
        assert_survives_pickling(LeaseError("what", **details))  # type: ignore[arg-type]
    else:
        assert_survives_pickling(LeaderElectionError("what"))


def test_invalid_params_survives_pickling() -> None:
    assert_survives_pickling(raised(lambda: LeaseLockParams(lease_name="A")))


def test_a_note_survives_pickling() -> None:
    error = NotLeadingError("no", holder_identity=None)
    vars(error)["__notes__"] = ["in the third round"]
    assert_survives_pickling(error)


@pytest.mark.parametrize(
    "make", [CoreV1Api, lambda: MagicMock(spec=CoreV1Api), lambda: lambda: None, threading.Lock]
)
def test_invalid_params_survives_pickling_where_the_value_cannot(make: Callable[[], Any]) -> None:
    params = LeaseLockParams(lease_name="leader")
    error = raised(lambda: LeaseLock(make(), "default", params))
    assert isinstance(error, InvalidParamsError)
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is InvalidParamsError
    assert (str(copy), copy.field, copy.rule) == (str(error), error.field, error.rule)


def test_an_error_may_be_raised_again_by_a_fake_of_another_lock(failing: Failing) -> None:
    error = failing.raised(GetLeaseError, SimpleError(503))
    again = failing.raised(GetLeaseError, error)
    assert isinstance(again, GetLeaseError)
    assert again.__cause__ is error
    assert again.status == 503


class SimpleError(Exception):
    """A user's own exception, which only has a status."""

    def __init__(self, status: int) -> None:
        super().__init__(SimpleNamespace(status=status))
        self.status = status
