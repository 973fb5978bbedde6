"""Something that happens once, and can be waited for."""

from __future__ import annotations

import queue
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

# In seconds. CPython handles a signal that comes right before a wait begins only after it.
LONGEST_WAIT = 1.0


def get(waiting: queue.SimpleQueue[T], timeout: float | None = None) -> T:
    """Return the next item; a signal is handled soon, whenever it comes.

    :raises queue.Empty: none has come within `timeout` seconds.
    """
    left = timeout
    while left is None or left > LONGEST_WAIT:
        with suppress(queue.Empty):
            return waiting.get(timeout=LONGEST_WAIT)
        left = None if left is None else left - LONGEST_WAIT
    return waiting.get(timeout=max(0.0, left))


class Event:
    """As a `threading.Event` that only the library sets. Thread-safe, without a lock.

    So a signal handler may ask for it, and for what leads to it, while the thread that the
    handler interrupts waits for it: a lock would be that thread's own.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[queue.SimpleQueue[None]] = []

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        """It has happened, or `timeout` seconds are over; return whether it has happened."""
        waiting: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._waiting.append(waiting)
        try:
            if not self._is_set:
                with suppress(queue.Empty):
                    get(waiting, timeout)
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
