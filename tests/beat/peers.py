"""Two locks of beat's that are no Leases, each with its defaults, in rolling restarts."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.measured import figures
from tests.measured.figures import Figure
from tests.programs import wait_until

from .replicas import Beats

PEERS = ("redbeat-lock", "multibeat")
ENTRY, EVERY = "each-second", 1.0


@dataclass
class Seen:
    """What was measured of one of them, in seconds. `sent`: when, and by which process."""

    peer: str
    silences: list[float] = field(default_factory=list)
    sent: list[tuple[float, int]] = field(default_factory=list)


def play(peer: str, seconds: float, folder: Path) -> Seen:
    """Return what was seen in so many seconds; a silence is cut off where they end."""
    seen = Seen(peer)
    ends_at = time.monotonic() + seconds
    with Beats(folder, peer, {ENTRY: EVERY}) as beats:
        beats.fill()
        wait_until(lambda: _sent(beats))
        while time.monotonic() < ends_at:
            pid = _sent(beats)[-1][1]
            leader = next(name for name, each in beats.programs.items() if each.pid == pid)
            at = beats.end(leader)
            beats.wait_for_the_end(leader)
            seen.silences.append(_silence(beats, at, not_by=pid, ends_at=ends_at))
            beats.wait_until_ready(beats.start())
        seen.sent = _sent(beats)
    return seen


def _silence(beats: Beats, at: float, *, not_by: int, ends_at: float) -> float:
    """Return how long after that instant another has sent, or until there is no more time."""
    while time.monotonic() < ends_at:
        later = [sent_at for sent_at, pid in _sent(beats) if sent_at > at and pid != not_by]
        if later:
            return later[0] - at
        time.sleep(0.05)
    return time.time() - at


def _sent(beats: Beats) -> list[tuple[float, int]]:
    headers = [message["headers"] for message in beats.redis.messages()]
    return [(each["sent_at"], each["sent_by"]) for each in headers if each["task"] == ENTRY]


def rows(seen: Seen) -> list[Figure]:
    """Return what is to be said of one of them."""
    times = [at for at, _ in seen.sent]
    gaps = [later - before for before, later in pairwise(times)]
    restarts = len(seen.silences)
    return [
        figures.seconds(f"{seen.peer}: SIGTERM: until another has sent", seen.silences),
        figures.numbers(
            f"{seen.peer}: sent again within half a second in {restarts} rolling restarts",
            [sum(gap < EVERY / 2 for gap in gaps)],
        ),
        figures.numbers(
            f"{seen.peer}: seconds for which nothing was sent",
            [sum(max(0.0, gap - 2 * EVERY) for gap in gaps)],
        ),
    ]
