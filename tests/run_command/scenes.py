"""What replicas of `run` are put through, one event at a time, and what was measured of it"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.programs import wait_until

from .replicas import LEASE_TTL, Replicas
from .stamps import Life


class Town:
    """The replicas, and what was measured of them, in seconds; what `kinds` of commands led."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.kinds: Counter[str] = Counter()
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
        name = self.replicas.leader()
        self.kinds[name.rpartition("-")[2]] += 1
        return name, life

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


@dataclass(frozen=True)
class Scene:
    """What happens once, and how often it is to."""

    happen: Callable[[Town], None]
    full: int
    quick: int


SCENES = {
    "rolling": Scene(rolling, full=30, quick=6),
    "kill9": Scene(kill9, full=20, quick=2),
    "guard": Scene(guard, full=10, quick=2),
    "stopped": Scene(stopped, full=20, quick=1),
    "partition": Scene(partition, full=10, quick=1),
    "guard-stopped": Scene(guard_stopped, full=10, quick=1),
}
