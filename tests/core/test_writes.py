from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from kube_leader_election._core.record import LATEST
from kube_leader_election._core.writes import stamp

from .talk import START

MICROSECOND, SECOND = timedelta(microseconds=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("after", "stamped"),
    [
        (None, START),
        (START - MICROSECOND, START),
        (START, START + SECOND),
        (START + MICROSECOND, START + MICROSECOND + SECOND),
    ],
)
def test_a_stamp_is_later_than_what_it_is_to_come_after(
    after: datetime | None, stamped: datetime
) -> None:
    assert stamp(START, after=after, unlike=()) == stamped


def test_a_stamp_is_the_next_one_that_is_free_and_no_whole_second() -> None:
    whole = START.replace(microsecond=0)
    taken = {whole - MICROSECOND, whole + MICROSECOND}
    assert stamp(whole - MICROSECOND, after=None, unlike=taken) == whole + 2 * MICROSECOND


def test_in_the_last_year_of_the_calendar_a_stamp_is_the_one_before() -> None:
    assert stamp(LATEST, after=LATEST, unlike={LATEST}) == LATEST - MICROSECOND
