"""Where a replica notes from within whether it leads, and others read it, also when it is dead

A file in memory of native doubles, each written at once: how many beliefs and holes there are,
whether the Lease was seen, when the process was asked last, then the beliefs and the holes.
What is half written when the process dies is one number that lags behind, never a wrong one.
"""

from __future__ import annotations

import math
import mmap
from pathlib import Path

from .evidence import Belief, Hole

_BELIEFS, _HOLES, _SEEN, _ASKED_AT, _SAMPLES = range(5)
_HEADER = 8
_BELIEF, _HOLE = 5, 2
_MOST = 5000
_SIZE = 8 * (_HEADER + _MOST * (_BELIEF + _HOLE))
_FIRST_HOLE = _HEADER + _MOST * _BELIEF
NOTABLE = 0.1  # in seconds; a hole is longer


class Notes:
    """The writer's side; for one thread."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            file.truncate(_SIZE)
            self._map = mmap.mmap(file.fileno(), _SIZE)
        self._numbers = memoryview(self._map).cast("d")
        self._token: int | None = None
        self._beliefs = self._holes = 0
        self._asked_at = math.inf  # before the first time there is no hole

    def note(self, token: int | None, asked_at: float, answered_at: float) -> None:
        """At an instant in this time the process led in the term of `token`, or not."""
        numbers = self._numbers
        if asked_at - self._asked_at > NOTABLE and self._holes < _MOST:
            at = _FIRST_HOLE + _HOLE * self._holes
            numbers[at], numbers[at + 1] = self._asked_at, asked_at
            self._holes += 1
            numbers[_HOLES] = self._holes
        self._asked_at = numbers[_ASKED_AT] = asked_at
        numbers[_SAMPLES] += 1
        if token is not None:
            at = _HEADER + _BELIEF * (self._beliefs - 1)
            if token != self._token:
                at += _BELIEF
                numbers[at] = token
                numbers[at + 1], numbers[at + 2] = asked_at, answered_at
                numbers[at + 3], numbers[at + 4] = asked_at, answered_at
                self._beliefs += 1
                numbers[_BELIEFS] = self._beliefs
            else:
                numbers[at + 3], numbers[at + 4] = asked_at, answered_at
        self._token = token

    def note_sight(self) -> None:
        """The Lease was seen by the candidate."""
        self._numbers[_SEEN] = 1.0


class Reader:
    """What a process has noted so far."""

    def __init__(self, path: Path, replica: str, process: int) -> None:
        self._path = path
        self._replica = replica
        self._process = process
        self._map: memoryview[float] | None = None

    def _numbers(self) -> memoryview[float] | None:
        if self._map is None and self._path.exists() and self._path.stat().st_size == _SIZE:
            with self._path.open("rb") as file:
                found = mmap.mmap(file.fileno(), _SIZE, access=mmap.ACCESS_READ)
            self._map = memoryview(found).cast("d")
        return self._map

    @property
    def has_seen(self) -> bool:
        """Whether the candidate has seen the Lease."""
        numbers = self._numbers()
        return numbers is not None and numbers[_SEEN] == 1.0

    @property
    def asked_at(self) -> float:
        """When it was asked last, 0 where it never was."""
        numbers = self._numbers()
        return 0.0 if numbers is None else numbers[_ASKED_AT]

    def beliefs(self) -> list[Belief]:
        numbers = self._numbers()
        if numbers is None:
            return []
        found = []
        for number in range(int(numbers[_BELIEFS])):
            at = _HEADER + _BELIEF * number
            token, *times = numbers[at : at + _BELIEF].tolist()
            found.append(Belief(self._replica, self._process, int(token), *times))
        return found

    def holes(self) -> list[Hole]:
        numbers = self._numbers()
        if numbers is None:
            return []
        starts = range(_FIRST_HOLE, _FIRST_HOLE + _HOLE * int(numbers[_HOLES]), _HOLE)
        return [Hole(self._replica, numbers[at], numbers[at + 1]) for at in starts]
