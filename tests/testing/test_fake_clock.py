from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

import pytest

from kube_leader_election.testing import FakeClock

NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def test_the_clock_stands_still_until_it_is_moved() -> None:
    clock = FakeClock(start=NOON)
    assert (clock.monotonic(), clock.utcnow()) == (clock.monotonic(), NOON)


def test_time_passes_on_both_clocks() -> None:
    clock = FakeClock(start=NOON)
    before = clock.monotonic()
    clock.advance(1.5)
    assert clock.monotonic() == before + 1.5
    assert clock.utcnow() == NOON + timedelta(seconds=1.5)


def test_the_wall_clock_is_set_while_no_time_passes() -> None:
    clock = FakeClock(start=NOON)
    before = clock.monotonic()
    clock.shift_wall(-3600)
    assert clock.monotonic() == before
    assert clock.utcnow() == NOON - timedelta(hours=1)


def test_a_clock_that_runs_fast_moves_by_more_than_the_time_that_passes() -> None:
    clock = FakeClock(start=NOON, rate=1.01)
    before = clock.monotonic()
    clock.advance(100)
    assert clock.monotonic() == before + 101
    assert clock.utcnow() == NOON + timedelta(seconds=101)


def test_the_rate_may_change_on_the_way() -> None:
    clock = FakeClock()
    before = clock.monotonic()
    clock.rate = 0.5
    clock.advance(10)
    assert clock.monotonic() == before + 5


def test_the_first_time_is_none_that_a_typed_client_could_not_write() -> None:
    assert FakeClock().utcnow().microsecond != 0


def test_another_zone_is_shown_in_utc() -> None:
    clock = FakeClock(start=datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert clock.utcnow() == NOON - timedelta(hours=2)
    assert clock.utcnow().tzinfo is timezone.utc


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="must be an aware datetime"):
        FakeClock(start=NOON.replace(tzinfo=None))


def test_time_that_goes_back_is_refused() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="seconds=-1: time does not go back"):
        clock.advance(-1)


def test_no_step_is_lost_between_threads() -> None:
    clock = FakeClock()
    before = clock.monotonic()

    def advance() -> None:
        for _ in range(1000):
            clock.advance(1)

    threads = [threading.Thread(target=advance) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == before + 8000
