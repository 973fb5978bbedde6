"""Puts three replicas of ``run`` through what may happen, and looks for two commands at a time

``python -m tests.run_command [--rounds N] [SCENE ...]``

The commands write down every 2 ms that they live, by the monotonic clock, into one file. The exit
status is 1 if two have lived at a time.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import kube_leader_election
from tests.measured import figures
from tests.measured.figures import Figure
from tests.programs import CHECKOUT, wait_until

from .replicas import LEASE_TTL, Replicas
from .stamps import Life, overlaps


class Town:
    """The replicas, and what was measured of them."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.hand_overs: list[float] = []
        self.with_interpreter: list[float] = []
        self.deaths: list[float] = []
        self.takeovers: list[float] = []
        self.spare: list[float] = []

    def leader(self) -> tuple[str, Life]:
        """Return the replica that leads, and the life of its command, once all others follow."""
        self.replicas.fill()
        wait_until(self._lives)
        time.sleep(0.3)
        life = self.replicas.current()
        assert life is not None
        return self.replicas.leader(), life

    def _lives(self) -> bool:
        life = self.replicas.current()
        return life is not None and time.monotonic() - life.ended_at < 0.5


def rolling(town: Town) -> None:
    """The leader is told to end, as in a rolling restart."""
    name, life = town.leader()
    town.replicas.signal(name, signal.SIGTERM)
    town.replicas.wait_for_the_end(name)
    following = town.replicas.wait_for_another(life)
    ended_at = town.replicas.life(life.token).ended_at
    town.hand_overs.append(following.started_at - ended_at)
    town.with_interpreter.append(following.began_at - ended_at)


def kill9(town: Town) -> None:
    """The leader's `run` is killed."""
    _kill(town, lambda name: town.replicas.signal(name, signal.SIGKILL))


def guard(town: Town) -> None:
    """The leader's guard is killed."""

    def kill(name: str) -> float:
        at = time.monotonic()
        os.kill(town.replicas.guard(name), signal.SIGKILL)
        return at

    _kill(town, kill)


def _kill(town: Town, kill: Callable[[str], float]) -> None:
    name, life = town.leader()
    at = kill(name)
    town.replicas.wait_for_the_end(name)
    following = town.replicas.wait_for_another(life)
    town.deaths.append(town.replicas.life(life.token).ended_at - at)
    town.takeovers.append(following.began_at - at)


def stopped(town: Town) -> None:
    """The leader's `run` is stopped for longer than the Lease lasts."""
    name, life = town.leader()
    town.replicas.signal(name, signal.SIGSTOP)
    time.sleep(LEASE_TTL + 2)
    town.replicas.signal(name, signal.SIGCONT)
    _note_a_loss(town, life)


def partition(town: Town) -> None:
    """The leader reaches the server no more, for longer than the Lease lasts."""
    name, life = town.leader()
    with town.replicas.proxy(name).dropping():
        time.sleep(LEASE_TTL + 2)
    town.replicas.proxy(name).reset()
    _note_a_loss(town, life)


def guard_stopped(town: Town) -> None:
    """The leader's guard is stopped, and the leader reaches the server no more."""
    name, life = town.leader()
    os.kill(town.replicas.guard(name), signal.SIGSTOP)
    with town.replicas.proxy(name).dropping():
        town.replicas.wait_for_the_end(name)
    _note_a_loss(town, life)


def _note_a_loss(town: Town, life: Life) -> None:
    following = town.replicas.wait_for_another(life)
    town.spare.append(following.began_at - town.replicas.life(life.token).ended_at)


SCENES: dict[str, Callable[[Town], None]] = {
    "rolling": rolling,
    "kill9": kill9,
    "guard": guard,
    "stopped": stopped,
    "partition": partition,
    "guard-stopped": guard_stopped,
}


def main() -> int:
    """Return 0 where no two commands have lived at a time."""
    parser = argparse.ArgumentParser(prog="python -m tests.run_command", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="of all scenes and kinds")
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"of {', '.join(SCENES)}")
    options = parser.parse_args()
    roots = [Path(kube_leader_election.__file__).parents[1], CHECKOUT]
    os.environ["PYTHONPATH"] = os.pathsep.join(str(root) for root in dict.fromkeys(roots))
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as folder, Replicas(3, Path(folder)) as replicas:
        town = Town(replicas)
        for _ in range(options.rounds):
            for scene in options.scenes or SCENES:
                began_at = time.monotonic()
                try:
                    SCENES[scene](town)
                except Exception:
                    print(f"{scene} failed:\n{replicas.story()}", flush=True)
                    raise
                print(f"{scene}: {time.monotonic() - began_at:.1f} s", flush=True)
        return _verdict(town)


def _verdict(town: Town) -> int:
    lives = town.replicas.lives()
    found = overlaps(lives)
    rows: list[Figure] = [
        figures.numbers("two commands at a time", [len(found)], most=0),
        figures.milliseconds(
            "SIGTERM: from the end of one to the start of the next", town.hand_overs, median=50
        ),
        figures.milliseconds(
            "the same, until the first line of the next one has run", town.with_interpreter
        ),
        figures.milliseconds("killed: until nothing of the command is left", town.deaths),
        figures.seconds("killed: until the next runs", town.takeovers),
        figures.seconds("stopped, cut off: from the end of one to the next", town.spare, least=0),
    ]
    print(f"{len(lives)} commands, {sum(len(life.pids) for life in lives)} processes")
    print(figures.heading())
    for row in rows:
        if row.n != "0":
            print(row)
    for one, other in found:
        print(f"at a time: {one} and {other}")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
