"""`plan`: figures, and other settings to compare"""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import Any

import pytest

from kube_leader_election import LeaderElectorParams, bounds
from kube_leader_election.cli._plan import Plan, alternatives, rate, seconds
from kube_leader_election.testing.simulation import Happening, Replica, Rules, Schedule, What, play
from kube_leader_election.testing.simulation._process import LONGEST_DELAY, SHORTEST_DELAY
from tests.cli.conftest import Command
from tests.programs import CHECKOUT
from tests.test_readme import blocks_in

DEFAULTS = LeaderElectorParams(lease_name="my-app")


def test_the_load_grows_with_leases_and_replicas() -> None:
    load = Plan(DEFAULTS, replicas=5, leases=20).load()
    assert load.writes == pytest.approx(6)  # 20 renewals each 10 s / 3
    assert load.watches == 100
    assert load.events == pytest.approx(30)
    assert load.polls == pytest.approx(40)  # 4 followers of 20 Leases, each 2 s


def test_the_figures_are_those_that_are_promised() -> None:
    plan = Plan(DEFAULTS, request_time=0.2, clock_error=0.0)
    promised = bounds(DEFAULTS, request_time=0.2, clock_error=0.0)
    shown = [value for _, value, _ in plan.promised()]
    assert seconds(promised.outage_survived) in shown
    assert seconds(promised.takeover_after_crash) in shown


def test_the_median_after_a_crash_lies_within_the_worst() -> None:
    plan = Plan(DEFAULTS)
    longest = plan.bounds().takeover_after_crash
    assert longest - plan.bounds().renew_interval < plan.median_takeover_after_crash() < longest


def takeover_in_simulation(
    params: LeaderElectorParams, at: float, what: What = What.CRASH, seed: int = 1
) -> float:
    """From when that happens to the leader to when the other leads"""
    assert isinstance(params.lease_ttl, int)
    durations: dict[str, Any] = {
        "lease_ttl": params.lease_ttl,
        "renew_deadline": params.renew_deadline,
        "retry_period": params.retry_period,
    }
    leader = Replica(Rules.ELECTOR, "a", **durations)
    follower = Replica(Rules.ELECTOR, "b", starts_at=1.0, **durations)
    end = Happening(at, what, "a", seconds=60.0)
    outcome = play(Schedule(seed=seed, replicas=(leader, follower), faults=(end,), calm_at=100.0))
    assert outcome.violation is None
    return next(term.began_at for term in outcome.terms if term.process.name == "b") - at


@pytest.mark.parametrize(
    "params",
    [DEFAULTS, replace(DEFAULTS, lease_ttl=6, renew_deadline=5.0, retry_period=1.0)],
    ids=["defaults", "short"],
)
def test_the_median_after_a_crash_is_that_of_simulations(params: LeaderElectorParams) -> None:
    interval = params.renew_deadline / 3
    moments = [20 + interval * part / 15 for part in range(15)]
    takeovers = [takeover_in_simulation(params, moment) for moment in moments]
    plan = Plan(params, request_time=0.02)
    assert median(takeovers) == pytest.approx(plan.median_takeover_after_crash(), abs=0.1)
    assert max(takeovers) < plan.bounds().takeover_after_crash


def test_the_median_after_a_release_is_that_of_simulations() -> None:
    takeovers = [takeover_in_simulation(DEFAULTS, 20, What.LEAVE, seed) for seed in range(101)]
    request_time = SHORTEST_DELAY + LONGEST_DELAY  # there and back, in the mean
    committed_after = request_time / 2
    plan = Plan(DEFAULTS, request_time=request_time)
    found = median(takeovers) - committed_after
    assert found == pytest.approx(plan.median_takeover_after_release(), rel=0.2)
    assert found < plan.bounds().takeover_after_release


def names(params: LeaderElectorParams) -> list[str]:
    return [name for name, _, _ in alternatives(params)]


def test_other_settings_are_compared() -> None:
    assert names(DEFAULTS) == ["as it is", "all halved", "all doubled", "longest deadline"]
    rows = {row[0]: row[1:4] for row in Plan(DEFAULTS).changed()}
    assert rows["as it is"] == ["15", "10", "2"]
    assert rows["all doubled"] == ["30", "20", "4"]
    assert rows["longest deadline"][:2] == ["15", "13.7"]


def test_what_would_be_refused_is_not_compared() -> None:
    shortest = replace(DEFAULTS, lease_ttl=2, renew_deadline=1.5, retry_period=0.5)
    assert names(shortest) == ["as it is", "all doubled"]
    longest = replace(DEFAULTS, renew_deadline=14.0)
    assert "longest deadline" not in names(longest)


@pytest.mark.parametrize(
    ("value", "text"), [(0.1, "0.10 s"), (9.994, "9.99 s"), (15.25, "15.2 s"), (350.4, "350 s")]
)
def test_seconds_have_three_digits(value: float, text: str) -> None:
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.012"), (0.3, "0.30"), (12.3, "12"), (4000, "4000")]
)
def test_rates_have_few_digits(value: float, text: str) -> None:
    assert rate(value) == text


def test_it_is_printed_in_three_parts(command: Command) -> None:
    said = command("plan", "--replicas", "5", "--leases", "20")
    assert (said.code, said.errors) == (0, "")
    assert "5 replicas for 20 Leases" in said.output
    assert "outage survived            5.89 s" in said.output
    assert "fragile" not in said.output


def test_settings_that_are_fragile_are_named(command: Command) -> None:
    said = command("plan", "--renew-deadline", "14.5")
    assert said.code == 0
    assert "fragile: renew_deadline (14.5) is more than 13.7 s" in said.output


def test_the_ttl_alone_brings_the_others_along(command: Command) -> None:
    assert "as it is           30    20         4 " in command("plan", "--ttl", "30").output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--renew-deadline", "15"],
        ["--lease-ttl", "1"],
        ["--lease-ttl", "1.5"],
        ["--retry-period", "nan"],
        ["--request-time", "-1"],
        ["--clock-error", "1"],
        ["--replicas", "0"],
        ["--leases", "many"],
    ],
)
def test_what_is_refused_is_wrong_usage(command: Command, arguments: list[str]) -> None:
    said = command("plan", *arguments)
    assert said.code == 2
    assert said.errors


def test_the_output_that_is_shown_in_the_docs_is_that(command: Command) -> None:
    text = (CHECKOUT / "docs" / "commands.rst").read_text()
    (shown,) = (block.code for block in blocks_in(text) if block.marker == "plan-output")
    assert command("plan", "--leases", "20").output == shown
