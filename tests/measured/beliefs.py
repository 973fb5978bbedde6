"""Who believes to lead while the leader is cut off, or its Lease is gone: never two at once

Over the stand-in of `kube_leader_election.testing`, in one process, with all durations of the
defaults divided by five: a late answer of 1.9 s is one of 9.5 s.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from kube_leader_election import LeaderElector, LeaderElectorParams, LeaderState
from kube_leader_election.testing import ApiServer, faults
from tests.proxy import Proxy

from . import figures
from .figures import Figure
from .journal import PATIENCE
from .world import World

LEASE_TTL, RENEW_DEADLINE, RETRY_PERIOD = 3, 2.0, 0.5
RENEWAL_EVERY = RENEW_DEADLINE / 3
ATTEMPT = RENEW_DEADLINE / 5
LATE = (1.9, ATTEMPT - 0.05)
"""In seconds: client-go's worst, and an answer that still comes within its attempt"""
SIDE_BY_SIDE = 10
_LOOK = 0.002
_PASSES = 0.02  # in seconds, so that the late answer itself gets through


@dataclass
class Election:
    """The candidates of one Lease, of which the first is the leader, and who believed when."""

    name: str
    proxy: Proxy
    candidates: list[LeaderElector]
    is_cut: bool = False
    happens_at: float = float("inf")
    overlap: float = 0.0
    leader_believed_at: float = 0.0
    other_believes_at: float = float("inf")
    believers: int = 0
    looked_at: float = field(default_factory=time.monotonic)

    def look(self) -> None:
        """Two believe at once if both do at the first look, and still do at the second."""
        now = time.monotonic()
        both = zip(self._believers(), self._believers(), strict=True)
        believers = [first and second for first, second in both]
        self.believers = sum(believers)
        if self.believers > 1:
            self.overlap += now - self.looked_at
        if believers[0]:
            self.leader_believed_at = now
        if any(believers[1:]):
            self.other_believes_at = min(self.other_believes_at, now)
        self.looked_at = now

    def cut(self) -> None:
        """What the leader is sent, or sends, arrives nowhere from now on."""
        if not self.is_cut:
            self.is_cut = True
            self.proxy.drop()

    @property
    def gap(self) -> float:
        """How long after the leader's belief another's began."""
        return self.other_believes_at - self.leader_believed_at

    def _believers(self) -> list[bool]:
        return [candidate.is_leader() for candidate in self.candidates]


Trouble = Callable[[ApiServer, Election, int], None]


def late_answers(world: World) -> Iterator[Figure]:
    """One late answer to the leader, which is then cut off.

    Its watch never says a word, or that would confirm the write before the answer does.
    """
    seconds = RENEWAL_EVERY + max(LATE) + LEASE_TTL + 1.5
    elections, looks = _run_all(world, _late_answer, seconds, replicas=2, is_deaf=True)
    yield from _overlaps(elections, "an answer late by 1.9 or 0.35 s, then cut off (ttl 3 s)")
    gaps = [election.gap for election in elections]
    yield figures.seconds(
        "from the leader's belief to the other's",
        gaps,
        least=LEASE_TTL - RENEW_DEADLINE,
        most=LEASE_TTL,
    )
    yield figures.milliseconds("between two looks", looks)


def deletions(world: World) -> Iterator[Figure]:
    """The Lease is deleted, and the leader is cut off from the news every other time."""
    elections, looks = _run_all(world, _deletion, LEASE_TTL + 2.0, replicas=3)
    yield from _overlaps(elections, "the Lease is deleted, every other leader cut off (ttl 3 s)")
    gaps = [election.gap for election in elections if election.is_cut]
    yield figures.seconds(
        "from the belief of a leader that is cut off to another's",
        gaps,
        least=LEASE_TTL - RENEW_DEADLINE,
        most=LEASE_TTL,
    )
    yield figures.milliseconds("between two looks", looks)


def _overlaps(elections: list[Election], what: str) -> Iterator[Figure]:
    overlaps = [election.overlap for election in elections]
    yield figures.numbers(f"overlap of belief: {what}", overlaps, most=0.0, unit="s")
    yield figures.every("one leads in the end", [each.believers == 1 for each in elections])


def _late_answer(server: ApiServer, election: Election, number: int) -> None:
    late = LATE[number % len(LATE)]

    def carried_out() -> None:
        election.happens_at = time.monotonic() + late + _PASSES

    user = f"{election.name}-0"
    server.before_next(carried_out, verb="update", user=user)
    server.fail_next(faults.hold_answer(late), verb="update", user=user)


def _deletion(server: ApiServer, election: Election, number: int) -> None:
    if number % 2:
        election.cut()
    server.remove_lease(election.name)


def _run_all(
    world: World, trouble: Trouble, seconds: float, *, replicas: int, is_deaf: bool = False
) -> tuple[list[Election], list[float]]:
    """Return all elections, and the times between two looks."""
    elections: list[Election] = []
    looks: list[float] = []
    for _ in range(world.choose(full=5, quick=2)):
        with ExitStack() as stack:
            server = stack.enter_context(ApiServer())
            names = [f"election-{number}" for number in range(SIDE_BY_SIDE)]
            for name in names if is_deaf else ():
                server.fail_next(faults.stall_watch(), verb="watch", user=f"{name}-0")
            batch = [_start(stack, server, name, replicas) for name in names]
            stack.callback(_ask_to_stop, batch)
            elections += batch
            looks += _look_on(server, batch, trouble, seconds)
    return elections, looks


def _start(stack: ExitStack, server: ApiServer, name: str, replicas: int) -> Election:
    """The first candidate leads, and the others watch."""
    proxy = stack.enter_context(Proxy(urlsplit(server.url).port or 0, scheme="http"))
    election = Election(name, proxy, [])
    for number in range(replicas):
        user = f"{name}-{number}"
        client = server.client(user)
        if number == 0:
            client.configuration.host = proxy.url
        params = LeaderElectorParams(
            lease_name=name,
            holder_id=user,
            lease_ttl=LEASE_TTL,
            renew_deadline=RENEW_DEADLINE,
            retry_period=RETRY_PERIOD,
        )
        candidate = LeaderElector(client, "default", params)
        candidate.start()
        stack.callback(candidate.stop)
        election.candidates.append(candidate)
        wanted = LeaderState.FOLLOWING if number else LeaderState.LEADING
        _wait_until(functools.partial(_is_ready, server, candidate, wanted, user))
    return election


def _ask_to_stop(elections: list[Election]) -> None:
    """All at once, which spares waiting for the attempts of one after the other."""
    for election in elections:
        for candidate in election.candidates:
            candidate.stop(wait=False)


def _is_ready(server: ApiServer, candidate: LeaderElector, wanted: LeaderState, user: str) -> bool:
    watches = any(each.verb == "watch" and each.user == user for each in server.requests)
    return watches and candidate.state is wanted


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("an election did not begin")
        time.sleep(0.01)


def _look_on(
    server: ApiServer, elections: list[Election], trouble: Trouble, seconds: float
) -> list[float]:
    """Make trouble at a random moment for each, and look at all of them until it is over."""
    began_at = looked_at = time.monotonic()
    moments = sorted(random.uniform(0.1, 0.1 + RENEWAL_EVERY) for _ in elections)
    waiting = list(zip(moments, elections, range(len(elections)), strict=True))
    looks = []
    while looked_at < began_at + moments[-1] + seconds:
        now = time.monotonic()
        looks.append(now - looked_at)
        looked_at = now
        while waiting and now >= began_at + waiting[0][0]:
            trouble(server, *waiting.pop(0)[1:])
        for election in elections:
            election.look()
            if now >= election.happens_at:
                election.cut()
        time.sleep(_LOOK)
    return looks[1:]
