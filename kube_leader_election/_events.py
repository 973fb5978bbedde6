"""Something that happens once, and can be waited for."""

from __future__ import annotations

import queue
from contextlib import suppress

from ._inbox import Inbox


class Event:
    """As a `threading.Event` that only the library sets. Thread-safe.

    It holds no lock, so that a signal handler may ask for it, and for what leads to it, while the
    thread that the handler interrupts waits for it: a lock would be that thread's own.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[Inbox[None]] = []

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """It has happened, or `timeout` seconds are over; return whether it has happened."""
        waiting: Inbox[None] = Inbox()
        self._waiting.append(waiting)
        try:
            if not self._is_set:
                with suppress(queue.Empty):
                    waiting.get(timeout)
        finally:
            self._waiting.remove(waiting)
        return self._is_set

    def __repr__(self) -> str:
        return f"<Event: {'set' if self._is_set else 'not set'}>"


class Trigger(Event):
    """The same, for whoever sets it."""

    def set(self) -> None:
        """It has happened."""
        self._is_set = True
        for waiting in list(self._waiting):
            waiting.put(None)
