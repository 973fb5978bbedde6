"""Candidates whose requests and answers are delayed, lost, stale and reordered, in true time."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from kube_leader_election._core.attempt import Arrival, acquire_or_renew, step_down
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Conflict,
    Create,
    Failed,
    Found,
    Instant,
    Read,
    Replace,
    Request,
)
from kube_leader_election._core.record import LeaseRecord

from .talk import START, Trouble, candidate

SKEW = 1.0
SCHEDULES = 300
STEPS = 150


@dataclass
class Server:
    """One Lease, guarded as kube-apiserver guards it."""

    record: LeaseRecord | None = None
    past: list[LeaseRecord] = field(default_factory=list)

    def carry_out(self, request: Request) -> Answer:
        if isinstance(request, Create):
            if self.record is not None:
                return Conflict(Trouble("409"))
            self.store(replace(request.record, uid="uid-1"))
        elif isinstance(request, Replace):
            if self.record is None:
                return Absent(Trouble("404"))
            read = request.base.record
            if (read.uid, read.resource_version) != (self.record.uid, self.record.resource_version):
                return Conflict(Trouble("409"))
            assert request.record.renew_time != self.record.renew_time, "a no-op"
            self.store(request.record)
        return Found(self.record) if self.record is not None else Absent(Trouble("404"))

    def store(self, record: LeaseRecord) -> None:
        self.record = replace(record, resource_version=str(len(self.past) + 1))
        self.past.append(self.record)


@dataclass
class Player:
    """A candidate, its two clocks, and what is under way between it and the server."""

    name: str
    rate: float
    ahead: float
    wall_rate: float
    skew: float | None
    adopts: bool
    me: Candidate = field(init=False)
    steps: Generator[Request, Arrival, Any] | None = None
    request: Request | None = None
    answer: Answer | None = None
    token: int | None = None

    def __post_init__(self) -> None:
        self.me = candidate(self.name, skew=self.skew, adopts=self.adopts)

    def now(self, true: float) -> Instant:
        wall = START + timedelta(seconds=true * self.wall_rate + self.ahead)
        return Instant(true * self.rate, wall)

    def begin(self, conversation: Callable[[Candidate], Generator[Request, Arrival, Any]]) -> None:
        self.steps = conversation(self.me)
        self.request, self.answer = next(self.steps), None

    def hear(self, answer: Answer, true: float) -> None:
        assert self.steps is not None
        try:
            self.request, self.answer = self.steps.send((answer, self.now(true))), None
        except (StopIteration, Trouble):
            self.steps = self.request = self.answer = None


class World:
    def __init__(self, seed: int, *, trusts_walls: bool) -> None:
        self.dice = random.Random(seed)
        self.true = 0.0
        self.server = Server()
        self.late: list[Request] = []
        self.tokens: list[int] = []
        self.players = [
            Player(
                name,
                rate=self.dice.uniform(0.99, 1.01),
                ahead=self.dice.uniform(-SKEW / 2, SKEW / 2) if trusts_walls else 1e6 * number,
                wall_rate=1.0 if trusts_walls else self.dice.choice([1.0, 0.0, -1.0]),
                skew=SKEW if trusts_walls else None,
                adopts=number != 1,
            )
            for number, name in enumerate("abc")
        ]

    def step(self) -> None:
        self.true += self.dice.choice([0.0, 0.0, 0.01, 0.3, 1.0, 3.0, 9.0])
        if self.late and self.dice.random() < 0.3:
            self.server.carry_out(self.late.pop(self.dice.randrange(len(self.late))))
        player = self.dice.choice(self.players)
        luck = self.dice.random()
        if player.steps is None:
            player.begin(step_down if luck < 0.1 else acquire_or_renew)
        elif player.answer is not None:
            lost = Failed(Trouble("answer lost"))
            player.hear(lost if luck < 0.2 else player.answer, self.true)
        elif luck < 0.1:
            assert player.request is not None
            if not isinstance(player.request, Read):
                self.late.append(player.request)
            player.hear(Failed(Trouble("no answer")), self.true)
        else:
            assert player.request is not None
            player.answer = self.server.carry_out(player.request)
            if isinstance(player.request, Read) and self.server.past and luck < 0.2:
                player.answer = Found(self.dice.choice(self.server.past[-3:]))
            elif luck > 0.9:  # something on the way sends it twice
                player.answer = self.server.carry_out(player.request)

    def check(self) -> None:
        leaders = [each for each in self.players if each.me.is_leader(each.now(self.true))]
        assert len(leaders) <= 1, [each.name for each in leaders]
        for player in self.players:
            token = player.me.fencing_token(player.now(self.true))
            if token is not None and token != player.token:
                assert not self.tokens or token > max(self.tokens)
                self.tokens.append(token)
            player.token = token
            assert player.me.take_warning() is None


@pytest.mark.parametrize("trusts_walls", [True, False])
def test_whatever_is_delayed_or_lost_at_most_one_leads_and_tokens_increase(
    trusts_walls: bool,
) -> None:
    terms = 0
    first = random.randrange(10**9)
    for seed in range(first, first + SCHEDULES):
        world = World(seed, trusts_walls=trusts_walls)
        try:
            for _ in range(STEPS):
                world.step()
                world.check()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        terms += len(world.tokens)
    assert terms > 2 * SCHEDULES
