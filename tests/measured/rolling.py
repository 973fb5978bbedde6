"""A rolling restart: the leader is told to end, and the next one leads and works"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import figures
from .figures import Figure
from .fleet import Fleet
from .world import World

ELECTION = "leader"
REPLICAS = 3


@dataclass
class _Measured:
    takeovers: list[float] = field(default_factory=list)
    handovers: list[float] = field(default_factory=list)
    ended_well: list[bool] = field(default_factory=list)


def measure(world: World) -> Iterator[Figure]:
    """SIGTERM the leader again and again, each time after its replacement watches."""
    measured = _Measured()
    names = (f"replica-{number}" for number in itertools.count(1))
    with world.fleet() as fleet:
        followers = [next(names) for _ in range(REPLICAS)]
        for name in followers:
            fleet.spawn(name, [ELECTION], part="work")
        leader = fleet.journal.wait_for("began")[0].replica
        followers.remove(leader)
        for name in followers:
            fleet.await_watching(name, [ELECTION])
        for _ in range(world.choose(full=50, quick=12)):
            time.sleep(random.uniform(0, 1))  # anywhere between two renewals
            leader = _restart(fleet, leader, measured)
            replacement = next(names)
            fleet.spawn(replacement, [ELECTION], part="work")
            fleet.await_watching(replacement, [ELECTION])
    what = f"SIGTERM to the next leader, {REPLICAS} replicas"
    yield figures.milliseconds(what, measured.takeovers, median=30, most=250)
    what = "work has returned to the next one's work called"
    yield figures.milliseconds(what, measured.handovers, least=0)
    yield figures.every("the terminated replica ended with exit code 0", measured.ended_well)


def _restart(fleet: Fleet, leader: str, measured: _Measured) -> str:
    told_at = fleet.signal(leader, signal.SIGTERM)
    work = fleet.journal.wait_for("began", since=told_at)[0]
    leads = fleet.journal.wait_for("LEADING", since=told_at)[0]
    finished = fleet.journal.wait_for("finished", replica=leader)[0]
    measured.takeovers.append(leads.at - told_at)
    measured.handovers.append(work.at - finished.at)
    measured.ended_well.append(fleet.exit_code(leader) == 0)
    return work.replica
