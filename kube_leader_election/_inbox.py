"""A queue for one thread, which waits for what others, and signal handlers, put into it."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")

# In seconds. CPython handles a signal that comes right before a wait begins only after it.
LONGEST_WAIT = 1.0


class Inbox(Generic[T]):
    """One thread gets, any may put. A signal handler may, whatever thread it interrupts.

    Before CPython 3.13 a `queue.SimpleQueue` waits for ever where the time is over when it looks
    at the clock again, after a signal or at once: so what is waited for here is a lock.
    """

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[T] = queue.SimpleQueue()
        self._news = threading.Lock()
        self._news.acquire()

    def put(self, item: T) -> None:
        """`get` returns the item, once it has returned those before."""
        self._items.put(item)
        with suppress(RuntimeError):  # what was put before has not been waited for yet
            self._news.release()

    def get(self, timeout: float | None = None) -> T:
        """Return the next item; a signal is handled soon, whenever it comes.

        :raises queue.Empty: none has come within `timeout` seconds.
        """
        left = timeout
        while True:
            with suppress(queue.Empty):
                return self._items.get_nowait()
            if left is not None and left <= 0:
                raise queue.Empty
            wait = LONGEST_WAIT if left is None else min(left, LONGEST_WAIT)
            if not self._news.acquire(timeout=wait) and left is not None:
                left -= wait
