"""Rolling restarts and kills of beat in three replicas, and what was sent meanwhile.

``python -m tests.beat --restarts 100 --kills 30``, shared among the schedulers that send. Each is
led by a `LeaderScheduler`, with a ``lease_ttl`` of 3 s, on the real API server. Besides, the locks
of others are measured, for two minutes each.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.apiserver.build import binaries
from tests.apiserver.namespace import Namespace
from tests.apiserver.server import ApiServer
from tests.measured import figures
from tests.measured.figures import Figure
from tests.programs import share_environment, wait_until

from . import peers
from .replicas import INNERS, LEASE, Beats
from .verdict import EXACT, SLACK, Sent, Verdict, judge

PEERS_SECONDS = 120.0
ENTRIES = {"each-second": 1.0, "each-15-s": 15.0, "each-minute": None}


@dataclass
class Seen:
    """What was measured of one scheduler, in seconds. `graceful`: what was sent before a kill."""

    inner: str
    graceful: list[Sent] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    hand_overs: list[float] = field(default_factory=list)
    takeovers: list[float] = field(default_factory=list)
    restarts: int = 0
    kills: int = 0


def play(inner: str, restarts: int, kills: int, folder: Path, server: ApiServer) -> Seen:
    """Return what was seen: first all restarts, then all kills."""
    seen = Seen(inner, restarts=restarts, kills=kills)
    server.create_namespace(f"beat-{inner}")
    namespace = Namespace(server, f"beat-{inner}", lease_name=LEASE)
    with Beats(folder, inner, ENTRIES, namespace=namespace) as beats:
        beats.fill()
        for _ in range(restarts):
            at = _leave(beats, beats.end)
            seen.hand_overs.append(_next_built_at(beats, at) - at)
            _refill(beats)
        wait_until(lambda: beats.sent("each-minute"))
        seen.graceful = beats.sent()
        for _ in range(kills):
            at = _leave(beats, beats.kill)
            seen.takeovers.append(_next_built_at(beats, at) - at)
            _refill(beats)
        beats.wait_for(2, after=len(beats.sent()))
        seen.sent = beats.sent()
    return seen


def _leave(beats: Beats, how: Callable[[str], float]) -> float:
    """Return when the leader was told to end, or was killed."""
    leader = beats.leader()
    at = how(leader)
    if leader in beats.programs:
        code = beats.wait_for_the_end(leader)
        if code != 0:
            raise RuntimeError(f"{leader} ended with {code}")
    return at


def _next_built_at(beats: Beats, at: float) -> float:
    """Return when another was ready to send, after that instant."""
    found: list[float] = []

    def is_there() -> bool:
        found[:] = [
            built_at
            for name in beats.programs
            for built_at in beats.built_at(name)
            if built_at > at
        ]
        return bool(found)

    wait_until(is_there)
    return min(found)


def _refill(beats: Beats) -> None:
    count = len(beats.sent())
    beats.wait_until_ready(beats.start())
    beats.wait_for(1, after=count)


def rows(seen: Seen) -> list[Figure]:
    """Return what is to be said of one scheduler."""
    graceful = _verdicts(seen.graceful, seen.inner)
    every = _verdicts(seen.sent, seen.inner)
    late = [late for verdict in graceful for late in verdict.late]
    what = seen.inner

    def count(lists: list[int]) -> list[int]:
        return [sum(lists)]

    return [
        figures.numbers(
            f"{what}: slots sent twice in {seen.restarts} rolling restarts",
            count([len(verdict.again) + len(verdict.doubles) for verdict in graceful]),
            most=0,
        ),
        figures.numbers(
            f"{what}: slots lost in them", count([len(each.lost) for each in graceful]), most=0
        ),
        figures.seconds(f"{what}: how late a slot was sent in them", late),
        figures.milliseconds(
            f"{what}: SIGTERM: until the next is ready to send", seen.hand_overs, median=250
        ),
        figures.numbers(
            f"{what}: slots sent under two ids, with {seen.kills} kills too",
            count([len(each.doubles) for each in every]),
            most=0,
        ),
        figures.numbers(
            f"{what}: slots lost with them", count([len(each.lost) for each in every]), most=0
        ),
        figures.numbers(
            f"{what}: slots sent again under the same id",
            count([len(each.again) for each in every]),
            most=seen.kills * len(ENTRIES),
        ),
        figures.seconds(f"{what}: killed: until the next is ready to send", seen.takeovers),
    ]


def _verdicts(sent: list[Sent], inner: str) -> list[Verdict]:
    slack = SLACK.get(inner, EXACT)
    return [judge(sent, entry, every, slack=slack) for entry, every in ENTRIES.items()]


def _say(what: str, sent: int, began_at: float) -> None:
    took, load = time.monotonic() - began_at, os.getloadavg()[0]
    print(f"{what}: {sent} tasks in {took:.0f} s, load {load:.1f}", flush=True)


def main() -> int:
    """Return 0 where nothing was lost or sent twice."""
    parser = argparse.ArgumentParser(prog="python -m tests.beat", description=__doc__)
    parser.add_argument("--restarts", type=int, default=100, help="in all")
    parser.add_argument("--kills", type=int, default=30, help="in all")
    parser.add_argument("--quick", action="store_true", help="a tenth of it, and nobody else's")
    parser.add_argument("inners", nargs="*", metavar="SCHEDULER", help=f"of {', '.join(INNERS)}")
    options = parser.parse_args()
    inners = options.inners or INNERS
    share = (10 if options.quick else 1) * len(inners)
    restarts, kills = math.ceil(options.restarts / share), math.ceil(options.kills / share)
    share_environment()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # all blocks end
    found: list[Figure] = []
    with ApiServer(binaries()) as server, tempfile.TemporaryDirectory() as folder:
        for inner in inners:
            began_at = time.monotonic()
            seen = play(inner, restarts, kills, Path(folder) / inner, server)
            found += rows(seen)
            _say(inner, len(seen.sent), began_at)
        for peer in () if options.quick else peers.PEERS:
            began_at = time.monotonic()
            other = peers.play(peer, PEERS_SECONDS, Path(folder) / peer)
            found += peers.rows(other)
            _say(peer, len(other.sent), began_at)
    print(figures.heading())
    for row in found:
        print(row)
    return int(any(row.held is False and not row.is_slow for row in found))


if __name__ == "__main__":
    sys.exit(main())
