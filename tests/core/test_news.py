"""What is told of an election: paired, in order, only of terms that were led, and once."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import Failed, Instant
from kube_leader_election._core.news import (
    LeaderState,
    News,
    Party,
    Polled,
    Reporter,
    RoleChanged,
    TermBegan,
    TermEnded,
    TermStopping,
    Troubled,
    Warned,
)

from .campaigning import Elector, Fate, World, held, refused
from .talk import Trouble, as_stored, at, attempt, candidate, lease

WORK = frozenset({Party.WORK})
BELIEF = 9.8


class Scene:
    """A candidate whose terms begin and end at will, and what is told of them."""

    def __init__(self, *parties: Party) -> None:
        self.me: Candidate = candidate()
        self.reporter = Reporter(self.me, parties=frozenset(parties))
        self.version = 0

    def begin(self, when: float) -> None:
        talk = attempt(self.me)
        self.version += 1
        talk.found(lease(None, version=self.version), at(when))
        self.version += 1
        assert talk.tell(as_stored(talk.request, version=self.version), at(when)).result

    def news(self, when: float, *, leaving: bool = False, stopping: bool = False) -> list[News]:
        return list(self.reporter.news(at(when), leaving=leaving, stopping=stopping))


LEADING = RoleChanged(LeaderState.LEADING, "a")
STANDBY = RoleChanged(LeaderState.STANDBY, None)


def test_nothing_is_told_of_who_does_nothing() -> None:
    assert Scene().news(0) == []


def test_a_term_is_told_to_begin_with_its_token_then_who_leads_and_both_once() -> None:
    scene = Scene()
    scene.begin(0)
    assert scene.news(0) == [TermBegan(1, 2), LEADING]
    assert scene.news(1) == []


def test_the_end_of_a_term_is_told_as_stopping_and_then_as_ended() -> None:
    scene = Scene()
    scene.begin(0)
    scene.news(0)
    assert scene.news(BELIEF) == [TermStopping(1), TermEnded(1), STANDBY]
    assert scene.news(BELIEF + 1) == []


def test_a_term_that_is_to_end_is_told_to_stop_once() -> None:
    scene = Scene()
    scene.begin(0)
    scene.news(0)
    assert scene.news(1, leaving=True) == [TermStopping(1)]
    assert scene.news(2, leaving=True) == []
    assert scene.news(BELIEF, leaving=True) == [TermEnded(1), STANDBY]


def test_a_term_that_began_and_ended_between_two_looks_is_never_told() -> None:
    scene = Scene()
    scene.begin(0)
    assert scene.news(BELIEF) == []
    scene.begin(20)
    assert scene.news(20) == [TermBegan(2, 4), LEADING]


def test_a_term_that_another_has_followed_between_two_looks_is_told_to_end_first() -> None:
    scene = Scene()
    scene.begin(0)
    scene.news(0)
    scene.begin(20)
    assert scene.news(20) == [TermStopping(1), TermEnded(1), TermBegan(2, 4)]


def test_no_term_is_told_to_begin_while_another_is_to_end() -> None:
    scene = Scene()
    scene.begin(0)
    assert TermBegan(1, 2) not in scene.news(0, leaving=True)
    assert scene.news(0) == [TermBegan(1, 2)]


@pytest.mark.parametrize("parties", [WORK, frozenset(Party)])
def test_no_term_is_told_to_begin_while_a_party_is_busy_with_an_earlier_one(
    parties: frozenset[Party],
) -> None:
    scene = Scene(*parties)
    scene.begin(0)
    scene.news(0)
    scene.news(BELIEF)
    scene.begin(20)
    assert scene.reporter.is_held_back(at(20))
    assert scene.news(20) == []
    assert not scene.me.is_leader(at(20))
    for party in parties:
        assert scene.reporter.is_engaged
        scene.reporter.finished(party, 1)
    assert not scene.reporter.is_engaged
    assert scene.news(20) == []
    scene.begin(21)
    assert [type(each) for each in scene.news(21)] == [TermBegan, RoleChanged]


def test_a_term_that_a_wall_clock_has_ended_stays_over_when_that_is_set_back() -> None:
    me = candidate(wall_ends_term=True)
    reporter = Reporter(me, parties=frozenset())
    talk = attempt(me).found(lease(None, version=1), at(0))
    assert talk.tell(as_stored(talk.request, version=2), at(0)).result

    def news(now: Instant) -> list[type[News]]:
        return [type(each) for each in reporter.news(now, leaving=False, stopping=False)]

    assert news(at(0)) == [TermBegan, RoleChanged]
    assert news(at(1, wall=3600)) == [TermStopping, TermEnded, RoleChanged]
    assert news(at(1.1)) == []
    assert not me.is_leader(at(1.1))


def test_who_has_finished_with_a_term_is_not_held_back_by_it() -> None:
    scene = Scene(Party.WORK)
    scene.begin(0)
    scene.news(0)
    assert not scene.reporter.is_held_back(at(1))
    scene.reporter.finished(Party.WORK, 2)
    assert scene.reporter.is_held_back(at(BELIEF))
    scene.reporter.finished(Party.WORK, 1)
    assert not scene.reporter.is_held_back(at(BELIEF))
    assert scene.news(BELIEF) == [TermStopping(1), TermEnded(1), STANDBY]


def test_a_party_that_is_late_is_held_back_for_since_the_end_was_told() -> None:
    scene = Scene(*Party)
    scene.begin(0)
    scene.news(0)
    assert scene.reporter.held_back_since == float("inf")
    scene.news(11)
    assert scene.reporter.held_back_since == 11
    scene.reporter.finished(Party.WORK)
    assert scene.reporter.held_back_since == 11
    scene.reporter.finished(Party.CALLBACKS)
    assert scene.reporter.held_back_since == float("inf")


def test_a_role_is_told_only_when_it_changes() -> None:
    scene = Scene()
    for renewed in (0, 1, 2):
        scene.me.observe(lease("b", version=renewed + 1, renewed=renewed), at(renewed))
        told = scene.news(renewed)
        assert told == ([RoleChanged(LeaderState.FOLLOWING, "b")] if renewed == 0 else [])
    scene.me.observe(lease("c", version=9, renewed=3), at(3))
    assert scene.news(3) == [RoleChanged(LeaderState.FOLLOWING, "c")]


def test_a_holder_whose_promise_is_over_leads_no_more() -> None:
    world = World()
    world.server.put(held("x"))
    elector = Elector(world, watches=False)
    elector.fate = lambda _: Fate() if world.now < 3 else refused(503)
    world.run(60)
    assert elector.told[0] == (0.0, RoleChanged(LeaderState.FOLLOWING, "x"))
    assert (15.0, STANDBY) in elector.told


def test_who_stops_follows_nobody() -> None:
    scene = Scene()
    scene.me.observe(lease("b", version=1), at(0))
    assert scene.news(0) == [RoleChanged(LeaderState.FOLLOWING, "b")]
    assert scene.news(0, leaving=True, stopping=True) == [STANDBY]


def test_who_gives_a_term_up_but_does_not_stop_still_follows() -> None:
    scene = Scene()
    scene.me.observe(lease("b", version=1), at(0))
    assert scene.news(0, leaving=True) == [RoleChanged(LeaderState.FOLLOWING, "b")]


def test_what_the_candidate_warns_of_is_told_once() -> None:
    scene = Scene()
    scene.begin(0)
    scene.news(0)
    scene.me.observe(lease("a", version=9, renewed=1), at(1))
    warned = scene.news(1)[-1]
    assert isinstance(warned, Warned)
    assert "holder_id 'a'" in warned.text
    assert scene.news(2) == []


def failures(*statuses: int | None) -> list[Troubled]:
    scene = Scene()
    for status in statuses:
        if status == 0:
            scene.reporter.recovered()
        else:
            scene.reporter.attempt_failed(Trouble(str(status)), status)
    return [each for each in scene.news(0) if isinstance(each, Troubled)]


def test_the_same_failure_is_told_once_until_an_attempt_succeeds() -> None:
    assert len(failures(503, 503, 503)) == 1
    assert len(failures(None, None)) == 1
    assert len(failures(503, 403, 503, 403)) == 2
    assert len(failures(503, 0, 503)) == 2


def test_another_failure_is_told_too() -> None:
    assert len(failures(503, 403)) == 2
    assert len(failures(503, None)) == 2


def test_failures_of_one_status_and_different_causes_are_told_apart() -> None:
    reporter = Scene().reporter
    told = []
    for cause in (None, OSError(), OSError(), ValueError()):
        error = Trouble("x")
        error.__cause__ = cause
        reporter.attempt_failed(error, None)
        told.append(len(list(reporter.news(at(0), leaving=False, stopping=False))))
    assert told == [1, 1, 0, 1]


def test_failures_of_one_status_and_different_types_are_told_apart() -> None:
    reporter = Scene().reporter
    errors = [Trouble("x"), OSError("x"), OSError("y"), Trouble("y")]
    for error in errors:
        reporter.attempt_failed(error, None)
    told = list(reporter.news(at(0), leaving=False, stopping=False))
    assert told == [Troubled(error) for error in errors[:2]]


def test_an_outage_is_one_line_and_its_error_comes_along() -> None:
    world = World()
    elector = Elector(world)
    world.run(5)
    error = Trouble("away")
    elector.fate = lambda _: Fate(answer=Failed(error, 503))
    world.run(100)
    assert elector.news_of(Troubled) == [Troubled(error)]


def test_an_outage_that_becomes_another_is_told_twice() -> None:
    world = World()
    elector = Elector(world)
    world.run(5)
    elector.fate = lambda _: refused(503) if world.now < 25 else refused(403)
    world.run(60)
    assert [str(told.error) for told in elector.news_of(Troubled)] == ["503", "403"]


def test_each_of_two_outages_is_told() -> None:
    world = World()
    elector = Elector(world)
    for outage in (5.0, 25.0):
        world.run(outage)
        elector.fate = lambda _: refused(503)
        world.run(outage + 6)
        elector.fate = lambda _: Fate()
    world.run(50)
    assert len(elector.news_of(Troubled)) == 2
    assert elector.is_leader()


def test_why_there_is_no_watch_is_told_as_such() -> None:
    scene = Scene()
    error = Trouble("forbidden")
    scene.reporter.no_watch(error)
    assert scene.news(0) == [Polled(error)]


def paired(news: list[News]) -> None:
    """Began, stopping and ended follow each other, of one term each, which grow in number."""
    terms = [each for each in news if isinstance(each, TermBegan | TermStopping | TermEnded)]
    order = (TermBegan, TermStopping, TermEnded)
    for number, each in enumerate(terms):
        assert isinstance(each, order[number % 3]), terms
        assert each.ordinal == terms[number - number % 3].ordinal, terms
    ordinals = [each.ordinal for each in terms if isinstance(each, TermBegan)]
    assert ordinals == sorted(set(ordinals))
    tokens = [each.token or 0 for each in terms if isinstance(each, TermBegan)]
    assert tokens == sorted(set(tokens))


def test_whatever_happens_terms_are_told_strictly_paired_and_in_order() -> None:
    told = 0
    first = random.randrange(10**9)
    for seed in range(first, first + 400):
        dice = random.Random(seed)
        scene = Scene(*(party for party in Party if dice.random() < 0.3))
        news: list[News] = []
        now = 0.0
        for _ in range(40):
            now += dice.choice([0.0, 1.0, 5.0])
            act = dice.random()
            if act < 0.3:
                scene.begin(now)
            elif act < 0.4:
                scene.me.end_term()
            elif act < 0.5:
                scene.version += 1
                scene.me.observe(lease("b", version=scene.version, renewed=now), at(now))
            elif act < 0.7:
                scene.reporter.finished(dice.choice(list(Party)), scene.reporter._busy_with)
            led = scene.me.is_leader(at(now))
            heard = scene.news(now, leaving=dice.random() < 0.3)
            assert led or TermBegan not in {type(each) for each in heard}, seed
            news += heard
        try:
            paired(news)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        roles = [each for each in news if isinstance(each, RoleChanged)]
        assert all(before != after for before, after in pairwise(roles)), seed
        told += sum(isinstance(each, TermBegan) for each in news)
    assert told > 400
