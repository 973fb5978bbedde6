"""When the Lease is watched, from where on, and when it is read all the same."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest

from kube_leader_election._core.messages import WatchEnded, WatchOpened
from kube_leader_election._core.news import Polled, TermEnded
from kube_leader_election._core.watching import CloseWatch, OpenWatch, Watching

from .campaigning import Elector, Fate, World, bookmark, held, refused, timing
from .talk import Trouble, at, lease

P, Q, TTL = 2.0, 2.0, 15
BROKEN = WatchEnded(Trouble("reset"))
REFUSED = WatchEnded(Trouble("403"), status=403)
TOO_OLD = WatchEnded(Trouble("410"), status=410)
ENDED = WatchEnded()


def standby(*, duration: int = 1000, **options: Any) -> tuple[World, Elector]:
    """An elector that has seen at 0 that x holds the Lease, at version 1, and watches it."""
    world = World()
    world.server.put(held("x", duration=duration))
    elector = Elector(world, **options)
    world.run(0.0)
    return world, elector


def end(elector: Elector, ending: WatchEnded) -> None:
    assert elector.watch is not None
    elector.watch.end(ending)


def gaps(instants: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(instants)]


def reads(elector: Elector, since: float = 0.001) -> list[float]:
    return [at for at, kind in elector.kinds(since) if kind == "read"]


def silence(elector: Elector) -> None:
    assert elector.watch is not None
    elector.watch.is_silent = True


# It is opened.


def test_the_lease_is_read_first_and_then_watched_from_the_version_that_was_read() -> None:
    world, elector = standby(fate=lambda _: Fate(arrives_after=0.1, answered_after=0.1))
    world.run(5)
    assert elector.kinds() == [(0.0, "read")]
    assert elector.opened == [(0.2, "1")]


def test_nothing_is_watched_before_an_answer_has_come() -> None:
    world = World()
    elector = Elector(world, fate=lambda _: refused(503) if world.now < 7 else Fate())
    world.run(7.9)
    assert elector.opened == []
    world.run(8)
    assert elector.opened == [(8.0, "1")]


def test_nothing_is_watched_where_that_cannot_be() -> None:
    world, elector = standby(watches=False)
    world.run(100)
    assert elector.opened == []


def test_a_lease_that_is_not_there_is_watched_from_now_on() -> None:
    watching = Watching(timing(), enabled=True, jitter=lambda: 0.5)
    watching.answered(None, at(0))
    assert watching.step(at(0)) == OpenWatch(None)


def test_where_the_lease_is_gone_the_last_version_known_is_watched_from() -> None:
    watching = Watching(timing(), enabled=True, jitter=lambda: 0.5)
    watching.answered(lease("x", version=5).record, at(0))
    watching.answered(None, at(1))
    assert watching.step(at(1)) == OpenWatch("5")


# It ends.


@pytest.mark.parametrize("lasted", [P, 1800.0])
def test_a_normal_end_is_followed_at_once_by_a_watch_from_the_last_version_without_a_word(
    lasted: float,
) -> None:
    world, elector = standby(duration=10_000)
    world.server.put(held("x", duration=10_000, renewed=1))
    world.run(lasted)
    end(elector, ENDED)
    world.run(lasted + 0.5)
    assert elector.opened == [(0.0, "1"), (lasted, "2")]
    assert elector.news_of(Polled) == []
    assert reads(elector) == []


def test_watches_that_end_as_soon_as_they_are_open_are_opened_less_and_less_often() -> None:
    world, elector = standby()
    elector.watch_refusal = lambda: ENDED
    end(elector, ENDED)
    world.run(300)
    opened = [at for at, _ in elector.opened]
    assert gaps(opened) == pytest.approx([0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60])
    assert elector.news_of(Polled) == []


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_after_errors_the_watch_is_opened_less_and_less_often_and_that_is_said_once(
    jitter: float,
) -> None:
    world, elector = standby(jitter=lambda: jitter)
    elector.watch_refusal = lambda: BROKEN
    end(elector, BROKEN)
    world.run(300)
    opened = [at for at, _ in elector.opened]
    doubling = [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    expected = [gap * (0.8 + 0.4 * jitter) for gap in doubling]
    assert gaps(opened)[: len(expected)] == pytest.approx(expected)
    assert len(elector.news_of(Polled)) == 1


def test_two_errors_of_the_watch_one_after_the_other_are_said() -> None:
    endings = [Trouble("first"), Trouble("second")]
    world, elector = standby()
    world.run(5)
    for error in endings:
        world.run(world.now + 1)
        end(elector, WatchEnded(error))
    world.run(60)
    assert elector.news_of(Polled) == [Polled(endings[1])]


def test_a_single_error_of_the_watch_is_not_worth_a_word() -> None:
    world, elector = standby()
    world.run(5)
    end(elector, BROKEN)
    world.run(5.6)
    world.server.put(held("x", duration=1000, renewed=5.6))
    world.run(60)
    assert elector.news_of(Polled) == []


def test_each_outage_of_the_watch_is_said_once() -> None:
    world, elector = standby()
    for outage in (5.0, 105.0):
        world.run(outage)
        elector.watch_refusal = lambda: BROKEN
        end(elector, BROKEN)
        world.run(outage + 50)
        elector.watch_refusal = lambda: None
        world.run(outage + 90)
        world.server.put(held("x", duration=1000, renewed=world.now))
    world.run(300)
    assert len(elector.news_of(Polled)) == 2


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("before", [[], [BROKEN], [ENDED], [BROKEN, ENDED]])
def test_a_refusal_of_the_watch_is_said_once_whatever_came_before(
    status: int, before: list[WatchEnded]
) -> None:
    refusal = WatchEnded(Trouble(str(status)), status=status)
    endings = [*before, *[refusal] * 100]
    world, elector = standby()
    world.run(5)
    elector.watch_refusal = lambda: endings.pop(0)
    end(elector, ENDED)
    world.run(600)
    told = elector.news_of(Polled)
    assert [each.reason for each in told] == [refusal.error]


@pytest.mark.parametrize("status", [401, 403])
def test_a_single_refusal_of_the_watch_is_said_at_once(status: int) -> None:
    refusal = WatchEnded(Trouble(str(status)), status=status)
    world, elector = standby()
    world.run(5)
    end(elector, refusal)
    world.run(5)
    assert elector.news_of(Polled) == [Polled(refusal.error or "")]


@pytest.mark.parametrize("before", [[ENDED, BROKEN, ENDED], [ENDED] * 5])
def test_errors_of_the_watch_are_said_whatever_came_before(before: list[WatchEnded]) -> None:
    endings = [*before, *[BROKEN] * 100]
    world, elector = standby()
    world.run(5)
    elector.watch_refusal = lambda: endings.pop(0)
    end(elector, ENDED)
    world.run(600)
    assert len(elector.news_of(Polled)) == 1


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_who_may_not_watch_polls_says_so_once_and_tries_again_after_a_minute(
    jitter: float,
) -> None:
    world, elector = standby(watch_refusal=lambda: REFUSED, jitter=lambda: jitter)
    world.run(200)
    factor = 0.8 + 0.4 * jitter
    assert gaps([at for at, _ in elector.opened])[:2] == pytest.approx([60 * factor] * 2)
    assert len(elector.news_of(Polled)) == 1
    polls = [gap for gap in gaps(reads(elector)) if gap != pytest.approx(P * factor)]
    assert len(reads(elector)) > 200 / (P * factor) - 10
    assert len(polls) <= len(elector.opened)  # each failure of the watch may put one off


@pytest.mark.parametrize("asked", [None, 0.0, 5.0, 1e9])
def test_the_server_s_wish_to_be_left_alone_is_heeded_for_up_to_a_minute(
    asked: float | None,
) -> None:
    world, elector = standby()
    world.run(5)
    end(elector, WatchEnded(Trouble("429"), 429, asked))
    world.run(100)
    expected = min(60.0, max(0.5, asked or 0.0))
    assert [at for at, _ in elector.opened] == [0.0, 5 + expected]


@pytest.mark.parametrize("opens_first", [True, False])
def test_after_a_version_that_is_too_old_the_lease_is_read_and_watched_from_what_was_read(
    opens_first: bool,
) -> None:
    world, elector = standby()
    world.run(5)
    silence(elector)
    world.server.put(held("y", duration=1000, renewed=5))
    end(elector, TOO_OLD)
    world.run(60)
    assert reads(elector)[0] == 5.0
    assert elector.opened == [(0.0, "1"), (5.0, "2")]
    assert elector.news_of(Polled) == []
    assert elector.candidate.lease is not None
    assert elector.candidate.lease.holder_identity == "y"


def test_a_server_to_which_every_version_is_too_old_is_not_asked_hot() -> None:
    world, elector = standby()
    elector.watch_refusal = lambda: TOO_OLD
    end(elector, TOO_OLD)
    world.run(300)
    assert len(elector.opened) < 15
    assert len(reads(elector)) < 200
    assert len(elector.news_of(Polled)) == 1


def test_a_leader_goes_on_renewing_while_its_watch_is_told_that_its_version_is_too_old() -> None:
    world = World()
    elector = Elector(world)
    world.run(5)
    end(elector, TOO_OLD)
    world.run(7)
    assert elector.kinds(5) == [(6.666667, "renew")]
    assert elector.opened == [(0.0, "1"), (6.666666666666667, "3")]


# It is relied on, or not.


def test_a_watch_that_is_silent_for_half_the_stored_duration_is_checked_by_one_read() -> None:
    world, elector = standby(duration=20)
    silence(elector)
    world.run(19.9)
    assert reads(elector) == [10.0]


@pytest.mark.parametrize("duration", [7200, 2**31 - 1])
def test_a_watch_that_is_silent_for_an_hour_is_checked_whatever_the_lease_says(
    duration: int,
) -> None:
    world, elector = standby(duration=duration)
    silence(elector)
    world.run(3600.0)
    assert reads(elector) == [3600.0]


def test_a_free_lease_is_taken_whatever_duration_it_says() -> None:
    world, elector = standby()
    world.server.put(held(None, duration=10**400))
    world.run(1.0)
    assert elector.is_leader()


def test_the_silence_of_a_watch_begins_when_it_is_opened() -> None:
    world, elector = standby(duration=20)
    world.run(8)
    end(elector, ENDED)
    world.run(19.9)
    assert reads(elector) == [18.0]


def test_an_event_counts_as_hearing_of_the_lease_and_a_bookmark_does_not() -> None:
    world, elector = standby(duration=20)
    world.run(4)
    world.server.put(held("x", duration=20, renewed=4))
    world.run(9)
    assert elector.watch is not None
    elector.watch.tell(bookmark(2))
    world.run(13.9)
    assert reads(elector) == []
    world.run(14)
    assert reads(elector) == [14.0]


def test_the_next_watch_begins_at_the_version_of_the_last_bookmark() -> None:
    world, elector = standby()
    assert elector.watch is not None
    elector.watch.tell(bookmark(77))
    world.run(5)
    end(elector, ENDED)
    world.run(6)
    assert elector.opened == [(0.0, "1"), (5.0, "77")]


def test_after_a_failure_the_watch_is_not_relied_on_before_it_has_told_something() -> None:
    world, elector = standby()
    world.run(5)
    end(elector, BROKEN)
    world.run(15)
    assert elector.watch is not None
    polls = reads(elector)
    assert len(polls) >= 4
    assert gaps(polls) == pytest.approx([P] * (len(polls) - 1))
    world.server.put(held("x", duration=1000, renewed=15))
    world.run(100)
    assert reads(elector, 15.001) == []


def test_after_a_failure_a_watch_is_relied_on_as_soon_as_it_has_told_something() -> None:
    world, elector = standby()
    world.run(5)
    end(elector, BROKEN)
    world.run(5.6)
    assert elector.watch is not None
    world.server.put(held("x", duration=1000, renewed=5.6))
    world.run(100)
    assert reads(elector) == []


def test_after_a_bookmark_too_the_watch_is_relied_on_again() -> None:
    world, elector = standby()
    end(elector, BROKEN)
    world.run(15)
    assert elector.watch is not None
    elector.watch.tell(bookmark(1))
    world.run(100)
    assert reads(elector, 15.001) == []


def test_a_watch_that_does_not_open_is_closed_after_q_and_the_lease_polled_meanwhile() -> None:
    world, elector = standby(watch_delay=lambda: 1000.0)
    world.run(60)
    opened = [at for at, _ in elector.opened]
    assert elector.closed == [at + Q for at in opened]
    assert gaps(opened) == [Q + backoff for backoff in (0.5, 1, 2, 4, 8, 16)]
    assert max(gaps([0.0, *reads(elector)])) <= 2 * P
    elector.watch_delay = lambda: Q - 0.1
    world.run(85)
    world.server.put(held("x", duration=1000, renewed=85))
    world.run(200)
    assert len(elector.opened) == len(opened) + 1
    assert reads(elector, 85 + Q) == []


def test_standbys_whose_watches_end_at_once_do_not_all_read_at_once() -> None:
    dice = random.Random(1)
    world = World()
    world.server.put(held("x", duration=1000))
    electors = [Elector(world, str(number), jitter=dice.random) for number in range(20)]
    world.run(100)
    for elector in electors:
        end(elector, BROKEN)
    world.run(110)
    firsts = sorted(reads(elector)[0] for elector in electors)
    assert firsts[-1] - firsts[0] > 1.0
    assert firsts[-1] <= 100 + P


# It is stalled.


def test_a_watch_that_does_not_tell_what_an_answer_shows_is_closed_and_opened_again() -> None:
    world = World()
    leader = Elector(world)
    world.run(5)
    silence(leader)
    world.run(20)
    shown_at = 20 / 3
    assert leader.closed == pytest.approx([shown_at + Q])
    reopened, version = leader.opened[1]
    assert version == "2"
    assert reopened == pytest.approx(shown_at + Q)
    assert leader.news_of(Polled) == []
    assert len(leader.opened) == 2


def test_a_standby_s_stalled_watch_is_closed_and_opened_from_the_last_version_told() -> None:
    world, elector = standby(duration=20)
    silence(elector)
    world.server.put(held("x", duration=20, renewed=1))
    world.run(30)
    assert elector.closed == [10 + Q]
    assert elector.opened[1][1] == "1"
    world.run(33)
    world.server.put(held(None))
    world.run(33)
    assert elector.is_leader()


def test_a_watch_that_stalls_time_and_again_is_said_to() -> None:
    world, elector = standby(duration=20)
    elector.watch_delay = lambda: 1000.0
    world.run(5)
    end(elector, ENDED)
    world.run(60)
    assert elector.news_of(Polled) == [Polled("its watch stalls")]


@pytest.mark.parametrize("version", [1, 6])
def test_a_watch_from_before_there_was_a_lease_is_stalled_if_it_does_not_tell_of_one(
    version: int,
) -> None:
    watching = Watching(timing(), enabled=True, jitter=lambda: 0.5)
    watching.answered(None, at(0))
    assert watching.step(at(0)) == OpenWatch(None)
    watching.told(WatchOpened(), at(0))
    watching.answered(lease("x", version=version).record, at(1))
    assert watching.acts_at() == 1 + Q


def test_further_answers_do_not_put_the_end_of_a_stalled_watch_off() -> None:
    watching = Watching(timing(), enabled=True, jitter=lambda: 0.5)
    watching.answered(lease("x", version=5).record, at(0))
    watching.step(at(0))
    watching.told(WatchOpened(), at(0))
    watching.answered(lease("x", version=6).record, at(1))
    watching.answered(lease("x", version=7).record, at(1 + Q / 2))
    assert watching.acts_at() == 1 + Q
    assert watching.step(at(1 + Q)) == CloseWatch()


def test_a_watch_that_tells_in_time_what_an_answer_has_shown_is_not_stalled() -> None:
    world = World()
    leader = Elector(world, watch_delay=lambda: Q - 0.01)
    world.run(100)
    assert leader.closed == []
    assert len(leader.opened) == 1


def test_a_watch_whose_versions_are_no_numbers_is_never_stalled() -> None:
    watching = Watching(timing(), enabled=True, jitter=lambda: 0.5)
    watching.answered(lease("x", version="a").record, at(0))
    assert watching.step(at(0)) == OpenWatch("a")
    watching.told(WatchOpened(), at(0))
    watching.answered(lease("x", version="b").record, at(1))
    watching.answered(lease("x", version=None).record, at(2))
    assert watching.step(at(100)) is None


def test_after_a_restore_the_watch_is_opened_again_from_the_lower_version() -> None:
    world = World()
    world.server.version = 1000
    world.server.put(held("x", duration=20))
    elector = Elector(world)
    world.run(5)
    world.server.restore(held("x", duration=20, renewed=1), 7)
    world.run(14.5)
    assert elector.closed == [10.0]
    assert [version for _, version in elector.opened] == ["1001", "7"]
    assert reads(elector) == [10.0, 12.0, 14.0]
    world.server.put(held("x", duration=20, renewed=14.5))
    world.run(24)
    assert reads(elector) == [10.0, 12.0, 14.0]
    world.server.put(held(None))
    world.run(24)
    assert elector.is_leader()


def test_a_leader_goes_on_leading_after_a_restore_and_watches_from_the_lower_version() -> None:
    world = World()
    world.server.version = 1000
    leader = Elector(world)
    world.run(5)
    assert world.server.record is not None
    world.server.restore(world.server.record, 7)
    world.run(60)
    assert leader.is_leader()
    assert leader.news_of(TermEnded) == []
    version = leader.opened[-1][1]
    assert version is not None
    assert int(version) < 1000


def test_a_leader_goes_on_leading_after_a_restore_that_brought_its_own_past_back() -> None:
    world = World()
    world.server.version = 1000
    leader = Elector(world)
    world.run(5)
    past = world.server.record
    assert past is not None
    world.run(16)
    world.server.restore(past, 7)
    world.run(60)
    assert leader.is_leader()
    assert leader.news_of(TermEnded) == []


def test_a_bookmark_newer_than_the_lease_is_no_restore() -> None:
    world, elector = standby(duration=20)
    assert elector.watch is not None
    elector.watch.tell(bookmark(500))
    world.run(19.9)
    assert reads(elector) == [10.0]
    assert elector.closed == []
    assert len(elector.opened) == 1


def test_a_stalled_watch_that_is_slow_to_end_is_not_opened_twice() -> None:
    watching = Watching(timing(), enabled=True, jitter=lambda: 0.5)
    watching.answered(lease("x", version=5).record, at(0))
    assert watching.step(at(0)) == OpenWatch("5")
    watching.told(WatchOpened(), at(0))
    watching.answered(lease("x", version=6).record, at(1))
    assert watching.step(at(1 + Q - 0.01)) is None
    assert watching.step(at(1 + Q)) is not None
    for second in range(4, 20):
        assert not isinstance(watching.step(at(second)), OpenWatch)
    watching.told(ENDED, at(20))
    assert watching.step(at(20.6)) == OpenWatch("5")


@pytest.mark.parametrize("ending", [TOO_OLD, ENDED, BROKEN], ids=["410", "end", "error"])
def test_a_watch_that_tells_something_and_ends_at_once_for_ever_is_not_opened_hot(
    ending: WatchEnded,
) -> None:
    world, elector = standby()
    watches = []
    while world.now < 300:
        world.run(world.now + 0.05)
        if elector.watch is not None and elector.watch not in watches:
            watches.append(elector.watch)
            elector.watch.tell(bookmark(world.server.version))
            elector.watch.end(ending)
    assert len(elector.opened) < 20
    assert len(reads(elector)) < 300 / 1.6 + 20


def test_a_lease_claimed_for_longer_than_a_float_can_hold_is_only_looked_at() -> None:
    world, elector = standby(duration=10**400)
    world.run(100)
    assert {kind for _, kind in elector.kinds()} == {"read"}
    assert len(reads(elector)) <= 100 / 7.5
