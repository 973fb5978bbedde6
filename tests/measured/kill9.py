"""The leader is killed: a standby takes over when the time of the last renewal is over"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

from . import figures
from .figures import Figure
from .fleet import Fleet
from .world import World

TTL = 15.0
RENEWAL_EVERY = 10.0 / 3
SIDE_BY_SIDE = 10
STANDBYS = 2


def measure(world: World) -> Iterator[Figure]:
    """Kill the leaders of ten elections at random, each a process; two processes stand by."""
    rounds, elections = world.choose(full=2, quick=1), world.choose(full=SIDE_BY_SIDE, quick=6)
    since_event: list[float] = []
    since_renewal: list[float] = []
    for _ in range(rounds):
        with world.fleet() as fleet:
            for seen, renewed in _kill_all(fleet, elections):
                since_event.append(seen)
                since_renewal.append(renewed)
    what = f"last renewal's event to the standby LEADING, {elections} side by side"
    yield figures.seconds(what, since_event, most=TTL + 0.25)
    yield figures.seconds("last renewTime to the standby LEADING", since_renewal, least=TTL)
    missed = rounds * elections - len(since_event)
    in_time = [seen <= TTL + 0.25 for seen in since_event]
    yield figures.every("takeovers", [True] * len(since_event) + [False] * missed)
    yield figures.every("of those, in time", in_time, of_speed=True)


def _kill_all(fleet: Fleet, elections: int) -> list[tuple[float, float]]:
    """Return how long after the event, and after the renewTime, each was taken over."""
    names = [f"election-{number}" for number in range(elections)]
    start(fleet, names)
    moments = sorted(random.uniform(0, RENEWAL_EVERY) for _ in names)
    began_at = time.monotonic()
    killed_at = {}
    for moment, name in zip(moments, random.sample(names, len(names)), strict=True):
        time.sleep(max(0.0, began_at + moment - time.monotonic()))
        killed_at[name] = fleet.kill(f"leader-{name}")
    measured = []
    for name in names:
        last = fleet.observer.seen(name, until=killed_at[name] + 1)[-1]
        led = fleet.journal.wait_for("LEADING", election=name, since=killed_at[name])[0]
        measured.append((led.at - last.at, led.at - last.renewed_at))
    return measured


def start(fleet: Fleet, names: list[str], *, part: str = "follow") -> None:
    """Each election is led by a process of its own; two processes follow in half of them each.

    Every leader has renewed before the eyes of its standby, which otherwise counts from its read.
    """
    for name in names:
        fleet.spawn(f"leader-{name}", [name], part=part)
    for name in names:
        fleet.await_leading(f"leader-{name}", [name])
    for number in range(STANDBYS):
        fleet.spawn(f"standby-{number}", names[number::STANDBYS], part=part)
    for number in range(STANDBYS):
        fleet.await_watching(f"standby-{number}", names[number::STANDBYS])
    time.sleep(RENEWAL_EVERY + 0.2)
