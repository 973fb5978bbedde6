"""What the commands have written down, and whether two of them ran at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Life:
    """All that has come of one command, from the first to the last that was seen of it

    On the monotonic clock. `started_at` is when there was a process for it, to 10 ms, and rather
    too late than too early; `began_at` when its first line ran.
    """

    token: int
    started_at: float
    began_at: float
    ended_at: float
    pids: frozenset[int]


class Reader:
    """Reads what was written since it has last read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._lives: dict[int, Life] = {}

    def lives(self) -> list[Life]:
        """Return those of all commands, by their tokens, but for a line that is being written."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._read)
                new, newline, _ = file.read().rpartition(b"\n")
            self._read += len(new) + len(newline)
            for line in new.decode().splitlines():
                self._note(*line.split())
        return [self._lives[token] for token in sorted(self._lives)]

    def _note(self, instant: str, token: str, pid: str, what: str) -> None:
        at = float(instant)
        life = self._lives.get(int(token))
        if life is None:
            _, _, age = what.partition(":")
            life = Life(int(token), at - float(age or 0), at, at, frozenset())
        self._lives[life.token] = replace(
            life,
            began_at=min(life.began_at, at),
            ended_at=max(life.ended_at, at),
            pids=life.pids | {int(pid)},
        )


def overlaps(lives: Sequence[Life]) -> list[tuple[Life, Life]]:
    """Return each two that have lived at the same time, or not in the order of their tokens."""
    return [
        (one, other)
        for index, one in enumerate(lives)
        for other in lives[index + 1 :]
        if one.ended_at >= other.began_at
    ]
