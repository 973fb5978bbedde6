from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_leader_election._core.timing import (
    _ROUNDING,
    CLOCK_RATE_MARGIN,
    RETRY_JITTER,
    ElectorTiming,
    Timing,
    belief_after,
    drain_timeout_rule,
    elector_timing,
    lock_timing,
    renew_deadline_rule,
    retry_period_rule,
)


def timing(**options: object) -> Timing:
    defaults: dict[str, object] = {"lease_ttl": 15, "max_clock_skew": 0.0, "call_timeout": None}
    return lock_timing(**{**defaults, **options})  # type: ignore[arg-type]


def elector(**options: object) -> ElectorTiming:
    defaults: dict[str, object] = {
        "lease_ttl": 15,
        "renew_deadline": 10.0,
        "retry_period": 2.0,
        "max_clock_skew": None,
        "drain_timeout": 20.0,
    }
    return elector_timing(**{**defaults, **options})  # type: ignore[arg-type]


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
    [
        (9, 0.0, True),
        (10, 0.0, False),
        (8, 0.009, True),
        (8, 0.011, False),
        (8, (0.1 - 8 * (1 - CLOCK_RATE_MARGIN) / 2) / 2, False),
        (8, None, False),
    ],
)
def test_wall_clocks_that_may_hardly_differ_are_fragile(
    ttl: int, skew: float | None, fragile: bool
) -> None:
    lock = timing(lease_ttl=ttl, max_clock_skew=skew, call_timeout=1)
    assert bool(list(lock.warnings())) == fragile


def test_what_is_fragile_is_said_with_its_numbers() -> None:
    lock = timing(lease_ttl=8, max_clock_skew=0.005, call_timeout=0.5)
    attempt, clocks = lock.warnings()
    assert attempt == (
        "one attempt has only 0.50 s to reach the API server; a longer lease_ttl or call_timeout"
        " makes slow answers survivable"
    )
    assert clocks == (
        "wall clocks that differ by more than 0.090 s let two replicas lead: 0.01 * lease_ttl (8)"
        " + 2 * max_clock_skew (0.005); declare the skew, or trust no wall clock (None)"
    )
    [deadline] = elector(renew_deadline=14.0000012).warnings()
    assert deadline == (
        "renew_deadline (14.000001) is more than 13.7 s: 0.98 * lease_ttl (15) - max_clock_skew (0)"
        " - 1; candidates that see renewTime in whole seconds, as client-go's do, may take the"
        " Lease while this one still leads"
    )


# Electors


def test_an_elector_leads_by_a_write_for_its_renew_deadline() -> None:
    ours = elector(renew_deadline=9)
    assert ours.belief == 9
    assert ours.renew_interval == pytest.approx(3)
    assert ours.attempt_timeout == pytest.approx(1.8)


def test_an_elector_s_timing_holds_what_it_was_given() -> None:
    ours = elector(lease_ttl=timedelta(seconds=20), retry_period=3, drain_timeout=0)
    assert (ours.lease_ttl, ours.max_clock_skew) == (20, None)
    assert (ours.retry_period, ours.drain_timeout) == (3, 0)


@pytest.mark.parametrize(("period", "gap"), [(1.5, 1.5), (2.0, 2.0), (5.0, 2.0)])
def test_the_next_try_begins_no_later_than_a_failed_one_must_have_ended(
    period: float, gap: float
) -> None:
    assert elector(retry_period=period).retry_gap == gap


@given(
    st.floats(1.0, 0.98 * (2**31 - 1)),
    st.floats(0.5, 1e9),
)
def test_three_full_attempts_end_before_the_deadline(deadline: float, period: float) -> None:
    ours = elector(lease_ttl=2**31 - 1, renew_deadline=deadline, retry_period=period)
    third_begins_at = ours.renew_interval + 2 * ours.retry_gap
    assert third_begins_at + ours.attempt_timeout <= 0.94 * ours.belief


def test_the_defaults_of_an_elector_are_not_fragile() -> None:
    assert list(elector().warnings()) == []


@pytest.mark.parametrize(("deadline", "fragile"), [(4.9, True), (5, False), (5.1, False)])
def test_an_elector_with_less_than_a_second_for_an_attempt_is_fragile(
    deadline: float, fragile: bool
) -> None:
    warnings = list(elector(renew_deadline=deadline).warnings())
    assert bool(warnings) == fragile
    assert all("only 0.98 s" in each and "longer renew_deadline makes" in each for each in warnings)


@pytest.mark.parametrize(
    ("ttl", "skew", "safe"),
    [(15, None, 13.7), (15, 0.2, 13.5), (10, 2, 6.8), (23, 0.05, 21.49), (7, None, 5.86)],
)
def test_a_deadline_within_a_second_of_the_longest_is_fragile_beside_client_go(
    ttl: int, skew: float | None, safe: float
) -> None:
    options = {"lease_ttl": ttl, "max_clock_skew": skew}
    assert list(elector(renew_deadline=safe, **options).warnings()) == []
    [warning] = elector(renew_deadline=safe + 0.001, **options).warnings()
    assert warning.startswith(f"renew_deadline ({safe + 0.001:g}) is more than {safe} s: ")
    assert f"lease_ttl ({ttl})" in warning
    assert f"max_clock_skew ({skew or 0})" in warning
    assert "client-go" in warning


def test_an_elector_is_warned_of_wall_clocks_too() -> None:
    [warning] = elector(lease_ttl=9, renew_deadline=7, max_clock_skew=0.0).warnings()
    assert "more than 0.090 s" in warning
    assert list(elector(lease_ttl=9, renew_deadline=7).warnings()) == []


def test_each_fragile_setting_of_an_elector_is_warned_of_once() -> None:
    ours = elector(lease_ttl=2, renew_deadline=1.5, retry_period=1, max_clock_skew=0.0)
    warnings = list(ours.warnings())
    assert len(warnings) == len(set(warnings)) == 3


# Bounds, in the numbers that people write: floats are a little off them


def hundredths(least: int, most: int) -> st.SearchStrategy[Fraction]:
    return st.integers(least, most).map(lambda number: Fraction(number, 100))


@given(st.integers(2, 2**31 - 1), hundredths(0, 500))
def test_the_longest_deadline_is_taken_and_a_hundredth_more_is_not(
    ttl: int, skew: Fraction
) -> None:
    longest = Fraction(98, 100) * ttl - skew
    taken = renew_deadline_rule(float(longest), ttl, float(skew)) is None
    assert taken == (longest >= 1)
    assert renew_deadline_rule(float(longest + Fraction(1, 100)), ttl, float(skew)) is not None


@given(hundredths(50, 10**11))
def test_a_deadline_of_a_retry_period_and_a_fifth_is_refused_and_a_hundredth_more_taken(
    period: Fraction,
) -> None:
    least = Fraction(12, 10) * period
    assert retry_period_rule(float(period), float(least)) is not None
    assert retry_period_rule(float(period), float(least + Fraction(1, 100))) is None


def test_what_is_off_a_bound_by_rounding_alone_is_taken() -> None:
    assert renew_deadline_rule(belief_after(15, None) + _ROUNDING, 15, None) is None
    assert retry_period_rule(2.0, RETRY_JITTER * 2.0 + _ROUNDING) is None
    safe = belief_after(15, None) - 1
    assert list(elector(renew_deadline=safe + _ROUNDING).warnings()) == []


@pytest.mark.parametrize(("value", "taken"), [(0, True), (0.0, True), (1e9, True), (-0.001, False)])
def test_the_time_to_finish_is_not_negative(value: float, taken: bool) -> None:
    assert (drain_timeout_rule(value) is None) == taken
