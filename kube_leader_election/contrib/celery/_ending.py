"""Signals that end a process, put off until what must not be cut short has ended. No Celery."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Ending:
    """SIGTERM and SIGINT, which Celery handles, wait where they would cut something short."""

    def __init__(self) -> None:
        self.asked_at: float | None = None
        self._depth = 0
        self._number: int | None = None
        self._is_urgent = False
        self._handlers: dict[int, Any] = {}
        self._thread = threading.current_thread()

    def heed(self) -> None:
        """What handles the signals now does so from now on when it may; main thread only.

        Does nothing elsewhere, and where nothing handles them.
        """
        if self._thread is not threading.main_thread():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._handle)

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """Within the block a signal waits, and is handled when the block ends."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth and self._number is not None:
                number, self._number, self.asked_at = self._number, None, None
                self._handlers[number](number, None)

    def hurry(self) -> None:
        """A signal that waits ends the block now; from any thread."""
        number = self._number
        if number is not None and not self._is_urgent and self._thread.ident is not None:
            self._is_urgent = True
            signal.pthread_kill(self._thread.ident, number)

    def _handle(self, number: int, frame: Any) -> None:
        if not self._depth:
            self._handlers[number](number, frame)
        elif self._is_urgent:
            self._is_urgent = False
            raise SystemExit
        else:
            self._number = number
            if self.asked_at is None:
                self.asked_at = time.monotonic()
