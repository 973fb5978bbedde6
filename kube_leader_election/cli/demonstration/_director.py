"""What the replicas and the server are put through, one step after another, or by keys."""

from __future__ import annotations

import queue
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from typing import NoReturn

from kube_leader_election._inbox import Inbox
from kube_leader_election.testing import ApiServer

from ._happenings import SERVER, Happening, What
from ._replica import LEASE
from ._replicas import Replicas
from ._script import FIRST_REPLICAS, KEYS, QUIT, Deed, Step
from ._story import Lease, Story
from ._views import View

PATIENCE = 60.0  # in seconds, with what takes some, on a machine that is busy with something else
_PAUSE = 1.5  # in seconds, between two steps
_MOST_REPLICAS = 6

# A key, a signal that asks for something, or what a replica tells.
News = Happening | str | int


class EndedEarlyError(Exception):
    """The demo cannot go on, or was asked not to. `code` is what it exits with."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class _TakenOverError(Exception):
    """A key was used: the script is over."""


class Director:
    """Has the means, and the story so far. For one thread."""

    def __init__(
        self, story: Story, server: ApiServer, replicas: Replicas, news: Inbox[News], view: View
    ) -> None:
        self._story = story
        self._server = server
        self._replicas = replicas
        self._news = news
        self._view = view
        self._due: list[tuple[float, Callable[[], None]]] = []
        self._outage = ExitStack()
        self._follows_keys = False
        self._is_to_quit = False

    def play(self, script: Sequence[Step]) -> None:
        """The story was seen from the first leader to the end of the last.

        :raises EndedEarlyError: it was not.
        """
        with self._outage:
            try:
                self._play(script)
            except _TakenOverError:
                self._wait(lambda: self._is_to_quit, patience=None)
            self._end()

    def _play(self, script: Sequence[Step]) -> None:
        self._story.say("the API server serves, and three replicas are started", time.monotonic())
        for _ in range(FIRST_REPLICAS):
            self._start()
        self._wait(lambda: self._leader() is not None and self._story.is_awake())
        followers = [name for name in self._story.living() if name != self._leader()]
        text = f"{' and '.join(followers)} follow: they watch the Lease"
        self._story.say(text, time.monotonic())
        self._pause()
        for step in script:
            self._do(step)
            self._wait(self._is_settled)
            self._pause()

    def _end(self) -> None:
        """All were told to stop, the leader last, so that no other leads for a moment."""
        self._follows_keys = self._is_to_quit = True
        for _, action in self._due:
            action()
        self._due.clear()
        last = self._leader()
        for name in self._story.living():
            if name != last:
                self._signal(name, What.STOPPED, signal.SIGTERM)
        self._wait(lambda: set(self._story.living()) <= {last})
        if last in self._story.living():
            self._signal(last or "", What.STOPPED, signal.SIGTERM)
        self._wait(lambda: not self._story.living())
        self._story.lease = self._lease()
        self._story.say("the end", time.monotonic())
        self._view.show(self._story, is_last=True)

    def _do(self, step: Step) -> None:
        leader = self._leader()
        if step.deed is Deed.ADD:
            self._add()
        elif step.deed is Deed.OUTAGE:
            self._take_server_away(step.seconds)
        elif leader is None:
            self._story.say("nobody leads just now", time.monotonic())
        elif step.deed is Deed.STOP:
            self._signal(leader, What.STOPPED, signal.SIGTERM)
        elif step.deed is Deed.KILL:
            self._signal(leader, What.KILLED, signal.SIGKILL)
        elif not self._story.replicas[leader].is_frozen:
            self._freeze(leader, step.seconds)

    def _add(self) -> None:
        if len(self._story.living()) < _MOST_REPLICAS:
            name = self._start()
            self._story.say(f"{name} is started", time.monotonic())
        else:
            self._story.say(f"there are {_MOST_REPLICAS} replicas already", time.monotonic())

    def _start(self) -> str:
        name = f"replica-{len(self._story.replicas) + 1}"
        self._story.hear(Happening(name=name, what=What.STARTED, at=time.monotonic()))
        self._replicas.start(name)
        return name

    def _freeze(self, name: str, seconds: float) -> None:
        def thaw() -> None:
            if self._story.replicas[name].lives:
                self._signal(name, What.THAWED, signal.SIGCONT)

        self._signal(name, What.FROZEN, signal.SIGSTOP, seconds)
        self._due.append((time.monotonic() + seconds, thaw))

    def _take_server_away(self, seconds: float) -> None:
        def bring_back() -> None:
            self._outage.close()
            self._story.hear(Happening(name=SERVER, what=What.BACK, at=time.monotonic()))

        if self._story.is_server_away:
            return
        away = Happening(name=SERVER, what=What.AWAY, at=time.monotonic(), seconds=seconds)
        self._story.hear(away)
        self._outage.enter_context(self._server.refuse_connections())
        self._due.append((time.monotonic() + seconds, bring_back))

    def _signal(self, name: str, what: What, number: int, seconds: float | None = None) -> None:
        deed = Happening(name=name, what=what, at=time.monotonic(), seconds=seconds)
        self._story.hear(deed)
        self._replicas.signal(name, number)

    def _leader(self) -> str | None:
        term = self._story.leader(time.monotonic())
        return None if term is None else term.name

    def _is_settled(self) -> bool:
        leader = self._leader()
        if self._due or not self._story.is_awake():
            return False
        if leader is None:
            return not self._story.living()
        return not self._story.replicas[leader].was_told_to_stop

    def _pause(self) -> None:
        ends_at = time.monotonic() + _PAUSE
        self._wait(lambda: time.monotonic() >= ends_at)

    def _wait(self, condition: Callable[[], bool], patience: float | None = PATIENCE) -> None:
        """`condition` holds, and what was told until then is shown.

        :raises EndedEarlyError: it will not, or somebody has asked for the end.
        """
        gives_up_at = time.monotonic() + (patience or 0.0)
        while not condition():
            self._look()
            try:
                news = self._news.get(0.05)
            except queue.Empty:
                if patience and time.monotonic() >= gives_up_at:
                    self._fail(f"nothing has happened for {patience:g} s")
                continue
            if news == signal.SIGTSTP:
                suspended_at = time.monotonic()
                self._view.suspend()
                gives_up_at += time.monotonic() - suspended_at
            else:
                self._hear(news)
        self._view.show(self._story)

    def _look(self) -> None:
        """What is due was done, what is new is shown."""
        now = time.monotonic()
        for due in [each for each in self._due if each[0] <= now]:
            self._due.remove(due)
            due[1]()
        if lost := self._replicas.lost():
            self._fail(f"{' and '.join(lost)} ended unexpectedly")
        for name in self._replicas.ended():
            if not self._story.replicas[name].is_awake:  # too young to tell that it ends
                self._story.hear(Happening(name=name, what=What.ENDED, at=now))
        self._story.lease = self._lease()
        self._view.show(self._story)

    def _lease(self) -> Lease | None:
        spec = (self._server.stored_lease(LEASE) or {}).get("spec", {})
        if not spec:
            return None
        renewed_at = datetime.fromisoformat(str(spec["renewTime"]).replace("Z", "+00:00"))
        age = (datetime.now(timezone.utc) - renewed_at).total_seconds()
        left = spec["leaseDurationSeconds"] - age
        return Lease(spec.get("holderIdentity") or None, time.monotonic() + left)

    def _hear(self, news: News) -> None:
        if isinstance(news, Happening):
            self._story.hear(news)
        elif isinstance(news, int):
            raise EndedEarlyError("interrupted: all replicas are stopped", 128 + news)
        elif news == QUIT:
            self._is_to_quit = True
            self._take_over()
        elif news in KEYS and not self._is_to_quit:
            self._do(Step(KEYS[news]))
            self._take_over()

    def _take_over(self) -> None:
        if not self._follows_keys:
            self._follows_keys = True
            raise _TakenOverError

    def _fail(self, text: str) -> NoReturn:
        raise EndedEarlyError(f"{text}: all replicas are stopped", 1)
