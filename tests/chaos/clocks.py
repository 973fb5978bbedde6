"""When the machine stands still, as a thread notices that only sleeps"""

from __future__ import annotations

import threading
import time
from types import TracebackType

from .beliefs import NOTABLE
from .evidence import Hole

_NAP = 0.005


class Stalls:
    """Notes them while its with-block lasts."""

    def __init__(self) -> None:
        self.holes: list[Hole] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stalls", daemon=True)

    def __enter__(self) -> Stalls:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _run(self) -> None:
        before = time.monotonic()
        while not self._ending.wait(_NAP):
            now = time.monotonic()
            if now - before > NOTABLE:
                self.holes.append(Hole("", before, now))
            before = now
