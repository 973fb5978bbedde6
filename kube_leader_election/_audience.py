"""All that is told of one election, and what is to be seen of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ._calls import Calls
from ._core.news import (
    LeaderState,
    News,
    Polled,
    RoleChanged,
    TermBegan,
    TermEnded,
    TermStopping,
    Troubled,
)
from ._events import Trigger
from ._failure import LeaseName
from ._inbox import Inbox
from ._leadership import Leadership
from ._teller import Teller
from ._telling import log_end, log_start, logger

Runner = Inbox["Leadership | None"]


class View:
    """What was to be seen at one time, and, once `changed` is set, what came `next`.

    After the last one nothing comes: its `next` stays `None`.
    """

    def __init__(
        self, state: LeaderState, holder_identity: str | None, leadership: Leadership | None
    ) -> None:
        self.state = state
        self.holder_identity = holder_identity
        self.leadership = leadership
        self.changed = Trigger()
        self.next: View | None = None

    def states(self) -> Iterator[LeaderState]:
        """Yield the state in this view, and each other one as it comes."""
        view: View | None = self
        state = None
        while view is not None:
            if view.state is not state:
                yield (state := view.state)
            view.changed.wait()
            view = view.next


class Audience:
    """The log, the callbacks, the work of `run`, and whoever looks at `view` or waits for a change.

    `runner` gets each term, and `None` at the end. `remaining` tells how many seconds are left of
    the term of a number.
    """

    def __init__(
        self,
        target: LeaseName,
        holder_id: str,
        teller: Teller,
        remaining: Callable[[int], float],
    ) -> None:
        self.view = View(LeaderState.STANDBY, None, None)
        self.over = Trigger()
        self.runner: Runner | None = None
        self._target = target
        self._holder_id = holder_id
        self._teller = teller
        self._remaining = remaining
        self._stopping, self._lost = Trigger(), Trigger()
        # The handler of a log may block, and no term may end late because of it.
        self.log = Calls("kube-leader-election-log")

    def tell(self, news: News | None) -> None:
        """This is new; `None`: nothing will be any more. On the supervisor's thread."""
        view = self.view
        if news is None:
            self._end()
        elif isinstance(news, TermBegan):
            self._begin(news)
        elif isinstance(news, TermStopping):
            self._ask_to_finish()
        elif isinstance(news, TermEnded):
            self._lost.set()
            self.log.put(lambda: log_end(self._target, self._holder_id))
            self._show(View(view.state, view.holder_identity, None))
        elif isinstance(news, RoleChanged):
            self._show(View(news.state, news.holder_identity, view.leadership))
            if news.holder_identity not in (None, view.holder_identity):
                self._teller.new_leader(news.holder_identity)
        elif isinstance(news, Troubled):
            self._warn("%s", news.error)
        elif isinstance(news, Polled):
            self._warn("Lease %s is polled: %s", self._target, news.reason)
        else:
            self._warn("Lease %s: %s", self._target, news.text)

    def _warn(self, text: str, *details: object) -> None:
        self.log.put(lambda: logger.warning(text, *details))

    def _begin(self, news: TermBegan) -> None:
        self._stopping, self._lost = Trigger(), Trigger()
        leadership = Leadership(
            ordinal=news.ordinal,
            fencing_token=news.token,
            stopping=self._stopping,
            lost=self._lost,
            remaining=self._remaining,
            holder_identity=lambda: self.view.holder_identity,
        )
        self.log.put(lambda: log_start(self._target, self._holder_id, news.token))
        if self.runner is not None:
            self.runner.put(leadership)
        self._teller.began(leadership)
        self._show(View(self.view.state, self.view.holder_identity, leadership))

    def _ask_to_finish(self) -> None:
        self._stopping.set()
        if self.view.leadership is not None:
            self._teller.stopping(self.view.leadership)

    def _end(self) -> None:
        self._ask_to_finish()
        self._lost.set()
        self._show(View(LeaderState.STANDBY, None, None))
        self._teller.close()
        self.log.close()
        if self.runner is not None:
            self.runner.put(None)
        self.over.set()
        self.view.changed.set()

    def _show(self, view: View) -> None:
        before, self.view = self.view, view
        before.next = view
        before.changed.set()
