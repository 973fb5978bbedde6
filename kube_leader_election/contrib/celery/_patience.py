"""Who waits for a tick that does not end, and for how long. No Celery."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ._ending import Ending

TICK_LIMIT = 30.0  # in seconds: more than a slow database takes to read a large schedule
END_LIMIT = 10.0  # in seconds, of the 30 that Kubernetes gives a Pod to end
_LOOKS_EVERY = 0.5


class Patience:
    """A thread that looks at the tick under way, between `start` and `stop`."""

    def __init__(
        self,
        ending: Ending,
        let_go: Callable[[str], object],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`let_go` is called on the thread, with the reason, and not more than once for a tick."""
        self._ending = ending
        self._let_go = let_go
        self._monotonic = monotonic
        self._began_at: float | None = None
        self._is_lost = False
        self._stopped = threading.Event()

    def start(self) -> None:
        """The thread runs."""
        name = "kube-leader-election-beat"
        threading.Thread(target=self._look_on, name=name, daemon=True).start()

    def stop(self) -> None:
        """The thread ends within a second."""
        self._stopped.set()

    @contextmanager
    def tick(self) -> Iterator[None]:
        """Within the block a tick is under way."""
        self._is_lost = False
        self._began_at = self._monotonic()
        try:
            yield
        finally:
            self._began_at = None

    def look(self) -> None:
        """A tick that has taken too long has lost its leadership; the process ends if it is to."""
        began_at, asked_at, now = self._began_at, self._ending.asked_at, self._monotonic()
        if began_at is None:
            return
        is_asked_in_vain = asked_at is not None and now - asked_at > END_LIMIT
        if not self._is_lost and (is_asked_in_vain or now - began_at > TICK_LIMIT):
            self._is_lost = True
            self._let_go(f"a tick of beat has not ended for {now - began_at:.0f} s")
        if is_asked_in_vain:
            self._ending.hurry()

    def _look_on(self) -> None:
        while not self._stopped.wait(_LOOKS_EVERY):
            self.look()
