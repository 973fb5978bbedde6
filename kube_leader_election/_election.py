"""One election in one process: a candidate, the thread that supervises it, and who is told."""

from __future__ import annotations

import random
import threading

from . import _process_end
from ._audience import Audience, Runner, View
from ._clock import Clock, SystemClock, look_at
from ._core.campaign import Campaign
from ._core.candidate import Candidate
from ._core.news import News, Party
from ._core.term import Term
from ._core.timing import ElectorTiming
from ._errors import LeaderElectionError
from ._failure import LeaseName
from ._leadership import Leadership
from ._process import process_id
from ._store import Store
from ._supervisor import Supervisor
from ._teller import Callbacks, Teller


class Election:
    """May be started once; all else is for any thread and signal handler."""

    def __init__(
        self,
        store: Store,
        target: LeaseName,
        holder_id: str,
        timing: ElectorTiming,
        callbacks: Callbacks,
        clock: Clock,
    ) -> None:
        self.holder_id = holder_id
        self._process = process_id()
        self.is_started = self.is_working = False
        self._is_stopped = False
        self._start_turn = threading.Lock()
        self._store = store
        self._target = target
        self._timing = timing
        self._callbacks = callbacks
        self._clock = clock
        stops = isinstance(clock, SystemClock) and clock.stops_in_sleep
        self._candidate = Candidate(
            holder_id, timing, adopts=False, heeds_strategy=True, wall_ends_term=stops
        )
        self._teller = Teller(callbacks, finished=self._end_callbacks, failed=self._give_up)
        self._audience = Audience(target, holder_id, self._teller, self._remaining)

    def serves(self, runner: Runner) -> bool:
        """Whether it was `start`ed with this one."""
        return self._audience.runner is runner

    @property
    def is_starting(self) -> bool:
        """Whether `start` was called, and maybe has returned."""
        return self._start_turn.locked()

    @property
    def view(self) -> View:
        """What there is to see now."""
        return self._audience.view

    def start(self, runner: Runner | None) -> None:
        """The threads run.

        `runner`, which this thread then serves, gets each term, and `None` at the end.

        :raises LeaderElectionError: it was started before.
        """
        if not self._start_turn.acquire(blocking=False):
            raise LeaderElectionError("start() or run() was called before: make another elector")
        self._audience.runner = runner
        self._runs_on = threading.current_thread() if runner is not None else None
        self._campaign = Campaign(
            self._candidate,
            self._timing,
            parties=self._parties(),
            watches=self._store.can_watch,
            jitter=random.random,
        )
        self._supervisor = Supervisor(
            self._campaign, self._store, self._target, self._timing, self._clock, self._tell
        )
        # First: whatever interrupts the rest, it can be stopped.
        self.is_started = True
        try:
            _process_end.add(self)
            self._teller.start()
            self._audience.log.start()
            self._supervisor.start()
        except BaseException:
            self._give_start_up()
            raise
        if self._is_stopped:
            self.stop()

    def _give_start_up(self) -> None:
        """End all that has started, which may be anything, or will."""
        self.abandon_work()
        self._supervisor.give_up()
        self._teller.close()
        self._audience.log.close()
        _process_end.discard(self)

    def term(self) -> Term | None:
        """Return the term in which this process leads now."""
        if self._process != process_id():
            return None
        return self._candidate.term(look_at(self._clock))

    def is_healthy(self, tolerance: float) -> bool:
        """Whether the thread lives, and nothing is overdue for longer than `tolerance`."""
        if not self.is_started:
            return True
        if self._supervisor.failed:
            return False
        is_done = self._audience.over.is_set() and not (self.is_working or self._teller.is_alive)
        return is_done or self._supervisor.overdue() <= tolerance

    def check(self) -> None:
        """:raises LeaderElectionError: our thread has died, of a defect that it has logged."""
        if self._supervisor.failed:
            raise LeaderElectionError(f"the election for Lease {self._target} broke down")

    def stop(self, drain_timeout: float | None = None) -> None:
        """Ask for the end: work is told to finish, and then the Lease is released."""
        self._is_stopped = True  # first: a signal may come before all is started
        if self.is_started:
            self._supervisor.post(lambda now: self._campaign.stop(now, drain_timeout=drain_timeout))

    def wait_until_over(self, drain_timeout: float | None = None) -> None:
        """The election is over and its threads have ended, or that takes longer than it may."""
        drains_for = self._timing.drain_timeout if drain_timeout is None else drain_timeout
        patience = drains_for + 2 * self._timing.attempt_timeout
        if self._audience.over.wait(min(patience, threading.TIMEOUT_MAX)):
            self._supervisor.join(1.0)
            self._teller.join(1.0)
            self._audience.log.join(1.0)

    def waits_for(self, thread: threading.Thread) -> bool:
        """Whether the end of the election may wait for this thread."""
        needed = (self._runs_on, self._teller.thread)
        return thread in needed or self._supervisor.runs_on(thread)

    def wait_for_a_term(self, timeout: float | None) -> Leadership | None:
        """We lead, in the term that is returned; `None`: not in time, or the election is over."""
        clock = SystemClock()
        ends_at = clock.monotonic() + min(timeout or 0.0, threading.TIMEOUT_MAX)
        view: View | None = self.view
        while view is not None:
            if view.leadership:
                return view.leadership
            left = None if timeout is None else max(0.0, ends_at - clock.monotonic())
            if not view.changed.wait(left):
                return None
            view = view.next
        return None

    def end_work(self, leadership: Leadership, *, failed: bool) -> None:
        """The work of `run` has returned, or `failed`."""
        ordinal = leadership.ordinal
        self._supervisor.post(lambda now: self._campaign.work_ended(ordinal, now, failed=failed))

    def abandon_work(self) -> None:
        """There is no work any more, and there will be none."""
        self._supervisor.post(self._campaign.abandon_work)

    def end_in_child(self) -> None:
        """In a forked child, where our threads are not: whoever waits for one is told the end."""
        self._audience.tell(None)

    def _parties(self) -> frozenset[Party]:
        work = {Party.WORK} if self._runs_on is not None else set()
        callbacks = {Party.CALLBACKS} if self._callbacks.follow_terms else set()
        return frozenset(work | callbacks)

    def _end_callbacks(self, leadership: Leadership) -> None:
        self._supervisor.post(lambda _: self._campaign.callbacks_ended(leadership.ordinal))

    def _give_up(self, leadership: Leadership) -> None:
        self._supervisor.post(lambda now: self._campaign.give_up(leadership.ordinal, now))

    def _remaining(self, ordinal: int) -> float:
        term = self.term()
        if term is None or term.ordinal != ordinal:
            return 0.0
        return term.remaining(look_at(self._clock))

    def _tell(self, news: News | None) -> None:
        if news is None:
            self._candidate.end_term()
            _process_end.discard(self)
        self._audience.tell(news)
