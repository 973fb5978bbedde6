"""One vocabulary of faults: what each does to a `LeaseLock`, in memory and behind HTTP"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

import pytest

from kube_leader_election import (
    GetLeaseError,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    RenewLeaseError,
)
from kube_leader_election.testing import (
    ApiServer,
    FakeCoordinationV1Api,
    UnmetFaultsError,
    faults,
)
from kube_leader_election.testing._stand_in import StandIn
from kube_leader_election.testing.faults import Fault

from .conftest import Stage

NOT_CARRIED_OUT = {
    "lose_request": faults.lose_request(),
    "hang": faults.hang(),
    "dribble header": faults.dribble("header"),
    "dribble body": faults.dribble("body"),
    "reset": faults.reset(),
    "answer 500": faults.answer(500),
    "answer 429": faults.answer(429, headers={"Retry-After": "60"}),
    "answer 502 html": faults.answer(502, body=faults.html),
}
CARRIED_OUT = {
    "lose_answer": faults.lose_answer(),
    "hang": faults.hang(committed=True),
    "dribble header": faults.dribble("header", committed=True),
    "dribble body": faults.dribble("body", committed=True),
    "reset": faults.reset(committed=True),
    "answer 503": faults.answer(503, committed=True),
    "hold_answer for too long": faults.hold_answer(99),
}
SHORT = 0.5


def renewed_by(stage: Stage) -> str:
    lease = stage.stand_in.stored_lease("leader")
    assert lease is not None
    return str(lease["spec"]["renewTime"])


@pytest.mark.parametrize(
    ("fault", "committed"),
    [
        *(pytest.param(fault, False, id=name) for name, fault in NOT_CARRIED_OUT.items()),
        *(
            pytest.param(fault, True, id=f"{name}, committed")
            for name, fault in CARRIED_OUT.items()
        ),
    ],
)
def test_a_write_that_meets_a_fault_is_an_error_and_is_carried_out_as_the_fault_says(
    stage: Stage, fault: Fault, committed: bool
) -> None:
    lock = stage.lock(call_timeout=SHORT)
    lock.try_acquire_or_renew()
    before = renewed_by(stage)
    stage.clock.advance(1)
    stage.stand_in.fail_next(fault, verb="update")
    with pytest.raises(RenewLeaseError):
        lock.try_acquire_or_renew()
    assert (renewed_by(stage) != before) is committed
    assert lock.try_acquire_or_renew().acquired_lease
    expected = ["get"] if committed else ["get", "update"]
    assert stage.asked == ["get", "create", "get", "update", *expected]


@pytest.mark.parametrize("fault", NOT_CARRIED_OUT.values(), ids=NOT_CARRIED_OUT)
def test_a_read_that_meets_a_fault_is_an_error(stage: Stage, fault: Fault) -> None:
    stage.stand_in.put_lease("leader", holder_identity="b")
    stage.stand_in.fail_next(fault)
    lock = stage.lock(call_timeout=SHORT)
    with pytest.raises(GetLeaseError):
        lock.read()
    record = lock.read()
    assert record is not None
    assert record.holder_identity == "b"


@pytest.mark.parametrize("status", [400, 403, 410, 422, 429, 500, 503, 504])
def test_an_armed_status_is_the_answer_s(stage: Stage, status: int) -> None:
    stage.stand_in.fail_next(faults.answer(status))
    lock = stage.lock()
    with pytest.raises(LeaseError) as caught:
        lock.read()
    assert caught.value.status == status
    assert [request.status for request in stage.stand_in.requests] == [status]


def test_an_armed_404_is_an_absent_lease(stage: Stage) -> None:
    stage.stand_in.put_lease("leader", holder_identity="b")
    stage.stand_in.fail_next(faults.answer(404))
    assert stage.lock().read() is None


@pytest.mark.parametrize(
    "body", [faults.cut_json, faults.html, b"", "[]", b"\xff", faults.without("spec.renewTime")]
)
def test_a_body_that_is_no_readable_lease_is_an_error(
    stage: Stage, body: Callable[..., bytes] | bytes | str
) -> None:
    stage.stand_in.put_lease("leader", holder_identity="b", acquire_time=None)
    stage.stand_in.fail_next(faults.answer(200, body=body))
    lock = stage.lock()
    if isinstance(body, bytes | str) or body in (faults.cut_json, faults.html):
        with pytest.raises(GetLeaseError):
            lock.read()
    else:
        record = lock.read()
        assert record is not None
        assert record.renew_time is None
    assert lock.read() is not None


def test_a_late_answer_takes_its_time_on_the_clock_of_the_fake(stage: Stage) -> None:
    if not hasattr(stage.stand_in, "read_namespaced_lease"):
        stage.stand_in.fail_next(faults.hold_answer(0.05), verb="create")
        assert stage.lock().try_acquire_or_renew()
        return
    before = stage.clock.monotonic()
    stage.stand_in.fail_next(faults.hold_answer(2.5), verb="create")
    assert stage.lock().try_acquire_or_renew()
    assert stage.clock.monotonic() == before + 2.5


def test_a_stale_read_shows_an_earlier_version_and_the_guarded_write_notices(stage: Stage) -> None:
    stage.stand_in.put_lease("leader", holder_identity="b", renew_time=None, acquire_time=None)
    stage.stand_in.put_lease("leader", holder_identity="c")
    stage.stand_in.fail_next(faults.stale_read(), verb="get")
    result = stage.lock().try_acquire_or_renew()
    assert not result
    assert stage.holder == "c"
    assert [request.status for request in stage.stand_in.requests] == [200, 409, 200]


def test_a_stale_read_may_show_the_time_before_the_lease_was_created(stage: Stage) -> None:
    stage.stand_in.put_lease("leader", holder_identity="b")
    stage.stand_in.fail_next(faults.stale_read(), verb="get")
    assert stage.lock().read() is None
    assert stage.lock().read() is not None


def test_a_fault_is_for_its_verb_and_its_user_alone(stage: Stage) -> None:
    stage.stand_in.fail_next(faults.answer(500), verb="create", user="b")
    assert stage.lock("a").try_acquire_or_renew()
    stage.stand_in.remove_lease("leader")
    with pytest.raises(LeaseError):
        stage.lock("b").try_acquire_or_renew()


def test_a_fault_is_for_the_nth_request_and_for_so_many(stage: Stage) -> None:
    stage.stand_in.fail_next(faults.answer(500), verb="get", skip=2, times=2)
    lock = stage.lock()
    outcomes = []
    for _ in range(6):
        with contextlib.suppress(LeaseError):
            lock.read()
        outcomes.append(stage.stand_in.requests[-1].status)
    assert outcomes == [404, 404, 500, 500, 404, 404]


def test_faults_of_one_kind_of_request_come_in_the_order_of_arming(stage: Stage) -> None:
    stage.stand_in.fail_next(faults.answer(500))
    stage.stand_in.fail_next(faults.answer(503))
    lock = stage.lock()
    seen = []
    for _ in range(2):
        with pytest.raises(LeaseError) as caught:
            lock.read()
        seen.append(caught.value.status)
    assert seen == [500, 503]


def test_a_fault_without_an_end_meets_every_request(stage: Stage) -> None:
    stage.stand_in.fail_next(faults.answer(500), times=None)
    lock = stage.lock()
    for _ in range(5):
        with pytest.raises(LeaseError):
            lock.read()


@pytest.mark.parametrize("times", [1, 2, None])
def test_a_fault_that_was_not_met_as_often_as_armed_fails_the_test(
    stage: Stage, times: int | None
) -> None:
    stage.stand_in.fail_next(faults.answer(500), verb="get", times=times)
    with pytest.raises(UnmetFaultsError, match="never met"):
        stage.stand_in.check_faults_met()
    for _ in range(times or 1):
        with pytest.raises(LeaseError):
            stage.lock().read()
    stage.stand_in.check_faults_met()


def test_a_race_is_run_between_the_read_and_the_write(stage: Stage) -> None:
    stage.stand_in.put_lease("leader", holder_identity=None)
    stage.stand_in.before_next(
        lambda: stage.stand_in.put_lease("leader", holder_identity="b"), verb="update"
    )
    assert not stage.lock().try_acquire_or_renew()
    assert stage.asked == ["get", "update", "get"]
    assert stage.holder == "b"


def test_a_race_that_was_never_run_fails_the_test(stage: Stage) -> None:
    ran: list[int] = []
    stage.stand_in.before_next(lambda: ran.append(1), verb="get", skip=1)
    lock = stage.lock()
    lock.read()
    with pytest.raises(UnmetFaultsError):
        stage.stand_in.check_faults_met()
    lock.read()
    assert ran == [1]


def test_what_a_race_raises_over_http_fails_the_test() -> None:
    with pytest.raises(KeyError, match="in the race"), ApiServer() as server:
        read_in_vain(server.client(), server)


def test_what_a_race_raises_in_memory_comes_out_of_the_client() -> None:
    with FakeCoordinationV1Api() as api:
        error = read_in_vain(api, api)
    assert isinstance(error.__cause__, KeyError)


def read_in_vain(client: Any, stand_in: StandIn) -> GetLeaseError:
    def fail() -> None:
        raise KeyError("in the race")

    stand_in.before_next(fail)
    with pytest.raises(GetLeaseError) as caught:
        LeaseLock(client, "default", LeaseLockParams(lease_name="leader")).read()
    return caught.value


def test_of_two_races_for_one_kind_of_request_each_has_its_own(stage: Stage) -> None:
    ran: list[str] = []
    for name in ("first", "second"):
        stage.stand_in.before_next(functools.partial(ran.append, name), verb="get")
    lock = stage.lock()
    lock.read()
    assert ran == ["first"]
    lock.read()
    assert ran == ["first", "second"]


def test_a_lease_that_is_not_there_can_be_removed(stage: Stage) -> None:
    stage.stand_in.remove_lease("leader")
    assert stage.stand_in.stored_lease("leader") is None


def test_connections_are_refused_until_the_last_block_that_does_so_ends(stage: Stage) -> None:
    lock = stage.lock()
    with stage.stand_in.refuse_connections():
        with stage.stand_in.refuse_connections():
            pass
        with pytest.raises(LeaseError):
            lock.read()
    assert lock.read() is None


def test_refused_connections_are_errors_and_no_requests(stage: Stage) -> None:
    lock = stage.lock()
    lock.try_acquire_or_renew()
    with stage.stand_in.refuse_connections(), pytest.raises(LeaseError) as caught:
        lock.try_acquire_or_renew()
    assert caught.value.status is None
    assert lock.try_acquire_or_renew()
    assert stage.asked == ["get", "create", "get", "update"]


def test_a_handshake_that_never_ends_is_an_error_and_no_request(stage: Stage) -> None:
    stage.stand_in.fail_next(faults.hang_in_handshake())
    lock = stage.lock(call_timeout=SHORT)
    with pytest.raises(GetLeaseError):
        lock.try_acquire_or_renew()
    assert lock.try_acquire_or_renew()
    assert stage.asked == ["get", "create"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"fault": "hang"}, "fault='hang': must be one of kube_leader_election.testing.faults"),
        (
            {"fault": faults.hang(), "verb": "GET"},
            "verb='GET': must be one of get, list, watch, create, update, patch, delete",
        ),
        ({"fault": faults.stale_read(), "verb": "update"}, "verb='update': must be one of get"),
        ({"fault": faults.end_watch(), "verb": "list"}, "verb='list': must be one of watch"),
        (
            {"fault": faults.hang_in_handshake(), "verb": "get"},
            "a handshake is no request of anybody's: it takes no verb and no user",
        ),
        ({"fault": faults.hang(), "skip": -1}, "skip=-1: must be a whole number, 0 or more"),
        ({"fault": faults.hang(), "times": 0}, "times=0: must be a whole number, 1 or more"),
        ({"fault": faults.hang(), "times": True}, "times=True: must be a whole number, 1 or more"),
    ],
)
def test_what_cannot_be_armed_is_refused(
    stage: Stage, arguments: dict[str, object], problem: str
) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        stage.stand_in.fail_next(**arguments)  # type: ignore[arg-type]
    assert str(caught.value) == problem
    stage.stand_in.check_faults_met()


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: faults.stale_read(-1), "versions=-1: must be a whole number, 0 or more"),
        (lambda: faults.hold_answer(-1), "seconds=-1: must be a number, 0 or more"),
        (lambda: faults.answer(0), "status=0: must be a whole number, 100 or more"),
        (lambda: faults.end_watch(after=-1), "after=-1: must be a whole number, 0 or more"),
        (lambda: faults.miss_events(0), "count=0: must be a whole number, 1 or more"),
    ],
)
def test_a_fault_that_cannot_be_is_refused_when_it_is_made(
    make: Callable[[], Fault], problem: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the message is compared whole)
        make()
    assert str(caught.value) == problem


def test_only_a_header_or_a_body_can_dribble() -> None:
    with pytest.raises(ValueError, match="part='tail': must be 'header' or 'body'"):
        faults.dribble("tail")
