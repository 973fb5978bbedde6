"""When a command is ended, by the numbers"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kube_leader_election._core.timing import belief_after
from kube_leader_election.cli.running._lifetime import (
    TIME_TO_DIE,
    Due,
    Lifetime,
    grace_rule,
    longest_grace,
    next_look,
    room_rule,
)

LEADS = Lifetime(grace=4.0, leads_until=110.0)


@pytest.mark.parametrize(
    ("lifetime", "at", "due"),
    [
        (LEADS, 109.9, None),
        (LEADS, 110.0, Due.TERMINATE),
        (LEADS, 114.0, Due.KILL),  # late: nobody has told it to end
        (LEADS.terminated(110.0), 113.9, None),
        (LEADS.terminated(110.0), 114.0, Due.KILL),
        (LEADS.terminated(112.0), 114.0, Due.KILL),  # the Lease passes no later for that
        (LEADS.terminated(102.0), 106.0, Due.KILL),  # what it has left behind
        (LEADS.renewed(113.0), 112.9, None),
        (LEADS.renewed(113.0), 113.0, Due.TERMINATE),
        (LEADS.renewed(105.0), 109.9, None),
        (LEADS.asked_to_finish(109.0), 104.9, None),
        (LEADS.asked_to_finish(109.0), 105.0, Due.TERMINATE),
        (LEADS.asked_to_finish(109.0), 109.0, Due.KILL),
        (LEADS.asked_to_finish(130.0), 110.0, Due.TERMINATE),  # but not renewed
        (LEADS.asked_to_finish(130.0).renewed(140.0), 126.0, Due.TERMINATE),
        (LEADS.asked_to_finish(109.0).asked_to_finish(120.0), 109.0, Due.KILL),
        (LEADS.asked_to_finish(100.0), 100.0, Due.KILL),  # at once
        (LEADS.terminated(110.0).renewed(120.0), 114.0, Due.KILL),
    ],
)
def test_it_is_told_to_end_and_then_killed(lifetime: Lifetime, at: float, due: Due | None) -> None:
    assert lifetime.due(at) is due


INSTANTS = st.floats(0, 100)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["renewed", "asked_to_finish", "terminated"]), INSTANTS)
)


@given(st.floats(0, 10), CHANGES)
def test_nothing_lets_it_outlive_what_it_was_told_last(
    grace: float, changes: list[tuple[str, float]]
) -> None:
    lifetime = Lifetime(grace=grace, leads_until=0.0)
    leads_until, ends_at = 0.0, math.inf
    for what, at in changes:
        lifetime = getattr(lifetime, what)(at)
        if what == "renewed":
            leads_until = max(leads_until, at)
        if what == "asked_to_finish":
            ends_at = min(ends_at, at)
    assert lifetime.kills_at <= leads_until + grace
    assert lifetime.kills_at <= ends_at
    assert lifetime.acts_at <= lifetime.kills_at
    assert lifetime.due(lifetime.kills_at) is Due.KILL
    assert lifetime.due(lifetime.acts_at) is not None


@given(st.integers(3, 3600), st.floats(1, 3600))
def test_who_is_killed_in_time_is_dead_before_the_lease_can_pass(
    lease_ttl: int, renew_deadline: float
) -> None:
    if room_rule(lease_ttl, renew_deadline) is None:
        grace = max(0.0, longest_grace(lease_ttl, renew_deadline))
        assert grace_rule(grace, lease_ttl, renew_deadline) is None
        lifetime = Lifetime(grace=grace, leads_until=renew_deadline)  # renewed at 0
        assert lifetime.kills_at + TIME_TO_DIE <= belief_after(lease_ttl, None) + 1e-5
        assert grace_rule(grace + 0.01, lease_ttl, renew_deadline) is not None


def test_the_rules_give_their_numbers() -> None:
    assert longest_grace(15, 10.0) == pytest.approx(3.7)
    assert grace_rule(5, 15, 10.0) == (
        "must be from 0 to 3.7 s: 0.98 * lease_ttl (15) - renew_deadline (10) - 1 s to be killed in"
    )
    assert room_rule(15, 14) == (
        "leaves no time to end the command before another may lead: 0.98 * lease_ttl (15)"
        " - renew_deadline (14) - 1 s to be killed in is less than 0"
    )
    assert room_rule(15, 13.7) is None
    assert grace_rule(-1, 15, 10.0) is not None
    assert grace_rule(math.nan, 15, 10.0) is not None


def test_a_term_is_looked_at_more_often_the_less_of_it_is_left() -> None:
    assert [next_look(left) for left in (9, 0.9, 0.001, -5)] == [1.0, 0.3, 0.02, 0.02]
