"""What a replica is told at its start, and what it is told later, over a file in memory"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

LEASE = "leader"
ELECTOR, LOCK = "elector", "lock"
_WALL, _FORKS = range(2)
_SIZE = 16


@dataclass(frozen=True)
class Orders:
    """Who it is and what it contends with; `skew` is the `max_clock_skew` of a LeaseLock."""

    replica: str
    number: int
    kind: str
    holder_id: str
    namespace: str
    kubeconfig: str
    folder: str
    skew: float | None
    without: str

    @property
    def name(self) -> str:
        return f"{self.replica}.{self.number}"


class Remote:
    """How far the wall clock of a replica is off, in seconds, and how often it is to fork."""

    def __init__(self, path: Path) -> None:
        with path.open("a+b") as file:
            file.truncate(_SIZE)
            self._numbers = memoryview(mmap.mmap(file.fileno(), _SIZE)).cast("d")

    @property
    def wall_offset(self) -> float:
        return self._numbers[_WALL]

    @wall_offset.setter
    def wall_offset(self, seconds: float) -> None:
        self._numbers[_WALL] = seconds

    @property
    def forks(self) -> int:
        return int(self._numbers[_FORKS])

    def ask_to_fork(self) -> None:
        self._numbers[_FORKS] += 1
