"""The exploration of the core in small, and that it would find what it is meant to find."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kube_leader_election._core import timing
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.observation import Observation
from kube_leader_election._core.own_writes import SentWrite

from .exploration import explore
from .explorations import FULL
from .model_configuration import Configuration, Fault
from .model_moves import Model
from .model_world import World

ALL = {configuration.name: configuration for configuration in FULL}


def small(name: str, *, ticks: int = 2, most_faults: int = 1) -> Configuration:
    return replace(ALL[name], ticks=ticks, most_faults=most_faults)


@pytest.mark.parametrize("name", ["lost and late writes", "step down", "elector, old events"])
def test_whatever_is_interleaved_nothing_goes_wrong(name: str) -> None:
    report = explore(small(name, ticks=1))
    assert report.violation is None
    assert report.faults == 1
    assert report.worlds > 400
    assert report.requests >= 5


@pytest.mark.parametrize(
    "configuration",
    [
        small("stale reads", ticks=1),
        small("step down", ticks=1),
        small("deletions", ticks=1),
        small("no fault", ticks=2),
    ],
    ids=lambda configuration: configuration.name,
)
def test_merging_leaves_nothing_out_that_can_come_of_it(configuration: Configuration) -> None:
    def outcomes(configuration: Configuration) -> set[object]:
        seen: set[object] = set()

        def look(model: Model, world: World, tick: int) -> None:
            seen.add((tick, *outcome(model, world, tick)))

        assert explore(configuration, look).violation is None
        return seen

    assert outcomes(configuration) == outcomes(replace(configuration, merges=False))


def outcome(model: Model, world: World, tick: int) -> tuple[object, ...]:
    """What anybody can see of a world, and what is under way."""
    states = [model.candidates.states[player.state] for player in world.players]
    leading = [state.token if tick <= state.leads_through else None for state in states]
    asked = [str(state.request) for state in states]
    late = [str(model.cluster.writes[each.write]) for each in world.late]
    record = model.cluster.servers[world.server].record
    return (record, *leading, *asked, *sorted(late), world.faults_left, world.highest)


def test_a_create_right_after_a_deletion_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Observation, "allows_create_at", lambda _, now: now.monotonic)
    violation = explore(small("deletions")).violation
    assert violation is not None
    assert violation.what == "two lead"
    assert len(violation.story) <= 7
    assert "the Lease is deleted" in "\n".join(violation.story)


def test_a_belief_that_is_half_a_percent_too_long_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(timing, "belief_after", lambda ttl, _: 0.985 * ttl)
    violation = explore(small("no fault", ticks=3)).violation
    assert violation is not None
    assert violation.what == "two lead"


def test_a_namesakes_record_taken_for_our_own_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Candidate,
        "_is_ours_to_write",
        lambda self, record: record.holder_identity == self._holder_id,
    )
    violation = explore(small("namesakes")).violation
    assert violation is not None
    assert violation.what == "two lead"


def test_a_lost_answer_recognised_by_the_holder_only_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        SentWrite,
        "is_what",
        lambda self, seen: seen.holder_identity == self.record.holder_identity,
    )
    assert explore(small("lost and late writes")).violation is not None


def test_writes_that_stay_proof_after_a_step_down_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Candidate, "end_term", Candidate.forget_term)
    assert explore(small("step down", ticks=1, most_faults=2)).violation is not None


def test_a_fresh_candidate_after_a_deletion_is_not_explored() -> None:
    with pytest.raises(ValueError, match="overlap"):
        Configuration(name="unsafe", faults=frozenset({Fault.DELETION, Fault.CRASH}))
