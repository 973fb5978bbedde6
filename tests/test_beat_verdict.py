"""The judge of what beat has sent finds what it is there for"""

from __future__ import annotations

from tests.beat.verdict import Sent, Verdict, judge


def verdict(*sent: tuple[float, float], every: float | None = 10.0) -> Verdict:
    """Of slots and when they were sent; the id of a slot follows from it."""
    messages = [Sent("entry", slot, f"id of {slot}", 1, at, 1) for slot, at in sent]
    return judge([Sent("other", 0.0, "id", 1, 0.0, 1), *messages], "entry", every)


def test_an_interval_counts_from_when_the_last_slot_was_sent() -> None:
    found = verdict((10, 10), (20, 27), (37, 37))
    assert (found.again, found.doubles, found.lost, found.late) == ([], [], [], [0, 7, 0])


def test_a_slot_that_does_not_follow_means_that_something_was_lost() -> None:
    assert verdict((10, 10), (21, 21)).lost
    assert verdict((60, 60), (180, 180), every=None).lost
    assert not verdict((60, 60), (120, 190), (240, 240), every=None).lost


def test_a_slot_too_near_to_the_last_is_a_double() -> None:
    assert verdict((10, 10), (15, 15)).doubles


def test_a_slot_that_is_sent_again_is_told_from_a_double() -> None:
    found = verdict((10, 10), (20, 20), (10, 33), (43, 43))
    assert (found.again, found.doubles, found.lost) == ([10], [], [])


def test_one_slot_under_two_ids_is_a_double() -> None:
    sent = [Sent("entry", 10.0, name, 1, 10.0, 1) for name in ("a", "b")]
    assert judge(sent, "entry", 10.0).doubles
