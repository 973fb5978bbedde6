"""What is promised in seconds, against the worst that the simulator finds"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from importlib.util import find_spec

import pytest

from kube_leader_election import (
    Bounds,
    InvalidParamsError,
    LeaderElectorParams,
    LeaseLockParams,
    bounds,
)
from kube_leader_election._core.messages import Instant, Read, Request
from kube_leader_election.testing.simulation import (
    Fault,
    Happening,
    OnEvent,
    OnRequest,
    Replica,
    Rules,
    Schedule,
    TermSeen,
    What,
)
from kube_leader_election.testing.simulation._judge import Judge
from kube_leader_election.testing.simulation._process import Process
from kube_leader_election.testing.simulation._run import Run
from kube_leader_election.testing.simulation._server import Writer
from tests.measured.__main__ import SCENARIOS
from tests.programs import CHECKOUT

Params = LeaderElectorParams | LeaseLockParams

# A request is under way for so long in each direction, and answered at once.
ONE_WAY = 0.02
REQUEST_TIME = 2 * ONE_WAY
# The rates of clocks that are as wrong as may be.
SLOW, FAST = 0.99, 1.01
# More requests than any process here sends.
MANY = 60
# Of the bound, at least, where it is meant to be tight.
TIGHT = 0.9
ROUNDING = 1e-6
NEVER = 1e6

DEFAULTS = LeaderElectorParams(lease_name="leader")
SHORT = LeaderElectorParams(lease_name="leader", lease_ttl=5, renew_deadline=4, retry_period=1)
ELECTORS = {
    "defaults": DEFAULTS,
    "short": SHORT,
    "longest deadline": replace(DEFAULTS, renew_deadline=14.7, retry_period=5),
    "quick retries": replace(DEFAULTS, retry_period=1.3),
    "short of time": replace(DEFAULTS, lease_ttl=2, renew_deadline=1.1, retry_period=0.5),
    "by wall clocks": replace(SHORT, max_clock_skew=0.5),
}
LOCKS = {
    "lock": LeaseLockParams(lease_name="leader"),
    "short lock": LeaseLockParams(lease_name="leader", lease_ttl=5),
    "lock by its own clock": LeaseLockParams(lease_name="leader", max_clock_skew=None),
    "lock by clocks apart": LeaseLockParams(lease_name="leader", max_clock_skew=1.0),
}
ALL: dict[str, Params] = {**ELECTORS, **LOCKS}


@dataclass(frozen=True)
class Sent:
    """A request of a process, by its number among all that it has sent"""

    name: str
    number: int
    at: float
    is_read: bool


class Witness(Judge):
    """A judge who also writes down when requests are composed and writes are committed"""

    sent: list[Sent]
    commits: list[tuple[str, float]]

    def composed(self, process: Process, request: Request, now: Instant) -> None:
        number, is_read = process.place.sent, isinstance(request, Read)
        self.sent.append(Sent(process.name, number, self.world.now, is_read))
        super().composed(process, request, now)

    def committed(self, writer: Writer | None, request: Request | None, *, created: bool) -> None:
        if isinstance(writer, Process):
            self.commits.append((writer.name, self.world.now))
        super().committed(writer, request, created=created)


class Unlucky(random.Random):
    """All waits are as long as may be, and all messages as long under way"""

    def random(self) -> float:
        return 1.0


class Lucky(random.Random):
    """All waits are as short as may be"""

    def random(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Played:
    terms: tuple[TermSeen, ...]
    witness: Witness

    def terms_of(self, name: str) -> list[TermSeen]:
        return [each for each in self.terms if each.process.name == name]

    def sent_by(self, name: str, *, before: int = MANY) -> list[Sent]:
        return [each for each in self.witness.sent if each.name == name and each.number < before]

    def composed_by(self, name: str, *, before: int) -> list[float]:
        return [each.at for each in self.sent_by(name, before=before) if not each.is_read]

    def takeover(self) -> float:
        """From the last commit of a to when b leads"""
        (term,) = self.terms_of("b")
        return term.began_at - max(at for name, at in self.witness.commits if name == "a")

    def margin(self) -> float:
        """From when a leads no more to when b leads"""
        (before,), (after,) = self.terms_of("a"), self.terms_of("b")
        return after.began_at - before.ends_at


def play(schedule: Schedule, *, dice: type[random.Random] = Unlucky) -> Played:
    run = Run(schedule, Witness)
    witness = run.judge
    assert isinstance(witness, Witness)
    witness.sent, witness.commits = [], []
    for place in run.places.values():
        place.dice = dice()
    outcome = run.play()
    assert outcome.violation is None, outcome.violation
    return Played(outcome.terms, witness)


def promised(params: Params) -> Bounds:
    return bounds(params, request_time=REQUEST_TIME)


def ttl_of(params: Params) -> int:
    assert isinstance(params.lease_ttl, int)
    return params.lease_ttl


def call_every(params: LeaseLockParams) -> float:
    """What `bounds` takes it for where it is not given"""
    return (0.98 * ttl_of(params) - (params.max_clock_skew or 0)) / 3


def replica(params: Params, name: str, *, ahead: float = 0.0, rate: float = 1.0) -> Replica:
    common = Replica(
        Rules.LOCK,
        name,
        lease_ttl=ttl_of(params),
        max_clock_skew=params.max_clock_skew,
        ahead=ahead,
        rate=rate,
    )
    if isinstance(params, LeaseLockParams):
        return replace(common, retry_period=call_every(params))
    deadline, period = params.renew_deadline, params.retry_period
    return replace(common, rules=Rules.ELECTOR, renew_deadline=deadline, retry_period=period)


def in_step(one: Replica) -> Replica:
    """The same; a lock is called just when a Lease that it has seen may have expired."""
    return replace(one, retry_period=one.lease_ttl / 3) if one.rules is Rules.LOCK else one


def messages(
    *names: str, one_way: float = ONE_WAY, dice: random.Random | None = None
) -> Iterator[Fault]:
    """Every request and every event takes as long as is promised; or less, by these dice"""
    dice = dice or Unlucky()
    for name, number in itertools.product(names, range(MANY)):
        yield OnRequest(name, number, one_way * dice.random(), one_way * dice.random())
        yield OnEvent(name, number, late=one_way * dice.random())


def worst(measure: Callable[[float], float], *, of: Callable[..., float] = max) -> float:
    """The worst of a sweep over all phases, and of ever finer ones around the worst so far"""
    found = {number / 8: measure(number / 8) for number in range(8)}
    for finer in (32, 128):
        at = of(found, key=found.__getitem__)
        phases = {(at + number / finer) % 1.0 for number in range(-3, 4)}
        found |= {phase: measure(phase) for phase in phases - found.keys()}
    return of(found.values())


def assert_within(measured: float, bound: float) -> None:
    assert TIGHT * bound <= measured <= bound + ROUNDING


def turns(params: Params) -> float:
    """The longest time between two looks of a candidate"""
    if isinstance(params, LeaseLockParams):
        return promised(params).takeover_after_release
    return max(promised(params).renew_interval, promised(params).takeover_after_release_polled)


def moment(params: Params, phase: float) -> float:
    """When a is gone: another phase of its own renewals, and of the looks of b"""
    return 2 * promised(params).renew_interval + 2 * phase * turns(params)


def followed(
    params: Params,
    what: What,
    phase: float,
    *,
    watches: bool = True,
    rates: tuple[float, float] = (1.0, SLOW),
    at: float | None = None,
    aside: tuple[Fault, ...] = (),
    dice: random.Random | None = None,
) -> Played:
    """A leads and then crashes or releases, and b follows; who begins at some phase."""
    at, skew = at or moment(params, phase), (params.max_clock_skew or 0) / 2
    a = replica(params, "a", ahead=skew, rate=rates[0])
    b = replica(params, "b", ahead=-skew, rate=rates[1])
    b = replace(b, starts_at=0.1 + phase * turns(params), watches=watches)
    faults = (*messages("a", "b", dice=dice), *aside, Happening(at, what, "a", NEVER))
    return play(Schedule(1, (a, b), faults, at + 1.8 * ttl_of(params)))


def worst_takeover(params: Params, what: What, *, watches: bool = True) -> float:
    return worst(lambda phase: followed(params, what, phase, watches=watches).takeover())


@pytest.mark.parametrize("name", ALL)
def test_a_crashed_leader_is_followed_in_time(name: str) -> None:
    measured = worst_takeover(ALL[name], What.CRASH)
    assert_within(measured, promised(ALL[name]).takeover_after_crash)


@pytest.mark.parametrize("name", ALL)
def test_a_leader_that_releases_is_followed_in_time(name: str) -> None:
    measured = worst_takeover(ALL[name], What.LEAVE)
    assert_within(measured, promised(ALL[name]).takeover_after_release)


@pytest.mark.parametrize("name", ELECTORS)
def test_a_crashed_leader_is_followed_in_time_by_one_that_polls(name: str) -> None:
    measured = worst_takeover(ELECTORS[name], What.CRASH, watches=False)
    assert_within(measured, promised(ELECTORS[name]).takeover_after_crash_polled)


@pytest.mark.parametrize("name", ELECTORS)
def test_a_leader_that_releases_is_followed_in_time_by_one_that_polls(name: str) -> None:
    measured = worst_takeover(ELECTORS[name], What.LEAVE, watches=False)
    assert_within(measured, promised(ELECTORS[name]).takeover_after_release_polled)


def stalled(params: LeaderElectorParams, what: What, phase: float) -> float:
    """The watch of b is opened, and tells nothing of what is committed at some phase after that."""
    commit_at = REQUEST_TIME + ONE_WAY + params.renew_deadline
    stalls_at = commit_at - 0.01 - phase * params.renew_deadline / 3
    aside = (
        Happening(stalls_at - 0.1, What.WATCH_ENDS, "b"),
        Happening(stalls_at, What.WATCH_STALLS, "b"),
    )
    return followed(params, what, 0.0, at=commit_at + 0.01, aside=aside).takeover()


@pytest.mark.parametrize("name", ELECTORS)
def test_a_crashed_leader_is_followed_in_time_by_one_whose_watch_stalls(name: str) -> None:
    measured = worst(partial(stalled, ELECTORS[name], What.CRASH))
    assert_within(measured, promised(ELECTORS[name]).takeover_after_crash_stalled)


@pytest.mark.parametrize("name", ELECTORS)
def test_a_leader_that_releases_is_followed_in_time_by_one_whose_watch_stalls(name: str) -> None:
    measured = worst(partial(stalled, ELECTORS[name], What.LEAVE))
    assert_within(measured, promised(ELECTORS[name]).takeover_after_release_stalled)


def cut_off(params: Params, number: int, phase: float = 0.5, *, one_way: float = ONE_WAY) -> Played:
    """No request of a, whose clock is slow, arrives from this number on; that of b is fast."""
    skew = (params.max_clock_skew or 0) / 2
    a = replica(params, "a", rate=SLOW, ahead=-skew)
    b = in_step(replica(params, "b", rate=FAST, ahead=skew))
    b = replace(b, starts_at=0.5 + phase * promised(params).renew_interval)
    lost = tuple(OnRequest("a", each, arrives_after=None) for each in range(number, MANY))
    faults = (*messages("a", "b", one_way=one_way), *lost)
    return play(Schedule(1, (a, b), faults, 3 * ttl_of(params)))


@pytest.mark.parametrize("name", ALL)
def test_a_leader_has_ended_so_much_before_another_leads(name: str) -> None:
    params, bound = ALL[name], promised(ALL[name]).safety_margin
    measured = worst(lambda phase: cut_off(params, 4, phase, one_way=0.001).margin(), of=min)
    assert bound - ROUNDING <= measured
    if bound > 0.1:
        assert TIGHT * measured <= bound


@pytest.mark.parametrize("name", ALL)
def test_a_write_is_believed_in_for_so_long(name: str) -> None:
    played = cut_off(ALL[name], 6)
    (term,) = played.terms_of("a")
    last = max(played.composed_by("a", before=6))
    assert_within(term.ends_at - last, promised(ALL[name]).belief)


@pytest.mark.parametrize("name", ALL)
def test_a_leader_renews_so_often(name: str) -> None:
    composed = cut_off(ALL[name], 8).composed_by("a", before=8)
    measured = max(after - before for before, after in itertools.pairwise(composed))
    assert_within(measured, promised(ALL[name]).renew_interval)


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_waited_for_longer_than_an_attempt_takes(name: str) -> None:
    params = ALL[name]
    first, second = cut_off(params, 6).sent_by("a", before=8)[6:]
    pause = call_every(params) / SLOW if isinstance(params, LeaseLockParams) else 0.0
    assert_within(second.at - first.at - pause, promised(params).attempt_timeout)


LOST = OnRequest("a", 0, arrives_after=None)
ANSWER_LOST = OnRequest("a", 0, ONE_WAY, None)
REFUSED = OnRequest("a", 0, status=503)


def troubled(params: Params, first: int, troubles: tuple[OnRequest, ...]) -> Played:
    """Alone, by a fast clock, a meets these troubles one after another, and is told at once."""
    usual = [each for each in messages("a") if isinstance(each, OnRequest)]
    for number, each in enumerate(troubles, start=first):
        usual[number] = replace(each, number=number)
    until = 2.5 * promised(params).belief
    alone = replace(replica(params, "a", rate=FAST), watches=False)  # no watch tells either
    return play(Schedule(1, (alone,), tuple(usual), until), dice=Lucky)


def shortest_outage(params: Params, first: int) -> float:
    """From the first failure to the last, in the shortest outage that ends a term

    It begins just before the first request would have been answered, and ends when the last has
    come to the server, which may take it no time.
    """
    shortest = math.inf
    survived: list[tuple[OnRequest, ...]] = [(LOST,), (REFUSED,), (ANSWER_LOST,)]
    while survived:
        tried, survived = survived, []
        for troubles in tried:
            played = troubled(params, first, troubles)
            if len(played.terms) == 1:
                survived += [(*troubles, LOST), (*troubles, REFUSED)]
            else:
                met = played.sent_by("a", before=first + len(troubles))[first:]
                shortest = min(shortest, met[-1].at - met[0].at - REQUEST_TIME)
    return shortest


@pytest.mark.parametrize("name", ALL)
def test_no_outage_ends_a_term_that_is_not_longer_than_is_promised(name: str) -> None:
    params, bound = ALL[name], promised(ALL[name]).outage_survived
    # A renewal of an elector is one request; that of a lock is two.
    firsts = (4,) if name in ELECTORS else (4, 5)
    measured = min(shortest_outage(params, each) for each in firsts)
    assert TIGHT * measured <= bound <= measured + ROUNDING


@pytest.mark.parametrize("name", ALL)
def test_an_outage_that_is_as_long_as_is_promised_ends_no_term(name: str) -> None:
    params, bound = ALL[name], promised(ALL[name])
    dice = random.Random(name)
    for phase in (number / 12 for number in range(12)):
        at = (2 + phase) * bound.renew_interval
        outage = Happening(at, What.OUTAGE, seconds=bound.outage_survived)
        faults = (*messages("a", dice=dice), outage)
        alone = (replica(params, "a", rate=FAST),)
        assert len(play(Schedule(1, alone, faults, at + 2 * bound.belief)).terms) == 1


def any_params(dice: random.Random) -> Params:
    ttl = dice.randint(3, 20)
    skew = dice.choice((None, dice.uniform(0.0, 0.5)))
    if dice.random() < 0.4:
        return LeaseLockParams(lease_name="leader", lease_ttl=ttl, max_clock_skew=skew)
    deadline = dice.uniform(1.3, 0.98 * ttl - (skew or 0))
    return LeaderElectorParams(
        lease_name="leader",
        lease_ttl=ttl,
        max_clock_skew=skew,
        renew_deadline=deadline,
        retry_period=dice.uniform(0.5, deadline / 1.3),
    )


@pytest.mark.parametrize("seed", range(40))
def test_other_parameters_too_are_followed_in_time(seed: int) -> None:
    dice = random.Random(seed)
    params, watches = any_params(dice), dice.random() < 0.5
    rates = dice.uniform(SLOW, FAST), dice.uniform(SLOW, FAST)
    bound, phase = promised(params), dice.random()
    play_out = partial(followed, params, phase=phase, watches=watches, rates=rates, dice=dice)
    crashed, left = play_out(what=What.CRASH).takeover(), play_out(what=What.LEAVE).takeover()
    if watches:
        assert crashed <= bound.takeover_after_crash + ROUNDING
        assert left <= bound.takeover_after_release + ROUNDING
    assert crashed <= bound.takeover_after_crash_polled + ROUNDING
    assert left <= bound.takeover_after_release_polled + ROUNDING


def test_in_a_perfect_world_they_are_what_the_parameters_say() -> None:
    bound = bounds(DEFAULTS, request_time=0, clock_error=0)
    assert bound.belief == 10
    assert bound.outage_survived == pytest.approx(6)
    assert bound.safety_margin == 5
    assert bound.takeover_after_crash == 15
    assert bound.takeover_after_release == 0


def test_clocks_that_are_worse_than_is_covered_let_two_lead_unless_a_skew_is_declared() -> None:
    lock = LeaseLockParams(lease_name="leader", max_clock_skew=None)
    assert bounds(lock).safety_margin > 0
    assert bounds(lock, clock_error=0.05).safety_margin < 0
    assert bounds(replace(lock, max_clock_skew=1.12), clock_error=0.05).safety_margin < 0
    assert bounds(replace(lock, max_clock_skew=1.13), clock_error=0.05).safety_margin > 0


def test_who_calls_too_rarely_survives_no_outage() -> None:
    lock = LOCKS["lock"]
    assert bounds(lock, call_every=5).outage_survived > 4.8
    assert bounds(lock, call_every=7).outage_survived == 0  # after one that hangs it is too late
    assert bounds(lock, call_every=100).outage_survived == 0


def test_the_longest_watch_is_silent_for_is_an_hour() -> None:
    day = replace(DEFAULTS, lease_ttl=timedelta(days=1))
    assert 3600 < bounds(day).takeover_after_release_stalled < 3700


@pytest.mark.parametrize(
    ("params", "field", "value"),
    [
        (DEFAULTS, "request_time", -0.1),
        (DEFAULTS, "request_time", math.nan),
        (DEFAULTS, "clock_error", 1.0),
        (DEFAULTS, "clock_error", -0.01),
        (DEFAULTS, "call_every", 5.0),
        (LOCKS["lock"], "call_every", -1.0),
        (LOCKS["lock"], "call_every", math.inf),
    ],
)
def test_what_is_no_time_is_refused(params: Params, field: str, value: float) -> None:
    with pytest.raises(InvalidParamsError) as caught:
        bounds(params, **{field: value})
    assert caught.value.field == field
    assert caught.value.value is value


TEXT = (CHECKOUT / "docs" / "guarantees.rst").read_text(encoding="utf-8")
ROW = re.compile(r"``(\w+)`` .* (\d+\.\d\d)  +(\d+\.\d\d)")


@pytest.mark.parametrize(
    ("heading", "params"), [("LeaderElector", DEFAULTS), ("LeaseLock", LOCKS["lock"])]
)
def test_the_document_shows_what_is_computed(heading: str, params: Params) -> None:
    section = TEXT.split(f"\n{heading}, 15", 1)[1].split("\n\n", 2)[1]
    rows = {name: (exact, worst) for name, exact, worst in ROW.findall(section)}
    exact, worst = asdict(bounds(params, request_time=0, clock_error=0)), asdict(bounds(params))
    assert rows == {name: (f"{exact[name]:.2f}", f"{worst[name]:.2f}") for name in rows}
    is_elector = isinstance(params, LeaderElectorParams)
    ways = () if is_elector else ("_polled", "_stalled")
    assert list(rows) == [name for name in worst if not name.endswith(ways)]


def test_the_evidence_that_the_document_names_exists() -> None:
    paths = set(re.findall(r"``((?:tests|docs|examples)/[\w/]+(?:\.\w+)?)``", TEXT))
    assert len(paths) > 12
    assert [path for path in paths if not (CHECKOUT / path).exists()] == []
    modules = set(re.findall(r"``python -m ([\w.]+)", TEXT))
    assert [name for name in modules if find_spec(name) is None] == []
    scenarios = re.findall(r"python -m tests\.measured ([a-z0-9 -]+)``", TEXT)
    assert {each for few in scenarios for each in few.split()} <= set(SCENARIOS)


def test_the_document_has_all_invariants_in_their_order() -> None:
    numbers = [int(number) for number in re.findall(r"^(\d+)\. .+\n~~~", TEXT, re.MULTILINE)]
    assert numbers == list(range(1, 13))
