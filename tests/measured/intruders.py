"""Another writes into the Lease, or deletes it: the leader is told, and nobody leads too early"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from . import figures
from .figures import Figure
from .fleet import Fleet
from .server_side import Write
from .world import World

TTL = 15.0
INTRUDER = "intruder"
REPLICAS = ("replica-0", "replica-1")
_SOON = 0.3  # in seconds, in which nobody may lead while the intruder's time lasts


@dataclass
class _Measured:
    told: list[float] = field(default_factory=list)
    waited: list[bool] = field(default_factory=list)
    new_terms: list[bool] = field(default_factory=list)


def measure(world: World) -> Iterator[Figure]:
    """Two processes contend in a handful of elections; others lose their leader for good."""
    times, aside = world.choose(full=20, quick=8), world.choose(full=5, quick=3)
    waited_out = [f"held-{number}" for number in range(aside)]
    orphaned = [f"orphaned-{number}" for number in range(aside)]
    with world.fleet() as fleet:
        fleet.spawn("doomed", orphaned)
        fleet.await_leading("doomed", orphaned)
        for name in REPLICAS:
            fleet.spawn(name, ["usurped", "deleted", *waited_out, *orphaned])
        fleet.journal.wait_for("LEADING", count=2 + 2 * aside)
        for name in REPLICAS:
            fleet.await_watching(name, orphaned)
        held = {name: fleet.leases.give_to(name, INTRUDER) for name in waited_out}
        fleet.kill("doomed")
        absent = {name: fleet.leases.delete(name) for name in orphaned}
        usurped, deleted = _Measured(), _Measured()
        for _ in range(times):
            _strike(fleet, "usurped", lambda: fleet.leases.give_to("usurped", INTRUDER), usurped)
            _strike(fleet, "deleted", lambda: fleet.leases.delete("deleted"), deleted)
        taken = [_led_after(fleet, name, write) for name, write in held.items()]
        created = [_led_after(fleet, name, write) for name, write in absent.items()]
    yield figures.milliseconds("another holder is written to `lost` set", usurped.told, most=50)
    yield figures.every("nobody leads while the other holds it", usurped.waited)
    yield figures.seconds("the other's Lease is taken after", taken, least=TTL, most=TTL + 0.25)
    yield figures.milliseconds("the Lease is deleted to `lost` set", deleted.told, most=50)
    yield figures.every("then the old leader alone leads, in a new term", deleted.new_terms)
    what = "deleted, and the leader killed: led again after"
    yield figures.seconds(what, created, least=TTL, most=TTL + 0.25)


def _led_after(fleet: Fleet, name: str, write: Write) -> float:
    """Return how long after a write was sent the election had a leader again."""
    leads = fleet.journal.wait_for("LEADING", election=name, since=write.sent_at)[0]
    return leads.at - write.sent_at


def _strike(fleet: Fleet, name: str, strike: Callable[[], Write], measured: _Measured) -> None:
    """Do it to the election's leader, which is replaced in the end; measure what it was told."""
    journal = fleet.journal
    term = journal.wait_for("started", election=name)[-1]
    time.sleep(random.uniform(0.05, 0.5))
    write = strike()
    lost = journal.wait_for("lost", election=name, replica=term.replica, since=write.sent_at)[0]
    measured.told.append(lost.at - write.answered_at)
    if name == "usurped":
        time.sleep(_SOON)
        measured.waited.append(not journal.entries("LEADING", election=name, since=write.sent_at))
        fleet.leases.give_to(name, "")
    started = journal.wait_for("started", election=name, since=write.sent_at)[0]
    is_newer = started.facts["token"] > term.facts["token"]
    measured.new_terms.append(is_newer and started.replica == term.replica)
