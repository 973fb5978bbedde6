"""A world of campaigns in true time: an API server, what is between, and a driver for each."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from kube_leader_election._core.campaign import Attempt, Campaign, Conversation, Finish, GiveUp
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Bookmark,
    Conflict,
    Create,
    Deleted,
    Failed,
    Found,
    Instant,
    Read,
    Replace,
    Request,
    WatchEnded,
    WatchEvent,
    WatchOpened,
)
from kube_leader_election._core.news import News, Party
from kube_leader_election._core.record import LeaseRecord, integer_version
from kube_leader_election._core.timing import ElectorTiming, elector_timing
from kube_leader_election._core.watching import CloseWatch, OpenWatch

from .talk import START, Trouble

T = TypeVar("T", bound=News)

MOST_STEPS_AT_AN_INSTANT = 10


@dataclass(frozen=True)
class Fate:
    """What becomes of a request. All in seconds; `None`: it, or its answer, is lost.

    `answer`: that of something on the way, which did not pass the request on.
    `repeated_after`: something on the way sends it once more.
    """

    arrives_after: float | None = 0.0
    answered_after: float | None = 0.0
    answer: Answer | None = None
    repeated_after: float | None = None


LOST = Fate(arrives_after=None)
ANSWER_LOST = Fate(answered_after=None)


def refused(status: int | None, *, retry_after: float | None = None) -> Fate:
    return Fate(answer=Failed(Trouble(str(status)), status, retry_after))


def timing(
    *,
    lease_ttl: int = 15,
    renew_deadline: float = 10.0,
    retry_period: float = 2.0,
    max_clock_skew: float | None = None,
    drain_timeout: float = 20.0,
) -> ElectorTiming:
    return elector_timing(
        lease_ttl=lease_ttl,
        renew_deadline=renew_deadline,
        retry_period=retry_period,
        max_clock_skew=max_clock_skew,
        drain_timeout=drain_timeout,
    )


class World:
    """`now` is true time, in seconds; `later` does something, `run` lets it become later."""

    def __init__(self) -> None:
        self.now = 0.0
        self.server = Server()
        self.check: Callable[[], object] = lambda: None
        self._numbers = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        self.at(self.now + seconds, act)

    def at(self, when: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._agenda, (max(when, self.now), next(self._numbers), act))

    def run(self, until: float) -> None:
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, act = heapq.heappop(self._agenda)
            act()
            self.check()
        self.now = until


class Server:
    """One Lease, guarded as kube-apiserver guards it, and the watches of it."""

    def __init__(self) -> None:
        self.record: LeaseRecord | None = None
        self.version = 0
        self.past: list[Found | Deleted] = []
        self.watches: list[Watch] = []
        self.without_lease: type[Absent] | type[Conflict] = Conflict
        self._uids = itertools.count(1)

    def carry_out(self, request: Request) -> Answer:
        if isinstance(request, Create):
            if self.record is not None:
                return Conflict(Trouble("409"))
            self.put(replace(request.record, uid=f"uid-{next(self._uids)}"))
        elif isinstance(request, Replace):
            base = request.base.record
            assert base.uid is not None, "such a replace would create"
            assert base.resource_version is not None
            if self.record is None:
                return self.without_lease(Trouble("no such Lease"))
            if (base.uid, base.resource_version) != (self.record.uid, self.record.resource_version):
                return Conflict(Trouble("409"))
            assert request.record.renew_time != self.record.renew_time, "a no-op"
            self.put(request.record)
        return Absent(Trouble("404")) if self.record is None else Found(self.record)

    def put(self, record: LeaseRecord) -> LeaseRecord:
        """The Lease says `record`, at the next version."""
        self.version += 1
        self.record = replace(record, uid=record.uid or "uid-0", resource_version=str(self.version))
        self._tell(Found(self.record))
        return self.record

    def delete(self) -> None:
        assert self.record is not None
        self.version += 1
        self._tell(Deleted(replace(self.record, resource_version=str(self.version))))
        self.record = None

    def restore(self, record: LeaseRecord, version: int) -> None:
        """All versions are lower, which no watch is told, nor what comes after."""
        for watch in self.watches:
            watch.is_silent = True
        self.version = version
        self.past.clear()
        self.record = replace(record, resource_version=str(version))
        self.past.append(Found(self.record))

    def since(self, version: str | None) -> Iterator[WatchEvent]:
        """What a watch from `version` on is told first."""
        if version is None:
            if self.record is not None:
                yield Found(self.record)
            return
        after = integer_version(version) or 0
        yield from (event for event in self.past if (event.record.version or 0) > after)

    def _tell(self, event: Found | Deleted) -> None:
        self.past.append(event)
        for watch in self.watches:
            watch.tell(event)


class Watch:
    """One watch of an elector; what it tells is told in order, after the elector's `delay`."""

    def __init__(self, elector: Elector) -> None:
        self.elector = elector
        self.is_silent = False
        self.is_over = False
        self._told_until = 0.0

    def tell(self, event: WatchEvent) -> None:
        world = self.elector.world
        if not (self.is_silent or self.is_over):
            self._told_until = max(self._told_until, world.now + self.elector.watch_delay())
            world.at(self._told_until, lambda: self._deliver(event))

    def end(self, end: WatchEnded | None = None) -> None:
        """It ends now, whatever is still to be told."""
        if not self.is_over:
            self.is_over = True
            if self in self.elector.world.server.watches:
                self.elector.world.server.watches.remove(self)
            self.elector.hear(self, WatchEnded() if end is None else end)

    def _deliver(self, event: WatchEvent) -> None:
        if not self.is_over:
            self.elector.hear(self, event)


@dataclass(frozen=True)
class Sent:
    """A request, when it was composed by the elector's clock, and the end of its attempt."""

    at: float
    kind: str
    request: Request
    deadline_at: float


@dataclass
class Elector:
    """Drives one campaign as a supervisor does, on a clock that runs at `rate`."""

    world: World
    name: str = "a"
    timing: ElectorTiming = field(default_factory=timing)
    parties: frozenset[Party] = frozenset()
    watches: bool = True
    wall_ends_term: bool = False
    rate: float = 1.0
    jitter: Callable[[], float] = lambda: 0.5
    fate: Callable[[Request], Fate] = lambda _: Fate()
    watch_delay: Callable[[], float] = lambda: 0.0
    watch_refusal: Callable[[], WatchEnded | None] = lambda: None
    on_news: Callable[[News], object] = lambda _: None
    hangs: bool = False
    overrun: float = 0.0  # an attempt that is not answered fails so much after its deadline

    def __post_init__(self) -> None:
        self.candidate = Candidate(
            self.name,
            self.timing,
            adopts=False,
            heeds_strategy=True,
            wall_ends_term=self.wall_ends_term,
        )
        self.campaign = Campaign(
            self.candidate,
            self.timing,
            parties=self.parties,
            watches=self.watches,
            jitter=self.jitter,
        )
        self.sent: list[Sent] = []
        self.attempts: list[float] = []
        self.failed: set[float] = set()  # those attempts that ended with a failure
        self.told: list[tuple[float, News]] = []
        self.opened: list[tuple[float, str | None]] = []
        self.closed: list[float] = []
        self.gave_up: list[float] = []
        self.finished_at: float | None = None
        self.steps: Counter[float] = Counter()
        self.watch: Watch | None = None
        self.crashed = False
        self._conversation: Conversation | None = None
        self._deadline_at = math.inf
        self._asked = self._wakes = 0
        self.world.later(0.0, self.wake)

    # What is seen of it.

    def clock(self) -> Instant:
        local = self.world.now * self.rate
        return Instant(local, START + timedelta(seconds=local))

    def is_leader(self) -> bool:
        return not self.crashed and self.candidate.is_leader(self.clock())

    @property
    def token(self) -> int | None:
        return self.candidate.fencing_token(self.clock())

    def news(self) -> list[News]:
        return [news for _, news in self.told]

    def news_of(self, *kinds: type[T]) -> list[T]:
        return [news for _, news in self.told if isinstance(news, kinds)]

    def kinds(self, since: float = -math.inf) -> list[tuple[float, str]]:
        """When it sent what, rounded to microseconds."""
        return [(round(sent.at, 6), sent.kind) for sent in self.sent if sent.at >= since]

    # What happens to it.

    def stop(self, drain_timeout: float | None = None) -> None:
        self.campaign.stop(self.clock(), drain_timeout=drain_timeout)
        self.wake()

    def work_ended(self, ordinal: int = 1, *, failed: bool = False) -> None:
        self.campaign.work_ended(ordinal, self.clock(), failed=failed)
        self.wake()

    def callbacks_ended(self, ordinal: int = 1) -> None:
        self.campaign.callbacks_ended(ordinal)
        self.wake()

    def give_up(self, ordinal: int = 1) -> None:
        self.campaign.give_up(ordinal, self.clock())
        self.wake()

    def crash(self) -> None:
        """Nothing is heard of it any more, but what it has sent may be carried out still."""
        self.crashed = True
        if self.watch is not None:
            self.watch.end()

    def hear(self, watch: Watch, event: WatchEvent) -> None:
        assert self.watch is watch or self.is_over
        if isinstance(event, WatchEnded):
            self.watch = None
        if not self.is_over:
            self.campaign.watched(event, self.clock())
            self.wake()

    @property
    def is_over(self) -> bool:
        return self.crashed or self.finished_at is not None

    def wake(self) -> None:
        """Take turns until there is nothing to do, and sleep until there is."""
        self._wakes += 1
        wake, now = self._wakes, self.clock()
        while not self.is_over and self._turn(now):
            self.steps[self.world.now] += 1
            assert self.steps[self.world.now] <= MOST_STEPS_AT_AN_INSTANT, "it spins"
        if not self.is_over:
            at = self.campaign.acts_at(now)
            assert at > now.monotonic, "it would spin"
            if at < math.inf:
                self.world.at(self._true(at), lambda: self._wake_if_none_has_since(wake))

    def _wake_if_none_has_since(self, wake: int) -> None:
        if self._wakes == wake:
            self.wake()

    def _turn(self, now: Instant) -> bool:
        """Whether there was something to do."""
        for news in self.campaign.news(now):
            self.told.append((now.monotonic, news))
            self.on_news(news)
        step = self.campaign.step(now)
        if isinstance(step, Attempt):
            assert self._conversation is None, "two attempts at once"
            self.attempts.append(now.monotonic)
            self._conversation, self._deadline_at = step.conversation, step.deadline_at
            self._ask(next(step.conversation))
        elif isinstance(step, GiveUp):
            self.gave_up.append(now.monotonic)
            asked = self._asked
            if not self.hangs:
                given_up = Failed(Trouble("given up"))
                self.world.later(0.0, lambda: self._answered(asked, given_up))
        elif isinstance(step, OpenWatch):
            self._open_watch(step.resource_version)
        elif isinstance(step, CloseWatch):
            assert self.watch is not None
            self.closed.append(now.monotonic)
            self.world.later(0.0, self.watch.end)
        elif isinstance(step, Finish):
            self.finished_at = now.monotonic
            self.candidate.end_term()
            self.told.extend((now.monotonic, news) for news in self.campaign.news(now))
            if self.watch is not None:
                self.watch.end()
        return step is not None

    def _open_watch(self, version: str | None) -> None:
        assert self.watch is None, "two watches at once"
        self.opened.append((self.clock().monotonic, version))
        watch = self.watch = Watch(self)

        def open_() -> None:
            refusal = self.watch_refusal()
            if refusal is not None:
                watch.end(refusal)
            elif not watch.is_over:
                self.world.server.watches.append(watch)
                for event in (WatchOpened(), *self.world.server.since(version)):
                    watch.tell(event)

        self.world.later(0.0, open_)

    def _ask(self, request: Request) -> None:
        self._asked += 1
        asked, now = self._asked, self.clock().monotonic
        self.sent.append(Sent(now, _kind(request), request, self._deadline_at))
        fate = self.fate(request)
        if fate.arrives_after is not None:
            self.world.later(fate.arrives_after, lambda: self._arrived(asked, request, fate))
        if fate.repeated_after is not None:
            self.world.later(fate.repeated_after, lambda: self.world.server.carry_out(request))
        if not self.hangs:
            late = Failed(Trouble("too late"))
            ends_at = self._true(self._deadline_at) + self.overrun
            self.world.at(ends_at, lambda: self._answered(asked, late))

    def _arrived(self, asked: int, request: Request, fate: Fate) -> None:
        answer = fate.answer or self.world.server.carry_out(request)
        if fate.answered_after is not None:
            self.world.later(fate.answered_after, lambda: self._answered(asked, answer))

    def _answered(self, asked: int, answer: Answer) -> None:
        if asked != self._asked or self._conversation is None or self.is_over:
            return
        now = self.clock()
        self._asked += 1
        try:
            request = self._conversation.send((answer, now))
        except StopIteration:
            self._conversation = None
            if isinstance(answer, Failed):
                self.failed.add(self.attempts[-1])
        else:
            self._ask(request)
        self.wake()

    def _true(self, local: float) -> float:
        """The first instant of true time at which its clock shows `local`."""
        true = local / self.rate
        while true * self.rate < local:
            true = math.nextafter(true, math.inf)
        return true


def _kind(request: Request) -> str:
    if isinstance(request, Replace):
        return request.intent.value
    return "read" if isinstance(request, Read) else "create"


def held(
    holder: str | None, *, duration: int = 15, renewed: float = 0.0, **fields: str
) -> LeaseRecord:
    """What a Lease says that another holds, or nobody."""
    renewed_time = START + timedelta(seconds=renewed)
    return LeaseRecord(
        holder_identity=holder,
        lease_duration_seconds=duration,
        acquire_time=renewed_time,
        renew_time=renewed_time,
        lease_transitions=0,
        strategy=fields.get("strategy"),
    )


def bookmark(version: int) -> Bookmark:
    return Bookmark(str(version))
