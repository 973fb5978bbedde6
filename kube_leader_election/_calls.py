"""A thread that calls what it is given, one after another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from ._process import process_id


class Calls:
    """Runs from `start` to `close`. In a child that a call of it forks, nothing more is called."""

    def __init__(self, name: str) -> None:
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()

    @property
    def is_alive(self) -> bool:
        """Whether something is called, or may still be."""
        return self.thread.is_alive()

    def start(self) -> None:
        """The thread runs."""
        self.thread.start()

    def put(self, call: Callable[[], object]) -> None:
        """`call` is called once those before it have returned."""
        self._calls.put(call)

    def close(self) -> None:
        """The thread ends once it has called all that it was given."""
        self._calls.put(None)

    def join(self, timeout: float) -> None:
        """The thread has ended, or `timeout` seconds are over."""
        if self.thread.ident is not None:
            self.thread.join(timeout)

    def _run(self) -> None:
        process = process_id()
        while (call := self._calls.get()) is not None and process == process_id():
            call()
