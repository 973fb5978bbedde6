from __future__ import annotations

import copy
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from time import tzset
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_leader_election._core.record import (
    EARLIEST,
    LATEST,
    LeaseRecord,
    UnreadableLeaseError,
    lease_to_write,
    micro_time,
    read_lease,
)

NOON = datetime(2024, 1, 1, 12, tzinfo=timezone.utc)
NOON_TEXT = "2024-01-01T12:00:00.000000Z"


def read(spec: object = None, *, lease_ttl: int = 15, **metadata: Any) -> LeaseRecord:
    return read_lease({"metadata": metadata, "spec": spec}, lease_ttl=lease_ttl)


def held(**spec: Any) -> LeaseRecord:
    return read({"holderIdentity": "b", "renewTime": NOON_TEXT, **spec})


def test_a_lease_is_read_field_by_field() -> None:
    record = read(
        {
            "holderIdentity": "b",
            "leaseDurationSeconds": 30,
            "acquireTime": "2024-01-01T11:00:00.000001Z",
            "renewTime": NOON_TEXT,
            "leaseTransitions": 7,
        },
        uid="u",
        resourceVersion="12",
    )
    assert record == LeaseRecord(
        holder_identity="b",
        lease_duration_seconds=30,
        acquire_time=datetime(2024, 1, 1, 11, 0, 0, 1, tzinfo=timezone.utc),
        renew_time=NOON,
        lease_transitions=7,
        uid="u",
        resource_version="12",
    )


@pytest.mark.parametrize("lease", [{}, {"spec": None}, {"spec": {}}, {"metadata": None}])
def test_a_lease_without_a_spec_is_free(lease: dict[str, Any]) -> None:
    record = read_lease(lease, lease_ttl=15)
    assert record.holder_identity is None
    assert record.renew_time is None


@pytest.mark.parametrize("holder", [None, ""])
def test_a_lease_without_a_holder_is_free(holder: str | None) -> None:
    assert held(holderIdentity=holder).holder_identity is None


@pytest.mark.parametrize("duration", [None, 0, -1, -(2**40), 15.0, "15", True, [], object()])
def test_a_duration_that_is_absent_or_not_positive_or_odd_is_our_own_ttl(duration: object) -> None:
    assert read({"leaseDurationSeconds": duration}, lease_ttl=7).lease_duration_seconds == 7


@pytest.mark.parametrize("duration", [1, 2**31 - 1, 10**400])
def test_a_huge_duration_is_believed(duration: int) -> None:
    assert held(leaseDurationSeconds=duration).lease_duration_seconds == duration


def test_without_a_renew_time_the_acquire_time_counts() -> None:
    assert held(renewTime=None, acquireTime=NOON_TEXT).renew_time == NOON


def test_a_holder_with_neither_time_has_no_renew_time() -> None:
    assert held(renewTime=None, acquireTime=None).renew_time is None


@pytest.mark.parametrize("transitions", [None, 1.5, "3", True, object()])
def test_transitions_that_are_absent_or_odd_are_none(transitions: object) -> None:
    assert held(leaseTransitions=transitions).lease_transitions == 0


@pytest.mark.parametrize("acquired", [None, "yesterday", 12, True, object()])
def test_an_acquire_time_that_is_absent_or_odd_is_none(acquired: object) -> None:
    assert held(acquireTime=acquired).acquire_time is None


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-01-01T12:00:00Z", NOON),
        ("2024-01-01T12:00:00", NOON),
        ("2024-01-01 12:00:00Z", NOON),
        ("2024-01-01T14:00:00+02:00", NOON),
        ("2024-01-01T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2024-01-01T12:00:00.123456Z", NOON + timedelta(microseconds=123456)),
        ("2024-01-01T12:00:00.123456789Z", NOON + timedelta(microseconds=123456)),
        ("0000-01-01T00:00:00.000000Z", EARLIEST),
        ("0001-01-01T00:00:00.000000+10:00", EARLIEST),
        ("-0001-12-31T14:00:00.000000Z", EARLIEST),
        ("9999-12-31T23:59:59.999999-10:00", LATEST),
        ("10000-01-01T09:59:59.000000Z", LATEST),
        (datetime(2024, 1, 1, 12), NOON),  # noqa: DTZ001
        (NOON, NOON),
        (NOON.astimezone(timezone(timedelta(hours=5))), NOON),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-10))), LATEST),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=10))), EARLIEST),
    ],
)
def test_a_time_in_any_form_is_read_as_utc(text: object, time: datetime) -> None:
    renewed = held(renewTime=text).renew_time
    assert renewed == time
    assert renewed is not None
    assert renewed.utcoffset() == timedelta(0)


@pytest.mark.parametrize("time", ["", "soon", "2024-13-01T00:00:00Z", "é", 12, True, [], object()])
def test_a_holder_whose_time_of_renewal_cannot_be_read_is_an_error_that_names_it(
    time: object,
) -> None:
    with pytest.raises(UnreadableLeaseError) as caught:
        held(renewTime=time)
    assert "renewTime" in str(caught.value)
    assert "'b'" in str(caught.value)


def test_a_holder_whose_only_time_cannot_be_read_is_an_error_that_names_it() -> None:
    with pytest.raises(UnreadableLeaseError) as caught:
        held(renewTime=None, acquireTime="soon")
    assert "acquireTime" in str(caught.value)


def test_an_error_shows_the_ends_of_a_long_name() -> None:
    with pytest.raises(UnreadableLeaseError) as caught:
        held(holderIdentity="b" * 2**20, renewTime="soon")
    assert len(str(caught.value)) < 100


def test_a_free_lease_may_have_any_times() -> None:
    assert read({"renewTime": "soon", "acquireTime": 3}).renew_time is None


@pytest.mark.parametrize("holder", [1, True, ["b"], {"name": "b"}, b"b", object()])
def test_a_holder_that_is_no_text_is_never_taken_for_a_free_lease(holder: object) -> None:
    with pytest.raises(UnreadableLeaseError) as caught:
        held(holderIdentity=holder)
    assert str(caught.value) == f"spec.holderIdentity is a {type(holder).__name__}, not a string"


@pytest.mark.parametrize(
    ("lease", "said"),
    [
        (None, "it is a NoneType, not a Lease"),
        ([], "it is a list, not a Lease"),
        ("lease", "it is a str, not a Lease"),
        (3, "it is a int, not a Lease"),
        ({"spec": []}, "spec is a list, not an object"),
        ({"metadata": "x"}, "metadata is a str, not an object"),
    ],
)
def test_what_is_no_lease_is_an_error_that_says_what_it_is(lease: Any, said: str) -> None:
    with pytest.raises(UnreadableLeaseError) as caught:
        read_lease(lease, lease_ttl=15)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1", 1),
        ("18446744073709551617", 2**64 + 1),
        ("0", None),
        ("01", None),
        ("-1", None),
        ("+1", None),
        (" 1", None),
        ("1\n", None),
        ("1_0", None),
        ("\u0661", None),
        ("1\u0661", None),
        ("abc", None),
        ("9" * 5000, None),
        ("", None),
        (None, None),
        (12, None),
    ],
)
def test_only_a_positive_integer_without_leading_zeros_is_a_version(
    text: object, version: int | None
) -> None:
    assert read({}, resourceVersion=text).version == version


def test_records_say_the_same_whatever_their_resource_version() -> None:
    record = read({"holderIdentity": "b", "renewTime": NOON}, uid="u", resourceVersion="1")
    edited = read({"holderIdentity": "b", "renewTime": NOON}, uid="u", resourceVersion="2")
    assert record.says_the_same_as(edited)


@pytest.mark.parametrize(
    "change",
    [
        {"holderIdentity": "c"},
        {"leaseDurationSeconds": 16},
        {"acquireTime": NOON_TEXT},
        {"renewTime": "2024-01-01T12:00:00.000001Z"},
        {"leaseTransitions": 1},
    ],
)
def test_records_that_differ_in_any_field_do_not_say_the_same(change: dict[str, Any]) -> None:
    assert not held().says_the_same_as(held(**change))


@pytest.mark.parametrize("strategy", [None, "", 3, True, ["x"], object()])
def test_a_strategy_that_is_absent_or_odd_is_none(strategy: object) -> None:
    assert held(strategy=strategy).strategy is None


def test_records_say_the_same_whoever_appoints_their_holder() -> None:
    assert held(strategy="OldestEmulationVersion").strategy == "OldestEmulationVersion"
    assert held(strategy="OldestEmulationVersion").says_the_same_as(held())
    assert held().says_the_same_as(held(strategy="another"))


def test_records_of_two_leases_of_one_name_do_not_say_the_same() -> None:
    assert not read({}, uid="u").says_the_same_as(read({}, uid="v"))


BASE: dict[str, Any] = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {
        "name": "leader",
        "namespace": "default",
        "uid": "u",
        "resourceVersion": "12",
        "labels": {"app": "x"},
        "annotations": {"note": "y"},
        "ownerReferences": [{"kind": "Pod", "name": "p", "uid": "q"}],
        "finalizers": ["example.com/keep"],
        "managedFields": [{"manager": "m"}],
        "futureField": 1,
    },
    "spec": {"preferredHolder": "c", "strategy": "OldestEmulationVersion", "futureField": [2]},
    "status": {"futureField": 3},
}
RECORD = LeaseRecord(
    holder_identity="a",
    lease_duration_seconds=15,
    acquire_time=NOON,
    renew_time=NOON + timedelta(microseconds=1),
    lease_transitions=3,
)


def written(record: LeaseRecord, base: dict[str, Any] | None = None) -> dict[str, Any]:
    return lease_to_write(record, lease_name="leader", namespace="default", base=base)


def test_the_object_to_create_says_all_five_fields_and_its_name() -> None:
    assert written(RECORD) == {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "leader", "namespace": "default"},
        "spec": {
            "holderIdentity": "a",
            "leaseDurationSeconds": 15,
            "acquireTime": NOON_TEXT,
            "renewTime": "2024-01-01T12:00:00.000001Z",
            "leaseTransitions": 3,
        },
    }


def test_the_object_to_replace_keeps_every_foreign_field_known_or_not() -> None:
    lease = written(RECORD, BASE)
    for field in ("uid", "resourceVersion", "labels", "annotations", "ownerReferences"):
        assert lease["metadata"][field] == BASE["metadata"][field]
    assert lease["metadata"]["finalizers"] == ["example.com/keep"]
    assert lease["metadata"]["futureField"] == 1
    assert lease["spec"]["preferredHolder"] == "c"
    assert lease["spec"]["strategy"] == "OldestEmulationVersion"
    assert lease["spec"]["futureField"] == [2]
    assert lease["status"] == {"futureField": 3}


def test_the_object_to_replace_leaves_managed_fields_out() -> None:
    assert "managedFields" not in written(RECORD, BASE)["metadata"]


def test_the_object_that_was_read_is_not_changed_and_shares_nothing_with_the_new_one() -> None:
    before = copy.deepcopy(BASE)
    lease = written(RECORD, BASE)
    lease["metadata"]["labels"]["app"] = "changed"
    lease["spec"]["futureField"].append(4)
    assert before == BASE


@pytest.mark.parametrize("base", [{"spec": None, "metadata": None}, {}])
def test_an_object_without_a_spec_or_metadata_can_be_replaced(base: dict[str, Any]) -> None:
    assert written(RECORD, base)["spec"]["holderIdentity"] == "a"


def test_a_free_lease_is_written_with_an_empty_holder() -> None:
    free = LeaseRecord(**{**vars(RECORD), "holder_identity": None})
    assert written(free)["spec"]["holderIdentity"] == ""


def test_a_time_that_is_not_there_is_written_as_null() -> None:
    assert micro_time(None) is None


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "XYZ-10")
        tzset()
        yield
    tzset()


@pytest.mark.usefixtures("far_from_utc")
def test_a_time_is_written_and_read_in_utc_wherever_the_machine_is() -> None:
    assert micro_time(NOON.astimezone()) == micro_time(NOON) == NOON_TEXT
    for text in (NOON_TEXT, "2024-01-01T12:00:00", "2024-01-01T14:00:00+02:00"):
        renewed = held(renewTime=text).renew_time
        assert renewed is not None
        assert (renewed, renewed.utcoffset()) == (NOON, timedelta(0))


@given(st.datetimes(timezones=st.just(timezone.utc)))
def test_a_time_is_always_written_with_six_digits_and_read_back_the_same(time: datetime) -> None:
    text = micro_time(time)
    assert text is not None
    assert len(text) == len("2024-01-01T12:00:00.000000Z")
    assert held(renewTime=text).renew_time == time


_ODD = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.none())


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "holderIdentity": _ODD,
            "leaseDurationSeconds": _ODD,
            "acquireTime": _ODD | st.datetimes(),
            "renewTime": _ODD | st.datetimes(),
            "leaseTransitions": _ODD,
        },
    )
)
def test_whatever_the_fields_are_a_lease_is_read_or_found_unreadable(spec: dict[str, Any]) -> None:
    try:
        record = read(spec)
    except UnreadableLeaseError:
        return
    assert record.lease_duration_seconds > 0
    assert record.holder_identity == (spec.get("holderIdentity") or None)
