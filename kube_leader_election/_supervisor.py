"""The thread that supervises an election: it carries out what the core decides, and waits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from ._clock import Clock, SystemClock, look_at
from ._core.campaign import Attempt, Campaign, Conversation, Finish, Step
from ._core.messages import Answer, Instant, WatchEvent
from ._core.news import News
from ._core.timing import ElectorTiming
from ._core.watching import CloseWatch, OpenWatch
from ._failure import LeaseName
from ._inbox import Inbox
from ._requests import Requests
from ._store import Store
from ._telling import logger

if TYPE_CHECKING:
    from ._typed_watch import TypedWatch
    from ._watch import Watch

# In seconds. The sleep of a machine goes unnoticed by what waits for a queue, and so does
# whatever moves a clock of the user's own.
LONGEST_NAP = 1.0
LONGEST_NAP_ON_ANOTHER_CLOCK = 0.01


class Supervisor:
    """Drives `campaign` on a thread of its own, which does no I/O, until that is finished.

    What happens elsewhere comes to it by `post`, as a call. `tell` is called from the thread,
    with each piece of news in order, and with `None` when there will be no more.
    """

    def __init__(
        self,
        campaign: Campaign,
        store: Store,
        target: LeaseName,
        timing: ElectorTiming,
        clock: Clock,
        tell: Callable[[News | None], object],
    ) -> None:
        self.thread = threading.Thread(
            target=self._run, name="kube-leader-election-supervisor", daemon=True
        )
        self.failed = False
        self._campaign = campaign
        self._store = store
        self._target = target
        self._timing = timing
        self._clock = clock
        self._tell = tell
        is_ours = isinstance(clock, SystemClock)
        self._longest_nap = LONGEST_NAP if is_ours else LONGEST_NAP_ON_ANOTHER_CLOCK
        self._inbox: Inbox[Callable[[Instant], object]] = Inbox()
        self._requests = Requests(
            store, target, monotonic=clock.monotonic, deliver=self._deliver_answer
        )
        self._conversation: Conversation | None = None
        self._deadline_at = 0.0
        self._watch: Watch | TypedWatch | None = None
        self._is_over = False
        self._overdue_at = clock.monotonic()

    def start(self) -> None:
        """The threads run."""
        self._overdue_at = self._clock.monotonic()
        self._requests.thread.start()
        self.thread.start()

    def give_up(self) -> None:
        """Where the start was interrupted: nothing is asked, or the thread runs and ends that."""
        if self.thread.ident is None:
            self._requests.close()

    def post(self, call: Callable[[Instant], object]) -> None:
        """`call` is called on the thread with the instant then. Safe in signal handlers."""
        self._inbox.put(call)

    def join(self, timeout: float) -> None:
        """All threads have ended, or `timeout` seconds are over for one of them."""
        self.thread.join(timeout)
        self._requests.thread.join(timeout)
        if self._watch is not None and self._watch.thread.ident is not None:
            self._watch.thread.join(timeout)

    def runs_on(self, thread: threading.Thread) -> bool:
        """Whether the end of the election needs this thread."""
        return thread in (self.thread, self._requests.thread)

    def overdue(self) -> float:
        """Return for how many seconds this thread, an answer or the end of work is overdue."""
        return self._clock.monotonic() - self._overdue_at

    def _run(self) -> None:
        try:
            while not self._is_over:
                self._turn()
            self._tell_news(look_at(self._clock))
            self._overdue_at = self._campaign.stuck_since()
        except BaseException:  # noqa: BLE001 (a defect must not go unnoticed)
            self.failed = True
            logger.exception("Lease %s: the election has ended by a defect", self._target)
        finally:
            self._requests.close()
            if self._watch is not None:
                self._watch.close()
            self._tell(None)

    def _turn(self) -> None:
        now = look_at(self._clock)
        self._tell_news(now)
        step = self._campaign.step(now)
        if step is not None:
            self._carry_out(step)
            return
        nap = min(max(0.0, self._campaign.acts_at(now) - now.monotonic), self._longest_nap)
        self._overdue_at = min(now.monotonic + nap, self._campaign.stuck_since())
        with suppress(queue.Empty):
            call = self._inbox.get(nap)
            call(look_at(self._clock))

    def _tell_news(self, now: Instant) -> None:
        for news in self._campaign.news(now):
            self._tell(news)

    def _carry_out(self, step: Step) -> None:
        if isinstance(step, Attempt):
            self._conversation, self._deadline_at = step.conversation, step.deadline_at
            self._requests.ask(next(step.conversation), self._deadline_at)
        elif isinstance(step, OpenWatch):
            self._watch = self._store.watch(
                step.resource_version,
                open_timeout=self._timing.attempt_timeout / 2,
                deliver=self._deliver_event,
            )
            self._watch.start()
        elif isinstance(step, CloseWatch):
            if self._watch is not None:
                self._watch.close()
        elif isinstance(step, Finish):
            self._is_over = True
        else:
            self._requests.give_up()

    def _deliver_answer(self, answer: Answer) -> None:
        self.post(lambda now: self._go_on(answer, now))

    def _go_on(self, answer: Answer, now: Instant) -> None:
        if self._conversation is None:
            return
        try:
            request = self._conversation.send((answer, now))
        except StopIteration:
            self._conversation = None
        else:
            self._requests.ask(request, self._deadline_at)

    def _deliver_event(self, _: object, event: WatchEvent) -> None:
        self.post(lambda now: self._campaign.watched(event, now))
