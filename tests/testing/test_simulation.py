"""The simulator: what it plays is the same each time, and what it is to find it finds"""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from kube_leader_election._core import candidate as core
from kube_leader_election._core.messages import Found
from kube_leader_election._core.own_writes import OwnWrites
from kube_leader_election.testing import simulation
from kube_leader_election.testing.simulation import (
    Beyond,
    Happening,
    OnEvent,
    OnRequest,
    Outcome,
    Replica,
    Rules,
    Schedule,
    What,
    play,
    random_schedule,
    shrink,
    story,
    svg,
)

A, B = Replica(Rules.ELECTOR, "a"), Replica(Rules.ELECTOR, "b", starts_at=1.0)
LOCK = Replica(Rules.LOCK, "a")
# A few of each run; CI plays many more (python -m kube_leader_election.testing.simulation).
SEEDS = 150


def schedule(*faults: simulation.Fault, replicas: tuple[Replica, ...] = (A, B)) -> Schedule:
    return Schedule(1, replicas, faults)


def holders(outcome: Outcome) -> list[str]:
    assert outcome.violation is None
    return [term.process.name for term in outcome.terms]


# What is played


def test_a_schedule_is_played_the_same_each_time() -> None:
    for seed in range(20):
        assert story(random_schedule(seed)) == story(random_schedule(seed))


def test_no_random_schedule_shows_two_leaders_or_breaks_another_promise() -> None:
    first = random.randrange(10**9)
    for seed in range(first, first + SEEDS):
        assert play(random_schedule(seed)).violation is None, f"seed {seed}"


def test_random_schedules_have_all_kinds_of_candidates_and_all_that_happens() -> None:
    schedules = [random_schedule(seed) for seed in range(1500)]
    replicas = [each for one in schedules for each in one.replicas]
    faults = [each for one in schedules for each in one.faults]
    assert {each.rules for each in replicas} == set(Rules)
    assert {each.what for each in faults if isinstance(each, Happening)} == set(What)
    assert {type(each) for each in faults} == {OnRequest, OnEvent, Happening}
    assert {len(one.replicas) for one in schedules} == {2, 3, 4, 5, 6, 8}
    assert any(each.holder_id for each in replicas)


def test_a_candidate_that_is_killed_is_followed_by_another_once_its_lease_is_over() -> None:
    outcome = play(schedule(Happening(5.0, What.CRASH, "a", 60.0)))
    first, second = outcome.terms
    assert holders(outcome) == ["a", "b"]
    assert first.ends_at < second.began_at < 5.0 + A.lease_ttl + 0.2


def test_a_candidate_that_stops_is_followed_at_once() -> None:
    outcome = play(schedule(Happening(5.0, What.LEAVE, "a", 60.0)))
    assert holders(outcome) == ["a", "b"]
    assert outcome.terms[0].ended_at == 5.0
    assert outcome.terms[1].began_at < 5.1


def test_a_lock_that_steps_down_is_followed_at_the_next_call() -> None:
    locks = (LOCK, Replica(Rules.LOCK, "b", starts_at=0.5))
    outcome = play(schedule(Happening(5.0, What.LEAVE, "a", 60.0), replicas=locks))
    assert holders(outcome) == ["a", "b"]
    assert outcome.terms[1].began_at < 6.2


def test_a_candidate_that_is_started_again_under_its_name_leads_in_a_new_term() -> None:
    outcome = play(schedule(Happening(5.0, What.CRASH, "a"), replicas=(LOCK,)))
    assert holders(outcome) == ["a", "a"]
    assert (outcome.terms[0].token or 0) < (outcome.terms[1].token or 0)


def test_a_candidate_that_stood_still_leads_no_more() -> None:
    outcome = play(schedule(Happening(5.0, What.PAUSE, "a", 7.0)))
    assert holders(outcome)[:2] == ["a", "b"]


def test_an_outage_shorter_than_three_attempts_ends_no_term() -> None:
    outcome = play(schedule(Happening(5.0, What.OUTAGE, seconds=2.0)))
    assert holders(outcome) == ["a"]


def test_a_deletion_under_a_leader_makes_a_new_term() -> None:
    outcome = play(schedule(Happening(5.0, What.DELETE)))
    assert holders(outcome) == ["a", "a"]
    assert outcome.excused == ()


def test_who_is_written_into_the_lease_by_hand_is_waited_for() -> None:
    outcome = play(schedule(Happening(5.0, What.INTRUDE, seconds=7.0)))
    first, second = outcome.terms
    assert (first.ended_at or 9.0) < 5.1
    assert second.began_at >= 12.0


def test_a_lost_answer_costs_no_term() -> None:
    outcome = play(schedule(OnRequest("a", 2, answered_after=None)))
    assert holders(outcome) == ["a"]


@pytest.mark.parametrize("rules", [Rules.CLIENT_GO, Rules.WALL_CLOCK])
def test_neighbours_by_other_rules_lead_and_are_followed(rules: Rules) -> None:
    neighbour = Replica(rules, "a", renew_deadline=3.0)
    outcome = play(schedule(Happening(5.0, What.CRASH, "a", 60.0), replicas=(neighbour, B)))
    assert holders(outcome) == ["b"]
    assert outcome.terms[0].began_at > 5.0 + 1.0
    after = play(
        schedule(
            Happening(5.0, What.CRASH, "b", 60.0),
            replicas=(replace(neighbour, starts_at=1.0), replace(B, starts_at=0.0)),
        )
    )
    assert holders(after) == ["b"]


# What is found


@pytest.mark.parametrize(("beyond", "first"), [(Beyond.RATES, 100), (Beyond.SKEW, 300)])
def test_beyond_what_is_assumed_two_leaders_are_found(beyond: Beyond, first: int) -> None:
    found = (play(random_schedule(seed, beyond=beyond)).violation for seed in range(first, 10**4))
    violation = next(each for each in found if each is not None)
    assert violation.invariant == 1
    assert "believe to lead" in str(violation)


def forget_to_wait_after_a_deletion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.Candidate, "_may_create_at", lambda _, now: now.monotonic)


def believe_from_the_answer_on(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm = core.Candidate._confirm

    def mistaken(self: Any, sent: Any, record: Any, now: Any, *, is_news: bool) -> None:
        later = replace(sent, anchor=now)
        confirm(self, later, record, now, is_news=is_news)

    monkeypatch.setattr(core.Candidate, "_confirm", mistaken)
    writes = OwnWrites.confirm

    def by_record(self: Any, sent: Any, record: Any) -> None:
        writes(self, next(each for each in self._unresolved if each.record is sent.record), record)

    monkeypatch.setattr(OwnWrites, "confirm", by_record)


def believe_old_events(monkeypatch: pytest.MonkeyPatch) -> None:
    def observe(self: Any, event: Found, now: Any) -> None:
        self.news += 1
        self._see(event, now)
        if event.record.holder_identity != self._holder_id:
            self.end_term()

    monkeypatch.setattr(core.Candidate, "observe", observe)


@pytest.mark.parametrize(
    ("mistake", "invariants"),
    [
        (forget_to_wait_after_a_deletion, {1, 9}),
        (believe_from_the_answer_on, {1, 2}),
        (believe_old_events, {1, 2, 10}),
    ],
)
def test_a_mistake_in_the_core_is_found_and_made_small(
    monkeypatch: pytest.MonkeyPatch, mistake: Any, invariants: set[int]
) -> None:
    mistake(monkeypatch)
    schedules = (random_schedule(seed) for seed in range(5000))
    broken = next(each for each in schedules if play(each).violation is not None)
    smallest = shrink(broken)
    violation, before = play(smallest).violation, play(broken).violation
    assert violation is not None
    assert before is not None
    assert violation.invariant == before.invariant
    assert violation.invariant in invariants
    assert len(smallest.faults) <= min(3, len(broken.faults))
    assert len(smallest.replicas) <= 3
    assert story(smallest).splitlines()[-1] == str(violation)


def test_a_schedule_without_a_violation_is_not_made_small() -> None:
    with pytest.raises(ValueError, match="violates no invariant"):
        shrink(schedule())


# What is told


def test_a_story_tells_who_contends_what_happens_and_who_leads() -> None:
    told = story(
        schedule(
            OnRequest("a", 2, answered_after=None),
            OnRequest("b", 0, arrives_after=None),
            OnRequest("b", 1, status=503),
            OnEvent("b", 0, late=0.5, twice=1.0),
            Happening(5.0, What.PAUSE, "a", 2.0),
        )
    )
    for line in (
        "a: LeaderElector",
        "b: LeaderElector, starts_at 1",
        "request 2 of a: arrives after 0.01 s, its answer lost",
        "request 0 of b: lost",
        "request 1 of b: answered 503",
        "event 0 for b: 0.5 s late, and again 1 s after that",
        "no invariant is violated",
    ):
        assert line in told.splitlines()
    assert "5.000  a       the process stands still for 2.000 s" in told
    assert "leads, token 2" in told


def test_a_picture_has_a_lane_for_each_and_a_bar_for_each_term() -> None:
    picture = ElementTree.fromstring(svg(schedule(Happening(5.0, What.CRASH, "a", 60.0))))
    words = ["".join(each.itertext()) for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"a", "b", "server", "no violation"} <= set(words)
    assert sum(word.startswith("leads, token") for word in words) == 2


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kube_leader_election.testing.simulation", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_command_plays_schedules_and_says_how_many_violate_an_invariant() -> None:
    done = run("--schedules", "20", "--seed", "7", "--jobs", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "schedules of the seeds 7 to 26" in done.stdout
    assert "0 violations in 20 schedules" in done.stdout


def test_the_command_shows_one_schedule(tmp_path: Path) -> None:
    picture = tmp_path / "seed.svg"
    done = run("--show", "7", "--svg", str(picture))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == story(random_schedule(7)) + "\n"
    assert picture.read_text() == svg(random_schedule(7))
