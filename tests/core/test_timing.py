from __future__ import annotations

from datetime import timedelta

import pytest

from kube_leader_election._core.timing import Timing, belief_after, lock_timing


def timing(**options: object) -> Timing:
    defaults: dict[str, object] = {"lease_ttl": 15, "max_clock_skew": 0.0, "call_timeout": None}
    return lock_timing(**{**defaults, **options})  # type: ignore[arg-type]


def test_an_attempt_takes_a_fifth_and_a_renewal_is_due_after_a_third_of_belief() -> None:
    lock = timing()
    assert lock.belief == pytest.approx(14.7)
    assert lock.attempt_timeout == pytest.approx(14.7 / 5)
    assert lock.renew_interval == pytest.approx(14.7 / 3)


def test_a_call_timeout_that_is_given_is_the_attempt_s() -> None:
    assert timing(call_timeout=1.5).attempt_timeout == 1.5


def test_a_ttl_may_be_a_timedelta() -> None:
    assert timing(lease_ttl=timedelta(minutes=1)).lease_ttl == 60


@pytest.mark.parametrize(("skew", "belief"), [(None, 14.7), (0.0, 14.7), (2.0, 12.7)])
def test_the_skew_shortens_belief(skew: float | None, belief: float) -> None:
    assert belief_after(15, skew) == pytest.approx(belief)


def test_the_defaults_are_not_fragile() -> None:
    assert list(timing().warnings()) == []


@pytest.mark.parametrize(("options", "fragile"), [({"call_timeout": 0.99}, True), ({}, False)])
def test_less_than_a_second_for_an_attempt_is_fragile(
    options: dict[str, object], fragile: bool
) -> None:
    assert bool(list(timing(max_clock_skew=None, **options).warnings())) == fragile


@pytest.mark.parametrize(
    ("ttl", "skew", "fragile"),
    [(9, 0.0, True), (10, 0.0, False), (8, 0.02, False), (8, None, False)],
)
def test_wall_clocks_that_may_hardly_differ_are_fragile(
    ttl: int, skew: float | None, fragile: bool
) -> None:
    lock = timing(lease_ttl=ttl, max_clock_skew=skew, call_timeout=1)
    assert bool(list(lock.warnings())) == fragile
