"""A process with a `LeaderElector`: the production core, driven as the elector's threads do."""

from __future__ import annotations

import math
from functools import partial

from kube_leader_election._core.campaign import Attempt, Campaign, Conversation, Finish, GiveUp
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import Answer, WatchEnded, WatchEvent
from kube_leader_election._core.news import News, Party, TermBegan, TermStopping
from kube_leader_election._core.timing import ElectorTiming, elector_timing
from kube_leader_election._core.watching import CloseWatch, OpenWatch

from ._process import Observer, OurProcess, Place
from ._server import Watch


class ElectorProcess(OurProcess):
    """Renews, watches and tells by itself; its work ends when it is told to, sooner or later."""

    def __init__(self, place: Place, name: str, observer: Observer) -> None:
        super().__init__(place, name, observer)
        self.timing: ElectorTiming = elector_timing(
            lease_ttl=self.replica.lease_ttl,
            renew_deadline=self.replica.renew_deadline,
            retry_period=self.replica.retry_period,
            max_clock_skew=self.replica.max_clock_skew,
            drain_timeout=self.replica.renew_deadline / 2,
        )
        self.candidate = Candidate(name, self.timing, adopts=False, heeds_strategy=True)
        self.campaign = Campaign(
            self.candidate,
            self.timing,
            parties=frozenset({Party.WORK} if self.replica.busy_for else ()),
            watches=self.replica.watches,
            jitter=place.dice.random,
        )
        self.attempts: list[float] = []
        self.is_working = False
        self._steps: Conversation | None = None
        self._deadline_at = math.inf
        self._watch: Watch | None = None
        self._told_until = 0.0
        self._wakes = 0

    def start(self) -> None:
        """Its threads run."""
        self._wake()

    def leave(self) -> None:
        """It is stopped."""
        self.campaign.stop(self.look())
        self._wake()

    def give_up(self) -> None:
        """Its term is given up."""
        term = self.term()
        if term is not None:
            self.campaign.give_up(term.ordinal, self.look())
            self._wake()

    def end(self) -> None:
        """Its threads and its watch are gone."""
        super().end()
        if self._watch is not None:
            self._close(self._watch)

    def watch_ends(self) -> None:
        """The watch ends, as the server ends one."""
        if self._watch is not None:
            self._ended(self._watch, WatchEnded())

    def watch_stalls(self) -> None:
        """The watch tells nothing any more."""
        if self._watch is not None:
            self._watch.stall()

    def _wake(self) -> None:
        """It takes turns until there is nothing to do, and sleeps until there is."""
        self._wakes += 1
        while not self.is_over and self._turn():
            pass
        if not self.is_over:
            at = self.place.clocks.true(self.campaign.acts_at(self.look()))
            self.world.at(at, partial(self._wake_up, self._wakes))

    def _wake_up(self, wake: int) -> None:
        if wake == self._wakes:
            self.do(self._wake)

    def _turn(self) -> bool:
        """Take one turn; return whether there was something to do."""
        now = self.look()
        for news in self.campaign.news(now):
            self._tell(news)
        step = self.campaign.step(now)
        if isinstance(step, Attempt):
            self.attempts.append(now.monotonic)
            self._steps, self._deadline_at = step.conversation, step.deadline_at
            self.ask(next(step.conversation), now, self._deadline_at, self._go_on)
        elif isinstance(step, GiveUp):
            self.break_off()
        elif isinstance(step, OpenWatch):
            self._open(step.resource_version)
        elif isinstance(step, CloseWatch):
            if self._watch is not None:
                self._ended(self._watch, WatchEnded())
        elif isinstance(step, Finish):
            self.candidate.end_term()
            for news in self.campaign.news(now):
                self._tell(news)
            self.end()
        return step is not None

    def _go_on(self, answer: Answer) -> None:
        steps, now = self._steps, self.look()
        assert steps is not None
        try:
            request = steps.send((answer, now))
        except StopIteration:
            self._steps = None
            self._wake()
        else:
            self.ask(request, now, self._deadline_at, self._go_on)
            self._wake()

    def _tell(self, news: News) -> None:
        self.observer.told(self, news)
        if isinstance(news, TermBegan):
            self.is_working = self.replica.busy_for > 0
        if isinstance(news, TermStopping) and self.is_working:
            busy_for = self.replica.busy_for
            finish = partial(self._work_ended, news.ordinal)
            self.wake_at(self.look().monotonic + busy_for, finish)

    def _work_ended(self, ordinal: int) -> None:
        self.is_working = False
        self.campaign.work_ended(ordinal, self.look(), failed=False)
        self._wake()

    def _open(self, version: str | None) -> None:
        watch = Watch(self._send_event)
        self._watch, self._told_until = watch, 0.0

        def open_() -> None:
            if watch.is_over:
                return
            if self.place.server.is_down:
                refusal: WatchEnded | None = WatchEnded(ConnectionError("no answer"))
            else:
                refusal = self.place.server.open(watch, version)
            if refusal is not None:
                self.do(lambda: self._ended(watch, refusal))

        self.world.after(self.place.delay(), open_)

    def _send_event(self, event: WatchEvent) -> None:
        watch = self._watch
        assert watch is not None
        deliver = partial(self._deliver, watch, event)
        self._told_until = self.place.tell(self._told_until, lambda: self.do(deliver))

    def _deliver(self, watch: Watch, event: WatchEvent) -> None:
        if not watch.is_over:
            self.observer.heard(self, event)
            self.campaign.watched(event, self.look())
            self._wake()

    def _ended(self, watch: Watch, end: WatchEnded) -> None:
        """The watch is over; that is told a little later, as the end of its connection is."""
        self._close(watch)
        self.world.after(self.place.delay(), lambda: self.do(lambda: self._end_told(watch, end)))

    def _end_told(self, watch: Watch, end: WatchEnded) -> None:
        if self._watch is watch:
            self._watch = None
            self.campaign.watched(end, self.look())
            self._wake()

    def _close(self, watch: Watch) -> None:
        watch.is_over = True
        watch.stall()
        self.place.server.forget(watch)
