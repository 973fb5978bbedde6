"""What the commands have written down, and whether two of them ran at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stamp:
    """A process of the term with that fencing token was alive then, on the monotonic clock."""

    at: float
    token: int
    pid: int
    what: str


@dataclass(frozen=True)
class Life:
    """All that has come of one command, from the first to the last that was seen of it

    `started_at` is when there was a process for it, to 10 ms, and rather too late than too early;
    `began_at` when its first line ran.
    """

    token: int
    started_at: float
    began_at: float
    ended_at: float


def read(path: Path) -> list[Stamp]:
    """Return what was written so far, but for a line that is being written."""
    if not path.exists():
        return []
    lines = path.read_text().rpartition("\n")[0].splitlines()
    return [parsed(*line.split()) for line in lines]


def parsed(at: str, token: str, pid: str, what: str) -> Stamp:
    """Return what such a line says."""
    return Stamp(float(at), int(token), int(pid), what)


def lives(stamps: Iterable[Stamp]) -> list[Life]:
    """Return those of all commands, by their tokens."""
    found: dict[int, list[Stamp]] = {}
    for stamp in stamps:
        found.setdefault(stamp.token, []).append(stamp)
    return [_life(of_it) for _, of_it in sorted(found.items())]


def overlaps(stamps: Iterable[Stamp]) -> list[tuple[Life, Life]]:
    """Return each two that have lived at the same time, or not in the order of their tokens."""
    found = lives(stamps)
    return [
        (one, other)
        for index, one in enumerate(found)
        for other in found[index + 1 :]
        if one.ended_at >= other.began_at
    ]


def _life(of_it: list[Stamp]) -> Life:
    first = min(of_it, key=lambda stamp: stamp.at)
    _, _, needed = first.what.partition(":")
    last = max(each.at for each in of_it)
    return Life(first.token, first.at - float(needed or 0), first.at, last)
