"""Electors in random schedules of faults: one leads at most, and once all is well one does."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Collection, Iterator
from datetime import datetime
from functools import partial
from itertools import pairwise

import pytest

from kube_leader_election._core.messages import (
    Create,
    Failed,
    Found,
    Intent,
    Read,
    Replace,
    Request,
    WatchEnded,
)
from kube_leader_election._core.news import (
    News,
    Party,
    TermBegan,
    TermEnded,
    TermStopping,
    Warned,
)
from kube_leader_election._core.record import LeaseRecord

from .campaigning import LOST, Elector, Fate, World, timing
from .talk import Trouble

SCHEDULES = 150
FAULTS_UNTIL = 40.0
TIMING = timing(lease_ttl=5, renew_deadline=4.0, retry_period=1.0, drain_timeout=2.0)
ATTEMPT = TIMING.attempt_timeout
# A silent watch is not relied on for longer than half the duration, on the slowest clock; whoever
# was refused or asked to wait when the faults were over tries again a little later.
LEADS_AGAIN_WITHIN = 1.5 * TIMING.lease_ttl / 0.99 + 2 * 1.2 * TIMING.retry_period + 2 * ATTEMPT
MOST_STEPS_IN_A_SECOND = 30


class Life(Elector):
    """An elector from its start to its end, which checks what it asks for."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.writes: list[tuple[float, LeaseRecord]] = []
        self.may_create = True
        self.left_at = math.inf

    def stop(self, drain_timeout: float | None = None) -> None:
        self.left_at = min(self.left_at, self.clock().monotonic)
        super().stop(drain_timeout)

    def give_up(self, ordinal: int | None = None) -> None:
        self.left_at = min(self.left_at, self.clock().monotonic)
        begun = (each.ordinal for each in self.news() if isinstance(each, TermBegan))
        super().give_up(max(begun, default=0) if ordinal is None else ordinal)

    def claims(self) -> Iterator[tuple[float, LeaseRecord]]:
        """Our writes since we released the Lease last, and when each was composed."""
        for at, record in reversed(self.writes):
            if record.holder_identity is None:
                return
            yield at, record

    def _ask(self, request: Request) -> None:
        super()._ask(request)
        now, deadline_at = self.clock().monotonic, self.sent[-1].deadline_at
        assert deadline_at - self.attempts[-1] <= ATTEMPT + 1e-9
        assert now <= deadline_at or self.overrun
        if isinstance(request, Read):
            return
        times = [record.renew_time for _, record in self.writes]
        assert request.record.renew_time not in times
        if isinstance(request, Create):
            assert self.may_create
        else:
            self._check_replace(request, times)
        self.writes.append((now, request.record))

    def _check_replace(self, request: Replace, times: Collection[datetime | None]) -> None:
        base, time = request.base.record, request.record.renew_time
        assert time is not None
        assert time != base.renew_time
        if request.intent is not Intent.ACQUIRE:
            assert base.holder_identity == self.name
            assert base.renew_time in times, "it is not ours"
            if request.intent is Intent.RENEW:
                assert base.renew_time is not None
                assert time > base.renew_time
            else:
                assert not self.is_leader()
                assert not self.campaign._reporter.is_engaged


class Schedule:
    deletes = False

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.world = World()
        self.world.check = self.check
        self.names = "abc"[: self.dice.choice([2, 3])]
        self.lives: list[Life] = []
        self.tokens: dict[tuple[int, int], int] = {}
        self.stored: set[datetime | None] = set()
        self.known = 0
        self.calm = False
        for name in self.names:
            self.world.later(self.dice.uniform(0, 3), partial(self.start, name))
        for _ in range(self.dice.randrange(4, 14)):
            self.world.at(self.dice.uniform(0, FAULTS_UNTIL), self.disturb)

    # What happens.

    def start(self, name: str) -> None:
        dice = self.dice
        life = Life(
            self.world,
            name,
            TIMING,
            parties=frozenset(party for party in Party if dice.random() < 0.3),
            watches=dice.random() < 0.8,
            rate=dice.uniform(0.99, 1.01),
            jitter=dice.random,
            overrun=dice.choice([0.0, 0.003]),
        )
        life.fate = self.fate
        life.watch_delay = self.delay
        life.watch_refusal = self.watch_refusal
        life.on_news = partial(self.hear, life)
        self.lives.append(life)

    def fate(self, request: Request) -> Fate:
        dice, luck = self.dice, self.dice.random()
        if self.calm or luck < 0.7:
            return Fate(dice.uniform(0, 0.02), dice.uniform(0, 0.02))
        if luck < 0.76:
            return Fate(arrives_after=None)
        if luck < 0.82:
            return Fate(dice.uniform(0, 1), None)
        if luck < 0.88:
            return Fate(dice.uniform(0, 2), dice.uniform(0, 2))
        if luck < 0.92:
            return Fate(dice.uniform(0, 0.3), 0.1, repeated_after=dice.uniform(0, 6))
        if luck < 0.96 and isinstance(request, Read):
            shown = [event for event in self.world.server.past[-4:] if isinstance(event, Found)]
            return Fate(0.01, 0.01, answer=dice.choice(shown) if shown else None)
        status = dice.choice([None, 429, 500, 503])
        asked = dice.choice([None, 1.0])
        return Fate(0.01, 0.01, answer=Failed(Trouble(str(status)), status, asked))

    def delay(self) -> float:
        if self.calm or self.dice.random() < 0.9:
            return self.dice.uniform(0, 0.02)
        return self.dice.uniform(0, 4)

    def watch_refusal(self) -> WatchEnded | None:
        if self.calm or self.dice.random() < 0.7:
            return None
        status = self.dice.choice([None, 410, 500])
        return WatchEnded(Trouble(str(status)), status)

    def hear(self, life: Life, news: News) -> None:
        """The parties finish with a term, sooner or later, asked or not."""
        late = 0.5 if self.calm else self.dice.choice([0.0, 0.1, 1.0, 5.0])
        if isinstance(news, TermStopping):
            for party in life.parties:
                self.world.later(late, partial(self.finish, life, party, news.ordinal))

    def finish(self, life: Life, party: Party, ordinal: int) -> None:
        if life.is_over:
            return
        if party is Party.WORK:
            life.work_ended(ordinal)
        else:
            life.callbacks_ended(ordinal)

    def disturb(self) -> None:
        living = [life for life in self.lives if not life.is_over]
        watches = [life.watch for life in living if life.watch is not None]
        luck = self.dice.random()
        if watches and luck < 0.2:
            self.dice.choice(watches).is_silent = True
        elif watches and luck < 0.4:
            self.dice.choice(watches).end(self.dice.choice([None, WatchEnded(Trouble("reset"))]))
        elif living and luck < 0.8:
            life = self.dice.choice(living)
            self.dice.choice([life.stop, life.crash, life.give_up])()
            if life.crashed or luck < 0.6:
                self.world.later(self.dice.uniform(0, 5), partial(self.restart, life))
        elif self.world.server.record is not None:
            self.world.server.put(self.world.server.record)  # labels

    def restart(self, life: Life) -> None:
        if life.is_over and all(each.is_over for each in self.lives if each.name == life.name):
            self.start(life.name)

    def calm_down(self) -> None:
        """No fault from now on, and one elector more."""
        self.calm = True
        self.start("d")

    # What holds.

    def check(self) -> None:
        past = self.world.server.past
        self.stored |= {event.record.renew_time for event in past[self.known :]}
        self.known = len(past)
        leaders = [life for life in self.lives if life.is_leader()]
        assert len(leaders) <= 1, [life.name for life in leaders]
        for life in leaders:
            self.check_leader(life)
        for life in self.lives:
            life.may_create = life.may_create and life.candidate.lease is None

    def check_leader(self, life: Life) -> None:
        now = life.clock()
        proofs = (at for at, record in life.claims() if record.renew_time in self.stored)
        assert any(now.monotonic - at < TIMING.belief for at in proofs), "it has no proof"
        term = life.candidate.term(now)
        assert term is not None
        assert term.token is not None
        key = (self.lives.index(life), term.ordinal)
        if key not in self.tokens:
            assert term.token > max(self.tokens.values(), default=0)
        assert self.tokens.setdefault(key, term.token) == term.token

    def check_life(self, life: Life) -> None:
        terms = [
            each for each in life.news() if isinstance(each, TermBegan | TermStopping | TermEnded)
        ]
        for number, each in enumerate(terms):
            assert isinstance(each, (TermBegan, TermStopping, TermEnded)[number % 3]), terms
            assert each.ordinal == terms[number - number % 3].ordinal
        assert life.crashed or len(terms) % 3 == 0
        for began, after in pairwise(life.attempts):
            if began in life.failed and after < life.left_at:
                assert after - began >= TIMING.retry_gap - 1e-9
        assert self.deletes or life.news_of(Warned) == []
        seconds: Counter[int] = Counter()
        for at, steps in life.steps.items():
            seconds[int(at)] += steps
        assert max(seconds.values(), default=0) <= MOST_STEPS_IN_A_SECOND

    def run(self) -> None:
        self.world.run(FAULTS_UNTIL)
        self.calm_down()
        self.world.run(FAULTS_UNTIL + LEADS_AGAIN_WITHIN)
        assert any(life.is_leader() for life in self.lives), "nobody leads"
        ended = sum(len(life.news_of(TermEnded)) for life in self.lives)
        self.world.run(self.world.now + 15)
        assert any(life.is_leader() for life in self.lives), "nobody leads any more"
        assert sum(len(life.news_of(TermEnded)) for life in self.lives) == ended
        for life in self.lives:
            if not life.is_over:
                life.stop()
        self.world.run(self.world.now + TIMING.drain_timeout + ATTEMPT + 0.1)
        assert all(life.is_over for life in self.lives)
        for life in self.lives:
            self.check_life(life)


class ScheduleWithDeletions(Schedule):
    """The Lease is deleted, but only while all have seen it, and nobody comes who has not.

    No create is under way for longer than its attempt: nothing guards one against a deletion.
    """

    deletes = True

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        for _ in range(5):
            # Nobody who was deleted believes any more when the one comes who has seen nothing.
            self.world.at(self.dice.uniform(5, FAULTS_UNTIL - TIMING.belief / 0.99), self.delete)

    def fate(self, request: Request) -> Fate:
        fate = super().fate(request)
        if isinstance(request, Create):
            is_late = fate.repeated_after is not None or (fate.arrives_after or 0.0) > ATTEMPT / 2
            return LOST if is_late else fate
        return fate

    def delete(self) -> None:
        lease = self.world.server.record
        seen = [life.candidate.lease for life in self.lives]
        if (
            lease is not None
            and len(seen) == len(self.names)
            and all(each is not None and each.uid == lease.uid for each in seen)
        ):
            self.world.server.delete()

    def disturb(self) -> None:
        if self.dice.random() < 0.5:
            super().disturb()
        elif self.lives:
            self.dice.choice(self.lives).give_up()

    def restart(self, life: Life) -> None:
        pass

    def check(self) -> None:
        super().check()
        for life in self.lives:
            life.may_create = True


@pytest.mark.parametrize("kind", [Schedule, ScheduleWithDeletions])
def test_whatever_fails_one_leads_at_most_and_one_does_once_the_faults_are_over(
    kind: type[Schedule],
) -> None:
    terms = 0
    first = random.randrange(10**9)
    for seed in range(first, first + SCHEDULES):
        schedule = kind(seed)
        try:
            schedule.run()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        terms += len(schedule.tokens)
    assert terms > 1.5 * SCHEDULES
