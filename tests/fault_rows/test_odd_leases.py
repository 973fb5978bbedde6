"""Rows 34 and 37: what a Lease may say, and how times are written"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from kube_leader_election import (
    GetLeaseError,
    NotLeadingError,
    RenewLeaseError,
)
from kube_leader_election.testing import FakeClock, faults
from tests.fault_rows.world import (
    EXPIRED,
    HELD,
    LONG_AGO,
    MAX_INT32,
    MICRO_TIME,
    NAME,
    NOW,
    START,
    TEN_SECONDS_AGO,
    TTL,
    Http,
    Real,
    Server,
    cases,
)

# What a Lease may say

TAKEN = {
    "holder empty": {"holder_identity": ""},
    "holder null": {"holder_identity": None},
    "nothing at all": dict.fromkeys(HELD),
    "times null": {"acquire_time": None, "renew_time": None},
    "renew time null, acquired long ago": {"acquire_time": LONG_AGO, "renew_time": None},
    "duration null, renewed long ago": {"lease_duration_seconds": None, "renew_time": LONG_AGO},
    "transitions null": {"lease_transitions": None, "renew_time": LONG_AGO},
    "everything null but the holder": {**dict.fromkeys(HELD), "holder_identity": "b"},
    "renewed in the year 1": {"renew_time": "0001-01-01T00:00:00.000001Z"},
    "renewed before the year 1": {"renew_time": "0001-01-01T00:00:00.000001+05:00"},
    "renewed in another zone": {"renew_time": "2026-01-01T14:00:00.000000+05:00"},
}
LEFT = {
    "as it should": {},
    "duration null": {"lease_duration_seconds": None, "renew_time": TEN_SECONDS_AGO},
    "duration huge": {"lease_duration_seconds": MAX_INT32, "renew_time": LONG_AGO},
    "acquire time null": {"acquire_time": None},
    "renew time null": {"renew_time": None},
    "transitions null": {"lease_transitions": None},
    "renewed in the year 9999": {"renew_time": "9999-12-31T23:59:59.999999Z"},
    "renewed after the year 9999": {"renew_time": "9999-12-31T23:59:59.999999-05:00"},
    "acquired in the year 9999": {
        "acquire_time": "9999-12-31T23:59:59.999999Z",
        "renew_time": None,
    },
    "renewed in another zone": {"renew_time": "2026-01-01T17:00:00.000000+05:00"},
}
# What kube-apiserver does not store.
TAKEN_IF_STORED = {
    "duration 0, renewed long ago": {"lease_duration_seconds": 0, "renew_time": LONG_AGO},
    "duration -1, renewed long ago": {"lease_duration_seconds": -1, "renew_time": LONG_AGO},
    "duration a text": {"lease_duration_seconds": "9" * 30, "renew_time": LONG_AGO},
    "transitions beyond int64": {"lease_transitions": 2**64, "renew_time": LONG_AGO},
    "transitions a text": {"lease_transitions": "many", "renew_time": LONG_AGO},
    "renewed without a zone": {"renew_time": "2025-12-31T23:59:59"},
}
LEFT_IF_STORED = {
    "duration 0": {"lease_duration_seconds": 0, "renew_time": TEN_SECONDS_AGO},
    "duration -1": {"lease_duration_seconds": -1, "renew_time": TEN_SECONDS_AGO},
    "duration beyond int64": {"lease_duration_seconds": 2**64, "renew_time": LONG_AGO},
    "duration beyond a float": {"lease_duration_seconds": 10**400, "renew_time": LONG_AGO},
    "renewed without a zone": {"renew_time": "2026-01-01T12:00:00"},
    "renewed without digits": {"renew_time": "2026-01-01T12:00:00Z"},
    "renewed with nine digits": {"renew_time": "2026-01-01T12:00:00.123456789Z"},
}


def assert_is_taken_at_once(server: Server, spec: dict[str, Any]) -> None:
    server.put(**{**HELD, **spec})
    standby = server.lock()
    assert server.asked_by(standby.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    assert standby.is_leader()
    assert server.spec["holderIdentity"] == "a"
    assert server.spec["leaseDurationSeconds"] == TTL
    assert standby.try_acquire_or_renew()


def assert_is_left_alone(server: Server, spec: dict[str, Any]) -> None:
    server.put(**{**HELD, **spec})
    before = server.lease()
    standby = server.lock()
    assert server.asked_by(standby.try_acquire_or_renew) == [("get", 200)]
    assert not standby.is_leader()
    with pytest.raises(NotLeadingError):
        standby.step_down()
    assert server.lease() == before


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(TAKEN))
def test_a_lease_that_says_free_or_expired_is_taken_at_once(
    server: Server, spec: dict[str, Any]
) -> None:
    assert_is_taken_at_once(server, spec)


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(TAKEN_IF_STORED))
def test_a_lease_that_no_server_should_store_is_taken_where_it_has_expired(
    http: Http, spec: dict[str, Any]
) -> None:
    assert_is_taken_at_once(http, spec)


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(LEFT))
def test_a_lease_that_may_still_be_held_is_left_alone(server: Server, spec: dict[str, Any]) -> None:
    assert_is_left_alone(server, spec)


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize("spec", cases(LEFT_IF_STORED))
def test_a_lease_that_no_server_should_store_is_left_alone_where_it_may_be_held(
    http: Http, spec: dict[str, Any]
) -> None:
    assert_is_left_alone(http, spec)


@pytest.mark.fault_row(number=34)
@pytest.mark.apiserver
def test_a_lease_without_a_spec_is_taken_at_once_from_the_real_server(real: Real) -> None:
    assert real.others.create({"metadata": {"name": NAME}}).status == 201
    assert real.lock().try_acquire_or_renew()


@pytest.mark.fault_row(number=34)
def test_a_lease_without_a_spec_is_taken_at_once(http: Http) -> None:
    http.put(**dict.fromkeys(HELD))
    http.fail(faults.answer(200, body=faults.without("spec")), "get")
    assert http.lock().try_acquire_or_renew()


@pytest.mark.fault_row(number=34)
def test_a_holder_without_any_time_is_waited_out_by_who_trusts_no_wall_clock(
    server: Server,
) -> None:
    server.put(**{**HELD, "acquire_time": None, "renew_time": None})
    standby = server.lock(max_clock_skew=None)
    assert not standby.try_acquire_or_renew()
    server.clock.advance(TTL - 0.01)
    assert not standby.try_acquire_or_renew()
    server.clock.advance(0.02)
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=34)
def test_a_holder_who_cannot_be_told_or_timed_is_an_error_and_never_a_free_lease(
    http: Http,
) -> None:
    standby = http.lock()
    for odd in ({"holder_identity": 7}, {"renew_time": "yesterday"}):
        http.put(**{**HELD, **odd})
        before = http.stand_in.stored_lease(NAME)
        _, asked = http.failure(standby, GetLeaseError, 200)
        assert asked == [("get", 200)]
        assert http.stand_in.stored_lease(NAME) == before


@pytest.mark.fault_row(number=34)
@pytest.mark.parametrize(
    ("stored", "written"), [(None, 1), (0, 1), (MAX_INT32 - 1, MAX_INT32), (MAX_INT32, MAX_INT32)]
)
def test_a_takeover_counts_transitions_as_far_as_they_can_be_counted(
    server: Server, stored: int | None, written: int
) -> None:
    server.put(**{**EXPIRED, "lease_transitions": stored})
    assert server.lock().try_acquire_or_renew()
    assert server.spec["leaseTransitions"] == written


@pytest.mark.fault_row(number=34)
def test_a_renewal_sets_the_time_of_acquiring_where_it_was_null(server: Server) -> None:
    server.put(**{**HELD, "holder_identity": "a", "acquire_time": None})
    assert server.lock().try_acquire_or_renew()
    assert server.spec["acquireTime"] == server.spec["renewTime"]


# Six digits

WHOLE_SECOND = START.replace(microsecond=0)


@pytest.mark.fault_row(number=37)
def test_at_a_whole_second_every_write_has_six_digits(server: Server) -> None:
    clock = FakeClock(start=WHOLE_SECOND)
    lock = server.lock(clock=clock)
    times = []
    for _ in range(3):
        lock.try_acquire_or_renew()
        times += [server.spec["acquireTime"], server.spec["renewTime"]]
        clock.advance(1)
    lock.step_down()
    times += [server.spec["acquireTime"], server.spec["renewTime"]]
    assert all(MICRO_TIME.fullmatch(text) for text in times)
    assert [verb for verb, _ in server.requests()].count("update") == 3


@pytest.mark.fault_row(number=37)
def test_at_a_whole_second_six_digits_are_on_the_wire(http: Http) -> None:
    lock = http.lock(clock=FakeClock(start=WHOLE_SECOND))
    lock.try_acquire_or_renew()
    lock.try_acquire_or_renew()
    lock.step_down()
    sent = [body["spec"] for verb in ("create", "update") for body in http.bodies(verb)]
    assert len(sent) == 3
    for spec in sent:
        assert MICRO_TIME.fullmatch(spec["acquireTime"])
        assert MICRO_TIME.fullmatch(spec["renewTime"])


@pytest.mark.fault_row(number=37)
@pytest.mark.parametrize("kept", [LONG_AGO, "2020-01-01T00:00:00.120000Z"])
def test_a_time_that_is_kept_is_written_back_with_six_digits(server: Server, kept: str) -> None:
    server.put(**{**HELD, "holder_identity": "a", "acquire_time": kept, "renew_time": kept})
    leader = server.leader()
    assert server.spec["acquireTime"] == kept
    assert server.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    assert server.spec["acquireTime"] == kept


@pytest.mark.fault_row(number=37)
@pytest.mark.parametrize("start", [START, WHOLE_SECOND], ids=["any time", "a whole second"])
def test_while_the_clock_stands_still_every_renewal_moves_the_lease(
    server: Server, start: datetime
) -> None:
    lock = server.leader(clock=FakeClock(start=start))
    seen = [(server.spec["renewTime"], server.version)]
    for _ in range(5):
        assert lock.try_acquire_or_renew()
        seen.append((server.spec["renewTime"], server.version))
    times, versions = zip(*seen, strict=True)
    assert list(times) == sorted(set(times))
    assert list(versions) == sorted(set(versions))


@pytest.mark.fault_row(number=37)
def test_while_the_clock_stands_still_no_two_lost_renewals_bear_the_same_time(http: Http) -> None:
    leader = http.leader()
    http.fail(faults.lose_request(), "update", times=3)
    for _ in range(3):
        http.failure(leader, RenewLeaseError, None)
    assert leader.try_acquire_or_renew()
    times = [body["spec"]["renewTime"] for body in http.bodies("update")]
    assert len(set(times)) == 4
    assert NOW not in times
