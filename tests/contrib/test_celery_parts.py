"""What contrib.celery consists of, where it needs no Celery"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from kube_leader_election import GetLeaseError, InvalidParamsError, LeaseLock, LeaseLockParams
from kube_leader_election._failure import LeaseName
from kube_leader_election._store import Store
from kube_leader_election.contrib.celery import _settings, _times
from kube_leader_election.contrib.celery._ending import Ending
from kube_leader_election.contrib.celery._patience import END_LIMIT, TICK_LIMIT, Patience
from kube_leader_election.contrib.celery._slot import slot_of, task_id
from kube_leader_election.contrib.celery._times import ANNOTATION, Times
from kube_leader_election.testing import ApiServer, FakeClock, faults

NOON = datetime(2030, 1, 1, 12, tzinfo=timezone.utc)


def test_importing_contrib_celery_imports_no_celery() -> None:
    code = "import sys, kube_leader_election.contrib.celery; print('celery' in sys.modules)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\n"


# Settings


def test_the_settings_say_what_a_candidate_is_to_do() -> None:
    conf = {"leader_lease": "my-beat", "leader_lease_ttl": 30, "leader_renew_deadline": 20.0}
    params = _settings.elector_params(conf)
    assert (params.lease_name, params.lease_ttl) == ("my-beat", 30)
    assert (params.renew_deadline, params.retry_period) == (20.0, 2.0)


@pytest.mark.parametrize(
    ("conf", "message"),
    [
        ({}, "leader_lease=None: must name the Lease"),
        ({"leader_lease": "My_Beat"}, "leader_lease='My_Beat': must be a DNS subdomain"),
        ({"leader_lease": "a", "leader_lease_ttl": "15"}, "leader_lease_ttl='15': must be"),
        ({"leader_lease": "a", "leader_renew_deadline": 15}, "leader_renew_deadline=15: must be"),
        ({"leader_lease": "a", "leader_retry_period": 0}, "leader_retry_period=0: must be"),
    ],
)
def test_a_setting_that_breaks_its_rule_is_named(conf: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        _settings.elector_params(conf)
    assert str(caught.value).startswith(message)


def test_the_namespace_of_the_settings_is_checked() -> None:
    assert _settings.namespace({"leader_namespace": "team-a"}) == "team-a"
    with pytest.raises(InvalidParamsError) as caught:
        _settings.namespace({"leader_namespace": "Team A"})
    assert caught.value.field == "leader_namespace"


# Slots


@dataclass
class Entry:
    last_run_at: datetime | None
    schedule: Any = None


class Every:
    run_every = timedelta(seconds=15)


class EachHour:
    def remaining_delta(self, last_run_at: datetime) -> tuple[datetime, timedelta, datetime]:
        began = last_run_at.replace(minute=0, second=0, microsecond=0)
        return began, timedelta(hours=1), NOON


def test_an_interval_is_due_when_it_is_over() -> None:
    assert slot_of(Entry(NOON, Every())) == NOON + timedelta(seconds=15)


def test_a_crontab_is_due_at_its_next_time_whenever_before_it_ran_last() -> None:
    runs = [NOON + timedelta(seconds=1), NOON + timedelta(minutes=59)]
    assert {slot_of(Entry(run, EachHour())) for run in runs} == {NOON + timedelta(hours=1)}


def test_any_other_schedule_is_known_by_when_it_ran_last() -> None:
    assert slot_of(Entry(NOON, object())) == NOON
    assert slot_of(Entry(None, Every())) is None


def test_a_slot_is_the_same_in_every_time_zone() -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    slots = [slot_of(Entry(run, Every())) for run in (NOON, elsewhere, NOON.replace(tzinfo=None))]
    assert len({slot.isoformat() for slot in slots if slot}) == 1


def test_an_id_is_that_of_one_election_entry_and_slot() -> None:
    given = [("a/b", "x", NOON), ("a/b", "y", NOON), ("a/c", "x", NOON)]
    given.append(("a/b", "x", NOON + timedelta(microseconds=1)))
    ids = [task_id(*each) for each in given]
    assert len(set(ids)) == 4
    assert ids == [task_id(*each) for each in given]


# Signals


@contextmanager
def handled() -> Iterator[list[int]]:
    """SIGTERM is noted, as if Celery handled it."""
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    interrupted = signal.getsignal(signal.SIGINT)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGINT, interrupted)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_a_signal_waits_for_the_end_of_the_outermost_block_and_comes_once() -> None:
    with handled() as seen:
        ending = Ending()
        ending.heed()
        with ending.put_off():
            with ending.put_off():
                terminate()
                terminate()
            within = list(seen)
            assert ending.asked_at is not None
        assert (within, seen) == ([], [signal.SIGTERM])
        assert ending.asked_at is None


def test_a_signal_outside_of_all_blocks_is_handled_at_once() -> None:
    with handled() as seen:
        ending = Ending()
        ending.heed()
        terminate()
        assert seen == [signal.SIGTERM]


def wait_in_vain(ending: Ending, went_on: list[bool]) -> None:
    with ending.put_off():
        terminate()
        ending.hurry()
        went_on.append(True)


def test_a_signal_that_waits_in_vain_ends_the_block() -> None:
    with handled() as seen:
        ending = Ending()
        ending.heed()
        went_on: list[bool] = []
        with pytest.raises(SystemExit):
            wait_in_vain(ending, went_on)
        assert (went_on, seen) == ([], [signal.SIGTERM])


def test_nothing_is_hurried_where_no_signal_waits() -> None:
    with handled() as seen:
        ending = Ending()
        ending.heed()
        with ending.put_off():
            ending.hurry()
        assert seen == []


def test_on_another_thread_no_signal_is_handled() -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: Ending().heed())
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) is before


# Ticks that do not end


class Waiting(Ending):
    def __init__(self, asked_at: float | None) -> None:
        super().__init__()
        self.asked_at = asked_at
        self.hurried = 0

    def hurry(self) -> None:
        self.hurried += 1


def test_a_tick_that_takes_too_long_loses_its_leadership_once(fake_clock: FakeClock) -> None:
    reasons: list[str] = []
    patience = Patience(Waiting(None), reasons.append, monotonic=fake_clock.monotonic)
    with patience.tick():
        fake_clock.advance(TICK_LIMIT)
        patience.look()
        in_time = list(reasons)
        fake_clock.advance(0.1)
        patience.look()
        patience.look()
    assert (in_time, reasons) == ([], ["a tick of beat has not ended for 30 s"])
    fake_clock.advance(2 * TICK_LIMIT)
    patience.look()
    with patience.tick():
        patience.look()
    assert len(reasons) == 1


def test_a_process_that_is_to_end_does_not_wait_for_its_tick_for_ever(
    fake_clock: FakeClock,
) -> None:
    reasons: list[str] = []
    ending = Waiting(fake_clock.monotonic())
    patience = Patience(ending, reasons.append, monotonic=fake_clock.monotonic)
    with patience.tick():
        fake_clock.advance(END_LIMIT)
        patience.look()
        in_time = (len(reasons), ending.hurried)
        fake_clock.advance(0.1)
        patience.look()
    assert in_time == (0, 0)
    assert (len(reasons), ending.hurried) == (1, 1)


# Times in the Lease

LEASE = "my-beat"
TARGET = LeaseName("default", LEASE)
RUNS = {"a": NOON, "b": NOON + timedelta(microseconds=1)}


def leading(server: ApiServer, holder_id: str) -> LeaseLock:
    params = LeaseLockParams(lease_name=LEASE, holder_id=holder_id)
    lock = LeaseLock(server.client(), "default", params)
    assert lock.try_acquire_or_renew()
    return lock


@contextmanager
def times_of(server: ApiServer, holder_id: str) -> Iterator[Times]:
    store = Store(server.client(), TARGET, lease_ttl=15)
    times = Times(store, holder_id, timeout=10.0)
    yield times
    times.close()


def annotation(server: ApiServer) -> str | None:
    lease = server.stored_lease(LEASE)
    assert lease is not None
    found: str | None = (lease["metadata"].get("annotations") or {}).get(ANNOTATION)
    return found


def test_the_next_leader_knows_when_each_entry_last_ran(lease_server: ApiServer) -> None:
    first = leading(lease_server, "first")
    with times_of(lease_server, "first") as times:
        assert times.known() == {}
        times.note(RUNS)
        times.keep()
    first.step_down()
    leading(lease_server, "second")
    with times_of(lease_server, "second") as times:
        assert times.known() == RUNS


def test_who_leads_no_more_keeps_nothing(lease_server: ApiServer) -> None:
    leading(lease_server, "another")
    with times_of(lease_server, "late") as times:
        times.note(RUNS)
        times.keep()
    assert annotation(lease_server) is None


def test_another_that_takes_the_lease_meanwhile_is_not_overwritten(
    lease_server: ApiServer,
) -> None:
    leading(lease_server, "first")
    with times_of(lease_server, "first") as times:
        times.note(RUNS)
        taken = lambda: lease_server.put_lease(LEASE, holder_identity="second")  # noqa: E731
        lease_server.before_next(taken, verb="update")
        times.keep()
    lease = lease_server.stored_lease(LEASE)
    assert lease is not None
    assert lease["spec"]["holderIdentity"] == "second"
    assert annotation(lease_server) is None


def test_a_renewal_meanwhile_costs_neither_the_term_nor_the_times(lease_server: ApiServer) -> None:
    lock = leading(lease_server, "first")
    with times_of(lease_server, "first") as times:
        times.note(RUNS)
        lease_server.before_next(lambda: bool(lock.try_acquire_or_renew()), verb="update")
        times.keep()
    assert annotation(lease_server) is not None
    token = lock.fencing_token
    assert lock.try_acquire_or_renew().fencing_token == token
    lock.step_down()
    assert annotation(lease_server) is not None


def test_the_lease_is_written_once_for_many_runs_and_at_the_end(lease_server: ApiServer) -> None:
    leading(lease_server, "first")
    with times_of(lease_server, "first") as times:
        before = len(lease_server.requests)
        for second in range(10):
            times.note({"a": NOON + timedelta(seconds=second)})
            times.keep()
        assert len(lease_server.requests) == before + 2
        times.keep(at_once=True)
        times.keep(at_once=True)
        assert len(lease_server.requests) == before + 4
    assert "12:00:09" in (annotation(lease_server) or "")


def test_what_could_not_be_kept_is_kept_later_and_warned_of_once(
    lease_server: ApiServer, caplog: pytest.LogCaptureFixture
) -> None:
    leading(lease_server, "first")
    with times_of(lease_server, "first") as times:
        times.note(RUNS)
        lease_server.fail_next(faults.answer(503), verb="get", times=2)
        times.keep(at_once=True)
        times.keep(at_once=True)
        missing = annotation(lease_server)
        times.keep(at_once=True)
    assert (missing, len(caplog.records)) == (None, 1)
    assert annotation(lease_server) is not None


def test_times_that_do_not_fit_are_warned_of_and_not_sent(
    lease_server: ApiServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_times, "LARGEST", 10)
    leading(lease_server, "first")
    with times_of(lease_server, "first") as times:
        times.note(RUNS)
        times.keep()
    assert annotation(lease_server) is None
    assert "more than 10 bytes" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"a": 7}', '{"a": "noon"}', '{"a": null}'])
def test_an_annotation_that_cannot_be_read_counts_for_nothing(text: str) -> None:
    assert _times.parsed(text) == {}


def test_a_time_without_a_zone_is_in_utc() -> None:
    assert _times.parsed('{"a": "2030-01-01T12:00:00"}') == {"a": NOON}


def test_times_that_could_not_be_read_are_not_taken_for_none(lease_server: ApiServer) -> None:
    leading(lease_server, "first")
    lease_server.fail_next(faults.answer(500), verb="get")
    with times_of(lease_server, "first") as times:
        with pytest.raises(GetLeaseError):
            times.known()
        assert times.known() == {}
