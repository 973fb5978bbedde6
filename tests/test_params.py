from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import logging
import math
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock, NonCallableMock, create_autospec

import pytest
from kubernetes.client import ApiClient, CoordinationV1Api, CoreV1Api

from kube_leader_election import InvalidParamsError, LeaseLock, LeaseLockParams
from kube_leader_election._params import LeaderElectorParams
from kube_leader_election.testing import FakeCoordinationV1Api
from tests.conftest import stored_spec

MAX_TTL = 2**31 - 1
WHOLE = "must be a whole number of seconds"
RANGE = f"must be from 1 to {MAX_TTL} seconds"
SKEW = "must be a finite number of seconds, 0 or more, or None"
TIMEOUT = "must be a number of seconds, more than 0 and at most lease_ttl"
SUBDOMAIN = "must be a DNS subdomain: 1 to 253"
LABEL = "must be a DNS label: 1 to 63"
DEADLINE = "must be a number of seconds from 1.0 to "
PERIOD = "must be a finite number of seconds, 0.5 or more"
NO_RETRY = "leaves no time to retry: 1.2 * retry_period"
DRAIN = "must be a finite number of seconds, 0 or more"
HOLDER = "must be a printable string that is not empty, or None"
CLIENT = "must be a kubernetes.client.CoordinationV1Api, an ApiClient, or have its Lease methods"


class Odd:
    def __repr__(self) -> str:
        return "<odd>"


ODD = Odd()
NO_NUMBERS: list[Any] = [
    *[-math.inf, math.inf, math.nan, 10**400, True, False, "2", b"2", None],
    *[ODD, timedelta(seconds=2), Decimal(2), Fraction(2), 2j, [2.0]],
]


def params(**values: Any) -> LeaseLockParams:
    return LeaseLockParams(**{"lease_name": "leader", **values})


def of_an_elector(**values: Any) -> LeaderElectorParams:
    return LeaderElectorParams(**{"lease_name": "leader", **values})


def lock(client: Any, namespace: Any = "default", of: Any = None) -> LeaseLock:
    return LeaseLock(client, namespace, params() if of is None else of)


def refusal(make: Callable[[], object]) -> InvalidParamsError:
    with pytest.raises(InvalidParamsError) as caught:
        make()
    return caught.value


def assert_names(error: InvalidParamsError, field: str, value: object, rule: str) -> None:
    """Field, value and rule: as attributes, and in the message."""
    assert isinstance(error, ValueError)
    assert error.field == field
    assert error.value is value
    assert error.rule.startswith(rule)
    assert str(error) == f"{field}={value!r}: {error.rule}"


# The time to live


@pytest.mark.parametrize(
    "value", [1, 2, 15, MAX_TTL, timedelta(seconds=1), timedelta(hours=1), timedelta(0, MAX_TTL)]
)
def test_a_lease_ttl_of_whole_seconds_in_an_int32_is_taken(value: Any) -> None:
    assert params(lease_ttl=value).lease_ttl == value


@pytest.mark.parametrize("value", [60, timedelta(minutes=1)])
def test_a_lease_is_claimed_for_the_seconds_of_the_lease_ttl(value: Any) -> None:
    api = FakeCoordinationV1Api()
    lock(api, of=params(lease_ttl=value)).try_acquire_or_renew()
    assert stored_spec(api)["leaseDurationSeconds"] == 60


@pytest.mark.parametrize("value", [0, -1, MAX_TTL + 1, 10**400, timedelta(0), timedelta(days=-1)])
def test_a_lease_ttl_out_of_range_is_refused(value: Any) -> None:
    error = refusal(lambda: params(lease_ttl=value))
    assert_names(error, "lease_ttl", value, RANGE)


@pytest.mark.parametrize(
    "value",
    [True, False, 15.5, 15.0, "15", None, ODD, math.nan, Decimal(15), b"15", (15,)],
    ids=repr,
)
def test_a_lease_ttl_of_another_type_is_refused(value: Any) -> None:
    error = refusal(lambda: params(lease_ttl=value))
    assert_names(error, "lease_ttl", value, WHOLE)


@pytest.mark.parametrize(
    "value", [timedelta(seconds=15.5), timedelta(microseconds=1), timedelta(milliseconds=14999)]
)
def test_a_timedelta_with_a_part_of_a_second_is_refused(value: Any) -> None:
    error = refusal(lambda: params(lease_ttl=value))
    assert_names(error, "lease_ttl", value, WHOLE)


def test_a_number_too_long_to_be_printed_is_refused_all_the_same() -> None:
    error = refusal(lambda: params(lease_ttl=10**5000))
    assert (error.field, error.value) == ("lease_ttl", 10**5000)
    assert error.rule.startswith(RANGE)
    assert str(error).startswith("lease_ttl=")


# The skew of the clocks


@pytest.mark.parametrize("value", [None, 0, 0.0, 0.001, 1, 13.95])
def test_a_skew_that_leaves_time_to_lead_is_taken(value: Any) -> None:
    assert params(lease_ttl=15, max_clock_skew=value).max_clock_skew == value


@pytest.mark.parametrize(
    "value",
    [-0.1, -1, math.nan, math.inf, -math.inf, 10**400, True, False, "1", ODD, timedelta(1)],
    ids=lambda value: repr(value)[:20],
)
def test_a_skew_that_is_no_finite_number_from_0_is_refused(value: Any) -> None:
    error = refusal(lambda: params(max_clock_skew=value))
    assert_names(error, "max_clock_skew", value, SKEW)


@pytest.mark.parametrize("value", [Decimal(1), Fraction(1, 2), 1j], ids=repr)
def test_a_skew_that_does_not_add_to_floats_is_refused(value: Any) -> None:
    error = refusal(lambda: params(max_clock_skew=value))
    assert_names(error, "max_clock_skew", value, SKEW)


@pytest.mark.parametrize(
    ("ttl", "bound"), [(1, 0.23), (2, 1.21), (7, 6.11), (15, 13.95), (28, 26.69), (65, 62.95)]
)
def test_a_skew_may_leave_three_quarters_of_a_second_to_lead_in_and_no_less(
    ttl: int, bound: float
) -> None:
    assert params(lease_ttl=ttl, max_clock_skew=bound).max_clock_skew == bound
    value = bound + 0.001
    error = refusal(lambda: params(lease_ttl=ttl, max_clock_skew=value))
    assert_names(error, "max_clock_skew", value, "leaves 0.75 s to lead in")
    assert f"lease_ttl ({ttl})" in error.rule
    assert "at least 0.75 s" in error.rule


@pytest.mark.parametrize("value", [15, 1e9, 1.7e308, 10**300])
def test_a_skew_longer_than_the_lease_is_refused_with_the_numbers(value: Any) -> None:
    error = refusal(lambda: params(lease_ttl=15, max_clock_skew=value))
    assert_names(error, "max_clock_skew", value, "leaves -")
    assert "lease_ttl (15)" in error.rule


# The time for a call


@pytest.mark.parametrize("value", [None, 0.001, 1, 14.999, 15, 15.0])
def test_a_call_timeout_up_to_the_lease_ttl_is_taken(value: Any) -> None:
    assert params(lease_ttl=15, call_timeout=value).call_timeout == value


@pytest.mark.parametrize(
    "value",
    [0, 0.0, -1, math.nan, math.inf, 10**400, 15.001, 16, True, "1", ODD, timedelta(1), Decimal(1)],
    ids=lambda value: repr(value)[:20],
)
def test_a_call_timeout_that_is_no_number_within_the_lease_ttl_is_refused(value: Any) -> None:
    error = refusal(lambda: params(lease_ttl=15, call_timeout=value))
    assert_names(error, "call_timeout", value, TIMEOUT)
    assert "lease_ttl (15)" in error.rule


def test_a_call_timeout_is_held_against_a_lease_ttl_given_as_a_timedelta() -> None:
    error = refusal(lambda: params(lease_ttl=timedelta(seconds=2), call_timeout=3))
    assert_names(error, "call_timeout", 3, TIMEOUT)
    assert "lease_ttl (2)" in error.rule


# What an elector is told


def test_the_defaults_of_an_elector_are_those_of_the_documentation() -> None:
    assert dataclasses.asdict(of_an_elector()) == {
        "lease_name": "leader",
        "holder_id": None,
        "lease_ttl": 15,
        "renew_deadline": 10.0,
        "retry_period": 2.0,
        "max_clock_skew": None,
        "drain_timeout": 20.0,
    }


def test_an_elector_s_params_are_given_by_keyword_only_and_cannot_be_changed() -> None:
    positional: Any = LeaderElectorParams
    with pytest.raises(TypeError, match="positional"):
        positional("leader", "a")
    ours: Any = of_an_elector()
    with pytest.raises(dataclasses.FrozenInstanceError):
        ours.renew_deadline = 12
    assert ours.renew_deadline == 10


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("lease_name", "A", SUBDOMAIN),
        ("holder_id", " ", HOLDER),
        ("lease_ttl", 15.5, WHOLE),
        ("lease_ttl", timedelta(seconds=1.5), WHOLE),
        ("lease_ttl", 1, f"must be from 2 to {MAX_TTL} seconds"),
        ("lease_ttl", MAX_TTL + 1, f"must be from 2 to {MAX_TTL} seconds"),
        ("max_clock_skew", -0.1, SKEW),
        ("max_clock_skew", math.nan, SKEW),
    ],
)
def test_an_elector_refuses_what_a_lock_does_and_a_lease_of_a_second(
    field: str, value: Any, rule: str
) -> None:
    error = refusal(lambda: of_an_elector(**{field: value}))
    assert_names(error, field, value, rule)


@pytest.mark.parametrize("ttl", [2, timedelta(seconds=2)])
def test_an_elector_takes_a_lease_of_two_seconds(ttl: Any) -> None:
    assert of_an_elector(lease_ttl=ttl, renew_deadline=1.96, retry_period=1).lease_ttl == ttl


def test_a_skew_may_leave_an_elector_a_second_to_lead_in_and_no_less() -> None:
    ours = of_an_elector(max_clock_skew=13.7, renew_deadline=1, retry_period=0.5)
    assert ours.max_clock_skew == 13.7
    error = refusal(lambda: of_an_elector(max_clock_skew=13.72, renew_deadline=1, retry_period=0.5))
    assert_names(error, "max_clock_skew", 13.72, "leaves 0.98 s to lead in")
    assert "lease_ttl (15)" in error.rule
    assert "at least 1.0 s" in error.rule


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize(
    ("field", "rule"),
    [("renew_deadline", DEADLINE), ("retry_period", PERIOD), ("drain_timeout", DRAIN)],
)
def test_a_time_of_an_elector_that_is_no_finite_number_is_refused(
    field: str, rule: str, value: Any
) -> None:
    error = refusal(lambda: of_an_elector(**{field: value}))
    assert_names(error, field, value, rule)


@pytest.mark.parametrize("value", [1, 1.0, 10, 14.7])
def test_a_deadline_from_a_second_to_the_longest_belief_is_taken(value: float) -> None:
    assert of_an_elector(renew_deadline=value, retry_period=0.5).renew_deadline == value


@pytest.mark.parametrize(
    ("values", "longest"),
    [
        ({"renew_deadline": 0}, "14.7"),
        ({"renew_deadline": 0.999}, "14.7"),
        ({"renew_deadline": -1}, "14.7"),
        ({"renew_deadline": 14.701}, "14.7"),
        ({"lease_ttl": timedelta(seconds=9)}, "8.82"),
        ({"lease_ttl": 2}, "1.96"),
        ({"max_clock_skew": 5}, "9.7"),
        ({"max_clock_skew": 4.701}, "9.999"),
    ],
)
def test_a_deadline_out_of_range_is_refused_with_the_numbers(
    values: dict[str, Any], longest: str
) -> None:
    error = refusal(lambda: of_an_elector(**values))
    assert_names(error, "renew_deadline", error.value, f"{DEADLINE}{longest}: ")
    assert error.value == values.get("renew_deadline", 10.0)
    ttl = values.get("lease_ttl", 15)
    assert f"lease_ttl ({9 if isinstance(ttl, timedelta) else ttl})" in error.rule
    assert f"max_clock_skew ({values.get('max_clock_skew', 0)})" in error.rule


@pytest.mark.parametrize("value", [0.5, 1, 8.3])
def test_a_retry_period_that_leaves_time_to_retry_is_taken(value: float) -> None:
    assert of_an_elector(retry_period=value).retry_period == value


@pytest.mark.parametrize("value", [0, 0.499, -2])
def test_a_retry_period_below_half_a_second_is_refused(value: float) -> None:
    error = refusal(lambda: of_an_elector(retry_period=value))
    assert_names(error, "retry_period", value, PERIOD)


@pytest.mark.parametrize(
    ("period", "deadline", "longer"),
    [(3, 3.6, "3.6"), (2.0, 2.4, "2.4"), (5, 6, "6.0"), (8.4, 10.0, "10.08"), (2, 1, "2.4")],
)
def test_a_retry_period_that_leaves_no_time_to_retry_is_refused_with_the_numbers(
    period: float, deadline: float, longer: str
) -> None:
    error = refusal(lambda: of_an_elector(retry_period=period, renew_deadline=deadline))
    assert_names(error, "retry_period", period, f"{NO_RETRY} ({longer} s)")
    assert error.rule.endswith(f"renew_deadline ({deadline})")


@pytest.mark.parametrize("value", [0, 0.0, 20, 86400.5])
def test_a_drain_timeout_from_0_on_is_taken(value: float) -> None:
    assert of_an_elector(drain_timeout=value).drain_timeout == value


@pytest.mark.parametrize("value", [-0.001, -20])
def test_a_negative_drain_timeout_is_refused(value: float) -> None:
    error = refusal(lambda: of_an_elector(drain_timeout=value))
    assert_names(error, "drain_timeout", value, DRAIN)


def test_a_changed_copy_of_an_elector_s_params_is_held_against_the_rules_again() -> None:
    ours = of_an_elector()
    error = refusal(lambda: dataclasses.replace(ours, lease_ttl=10))
    assert_names(error, "renew_deadline", ours.renew_deadline, f"{DEADLINE}9.8: ")


# Names


@pytest.mark.parametrize("value", ["a", "0", "a-b", "a.b", "a.0-b.c", "x" * 253, "a.b" * 84])
def test_a_lease_name_that_is_a_dns_subdomain_is_taken(value: str) -> None:
    assert params(lease_name=value).lease_name == value


@pytest.mark.parametrize(
    "value",
    [
        *["", "A", "Leader", "a_b", "a b", "a\n", "\na", "a/b", "a.", ".a", "a..b", "-a", "a-"],
        *["a.-b", "a-.b", "\u00e4", "\u0663", "x" * 254, "a\x00", "../a", "a%2fb"],
        *[None, 1, True, b"a", ODD],
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_lease_name_that_is_no_dns_subdomain_is_refused(value: Any) -> None:
    error = refusal(lambda: params(lease_name=value))
    assert_names(error, "lease_name", value, SUBDOMAIN)


@pytest.mark.parametrize("value", ["a", "0", "a-b", "kube-system", "x" * 63])
def test_a_namespace_that_is_a_dns_label_is_taken(value: str) -> None:
    assert f"{value}/leader" in repr(lock(FakeCoordinationV1Api(), value))


@pytest.mark.parametrize(
    "value",
    [
        "",
        "A",
        "a.b",
        "a_b",
        "a b",
        "a\n",
        "a/b",
        "-a",
        "a-",
        "ä",
        "٣",
        "x" * 64,
        None,
        1,
        b"a",
        ODD,
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_namespace_that_is_no_dns_label_is_refused(value: Any) -> None:
    api = FakeCoordinationV1Api()
    error = refusal(lambda: lock(api, value))
    assert_names(error, "namespace", value, LABEL)
    assert api.requests == []


@pytest.mark.parametrize("value", ["a", "A b", "host_1.2/3", "é", "x" * 300, " a "])
def test_any_printable_holder_id_is_taken_as_it_is(value: str) -> None:
    assert LeaseLock(FakeCoordinationV1Api(), "default", params(holder_id=value)).holder_id == value


@pytest.mark.parametrize(
    "value",
    [
        *["", " ", "\t", "\n", "a\n", "a\x00", "a\x7f", "\x1b[31ma", "\u2028", "\ud800", "\u200b"],
        *[0, 1, True, b"a", ODD, ["a"]],
    ],
    ids=ascii,
)
def test_a_holder_id_that_is_empty_blank_or_not_printable_is_refused(value: Any) -> None:
    error = refusal(lambda: params(holder_id=value))
    assert_names(error, "holder_id", value, HOLDER)


# The dataclass


def test_params_are_given_by_keyword_only() -> None:
    positional: Any = LeaseLockParams
    with pytest.raises(TypeError, match="positional"):
        positional("leader", "a")


def test_params_cannot_be_changed() -> None:
    ours: Any = params(holder_id="a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        ours.holder_id = "b"
    assert ours.holder_id == "a"


def test_a_changed_copy_is_held_against_the_rules_again() -> None:
    error = refusal(lambda: dataclasses.replace(params(max_clock_skew=2.0), lease_ttl=2))
    assert_names(error, "max_clock_skew", error.value, "leaves -0.04 s to lead in")
    assert error.value == 2.0


def test_equal_params_are_equal_and_hash_alike() -> None:
    assert params(holder_id="a") == params(holder_id="a") != params(holder_id="b")
    assert len({params(holder_id="a"), params(holder_id="a")}) == 1


def test_the_defaults_are_those_of_the_documentation() -> None:
    assert dataclasses.asdict(params()) == {
        "lease_name": "leader",
        "holder_id": None,
        "lease_ttl": 15,
        "max_clock_skew": 0.0,
        "call_timeout": None,
    }


@pytest.mark.parametrize("value", [None, "leader", LeaseLockParams, ODD])
def test_params_of_another_type_are_refused(value: Any) -> None:
    api = FakeCoordinationV1Api()
    error = refusal(lambda: LeaseLock(api, "default", value))
    assert_names(error, "params", value, "must be a LeaseLockParams")
    assert api.requests == []


# Clients


class AsyncApi:
    """Every method is a coroutine, and none may be called."""

    async def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        raise AssertionError

    async def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
        raise AssertionError

    async def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        raise AssertionError


class TwoMethods:
    def read_namespaced_lease(self, name: str, namespace: str) -> Any:
        raise AssertionError

    def create_namespaced_lease(self, namespace: str, body: Any) -> Any:
        raise AssertionError


class HalfAsyncApi(TwoMethods):
    async def replace_namespaced_lease(self, name: str, namespace: str, body: Any) -> Any:
        raise AssertionError


@pytest.mark.parametrize("value", [None, "https://10.0.0.1", 1, {}, ODD, SimpleNamespace()])
def test_what_is_no_client_is_refused(value: Any) -> None:
    error = refusal(lambda: lock(value))
    assert_names(error, "client", value, CLIENT)
    assert f"this is a {type(value).__name__}" in error.rule


def test_of_a_dict_only_the_type_is_shown_since_a_kubeconfig_holds_secrets() -> None:
    error = refusal(lambda: lock({"users": [{"user": {"token": "hunter2"}}]}))
    assert str(error).startswith("client=<dict>: ")


@pytest.mark.parametrize("value", [CoordinationV1Api, ApiClient, CoreV1Api, FakeCoordinationV1Api])
def test_a_class_is_refused_with_the_advice_to_pass_an_instance(value: Any) -> None:
    error = refusal(lambda: lock(value))
    assert_names(error, "client", value, CLIENT)
    assert "this is a class, pass an instance" in error.rule


def test_another_api_of_the_client_is_refused_and_the_right_one_named() -> None:
    value = CoreV1Api()
    error = refusal(lambda: lock(value))
    assert_names(error, "client", value, CLIENT)
    assert "this is a CoreV1Api" in error.rule
    assert "pass CoordinationV1Api(" in error.rule


@pytest.mark.parametrize(
    "make",
    [
        lambda: MagicMock(spec=CoreV1Api),
        lambda: create_autospec(CoreV1Api),
        lambda: create_autospec(CoreV1Api, instance=True),
    ],
)
def test_a_mock_of_another_api_is_refused_and_not_called(make: Callable[[], Any]) -> None:
    value = make()
    error = refusal(lambda: lock(value))
    assert_names(error, "client", value, CLIENT)
    assert value.mock_calls == []


def test_a_fake_without_all_three_methods_is_refused() -> None:
    value = TwoMethods()
    error = refusal(lambda: lock(value))
    assert_names(error, "client", value, CLIENT)
    assert "this is a TwoMethods" in error.rule


@pytest.mark.parametrize("make", [AsyncApi, HalfAsyncApi])
def test_a_client_with_coroutine_methods_is_refused(make: Callable[[], Any]) -> None:
    value = make()
    error = refusal(lambda: lock(value))
    assert_names(error, "client", value, CLIENT)
    assert "this is an asynchronous" in error.rule


@pytest.mark.parametrize(
    "make",
    [
        AsyncMock,
        lambda: AsyncMock(spec=AsyncApi),
        lambda: MagicMock(spec=AsyncApi),
        lambda: create_autospec(AsyncApi, instance=True),
    ],
)
def test_an_asynchronous_mock_is_refused(make: Callable[[], Any]) -> None:
    value = make()
    error = refusal(lambda: lock(value))
    assert_names(error, "client", value, CLIENT)
    assert "this is an asynchronous" in error.rule
    assert value.mock_calls == []


def asynchronous_clients() -> list[Any]:
    """Those of the kubernetes module itself, which has them from version 36 on."""
    if importlib.util.find_spec("kubernetes.aio") is None:
        return []
    client = importlib.import_module("kubernetes.aio.client")
    # Without an ApiClient: a real one opens an aiohttp session.
    return [client.CoordinationV1Api(SimpleNamespace()), client.ApiClient.__new__(client.ApiClient)]


def test_the_asynchronous_client_of_kubernetes_is_refused_where_there_is_one() -> None:
    clients = asynchronous_clients()
    for value in clients:
        error = refusal(lambda value=value: lock(value))  # type: ignore[misc]
        assert_names(error, "client", value, CLIENT)
    assert all(type(value).__module__.startswith("kubernetes.aio.") for value in clients)


@pytest.mark.parametrize(
    "make",
    [
        CoordinationV1Api,
        ApiClient,
        FakeCoordinationV1Api,
        MagicMock,
        lambda: MagicMock(spec=CoordinationV1Api),
        lambda: create_autospec(CoordinationV1Api),
        lambda: create_autospec(CoordinationV1Api, instance=True),
    ],
)
def test_a_client_is_taken_without_a_request(make: Callable[[], Any]) -> None:
    client = make()
    assert lock(client).is_leader() is False
    log = "mock_calls" if isinstance(client, NonCallableMock) else "requests"
    assert not getattr(client, log, None)


# What is allowed, but fragile


def warnings_of(caplog: pytest.LogCaptureFixture, **values: Any) -> list[str]:
    with caplog.at_level(logging.DEBUG, logger="kube_leader_election"):
        LeaseLock(FakeCoordinationV1Api(), "default", params(**values))
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    assert all(record.name == "kube_leader_election" for record in caplog.records)
    return [record.getMessage() for record in caplog.records]


def test_the_defaults_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(caplog) == []


def test_little_time_for_a_call_is_warned_of_with_the_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [warning] = warnings_of(caplog, call_timeout=0.999)
    assert warning.startswith("Lease default/leader: ")
    assert "only 1.00 s" in warning or "only 0.99" in warning
    assert "call_timeout" in warning


def test_little_time_for_a_call_that_follows_from_the_lease_ttl_is_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [warning] = warnings_of(caplog, lease_ttl=5, max_clock_skew=None)
    assert "only 0.98 s" in warning
    assert "lease_ttl" in warning


def test_wall_clocks_with_hardly_any_room_are_warned_of_with_the_numbers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    [warning] = warnings_of(caplog, lease_ttl=9, max_clock_skew=0.0, call_timeout=1)
    assert "more than 0.090 s" in warning
    assert "lease_ttl (9)" in warning
    assert "max_clock_skew (0)" in warning


@pytest.mark.parametrize(
    "values",
    [
        {"call_timeout": 1},
        {"lease_ttl": 10, "max_clock_skew": 0.0},
        {"lease_ttl": 6, "max_clock_skew": None},
        {"lease_ttl": 6, "max_clock_skew": 0.02, "call_timeout": 1},
    ],
)
def test_settings_on_the_safe_side_of_a_bound_are_not_warned_of(
    caplog: pytest.LogCaptureFixture, values: dict[str, Any]
) -> None:
    assert warnings_of(caplog, **values) == []


def test_each_fragile_setting_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    warnings = warnings_of(caplog, lease_ttl=2, max_clock_skew=0.0)
    assert len(warnings) == len(set(warnings)) == 2
