"""What is going wrong now, until when, and what is to be done next

A fault takes a lane: the process of a replica, its network, its rights, the server. Two of one
lane never overlap, those of several do.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable

from .evidence import Fault

Action = Callable[[], object]


class Lanes:
    """An agenda, and the faults so far. Not thread-safe."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._agenda: list[tuple[float, int, Action]] = []
        self._numbers = itertools.count()
        self._ends: dict[tuple[str, str], Action] = {}

    def after(self, seconds: float, action: Action) -> None:
        """Do this then."""
        entry = (time.monotonic() + seconds, next(self._numbers), action)
        heapq.heappush(self._agenda, entry)

    def do_what_is_due(self) -> None:
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            heapq.heappop(self._agenda)[2]()

    def is_free(self, target: str, lane: str) -> bool:
        """Whether nothing is wrong there."""
        return (target, lane) not in self._ends

    def take(
        self, target: str, lane: str, kind: str, seconds: float, begin: Action, end: Action
    ) -> Action | None:
        """Return what ends the fault, which will be done after so long; `None`: not begun."""
        if not self.is_free(target, lane):
            return None
        began_at = time.monotonic()
        begin()

        def finish() -> None:
            if self._ends.get((target, lane)) is finish:
                end()
                del self._ends[(target, lane)]
                self.faults.append(Fault(kind, target, began_at, time.monotonic()))

        self._ends[(target, lane)] = finish
        self.after(seconds, finish)
        return finish

    def is_on(self, finish: Action) -> bool:
        """Whether the fault which that ends goes on."""
        return finish in self._ends.values()

    def note(self, kind: str, target: str, began_at: float = 0.0) -> None:
        """This went wrong, and is over."""
        now = time.monotonic()
        self.faults.append(Fault(kind, target, began_at or now, now))

    def end_all(self) -> None:
        """Nothing is wrong any more, and nothing will be."""
        self._agenda.clear()
        for finish in list(self._ends.values()):
            finish()
