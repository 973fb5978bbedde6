"""Calls the user's callbacks, on one thread and in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ._calls import Calls
from ._leadership import Leadership
from ._telling import logger


@dataclass(frozen=True)
class Callbacks:
    """What the user wants to be told, each `None` where they do not."""

    on_started_leading: Callable[[Leadership], object] | None
    on_stopped_leading: Callable[[], object] | None
    on_new_leader: Callable[[str], object] | None

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.follow_terms or self.on_new_leader is not None

    @property
    def follow_terms(self) -> bool:
        """Whether one of them is told of terms."""
        return self.on_started_leading is not None or self.on_stopped_leading is not None


class Teller(Calls):
    """One thread, from `start` to `close`. Nothing waits for it but the end of a term.

    `finished` is called from the thread once a term needs nothing more, `failed` where
    `on_started_leading` raised.
    """

    def __init__(
        self,
        callbacks: Callbacks,
        *,
        finished: Callable[[Leadership], object],
        failed: Callable[[Leadership], object],
    ) -> None:
        super().__init__("kube-leader-election-callbacks")
        self._callbacks = callbacks
        self._finished = finished
        self._failed = failed
        self._told: Leadership | None = None

    def start(self) -> None:
        """The thread runs, if there is anybody to call."""
        if self._callbacks.any:
            super().start()

    def began(self, leadership: Leadership) -> None:
        """A term has begun."""
        if self._callbacks.follow_terms:
            self.put(lambda: self._begin(leadership))

    def stopping(self, leadership: Leadership) -> None:
        """A term has ended, or will as soon as this is told."""
        if self._callbacks.follow_terms:
            self.put(lambda: self._end(leadership))

    def new_leader(self, holder_identity: str) -> None:
        """Somebody leads, maybe we."""
        call = self._callbacks.on_new_leader
        if call is not None:
            self.put(lambda: self._call("on_new_leader", lambda: call(holder_identity)))

    def _begin(self, leadership: Leadership) -> None:
        # Work is not begun for a term that was over before it could be told.
        if leadership.stopping.is_set() or not leadership.is_valid():
            return
        self._told = leadership
        call = self._callbacks.on_started_leading
        if call is not None and not self._call("on_started_leading", lambda: call(leadership)):
            self._failed(leadership)

    def _end(self, leadership: Leadership) -> None:
        call = self._callbacks.on_stopped_leading
        was_told, self._told = self._told is leadership, None
        if was_told and call is not None:
            self._call("on_stopped_leading", call)
        self._finished(leadership)

    def _call(self, name: str, call: Callable[[], object]) -> bool:
        """Return whether the user's function has returned; what it raises is reported."""
        try:
            call()
        except BaseException:  # noqa: BLE001 (whatever it was, the next is still called)
            logger.exception("%s raised", name)
            return False
        return True
