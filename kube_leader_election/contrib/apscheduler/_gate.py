"""What may begin in a term, and whether any of it still runs. No APScheduler."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from kube_leader_election import Leadership, NotLeadingError


class Gate:
    """Open for one term at a time. Thread-safe; never blocks for what runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._leadership: Leadership | None = None
        self._running = 0

    @property
    def leadership(self) -> Leadership | None:
        """The term in which work may begin, `None` where there is none."""
        return self._leadership or None

    @property
    def plannable(self) -> Leadership | None:
        """The same, `None` also where it is to end."""
        leadership = self.leadership
        return None if leadership is None or leadership.stopping.is_set() else leadership

    def open(self, leadership: Leadership) -> None:
        """What was planned in this term may begin."""
        self._leadership = leadership

    def close(self) -> None:
        """Nothing begins any more."""
        self._leadership = None

    def close_if_idle(self) -> bool:
        """Nothing begins any more, if nothing runs, of any term; return whether that is so."""
        with self._lock:
            if self._running == 0:
                self._leadership = None
            return self._running == 0

    def lets_in(self, leadership: Leadership) -> bool:
        """Whether what was planned in this term may begin now."""
        return self._leadership is leadership and leadership.is_valid()

    @contextmanager
    def passed(self, leadership: Leadership) -> Iterator[None]:
        """Within the block work of this term runs.

        :raises NotLeadingError: it may not begin.
        """
        with self._lock:
            if not self.lets_in(leadership):
                why = "the job was queued in a term that is over"
                raise NotLeadingError(why, holder_identity=None)
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1
