"""When an elector acts: as a leader, as a standby, through faults, and to the end."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from kube_leader_election._core.messages import (
    Absent,
    Conflict,
    Found,
    Instant,
    Read,
    Request,
    WatchEnded,
)
from kube_leader_election._core.news import (
    LeaderState,
    News,
    Party,
    RoleChanged,
    TermBegan,
    TermEnded,
    TermStopping,
    Troubled,
    Warned,
)

from .campaigning import ANSWER_LOST, LOST, Elector, Fate, World, held, refused, timing
from .talk import Trouble

D, P, Q, TTL = 10.0, 2.0, 2.0, 15
THIRD = round(D / 3, 6)
WORK = frozenset({Party.WORK})
BOTH = frozenset(Party)


def leading(**options: Any) -> tuple[World, Elector]:
    """An elector that has created the Lease at 0."""
    world = World()
    elector = Elector(world, **options)
    world.run(0.0)
    assert elector.is_leader()
    return world, elector


def following(*, duration: int = TTL, **options: Any) -> tuple[World, Elector]:
    """An elector that has seen at 0 that x holds the Lease."""
    world = World()
    world.server.put(held("x", duration=duration))
    elector = Elector(world, **options)
    world.run(0.0)
    assert elector.kinds() == [(0.0, "read")]
    return world, elector


def late(seconds: float) -> Fate:
    """There and back takes twice as many `seconds`."""
    return Fate(arrives_after=seconds, answered_after=seconds)


def instants(elector: Elector, *kinds: type[News]) -> list[float]:
    return [round(at, 6) for at, news in elector.told if isinstance(news, kinds)]


def ordinals(elector: Elector) -> list[int]:
    return [news.ordinal for news in elector.news() if isinstance(news, TermBegan)]


def strip(news: list[News]) -> list[str]:
    return [type(each).__name__ for each in news]


# A leader.


@pytest.mark.parametrize("latency", [0.0, 0.05, 0.9])
@pytest.mark.parametrize("watches", [True, False])
def test_a_healthy_leader_renews_every_third_of_its_deadline_with_one_replace_and_no_read(
    latency: float, watches: bool
) -> None:
    world, leader = leading(watches=watches)
    leader.fate = lambda _: late(latency)
    leader.watch_delay = lambda: latency
    world.run(59.9)
    assert leader.kinds(0.001) == [(round(D / 3 * n, 6), "renew") for n in range(1, 18)]
    assert strip(leader.news()) == ["TermBegan", "RoleChanged"]
    assert sum(leader.steps.values()) <= len(leader.sent) + 10


@pytest.mark.parametrize(
    ("retry_period", "fate", "starts"),
    [
        (2.0, LOST, [3.333333, 5.333333, 7.333333, 9.333333]),
        (2.0, refused(503), [3.333333, 5.333333, 7.333333, 9.333333]),
        (2.0, refused(403), [3.333333, 5.333333, 7.333333, 9.333333]),
        (5.0, refused(None), [3.333333, 5.333333, 7.333333, 9.333333]),
        (1.5, refused(503), [3.333333, 4.833333, 6.333333, 7.833333, 9.333333]),
        (1.5, LOST, [3.333333, 5.333333, 7.333333, 9.333333]),
    ],
)
def test_a_leader_tries_again_min_of_p_and_q_after_the_start_of_the_last_try(
    retry_period: float, fate: Fate, starts: list[float]
) -> None:
    world, leader = leading(timing=timing(retry_period=retry_period))
    leader.fate = lambda _: fate
    world.run(9.999)
    assert leader.kinds(0.001) == [(start, "renew") for start in starts]


def test_an_attempt_has_q_or_what_is_left_of_the_term() -> None:
    world, leader = leading()
    leader.fate = lambda _: LOST
    world.run(9.999)
    ends = [sent.deadline_at for sent in leader.sent[2:]]
    assert ends == pytest.approx([5.333333, 7.333333, 9.333333, 10.0])
    assert ends[2] / D == pytest.approx(0.933, abs=0.001)
    assert ends[3] == D


def test_a_leader_that_lost_its_term_to_an_outage_tries_on() -> None:
    world, leader = leading()
    leader.fate = lambda _: LOST
    world.run(30)
    assert not leader.is_leader()
    starts = [at for at in leader.attempts if at > D]
    assert len(starts) >= 8
    assert all(P * 0.8 <= after - before <= P * 1.2 for before, after in pairwise(starts))


@pytest.mark.parametrize(("watches", "most_extra"), [(True, 0), (False, 2)])
def test_a_lost_answer_costs_at_most_two_requests_and_keeps_the_token(
    watches: bool, most_extra: int
) -> None:
    world, leader = leading(watches=watches)
    token = leader.token
    leader.fate = lambda _: ANSWER_LOST if world.now < 4 else Fate()
    world.run(7.5)
    renewals = [(3.333333, "renew"), (6.666667, "renew")]
    extra = [(5.333333, "renew"), (5.333333, "read")]
    assert leader.kinds(0.001) == (renewals[:1] + extra[:most_extra] + renewals[1:])
    assert leader.token == token
    assert leader.news_of(TermBegan) == [TermBegan(1, token)]


def test_a_lost_answer_recognised_after_the_term_is_over_is_a_new_term() -> None:
    world, leader = leading(watches=False)
    leader.fate = lambda _: LOST if 3 < world.now < 9 else ANSWER_LOST if world.now < 10 else Fate()
    world.run(12)
    assert leader.is_leader()
    terms = [news for news in leader.news() if isinstance(news, TermBegan)]
    assert [term.ordinal for term in terms] == [1, 2]
    assert (terms[1].token or 0) > (terms[0].token or 0)


def unreachable(
    world: World, since: float, until: float, fate: Fate, latency: float = 0.0
) -> tuple[Callable[[Request], Fate], Callable[[], WatchEnded | None]]:
    """Return a fate and a refusal of the watch, for while the API server is away."""

    def away(when: float) -> bool:
        return since <= when < until

    def of_request(_: Request) -> Fate:
        if away(world.now + latency):
            return fate
        if away(world.now + 2 * latency):
            return Fate(arrives_after=latency, answered_after=None)
        return late(latency)

    def of_watch() -> WatchEnded | None:
        return WatchEnded(Trouble("away")) if away(world.now) else None

    return of_request, of_watch


PHASES = [round(0.05 * step, 2) for step in range(68)]


@pytest.mark.parametrize("fate", [LOST, refused(None), refused(503)], ids=["lost", "fails", "503"])
@pytest.mark.parametrize(("outage", "latency"), [(5.5, 0.0), (5.5, 0.1), (6.0, 0.0)])
@pytest.mark.parametrize("watches", [True, False])
def test_an_outage_of_up_to_six_seconds_ends_no_term_whenever_it_begins(
    outage: float, latency: float, fate: Fate, watches: bool
) -> None:
    for phase in PHASES:
        world, leader = leading(watches=watches)
        since = 10.0 + phase
        of_request, of_watch = unreachable(world, since, since + outage, fate, latency)
        leader.fate, leader.watch_refusal = of_request, of_watch
        world.run(since)
        for watch in [*world.server.watches]:
            watch.end(WatchEnded(Trouble("away")))
        world.run(40)
        assert strip(leader.news_of(TermBegan, TermEnded)) == ["TermBegan"], phase
        assert leader.is_leader()


@pytest.mark.parametrize("fate", [LOST, refused(None)], ids=["lost", "fails"])
def test_an_outage_of_half_a_minute_ends_the_term_at_its_deadline_and_another_begins_soon_after(
    fate: Fate,
) -> None:
    for phase in PHASES[::5]:
        world, leader = leading()
        since = 10.0 + phase
        of_request, of_watch = unreachable(world, since, since + 30, fate)
        leader.fate, leader.watch_refusal = of_request, of_watch
        world.run(since + 29)
        anchor = max(sent.at for sent in leader.sent if sent.at < since)
        assert [at for at, news in leader.told if isinstance(news, TermEnded)] == [anchor + D]
        assert not leader.is_leader()
        world.run(since + 30 + Q + 1.2 * P)
        assert leader.is_leader()
        assert ordinals(leader) == [1, 2]


@pytest.mark.parametrize(
    ("asked", "starts"),
    [
        (None, [3.333333, 5.333333, 7.333333, 9.333333]),
        (0.0, [3.333333, 5.333333, 7.333333, 9.333333]),
        (1.0, [3.333333, 5.333333, 7.333333, 9.333333]),
        (3.0, [3.333333, 6.333333, 8.333333]),
        (60.0, [3.333333, 8.0]),
        (1e9, [3.333333, 8.0]),
    ],
)
def test_a_leader_that_is_asked_to_wait_has_one_last_attempt_before_its_deadline(
    asked: float | None, starts: list[float]
) -> None:
    world, leader = leading()
    leader.fate = lambda _: refused(429, retry_after=asked)
    world.run(9.999)
    assert [at for at, _ in leader.kinds(0.001)] == starts


def test_a_leader_that_is_asked_to_wait_at_the_end_of_its_term_tries_as_soon_as_without_it() -> (
    None
):
    world, leader = leading()
    slow = Fate(arrives_after=1.6, answer=refused(429, retry_after=60).answer)
    leader.fate = lambda _: slow if world.now > 7 else refused(503)
    world.run(9.999)
    starts = [3.333333, 5.333333, 7.333333, 9.333333]
    assert [at for at, _ in leader.kinds(0.001)] == starts


def test_a_leader_whose_machine_slept_acts_when_its_term_ends_by_the_wall_clock() -> None:
    world, leader = leading(wall_ends_term=True)
    world.run(1)
    slept = Instant(1.0, leader.clock().utc + timedelta(seconds=7.5))
    assert leader.campaign.acts_at(slept) == pytest.approx(D - 7.5)


def test_a_foreign_edit_of_the_lease_costs_a_leader_nothing_but_a_version() -> None:
    world, leader = leading()
    world.run(5)
    assert world.server.record is not None
    world.server.put(world.server.record)
    world.run(7)
    assert leader.kinds(5) == [(6.666667, "renew")]
    assert leader.news_of(TermEnded) == []


# A standby.


def test_a_standby_that_watches_makes_no_request_while_events_come() -> None:
    world, _ = leading()
    standby = Elector(world, "b")
    world.run(200)
    assert standby.kinds() == [(0.0, "read")]
    assert standby.news() == [RoleChanged(LeaderState.FOLLOWING, "a")]


@pytest.mark.parametrize("delay", [0.0, 0.01, 1.0])
def test_a_standby_acts_in_the_instant_in_which_a_release_is_told_with_one_replace(
    delay: float,
) -> None:
    world, leader = leading()
    standby = Elector(world, "b", watch_delay=lambda: delay)
    world.run(30.5)
    leader.stop()
    world.run(33)
    assert leader.kinds(30.1) == [(30.5, "release")]
    assert standby.kinds(0.001)[0] == (30.5 + delay, "acquire")
    assert "read" not in [kind for _, kind in standby.kinds(0.001)]
    assert standby.is_leader()


@pytest.mark.parametrize("delay", [0.0, 0.25])
def test_a_standby_reads_a_silent_lease_once_and_takes_it_over_at_its_expiry_with_one_replace(
    delay: float,
) -> None:
    world, leader = leading()
    standby = Elector(world, "b", watch_delay=lambda: delay)
    world.run(20.5)
    leader.crash()
    world.run(20 + delay + TTL)
    heard = 20 + delay
    assert standby.kinds(1) == [(heard + TTL / 2, "read"), (heard + TTL, "acquire")]
    assert standby.is_leader()


@pytest.mark.parametrize("duration", [1, 3, 15, 40])
def test_the_duration_that_is_waited_for_is_the_stored_one(duration: int) -> None:
    world, standby = following(duration=duration)
    world.run(duration - 0.001)
    assert [kind for _, kind in standby.kinds()] == ["read", "read"]
    world.run(duration)
    assert standby.kinds(0.001) == [(duration / 2, "read"), (float(duration), "acquire")]


def test_a_standby_that_trusts_wall_clocks_takes_over_at_the_expiry_by_them() -> None:
    world = World()
    world.server.put(held("x", renewed=-10))
    standby = Elector(world, timing=timing(max_clock_skew=1.0))
    world.run(20)
    assert standby.kinds()[0] == (0.0, "read")
    at, kind = standby.kinds()[1]
    assert kind == "acquire"
    assert at == pytest.approx(6.0, abs=1e-5)


def test_a_standby_without_a_watch_polls_every_retry_period_with_jitter() -> None:
    dice = random.Random(1)
    world, standby = following(watches=False, duration=1000, jitter=dice.random)
    world.run(400)
    gaps = [after - before for before, after in pairwise(standby.attempts)]
    assert {kind for _, kind in standby.kinds()} == {"read"}
    assert all(0.8 * P <= gap <= 1.2 * P + 1e-9 for gap in gaps)
    assert min(gaps) < 0.85 * P
    assert max(gaps) > 1.15 * P


def test_a_standby_without_a_watch_takes_over_at_the_expiry_not_at_the_next_poll() -> None:
    world, standby = following(watches=False)
    world.run(TTL)
    assert standby.kinds(14.5) == [(15.0, "acquire")]
    assert standby.is_leader()


REFUSALS = [refused(400), refused(401), refused(403), refused(422), Fate(answer=Absent(Trouble()))]


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("fate", REFUSALS, ids=["400", "401", "403", "422", "404"])
def test_a_standby_backs_off_from_refusals_to_a_minute_and_recovers(
    fate: Fate, jitter: float
) -> None:
    world = World()
    mended = 400
    standby = Elector(world, jitter=lambda: jitter)
    standby.fate = lambda _: fate if world.now < mended else Fate()
    world.run(mended + 60)
    first = P * (0.8 + 0.4 * jitter)
    gaps = [after - before for before, after in pairwise(standby.attempts)]
    refusals = [gap for at, gap in zip(standby.attempts, gaps, strict=False) if at < mended]
    doubling = [min(60.0, first * 2**number) for number in range(len(refusals))]
    assert refusals == pytest.approx(doubling)
    assert 60.0 in refusals
    assert standby.is_leader()
    assert len(standby.news_of(Troubled)) == 1


@pytest.mark.parametrize("status", [None, 408, 429, 500, 503])
def test_a_standby_tries_again_every_retry_period_where_that_may_help(status: int | None) -> None:
    world = World()
    standby = Elector(world, fate=lambda _: refused(status))
    world.run(20)
    assert standby.attempts == [P * number for number in range(11)]


def test_a_backoff_begins_anew_after_a_success() -> None:
    world, standby = following(watches=False, duration=10_000)
    standby.fate = lambda _: refused(403) if world.now < 20 or world.now > 40 else Fate()
    world.run(60)
    at = standby.attempts
    assert at[1:5] == [2.0, 4.0, 8.0, 16.0]
    again = [each for each in at if each > 40]
    assert again[1] - again[0] == 2.0
    assert again[2] - again[1] == 4.0


def test_an_attempt_that_leaves_something_to_do_is_not_repeated_at_once() -> None:
    world = World()
    world.server.put(held(None))
    elector = Elector(world, fate=lambda _: late(0.1))
    world.run(0.25)
    assert [kind for _, kind in elector.kinds()] == ["read", "acquire"]
    unversioned = replace(held(None, renewed=-1), uid="uid-0")
    elector.campaign.watched(Found(unversioned), elector.clock())
    world.run(5)
    assert elector.attempts[:2] == [0.0, P]
    assert elector.is_leader()


@pytest.mark.parametrize(
    ("asked", "gap"), [(None, 2), (0.0, 2), (1.0, 2), (2.5, 2.5), (30.0, 30), (60.0, 60), (1e9, 60)]
)
def test_a_standby_waits_as_long_as_it_is_asked_to_but_no_more_than_a_minute(
    asked: float | None, gap: float
) -> None:
    world = World()
    standby = Elector(world, fate=lambda _: refused(429, retry_after=asked))
    world.run(gap + 0.5)
    assert standby.attempts[:2] == [0.0, gap]


def test_of_two_that_see_an_expiry_one_leads_and_the_other_follows() -> None:
    world, first = following()
    second = Elector(world, "b")
    world.run(TTL)
    assert first.is_leader() != second.is_leader()
    loser = second if first.is_leader() else first
    sent = len(loser.sent)
    world.run(100)
    assert len(loser.sent) == sent


# What is told by the watch, to a leader.


def test_a_newer_record_of_another_ends_the_term_at_once() -> None:
    world, leader = leading()
    world.run(5)
    world.server.put(held("b", renewed=5))
    world.run(5)
    assert not leader.is_leader()
    assert instants(leader, TermStopping, TermEnded) == [5.0, 5.0]
    assert leader.news_of(RoleChanged)[-1] == RoleChanged(LeaderState.FOLLOWING, "b")
    assert leader.kinds(5) == []


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_record_of_another_ends_no_term(version: int) -> None:
    world, leader = leading()
    world.run(5)
    assert leader.watch is not None
    leader.watch.tell(Found(replace(held("b"), uid="uid-1", resource_version=str(version))))
    world.run(30)
    assert leader.news_of(TermEnded) == []


def test_a_deletion_ends_the_term_and_the_leader_creates_at_once_as_a_new_term() -> None:
    world, leader = leading()
    world.run(5)
    world.server.delete()
    world.run(5)
    assert leader.kinds(5) == [(5.0, "create")]
    assert leader.is_leader()
    news = leader.news_of(TermBegan, TermStopping, TermEnded)
    assert news == [
        TermBegan(1, 1),
        TermStopping(1),
        TermEnded(1),
        TermBegan(2, leader.token),
    ]
    assert (leader.token or 0) > 2


def test_a_deletion_that_no_watch_tells_is_met_by_the_renewal_and_the_lease_created_anew() -> None:
    world, leader = leading(watches=False)
    world.run(5)
    world.server.delete()
    world.run(7)
    sent = [(6.666667, "renew"), (6.666667, "read"), (6.666667, "create")]
    assert leader.kinds(5) == sent
    assert ordinals(leader) == [1, 2]


@pytest.mark.parametrize("without_lease", [Conflict, Absent])
@pytest.mark.parametrize("delay", [0.0, 0.06])
def test_a_deletion_told_while_a_renewal_is_in_flight_still_allows_to_create_at_once(
    without_lease: type[Absent] | type[Conflict], delay: float
) -> None:
    world, leader = leading(watch_delay=lambda: delay)
    world.server.without_lease = without_lease
    leader.fate = lambda _: late(0.1)
    world.at(3.4, world.server.delete)
    world.run(4.0)
    assert leader.is_leader()
    assert [kind for _, kind in leader.kinds(3)][-1] == "create"
    assert ordinals(leader) == [1, 2]


@pytest.mark.parametrize(("duration", "waits"), [(10, TTL), (15, TTL), (30, 30)])
@pytest.mark.parametrize("watches", [True, False])
def test_a_standby_waits_for_the_longest_duration_seen_after_it_first_saw_the_absence(
    duration: int, waits: int, watches: bool
) -> None:
    world, standby = following(duration=duration, watches=watches)
    world.run(4)
    world.server.put(held("x", duration=1, renewed=4))
    world.at(4.5, world.server.delete)
    world.run(4.6)
    first_seen = 4.5 if watches else 6.0
    if not watches:
        world.run(6.0)
        first_seen = next(at for at, kind in reversed(standby.kinds()) if kind == "read")
    world.run(first_seen + waits - 0.001)
    assert "create" not in [kind for _, kind in standby.kinds()]
    world.run(first_seen + waits)
    assert standby.kinds()[-1] == (first_seen + waits, "create")
    assert standby.is_leader()


# Leases that are left alone, and namesakes.


def test_a_lease_whose_holder_kubernetes_appoints_is_not_contended_for() -> None:
    world = World()
    world.server.put(held("x", strategy="OldestEmulationVersion"))
    standby = Elector(world)
    world.run(100)
    world.server.put(held("x", strategy="OldestEmulationVersion", renewed=100))
    world.run(200)
    assert {kind for _, kind in standby.kinds()} == {"read"}
    assert standby.news_of(RoleChanged) == [RoleChanged(LeaderState.FOLLOWING, "x")]
    assert len(standby.news_of(Warned)) == 1


def test_what_is_left_alone_is_not_read_often_however_short_it_was_claimed_for() -> None:
    world = World()
    world.server.put(held(None, duration=1, strategy="OldestEmulationVersion"))
    standby = Elector(world)
    world.run(100)
    assert len(standby.kinds(0.001)) <= 100 / (TTL / 2)


def test_a_free_lease_whose_holder_kubernetes_appoints_is_not_taken() -> None:
    world = World()
    world.server.put(held(None, strategy="OldestEmulationVersion"))
    standby = Elector(world)
    world.run(60)
    assert {kind for _, kind in standby.kinds()} == {"read"}
    assert strip(standby.news()) == ["Warned"]
    world.server.put(held(None))
    world.run(60)
    assert standby.is_leader()


@pytest.mark.parametrize("watches", [True, False])
def test_a_strategy_that_appears_in_mid_term_lets_it_end_at_its_deadline(watches: bool) -> None:
    world, leader = leading(watches=watches)
    world.run(5)
    assert world.server.record is not None
    stored = world.server.put(replace(world.server.record, strategy="S"))
    world.run(60)
    assert world.server.record == stored
    assert instants(leader, TermEnded) == [round(D / 3 + D, 6)]
    assert len(leader.news_of(Warned)) == 1
    assert not leader.is_leader()


def test_an_elector_does_not_adopt_the_record_of_a_namesake_but_waits_for_its_expiry() -> None:
    world = World()
    world.server.put(held("a"))
    elector = Elector(world)
    world.run(TTL - 0.001)
    assert {kind for _, kind in elector.kinds()} == {"read"}
    world.run(TTL)
    assert elector.kinds()[-1] == (float(TTL), "acquire")
    assert elector.is_leader()


def test_a_namesake_that_takes_our_lease_ends_our_term_and_is_warned_of_once() -> None:
    world, elector = leading()
    for at in (5.0, 8.0, 11.0):
        world.at(at, lambda: world.server.put(held("a", renewed=world.now)))
    world.run(5)
    assert not elector.is_leader()
    assert instants(elector, TermEnded) == [5.0]
    world.run(11 + TTL - 0.001)
    assert {kind for _, kind in elector.kinds(5)} == {"read"}
    world.run(11 + TTL)
    assert elector.is_leader()
    assert len(elector.news_of(Warned)) == 1


# The end.


def test_who_does_not_lead_finishes_without_a_request() -> None:
    world, standby = following()
    world.run(5)
    standby.stop()
    assert standby.finished_at == 5
    assert standby.kinds(0.001) == []
    assert standby.news_of(RoleChanged)[-1] == RoleChanged(LeaderState.STANDBY, None)


def test_who_was_stopped_before_anything_else_finishes_without_a_request() -> None:
    world = World()
    elector = Elector(world)
    elector.stop()
    world.run(10)
    assert (elector.finished_at, elector.sent, elector.told) == (0.0, [], [])


@pytest.mark.parametrize("latency", [0.0, 0.1])
def test_a_leader_that_is_stopped_releases_with_one_replace(latency: float) -> None:
    world, leader = leading()
    world.run(5)
    leader.fate = lambda _: late(latency)
    leader.stop()
    assert not leader.is_leader()
    world.run(10)
    assert leader.kinds(5) == [(5.0, "release")]
    assert leader.finished_at == pytest.approx(5 + 2 * latency)
    assert world.server.record is not None
    assert world.server.record.holder_identity is None
    assert leader.news()[-3:] == [
        TermStopping(1),
        TermEnded(1),
        RoleChanged(LeaderState.STANDBY, None),
    ]


@pytest.mark.parametrize("parties", [WORK, BOTH])
def test_while_the_parties_finish_renewals_go_on_and_nothing_is_released(
    parties: frozenset[Party],
) -> None:
    world, leader = leading(parties=parties)
    world.run(5)
    leader.stop()
    assert instants(leader, TermStopping) == [5.0]
    world.run(18)
    assert leader.is_leader()
    assert leader.kinds(5) == [
        (6.666667, "renew"),
        (10.0, "renew"),
        (13.333333, "renew"),
        (16.666667, "renew"),
    ]
    leader.work_ended()
    if Party.CALLBACKS in parties:
        world.run(19)
        assert leader.is_leader()
        leader.callbacks_ended()
    now = world.now
    world.run(30)
    assert leader.kinds(17) == [(now, "release")]
    assert leader.finished_at == now
    assert instants(leader, TermEnded) == [now]


@pytest.mark.parametrize(("asked", "timeout"), [(None, 20.0), (3.0, 3.0), (0.0, 0.0)])
def test_parties_that_outlive_the_drain_timeout_are_told_that_it_is_lost_and_it_is_not_released(
    asked: float | None, timeout: float
) -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    leader.stop(asked)
    world.run(40)
    assert "release" not in [kind for _, kind in leader.kinds()]
    assert instants(leader, TermStopping) == [5.0]
    assert instants(leader, TermEnded) == [5 + timeout]
    assert leader.finished_at == 5 + timeout
    assert world.server.record is not None
    assert world.server.record.holder_identity == "a"


def test_a_shorter_drain_timeout_counts_from_a_second_stop_and_a_longer_one_does_not() -> None:
    world, leader = leading(parties=WORK)
    leader.stop(10)
    world.run(4)
    leader.stop(3)
    world.run(5)
    leader.stop(100)
    world.run(20)
    assert leader.finished_at == 7


def test_a_stop_waits_half_an_attempt_for_the_one_in_flight_then_gives_it_up_and_releases() -> None:
    world, leader = leading()
    leader.fate = lambda _: LOST if world.now < 5 else late(0.2)
    world.run(4)
    leader.stop()
    assert leader.gave_up == []
    world.run(10)
    assert leader.gave_up == [4 + Q / 2]
    assert leader.kinds(3.5) == [(5.0, "release")]
    assert leader.finished_at == pytest.approx(5.4)


def test_a_stop_lets_the_attempt_in_flight_be_answered_and_then_releases() -> None:
    world, leader = leading()
    leader.fate = lambda _: late(0.4)
    world.run(3.5)
    leader.stop()
    world.run(10)
    assert leader.gave_up == []
    assert leader.kinds(3) == [(3.333333, "renew"), (4.133333, "release")]
    assert leader.finished_at == pytest.approx(D / 3 + 1.6)
    assert world.server.record is not None
    assert world.server.record.holder_identity is None


def test_an_attempt_that_was_given_up_makes_no_further_request_whatever_it_is_answered() -> None:
    world, leader = leading(watches=False, hangs=True)
    world.run(3)
    assert world.server.record is not None
    world.server.put(world.server.record)
    leader.fate = lambda _: late(0.9)
    world.run(3.5)
    leader.stop()
    world.run(4.6)
    assert leader.gave_up == [4.5]
    leader.fate = lambda _: Fate()
    world.run(20)
    kinds = [kind for _, kind in leader.kinds(3)]
    assert kinds == ["renew", "release", "read", "release"]
    assert leader.finished_at == pytest.approx(D / 3 + 1.8)


def test_a_release_has_the_time_of_a_whole_attempt() -> None:
    world, leader = leading(timing=timing(renew_deadline=8.0))
    world.run(1)
    leader.fate = lambda _: LOST
    leader.stop()
    world.run(10)
    assert leader.sent[-1].deadline_at == pytest.approx(1 + 8 / 5)
    assert leader.finished_at == pytest.approx(1 + 8 / 5)


def test_an_attempt_given_up_while_it_reads_makes_way_for_the_release_once_that_is_answered() -> (
    None
):
    world, leader = leading(watches=False, hangs=True)
    world.run(3)
    assert world.server.record is not None
    world.server.put(world.server.record)
    leader.fate = lambda request: late(0.9) if isinstance(request, Read) else Fate()
    world.run(3.5)
    leader.stop()
    world.run(4.6)
    assert leader.gave_up == [4.5]
    leader.fate = lambda _: Fate()
    world.run(20)
    kinds = [kind for _, kind in leader.kinds(3)]
    assert kinds == ["renew", "read", "release", "read", "release"]
    assert leader.finished_at == pytest.approx(D / 3 + 1.8)


@pytest.mark.parametrize("stopped_at", [3.4, 4.0, 5.2])
@pytest.mark.parametrize("hangs", [True, False])
def test_a_stop_is_over_within_one_attempt_s_time_whatever_hangs(
    stopped_at: float, hangs: bool
) -> None:
    world, leader = leading(hangs=hangs)
    leader.fate = lambda _: LOST
    world.run(stopped_at)
    leader.stop()
    world.run(20)
    assert leader.finished_at is not None
    assert leader.finished_at <= stopped_at + Q
    assert not leader.is_leader()
    assert leader.news_of(RoleChanged)[-1] == RoleChanged(LeaderState.STANDBY, None)


@pytest.mark.parametrize("hangs", [True, False])
def test_parties_whose_time_is_over_do_not_wait_for_an_attempt_in_flight(hangs: bool) -> None:
    world, leader = leading(parties=WORK, hangs=hangs)
    leader.fate = lambda _: LOST
    world.run(2)
    leader.stop(2)
    world.run(20)
    assert instants(leader, TermEnded) == [4.0]
    assert leader.gave_up == [4.0]
    assert leader.finished_at == (4 + Q if hangs else 4)


def test_a_stop_during_an_acquire_without_an_answer_releases_what_was_committed() -> None:
    world = World()
    world.server.put(held(None))
    elector = Elector(world)
    elector.fate = lambda request: ANSWER_LOST if len(elector.sent) == 2 else Fate()
    elector.watches = False
    world.run(0.5)
    elector.stop()
    world.run(10)
    kinds = [kind for _, kind in elector.kinds()]
    assert kinds[:2] == ["read", "acquire"]
    assert kinds[-1] == "release"
    assert elector.finished_at is not None
    assert elector.finished_at <= 0.5 + Q
    assert world.server.record is not None
    assert world.server.record.holder_identity is None
    assert elector.news_of(TermBegan) == []


@pytest.mark.parametrize("stopped_at", [0.05, 0.25])
@pytest.mark.parametrize("was_free", [True, False])
def test_who_is_stopped_while_it_acquires_is_never_told_to_lead(
    stopped_at: float, was_free: bool
) -> None:
    world = World()
    if was_free:
        world.server.put(held(None))
    elector = Elector(world, fate=lambda _: late(0.1))
    world.run(stopped_at)
    elector.stop()
    world.run(10)
    assert elector.news_of(TermBegan, TermStopping, TermEnded, RoleChanged) == []
    assert elector.finished_at is not None
    assert world.server.record is None or world.server.record.holder_identity is None


@pytest.mark.parametrize("leads", [True, False])
def test_an_attempt_that_a_stop_gives_up_is_no_trouble(leads: bool) -> None:
    world, elector = leading() if leads else following(watches=False)
    stopped_at = 4.0 if leads else 2.5
    elector.fate = lambda _: LOST if world.now <= stopped_at else Fate()
    world.run(stopped_at)
    elector.stop()
    world.run(10)
    assert len(elector.gave_up) == 1
    assert elector.news_of(Troubled) == []


@pytest.mark.parametrize("fate", [LOST, ANSWER_LOST, refused(500), refused(403)])
def test_a_release_that_fails_does_not_keep_it_from_finishing(fate: Fate) -> None:
    world, leader = leading()
    world.run(5)
    leader.fate = lambda _: fate
    leader.stop()
    world.run(20)
    assert [kind for _, kind in leader.kinds(5)] == ["release"]
    assert leader.finished_at is not None
    assert leader.finished_at <= 5 + Q
    assert leader.news_of(RoleChanged)[-1] == RoleChanged(LeaderState.STANDBY, None)


def test_a_release_that_meets_an_edit_of_the_lease_is_made_again() -> None:
    world, leader = leading(watches=False)
    world.run(5)
    assert world.server.record is not None
    world.server.put(world.server.record)
    leader.stop()
    world.run(20)
    assert [kind for _, kind in leader.kinds(5)] == ["release", "read", "release"]
    assert world.server.record.holder_identity is None


def test_after_a_stop_another_s_term_is_no_news() -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    leader.stop()
    told = len(leader.told)
    world.server.put(held("b", renewed=5))
    world.run(6)
    assert leader.news()[told:] == [TermEnded(1), RoleChanged(LeaderState.STANDBY, None)]
    leader.work_ended()
    world.run(40)
    assert leader.finished_at == 6
    assert [kind for _, kind in leader.kinds(5)] == []
    assert len(leader.told) == told + 2


def test_a_follower_that_is_stopped_while_it_drains_nothing_is_told_no_more_holders() -> None:
    world, standby = following(hangs=True)
    standby.fate = lambda _: LOST
    world.run(8)
    standby.stop()
    world.server.put(held("y", renewed=8))
    world.run(20)
    assert standby.news_of(RoleChanged)[1:] == [RoleChanged(LeaderState.STANDBY, None)]


# Work, and callbacks.


def test_work_that_returns_while_leading_ends_the_election() -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    leader.work_ended()
    assert leader.kinds(5) == [(5.0, "release")]
    world.run(20)
    assert leader.finished_at == 5


def test_work_that_returns_while_leading_is_waited_for_no_more_but_callbacks_are() -> None:
    world, leader = leading(parties=BOTH)
    world.run(5)
    leader.work_ended()
    assert leader.is_leader()
    assert instants(leader, TermStopping) == [5.0]
    world.run(6)
    leader.callbacks_ended()
    world.run(20)
    assert leader.kinds(5) == [(6.0, "release")]
    assert leader.finished_at == 6


def test_after_a_loss_it_contends_again_but_not_before_the_work_has_returned() -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    world.server.put(held("b", duration=1, renewed=5))
    world.run(9)
    assert leader.kinds(5) == []
    assert instants(leader, TermEnded) == [5.0]
    leader.work_ended()
    world.run(9)
    assert leader.kinds(5) == [(9.0, "acquire")]
    assert leader.is_leader()
    assert leader.finished_at is None
    assert ordinals(leader) == [1, 2]


def test_after_a_loss_it_contends_again_only_once_all_parties_have_finished() -> None:
    world, leader = leading(parties=BOTH)
    world.server.put(held(None))
    world.run(1)
    leader.work_ended()
    world.run(2)
    assert leader.kinds(0.001) == []
    leader.callbacks_ended()
    assert leader.kinds(0.001) == [(2.0, "acquire")]


def test_a_deletion_while_work_runs_is_followed_by_a_new_lease_only_once_it_has_returned() -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    world.server.delete()
    world.run(6)
    assert leader.kinds(5) == []
    leader.work_ended()
    world.run(6)
    assert leader.kinds(5) == [(6.0, "create")]


@pytest.mark.parametrize("lost", [True, False])
def test_failed_work_ends_the_election_also_after_a_loss(lost: bool) -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    if lost:
        world.server.put(held("b", renewed=5))
        world.run(5)
    leader.work_ended(failed=True)
    world.run(10)
    assert leader.finished_at == 5
    assert [kind for _, kind in leader.kinds(5)] == ([] if lost else ["release"])


def test_work_of_an_earlier_term_ends_nothing() -> None:
    world, leader = leading(parties=WORK)
    leader.work_ended(ordinal=0)
    leader.callbacks_ended(ordinal=0)
    leader.give_up(ordinal=0)
    world.run(10)
    assert leader.is_leader()
    assert leader.finished_at is None
    assert leader.news_of(TermStopping) == []


@pytest.mark.parametrize("last", Party)
def test_a_late_word_of_an_earlier_term_finishes_nothing_of_the_term_that_it_leads_in(
    last: Party,
) -> None:
    world, leader = leading(parties=BOTH)
    ends = [leader.callbacks_ended, leader.work_ended]
    if last is Party.CALLBACKS:
        ends.reverse()
    world.server.put(held(None))
    world.run(0.5)
    leader.work_ended()
    leader.callbacks_ended()
    world.run(1)
    assert ordinals(leader) == [1, 2]
    leader.stop()
    leader.work_ended(1)
    leader.callbacks_ended(1)
    for second, end in enumerate(ends, 2):
        world.run(second)
        assert leader.is_leader()
        end(2)
    assert leader.kinds(2) == [(3.0, "release")]


def test_work_that_is_abandoned_ends_the_election_and_is_waited_for_no_more() -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    leader.campaign.abandon_work(leader.clock())
    leader.wake()
    world.run(10)
    assert leader.kinds(5) == [(5.0, "release")]
    assert leader.finished_at == 5


def test_a_term_that_is_given_up_is_released_and_contended_for_again_after_the_ttl() -> None:
    world, leader = leading(parties=frozenset({Party.CALLBACKS}))
    world.run(5)
    leader.give_up()
    assert instants(leader, TermStopping) == [5.0]
    world.run(6)
    assert leader.is_leader()
    leader.callbacks_ended()
    world.run(6 + TTL - 0.001)
    assert leader.kinds(5) == [(6.0, "release")]
    assert instants(leader, TermEnded) == [6.0]
    world.run(6 + TTL)
    assert leader.kinds(7) == [(6.0 + TTL, "acquire")]
    assert leader.is_leader()


def test_work_that_finishes_because_its_term_is_given_up_does_not_end_the_election() -> None:
    world, leader = leading(parties=BOTH)
    world.run(5)
    leader.give_up()
    assert instants(leader, TermStopping) == [5.0]
    leader.callbacks_ended()
    world.run(6)
    leader.work_ended()
    world.run(6.0 + TTL)
    assert leader.kinds(5.5) == [(6.0, "release"), (6.0 + TTL, "acquire")]
    assert leader.finished_at is None
    assert leader.is_leader()


def test_another_candidate_leads_before_who_gave_its_term_up() -> None:
    world, leader = leading()
    standby = Elector(world, "b")
    world.run(5)
    leader.give_up()
    world.run(60)
    assert standby.is_leader()
    assert leader.news_of(RoleChanged)[-1] == RoleChanged(LeaderState.FOLLOWING, "b")


@pytest.mark.parametrize("fate", [LOST, ANSWER_LOST, refused(500), late(0.9), late(1.5)])
@pytest.mark.parametrize("overrun", [0.0, 0.01, 9.0])
@pytest.mark.parametrize("given_up_at", [3.4, 5.0])
def test_a_term_that_is_given_up_is_not_contended_for_before_the_ttl_whatever_fails(
    fate: Fate, overrun: float, given_up_at: float
) -> None:
    world, leader = leading(overrun=overrun)
    leader.fate = lambda _: fate if 3 < world.now < given_up_at + Q + 1 else Fate()
    world.run(given_up_at)
    leader.give_up()
    world.run(given_up_at + TTL - 0.001)
    assert not leader.is_leader()
    claims = [at for at, kind in leader.kinds(given_up_at) if kind not in ("release", "read")]
    assert claims == []


def test_parties_that_outlive_a_term_that_is_given_up_hold_it_back_until_they_finish() -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    leader.give_up()
    world.run(60)
    assert instants(leader, TermEnded) == [25.0]
    assert "release" not in [kind for _, kind in leader.kinds()]
    assert leader.kinds(25) == []
    leader.work_ended()
    world.run(60)
    assert leader.is_leader()
    assert leader.finished_at is None


def test_a_stop_in_the_pause_after_giving_up_finishes_without_a_request() -> None:
    world, leader = leading()
    world.run(5)
    leader.give_up()
    world.run(8)
    leader.stop()
    assert leader.finished_at == 8
    assert leader.kinds(5) == [(5.0, "release")]


# What is overdue.


def test_nothing_is_overdue_where_all_is_well() -> None:
    world, leader = leading()
    standby = Elector(world, "b")
    for second in range(1, 100):
        world.run(second)
        assert leader.campaign.stuck_since() > world.now
        assert standby.campaign.stuck_since() > world.now


def test_an_answer_is_overdue_after_the_deadline_of_its_attempt() -> None:
    world, leader = leading(hangs=True)
    leader.fate = lambda _: LOST
    world.run(30)
    assert leader.campaign.stuck_since() == pytest.approx(D / 3 + Q)


def test_nothing_is_overdue_while_an_api_server_that_is_away_fails_every_attempt() -> None:
    world, leader = leading()
    leader.fate = lambda _: LOST
    for second in range(1, 100):
        world.run(second)
        assert leader.campaign.stuck_since() >= world.now


def test_the_end_of_work_is_overdue_after_the_end_of_its_term_until_it_comes() -> None:
    world, leader = leading(parties=WORK)
    world.run(5)
    assert leader.campaign.stuck_since() > 5
    world.server.put(held("b", renewed=5))
    world.run(12)
    assert leader.campaign.stuck_since() == 5
    leader.work_ended()
    assert leader.campaign.stuck_since() == math.inf


@pytest.mark.parametrize("where", ["compose_claim", "take_in"])
def test_a_defect_of_the_conversation_is_not_taken_for_a_failed_attempt(where: str) -> None:
    world, leader = leading()
    world.run(3)
    defect = RuntimeError("a defect")

    def broken(*_: object, **__: object) -> None:
        raise defect

    setattr(leader.candidate, where, broken)
    with pytest.raises(RuntimeError) as caught:
        world.run(5)
    assert caught.value is defect
