from __future__ import annotations

import math
from datetime import datetime, timedelta

import pytest

from kube_leader_election._core.record import LATEST
from kube_leader_election._core.writes import soonest_renewal, stamp

from .talk import START

MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("elapsed", "later"),
    [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (1.5, 1.0), (math.inf, 1.0)],
)
def test_a_renewal_says_as_much_more_as_time_has_passed_but_needs_no_more_than_a_second(
    elapsed: float, later: float
) -> None:
    assert soonest_renewal(START, elapsed=elapsed) == START + timedelta(seconds=later)


def test_there_is_no_later_than_the_last_year_of_the_calendar() -> None:
    assert soonest_renewal(LATEST, elapsed=1.0) == LATEST


@pytest.mark.parametrize(
    ("soonest", "stamped"),
    [(None, START), (START - MICROSECOND, START), (START + MICROSECOND, START + MICROSECOND)],
)
def test_a_stamp_is_the_wall_clocks_time_but_not_before_the_soonest(
    soonest: datetime | None, stamped: datetime
) -> None:
    assert stamp(START, soonest=soonest, unlike=()) == stamped


def test_a_stamp_is_the_next_one_that_is_free_and_no_whole_second() -> None:
    whole = START.replace(microsecond=0)
    taken = {whole - MICROSECOND, whole + MICROSECOND}
    assert stamp(whole - MICROSECOND, unlike=taken) == whole + 2 * MICROSECOND


def test_in_the_last_year_of_the_calendar_a_stamp_is_the_one_before() -> None:
    assert stamp(LATEST, soonest=LATEST, unlike={LATEST}) == LATEST - MICROSECOND
