"""Rows 19 and 24 to 26: the past is read, and clocks are wrong"""

from __future__ import annotations

import shutil
import time
import weakref
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from kube_leader_election import RenewLeaseError
from kube_leader_election._clock import SystemClock
from kube_leader_election.testing import FakeClock, faults
from tests.fault_rows.world import (
    BELIEF,
    CANDIDATE,
    EXPIRED,
    HELD,
    NOW,
    START,
    TTL,
    Http,
    Real,
    cases,
)

# Reads that are stale


@pytest.mark.fault_row(number=19)
@pytest.mark.parametrize("versions", [1, 2, 3])
def test_a_leader_that_reads_its_own_past_leads_on_and_the_guarded_write_decides(
    http: Http, versions: int
) -> None:
    leader = http.leader()
    token = leader.fencing_token
    for _ in range(3):
        http.clock.advance(1)
        leader.try_acquire_or_renew()
    http.clock.advance(1)
    led: list[bool] = []
    asked_meanwhile = weakref.proxy(leader)  # the server keeps the race
    http.race(lambda: led.append(asked_meanwhile.is_leader()))
    http.fail(faults.stale_read(versions), "get")
    asked = http.asked_by(leader.try_acquire_or_renew)
    assert asked == [("get", 200), ("update", 409), ("get", 200), ("update", 200)]
    assert led == [True]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    assert len(http.told) == 1


@pytest.mark.fault_row(number=19)
@pytest.mark.parametrize("past", ["expired", "free", "held"])
def test_a_leader_that_reads_another_from_before_its_term_leads_on(http: Http, past: str) -> None:
    if past == "held":
        http.put(**HELD)
        http.put(**{**HELD, "holder_identity": ""})
    else:
        http.put(**{**EXPIRED, "holder_identity": "b" if past == "expired" else ""})
    leader = http.leader()
    token = leader.fencing_token
    http.clock.advance(1)
    http.fail(faults.stale_read(2 if past == "held" else 1), "get")
    asked = http.asked_by(leader.try_acquire_or_renew)
    tried = [("get", 200), ("update", 409), ("get", 200), ("update", 200)]
    assert asked == (tried[:1] if past == "held" else tried)
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    assert leader.try_acquire_or_renew().fencing_token == token
    assert http.spec["leaseTransitions"] == 4
    assert len(http.told) == 1


@pytest.mark.fault_row(number=19)
def test_a_stale_read_extends_no_belief(http: Http) -> None:
    http.put(**HELD)
    http.put(**{**HELD, "holder_identity": ""})
    leader = http.leader()
    http.clock.advance(BELIEF - 0.01)
    http.fail(faults.stale_read(2), "get")
    leader.try_acquire_or_renew()
    http.clock.advance(0.02)
    assert not leader.is_leader()


@pytest.mark.fault_row(number=19)
@pytest.mark.parametrize("past", ["absent", "free", "expired"])
def test_a_standby_that_reads_the_past_takes_nothing_from_who_holds_the_lease(
    http: Http, past: str
) -> None:
    if past != "absent":
        http.put(**{**EXPIRED, "holder_identity": "" if past == "free" else "c"})
    http.put(**HELD)
    before = http.lease()
    standby = http.lock()
    http.fail(faults.stale_read(), "get")
    asked = http.asked_by(standby.try_acquire_or_renew)
    write = "create" if past == "absent" else "update"
    assert asked == [("get", 404 if past == "absent" else 200), (write, 409), ("get", 200)]
    assert not standby.is_leader()
    assert http.lease() == before


class StoppedWallClock(FakeClock):
    def __init__(self) -> None:
        super().__init__(start=START)
        self.stopped = True

    def utcnow(self) -> datetime:
        return START if self.stopped else super().utcnow()


@pytest.mark.fault_row(number=19)
@pytest.mark.fault_row(number=24)
@pytest.mark.parametrize("skew", [0.0, None])
@pytest.mark.parametrize("wall", ["stands still", "was set back"])
def test_no_refused_write_is_taken_for_a_committed_one_after_a_stale_read(
    http: Http, wall: str, skew: float | None
) -> None:
    clock = StoppedWallClock()
    http.put(**{**EXPIRED, "holder_identity": ""})
    leader, standby = (
        http.leader(clock=clock, max_clock_skew=skew),
        http.lock("b", max_clock_skew=None),
    )
    assert not standby.try_acquire_or_renew()
    http.clock.advance(10)
    clock.advance(10)
    if wall == "was set back":
        clock.stopped = False
        clock.shift_wall(-10)
    http.fail(faults.stale_read(), verb="get")
    http.stand_in.fail_next(faults.lose_request(), verb="update", user=CANDIDATE, skip=1)
    _, asked = http.failure(leader, RenewLeaseError, None)
    assert asked == [("get", 200), ("update", 409), ("get", 200), ("update", None)]
    http.clock.advance(5)
    clock.advance(5)
    assert not leader.is_leader()
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=19)
def test_a_leader_leads_on_after_a_restore_that_lowered_all_versions(http: Http) -> None:
    http.put(**EXPIRED)
    leader = http.leader()
    token, backup = leader.fencing_token, http.stand_in.backup()
    http.clock.advance(1)
    leader.try_acquire_or_renew()
    newest = http.version
    http.stand_in.restore(backup)
    assert http.version < newest
    assert http.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)


@pytest.mark.fault_row(number=19)
def test_a_standby_takes_over_after_a_restore_that_lowered_all_versions(http: Http) -> None:
    http.put(**HELD)
    backup = http.stand_in.backup()
    for _ in range(9):
        http.put(**HELD)
    standby = http.lock()
    assert not standby.try_acquire_or_renew()
    newest = http.version
    http.stand_in.restore(backup)
    assert http.version < newest
    assert not standby.try_acquire_or_renew()
    http.clock.advance(TTL)
    assert standby.try_acquire_or_renew()
    http.clock.advance(1)
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=19)
@pytest.mark.apiserver
def test_after_etcd_was_restored_a_leader_leads_on_and_a_standby_waits_its_turn(
    real: Real, tmp_path: Path
) -> None:
    data, backup = real.server.folder / "etcd", tmp_path / "etcd"
    leader, standby = real.leader(), real.lock("b")
    token = leader.fencing_token
    with real.refusing():
        real.server.etcd.kill()
        shutil.copytree(data, backup)
    for _ in range(5):
        real.clock.advance(1)
        assert leader.try_acquire_or_renew()
        assert not standby.try_acquire_or_renew()
    newest = real.version
    with real.refusing():
        real.server.etcd.kill()
        shutil.rmtree(data)
        shutil.copytree(backup, data)
    assert real.version < newest
    assert not standby.try_acquire_or_renew()
    assert real.asked_by(leader.try_acquire_or_renew) == [("get", 200), ("update", 200)]
    assert (leader.is_leader(), leader.fencing_token) == (True, token)
    assert not standby.try_acquire_or_renew()
    real.clock.advance(TTL + 1)
    assert standby.try_acquire_or_renew()


# Clocks

YEAR = 365.25 * 24 * 3600
JUMPS = {
    "an hour forward": 3600,
    "an hour back": -3600,
    "ten years forward": 10 * YEAR,
    "ten years back": -10 * YEAR,
    "two thousand years back": -2000 * YEAR,
    "seven thousand years forward": 7000 * YEAR,
}


@pytest.mark.fault_row(number=24)
@pytest.mark.parametrize("seconds", cases(JUMPS))
def test_a_jump_of_the_wall_clock_does_not_move_the_deadline_of_a_leader(
    http: Http, seconds: float
) -> None:
    leader = http.leader()
    http.clock.advance(5)
    http.clock.shift_wall(seconds)
    http.clock.advance(BELIEF - 5 - 0.01)
    assert leader.is_leader()
    http.clock.advance(0.02)
    assert not leader.is_leader()


@pytest.mark.fault_row(number=24)
@pytest.mark.parametrize("seconds", cases(JUMPS))
def test_a_leader_renews_and_releases_whatever_the_wall_clock_says(
    http: Http, seconds: float
) -> None:
    leader = http.leader()
    token = leader.fencing_token
    times = [http.spec["renewTime"]]
    for jump in (seconds, 0, -seconds):
        http.clock.shift_wall(jump)
        http.clock.advance(1)
        assert leader.try_acquire_or_renew().fencing_token == token
        times.append(http.spec["renewTime"])
    assert times == sorted(set(times))
    http.clock.advance(BELIEF - 0.01)
    assert leader.is_leader()
    leader.step_down()
    assert http.spec.get("holderIdentity", "") == ""


@pytest.mark.fault_row(number=24)
@pytest.mark.parametrize("seconds", cases(JUMPS))
def test_a_standby_that_trusts_no_wall_clock_waits_for_the_whole_duration_after_a_jump(
    http: Http, seconds: float
) -> None:
    http.put(**HELD)
    standby = http.lock(max_clock_skew=None)
    assert not standby.try_acquire_or_renew()
    http.clock.shift_wall(seconds)
    http.clock.advance(TTL - 0.01)
    assert not standby.try_acquire_or_renew()
    http.clock.advance(0.02)
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=24)
def test_a_standby_whose_wall_clock_jumped_back_takes_over_after_the_whole_duration(
    http: Http,
) -> None:
    http.put(**HELD)
    standby = http.lock()
    assert not standby.try_acquire_or_renew()
    http.clock.shift_wall(-10 * YEAR)
    http.clock.advance(TTL - 0.01)
    assert not standby.try_acquire_or_renew()
    http.clock.advance(0.02)
    assert standby.try_acquire_or_renew()


@pytest.mark.fault_row(number=24)
@pytest.mark.parametrize(
    "start",
    [
        datetime(1, 1, 1, 0, 0, 1, tzinfo=timezone.utc),
        datetime.max.replace(tzinfo=timezone.utc),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc),
    ],
)
def test_at_the_ends_of_the_calendar_the_lock_works(http: Http, start: datetime) -> None:
    clock = FakeClock(start=start)
    leader, standby = http.lock(clock=clock), http.lock("b", clock=clock)
    for _ in range(3):
        assert leader.try_acquire_or_renew()
        assert not standby.try_acquire_or_renew()
    leader.step_down()
    assert standby.try_acquire_or_renew()


class LocalClock(FakeClock):
    """Tells the wall time of a place, whose offset from UTC changes in the night of a test"""

    def __init__(self) -> None:
        super().__init__(start=START)
        self.offset = timedelta(hours=2)

    def utcnow(self) -> datetime:
        return super().utcnow().astimezone(timezone(self.offset))


@pytest.mark.fault_row(number=24)
def test_the_end_of_daylight_saving_time_is_not_noticed(http: Http) -> None:
    clock = LocalClock()
    leader, standby = http.leader(clock=clock), http.lock("b", clock=clock)
    token = leader.fencing_token
    clock.advance(1)
    for hours in (1, 2):
        clock.offset = timedelta(hours=hours)
        assert not standby.try_acquire_or_renew()
        assert leader.try_acquire_or_renew().fencing_token == token
    assert http.spec["acquireTime"] == NOW
    assert http.spec["renewTime"] == "2026-01-01T12:00:01.123457Z"


@pytest.mark.fault_row(number=24)
def test_another_time_zone_of_the_process_is_not_noticed(
    http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    class TrueClock:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def utcnow() -> datetime:
            return datetime.now(timezone.utc)

    leader, standby = http.lock(clock=TrueClock()), http.lock("b", clock=TrueClock())
    try:
        for zone in ("UTC", "Pacific/Kiritimati", "XXX+12", "CET-1CEST,M3.5.0,M10.5.0/3"):
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            before = datetime.now(timezone.utc)
            assert leader.try_acquire_or_renew()
            renewed = datetime.fromisoformat(http.spec["renewTime"].replace("Z", "+00:00"))
            assert before <= renewed <= datetime.now(timezone.utc)
            assert not standby.try_acquire_or_renew()
    finally:
        monkeypatch.undo()
        time.tzset()


# Rates


class TrueWall(FakeClock):
    """Only its monotonic clock runs at another rate; the wall clock is kept right"""

    def __init__(self, *, rate: float) -> None:
        super().__init__(start=START, rate=rate)
        self._true = START

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self._true += timedelta(seconds=seconds)

    def utcnow(self) -> datetime:
        return self._true


RATES = {
    "a slow leader and a fast standby": (0.99, 1.01),
    "a slow leader": (0.99, 1.0),
    "a fast standby": (1.0, 1.01),
    "a fast leader and a slow standby": (1.01, 0.99),
}


def both_lead(http: Http, rates: tuple[float, float], skew: float | None) -> bool:
    """Whether a leader that renews no more leads still when a standby does, at any time"""
    clocks = [TrueWall(rate=rate) if skew else FakeClock(rate=rate) for rate in rates]
    leader = http.leader(clock=clocks[0], max_clock_skew=skew)
    standby = http.lock("b", clock=clocks[1], max_clock_skew=skew)
    assert not standby.try_acquire_or_renew()
    for step in (TTL / rates[1] - 0.001, *[0.0011] * 3, *[0.1] * 20):
        for clock in clocks:
            clock.advance(step)
        if standby.try_acquire_or_renew() and leader.is_leader():
            return True
    assert standby.is_leader()
    return False


@pytest.mark.fault_row(number=25)
@pytest.mark.parametrize("rates", cases(RATES))
def test_no_two_locks_lead_whose_clocks_are_wrong_by_up_to_one_percent(
    http: Http, rates: tuple[float, float]
) -> None:
    assert not both_lead(http, rates, None)


@pytest.mark.fault_row(number=25)
def test_no_two_locks_lead_whose_clocks_are_wrong_by_five_percent_and_that_is_declared(
    http: Http,
) -> None:
    assert not both_lead(http, (0.95, 1.05), 1.13)


@pytest.mark.fault_row(number=25)
@pytest.mark.parametrize(("rates", "skew"), [((0.985, 1.01), None), ((0.95, 1.05), 1.0)])
def test_two_locks_whose_clocks_are_worse_than_was_declared_lead_at_once(
    http: Http, rates: tuple[float, float], skew: float | None
) -> None:
    assert both_lead(http, rates, skew)


# Sleep


@pytest.mark.fault_row(number=26)
def test_who_led_before_its_machine_slept_does_not_when_it_wakes(http: Http) -> None:
    asleep = FakeClock(start=START)
    leader, standby = http.leader(clock=asleep), http.lock("b")
    token = leader.fencing_token
    assert not standby.try_acquire_or_renew()
    http.clock.advance(TTL + 0.01)
    assert standby.try_acquire_or_renew()
    before = http.lease()
    asleep.advance(TTL + 0.01)
    assert (leader.is_leader(), leader.fencing_token) == (False, None)
    assert not leader.try_acquire_or_renew()
    assert http.lease() == before
    assert (standby.fencing_token or 0) > (token or 0)


def machine_sleeps(monkeypatch: pytest.MonkeyPatch, *, runs_on: bool) -> Callable[[float], None]:
    """What lets the machine's clocks see a sleep of so many seconds

    `runs_on`: there is a monotonic clock that runs on meanwhile.
    """
    slept = 0.0
    wall, gettime = SystemClock.utcnow, time.clock_gettime

    def clock_gettime(number: int) -> float:
        return gettime(number) + (slept if number == boottime else 0.0)

    def sleep(seconds: float) -> None:
        nonlocal slept
        slept += seconds

    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    if runs_on and boottime is None:
        pytest.skip("this system has no such clock")
    monkeypatch.setattr(SystemClock, "utcnow", lambda self: wall(self) + timedelta(seconds=slept))
    if runs_on:
        monkeypatch.setattr(time, "clock_gettime", clock_gettime)
    else:
        monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    return sleep


@pytest.mark.fault_row(number=26)
@pytest.mark.parametrize("runs_on", [True, False], ids=["boottime", "monotonic"])
def test_by_the_machine_s_own_clocks_too_a_sleep_ends_a_term_at_once(
    http: Http, monkeypatch: pytest.MonkeyPatch, *, runs_on: bool
) -> None:
    sleep = machine_sleeps(monkeypatch, runs_on=runs_on)
    leader = http.leader(clock=SystemClock())
    token = leader.fencing_token
    sleep(BELIEF)
    assert (leader.is_leader(), leader.fencing_token) == (False, None)
    assert leader.try_acquire_or_renew()
    assert (leader.fencing_token or 0) > (token or 0)
