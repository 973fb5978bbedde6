"""LeaseLock over a fake API server, on clocks that are told the time."""

from __future__ import annotations

import gc
import logging
import os
import signal
import threading
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from kube_leader_election import (
    GetLeaseError,
    LeaseLock,
    LeaseLockParams,
    NotLeadingError,
    ReleaseLeaseError,
    RenewLeaseError,
)
from kube_leader_election._core.own_writes import OwnWrites
from kube_leader_election.testing import FakeClock, FakeCoordinationV1Api, faults

from .conftest import MakeLock, stored_spec, verbs
from .hostile import PATIENCE, wait_until

UNAVAILABLE = faults.answer(503)
ANSWER_LOST = faults.answer(503, committed=True)


def wall(clock: FakeClock) -> str:
    return f"{clock.utcnow():%Y-%m-%dT%H:%M:%S.%f}Z"


def test_an_absent_lease_is_acquired(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock, make_lock: MakeLock
) -> None:
    lock = make_lock("a")
    result = lock.try_acquire_or_renew()
    assert result
    assert lock.is_leader()
    assert stored_spec(lease_api)["holderIdentity"] == "a"
    assert stored_spec(lease_api)["leaseDurationSeconds"] == 15
    assert stored_spec(lease_api)["renewTime"] == wall(fake_clock)


def test_one_of_two_leads_and_the_other_is_told_who(make_lock: MakeLock) -> None:
    a, b = make_lock("a"), make_lock("b")
    assert a.try_acquire_or_renew()
    refused = b.try_acquire_or_renew()
    assert not refused
    assert not b.is_leader()
    assert refused.lease is not None
    assert refused.lease.holder_identity == "a"


def test_a_lease_that_is_not_renewed_passes_to_another(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock, make_lock: MakeLock
) -> None:
    a, b = make_lock("a"), make_lock("b")
    first = a.try_acquire_or_renew()
    fake_clock.advance(15)
    assert not b.try_acquire_or_renew()
    assert not a.is_leader()
    fake_clock.advance(0.001)
    second = b.try_acquire_or_renew()
    assert second
    assert stored_spec(lease_api)["leaseTransitions"] == 1
    assert first.fencing_token is not None
    assert second.fencing_token is not None
    assert second.fencing_token > first.fencing_token


def test_a_lease_that_is_renewed_stays(fake_clock: FakeClock, make_lock: MakeLock) -> None:
    a, b = make_lock("a"), make_lock("b")
    tokens = set()
    for _ in range(10):
        tokens.add(a.try_acquire_or_renew().fencing_token)
        fake_clock.advance(5)
        assert not b.try_acquire_or_renew()
        assert a.is_leader()
    assert len(tokens) == 1


def test_a_created_taken_or_renewed_lease_takes_two_requests_and_a_refusal_one(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock, make_lock: MakeLock
) -> None:
    a, b = make_lock("a"), make_lock("b")
    a.try_acquire_or_renew()
    a.try_acquire_or_renew()
    b.try_acquire_or_renew()
    fake_clock.advance(16)
    b.try_acquire_or_renew()
    assert verbs(lease_api) == ["get", "create", "get", "update", "get", "get", "update"]


def test_a_lease_that_was_stepped_down_from_is_free_at_once(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    a, b = make_lock("a"), make_lock("b")
    a.try_acquire_or_renew()
    a.step_down()
    assert not a.is_leader()
    assert a.fencing_token is None
    assert stored_spec(lease_api)["holderIdentity"] == ""
    assert b.try_acquire_or_renew()


def test_stepping_down_from_another_s_lease_names_who_holds_it_and_writes_nothing(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    a, b = make_lock("a"), make_lock("b")
    a.try_acquire_or_renew()
    with pytest.raises(NotLeadingError) as caught:
        b.step_down()
    assert caught.value.holder_identity == "a"
    assert "default/leader" in str(caught.value)
    assert stored_spec(lease_api)["holderIdentity"] == "a"


def test_stepping_down_that_fails_leaves_no_term_though_another_thread_began_one_meanwhile(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    lock = make_lock("a", call_timeout=1)

    def begin_a_term_and_fail() -> None:
        assert lock.try_acquire_or_renew()
        lease_api.fail_next(UNAVAILABLE)

    lease_api.before_next(begin_a_term_and_fail)
    with pytest.raises(GetLeaseError):
        lock.step_down()
    assert not lock.is_leader()


def test_stepping_down_without_a_lease_is_not_leading(make_lock: MakeLock) -> None:
    with pytest.raises(NotLeadingError) as caught:
        make_lock("a").step_down()
    assert caught.value.holder_identity is None


def test_a_release_that_fails_ends_the_term_all_the_same_and_can_be_repeated(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    lease_api.fail_next(UNAVAILABLE, verb="update")
    with pytest.raises(ReleaseLeaseError):
        lock.step_down()
    assert not lock.is_leader()
    assert stored_spec(lease_api)["holderIdentity"] == "a"
    lock.step_down()
    assert stored_spec(lease_api)["holderIdentity"] == ""


def test_a_release_whose_answer_was_lost_can_be_repeated(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    lease_api.fail_next(ANSWER_LOST, verb="update")
    with pytest.raises(ReleaseLeaseError):
        lock.step_down()
    lock.step_down()
    assert verbs(lease_api).count("update") == 1
    assert stored_spec(lease_api)["holderIdentity"] == ""


def test_a_renewal_that_fails_leaves_us_leader_until_our_own_deadline(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock, make_lock: MakeLock
) -> None:
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    fake_clock.advance(5)
    lease_api.fail_next(UNAVAILABLE, verb="update")
    with pytest.raises(RenewLeaseError) as caught:
        lock.try_acquire_or_renew()
    assert caught.value.status == 503
    assert lock.is_leader()
    fake_clock.advance(9.69)
    assert lock.is_leader()
    fake_clock.advance(0.02)
    assert not lock.is_leader()


def test_a_renewal_whose_answer_was_lost_is_recognised_without_another_write(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock, make_lock: MakeLock
) -> None:
    lock = make_lock("a")
    token = lock.try_acquire_or_renew().fencing_token
    fake_clock.advance(5)
    lease_api.fail_next(ANSWER_LOST, verb="update")
    with pytest.raises(RenewLeaseError):
        lock.try_acquire_or_renew()
    fake_clock.advance(1)
    result = lock.try_acquire_or_renew()
    assert verbs(lease_api)[-2:] == ["update", "get"]
    assert result.fencing_token == token
    fake_clock.advance(13.69)
    assert lock.is_leader()
    fake_clock.advance(0.02)
    assert not lock.is_leader()


def test_a_race_between_read_and_write_is_lost_without_an_error(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    a, b = make_lock("a"), make_lock("b")
    lease_api.put_lease("leader", holder_identity="")
    lease_api.before_next(b.try_acquire_or_renew, verb="update")
    result = a.try_acquire_or_renew()
    assert not result
    assert result.lease is not None
    assert result.lease.holder_identity == "b"
    assert b.is_leader()


def test_reading_tells_who_leads_without_contending(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    a, b = make_lock("a"), make_lock("b")
    assert b.read() is None
    a.try_acquire_or_renew()
    sent = len(lease_api.requests)
    record = b.read()
    assert record is not None
    assert record.holder_identity == "a"
    assert verbs(lease_api)[sent:] == ["get"]


def test_a_slow_server_takes_the_time_of_the_whole_call_and_then_nothing_more_is_sent(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock, make_lock: MakeLock
) -> None:
    lock = make_lock("a", call_timeout=2)
    lock.try_acquire_or_renew()
    sent = len(lease_api.requests)
    lease_api.before_next(lambda: fake_clock.advance(2))
    with pytest.raises(RenewLeaseError) as caught:
        lock.try_acquire_or_renew()
    assert "no time" in str(caught.value)
    assert verbs(lease_api)[sent:] == ["get"]


def test_calls_of_two_threads_are_carried_out_one_after_the_other(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    lock = make_lock("a", call_timeout=15)
    others: list[threading.Thread] = []

    def call_from_another_thread() -> None:
        others.append(threading.Thread(target=lock.try_acquire_or_renew))
        others[0].start()

    lease_api.before_next(call_from_another_thread)
    assert lock.try_acquire_or_renew()
    others[0].join(PATIENCE)
    assert verbs(lease_api) == ["get", "create", "get", "update"]


def test_a_call_does_not_wait_longer_for_another_thread_s_than_for_a_server(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    lock = make_lock("a", call_timeout=0.05)
    under_way, may_end = threading.Event(), threading.Event()

    def hang() -> None:
        under_way.set()
        may_end.wait(PATIENCE)

    lease_api.before_next(hang)
    other = threading.Thread(target=lock.try_acquire_or_renew)
    other.start()
    assert under_way.wait(PATIENCE)
    with pytest.raises(GetLeaseError, match="another thread"):
        lock.try_acquire_or_renew()
    assert not lock.is_leader()
    may_end.set()
    other.join(PATIENCE)


def test_leading_ends_when_step_down_is_called_though_a_renewal_is_under_way(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    lock = make_lock("a", call_timeout=15)
    lock.try_acquire_or_renew()
    beliefs: list[bool] = []
    others: list[threading.Thread] = []

    def step_down_meanwhile() -> None:
        others.append(threading.Thread(target=lock.step_down))
        others[0].start()
        wait_until(lambda: not lock.is_leader())
        beliefs.append(lock.is_leader())

    lease_api.before_next(step_down_meanwhile, verb="update")
    result = lock.try_acquire_or_renew()
    others[0].join(PATIENCE)
    assert not result
    assert beliefs == [False]
    assert stored_spec(lease_api)["holderIdentity"] == ""


@pytest.mark.parametrize(
    "moment",
    [
        (FakeCoordinationV1Api, "read_namespaced_lease"),
        (FakeCoordinationV1Api, "replace_namespaced_lease"),
        (OwnWrites, "confirm"),
    ],
)
def test_a_signal_handler_may_step_down_at_any_moment_of_a_call(
    lease_api: FakeCoordinationV1Api,
    make_lock: MakeLock,
    monkeypatch: pytest.MonkeyPatch,
    moment: tuple[type, str],
) -> None:
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    act = getattr(*moment)

    def interrupted(*args: Any, **options: Any) -> Any:
        outcome = act(*args, **options)
        monkeypatch.undo()
        signal.raise_signal(signal.SIGUSR1)
        return outcome

    before = signal.signal(signal.SIGUSR1, lambda *_: lock.step_down())
    try:
        monkeypatch.setattr(*moment, interrupted)
        result = lock.try_acquire_or_renew()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert lock.is_leader() == result.acquired_lease
    assert stored_spec(lease_api)["holderIdentity"] == ("a" if result else "")
    assert make_lock("b").try_acquire_or_renew().acquired_lease != result.acquired_lease


def test_an_interrupt_as_soon_as_the_turn_is_taken_does_not_leave_it_taken(
    make_lock: MakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InterruptedTurn:
        def __init__(self) -> None:
            self.turn = threading.RLock()
            self.release = self.turn.release

        def acquire(self, timeout: float) -> None:
            self.turn.acquire(timeout=timeout)
            raise KeyboardInterrupt

    lock = make_lock("a")
    monkeypatch.setattr(lock._state(), "turn", InterruptedTurn())
    with pytest.raises(KeyboardInterrupt):
        lock.try_acquire_or_renew()
    free: list[bool] = []
    turn = lock._state().turn.turn  # type: ignore[attr-defined]
    other = threading.Thread(target=lambda: free.append(turn.acquire(timeout=0.1)))
    other.start()
    other.join(PATIENCE)
    assert free == [True]


def test_a_default_holder_id_is_made_once_for_each_lock(make_lock: MakeLock) -> None:
    first, second = make_lock(None), make_lock(None)
    assert first.holder_id == first.holder_id
    assert first.holder_id != second.holder_id
    assert first.holder_id.startswith(f"{os.uname().nodename}-")


def in_a_child(act: Callable[[], object]) -> str:
    """Return what `act` returns in a forked child, as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            outcome = str(act())
        except BaseException as error:  # noqa: BLE001
            outcome = repr(error)
        os.write(writing, outcome.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        outcome = pipe.read()
    os.waitpid(child, 0)
    return outcome


def test_a_forked_child_does_not_lead_and_has_no_token(make_lock: MakeLock) -> None:
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    assert in_a_child(lambda: (lock.is_leader(), lock.fencing_token)) == "(False, None)"
    assert lock.is_leader()


def test_a_forked_child_has_a_default_holder_id_of_its_own(make_lock: MakeLock) -> None:
    lock = make_lock(None)
    assert in_a_child(lambda: lock.holder_id) not in ("", lock.holder_id)


def test_a_forked_child_under_the_parent_s_holder_id_neither_adopts_nor_releases_its_lease(
    make_lock: MakeLock,
) -> None:
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    assert in_a_child(lambda: bool(lock.try_acquire_or_renew())) == "False"
    assert "NotLeadingError" in in_a_child(lock.step_down)


def test_a_forked_child_can_contend_though_the_parent_was_in_the_middle_of_a_call(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    lock = make_lock(None)
    outcomes: list[str] = []

    def fork_meanwhile() -> None:
        outcomes.append(in_a_child(lambda: bool(lock.try_acquire_or_renew())))

    lease_api.before_next(fork_meanwhile)
    assert lock.try_acquire_or_renew()
    assert outcomes == ["True"]


def test_a_change_of_role_is_one_line_and_a_renewal_none(
    fake_clock: FakeClock, make_lock: MakeLock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="kube_leader_election")
    a, b = make_lock("a"), make_lock("b")
    for _ in range(3):
        a.try_acquire_or_renew()
        b.try_acquire_or_renew()
    fake_clock.advance(16)
    b.try_acquire_or_renew()
    a.try_acquire_or_renew()
    b.step_down()
    assert [record.getMessage() for record in caplog.records] == [
        "Lease default/leader: 'a' leads, fencing token 2",
        "Lease default/leader: 'b' leads, fencing token 5",
        "Lease default/leader: 'a' leads no more",
        "Lease default/leader: 'b' leads no more",
    ]


def test_a_namesake_is_logged_once_with_the_fix(
    lease_api: FakeCoordinationV1Api,
    fake_clock: FakeClock,
    make_lock: MakeLock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    for _ in range(2):
        fake_clock.advance(1)
        lease_api.put_lease("leader", holder_identity="a")
        assert not lock.try_acquire_or_renew()
    assert not lock.is_leader()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "holder_id" in caplog.text


def test_repr_tells_lease_holder_role_time_left_and_token(
    fake_clock: FakeClock, make_lock: MakeLock
) -> None:
    lock = make_lock("a")
    assert repr(lock) == "<LeaseLock default/leader: not leading>"
    lock.try_acquire_or_renew()
    fake_clock.advance(4.7)
    assert repr(lock) == ("<LeaseLock default/leader: 'a' leading for 10.0 s, fencing token 2>")
    fake_clock.advance(10)
    assert repr(lock) == "<LeaseLock default/leader: 'a' not leading>"


def test_a_ttl_may_be_a_timedelta(lease_api: FakeCoordinationV1Api, make_lock: MakeLock) -> None:
    make_lock("a", lease_ttl=timedelta(minutes=1)).try_acquire_or_renew()
    assert stored_spec(lease_api)["leaseDurationSeconds"] == 60


def test_a_clock_that_names_no_zone_is_in_utc(
    lease_api: FakeCoordinationV1Api, fake_clock: FakeClock
) -> None:
    class NaiveClock(FakeClock):
        def utcnow(self) -> datetime:
            return fake_clock.utcnow().replace(tzinfo=None)

    params = LeaseLockParams(lease_name="leader", holder_id="a")
    assert LeaseLock(lease_api, "default", params, clock=NaiveClock()).try_acquire_or_renew()
    assert stored_spec(lease_api)["renewTime"] == wall(fake_clock)


def test_a_term_that_lapses_while_nothing_is_answered_is_logged(
    lease_api: FakeCoordinationV1Api,
    fake_clock: FakeClock,
    make_lock: MakeLock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="kube_leader_election")
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    fake_clock.advance(15)
    lease_api.fail_next(UNAVAILABLE)
    with pytest.raises(GetLeaseError):
        lock.try_acquire_or_renew()
    assert caplog.records[-1].getMessage() == "Lease default/leader: 'a' leads no more"


def test_a_child_that_has_its_parent_s_pid_does_not_lead(
    make_lock: MakeLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    assert lock.is_leader()
    assert in_a_child(lock.is_leader) == "False"


def test_without_a_clock_of_its_own_a_lock_goes_by_the_machine_s(
    lease_api: FakeCoordinationV1Api,
) -> None:
    lock = LeaseLock(lease_api, "default", LeaseLockParams(lease_name="leader"))
    assert lock.try_acquire_or_renew()
    assert lock.is_leader()


def test_a_lock_that_is_dropped_is_gone(make_lock: MakeLock) -> None:
    lock = make_lock("a")
    lock.try_acquire_or_renew()
    gone = weakref.ref(lock)
    del lock
    gc.collect()
    assert gone() is None


def test_interrupting_a_call_leaves_the_lock_usable(
    lease_api: FakeCoordinationV1Api, make_lock: MakeLock
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    lock = make_lock("a")
    lease_api.before_next(interrupt)
    with pytest.raises(KeyboardInterrupt):
        lock.try_acquire_or_renew()
    assert lock.try_acquire_or_renew()
