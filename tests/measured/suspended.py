"""The leader's process is stopped for longer than the Lease lasts, and then goes on"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

from . import figures
from .fenced import make_table
from .figures import Figure
from .fleet import Fleet
from .kill9 import RENEWAL_EVERY, TTL, start
from .world import World

ASLEEP = TTL + 2


def measure(world: World) -> Iterator[Figure]:
    """Stop the leaders of many elections, each a process, and see what they believe and write."""
    elections = world.choose(full=20, quick=8)
    names = [f"election-{number}" for number in range(elections)]
    with world.fleet() as fleet:
        for name in names:
            make_table(fleet.folder / name)
        start(fleet, names, part="fenced")
        woken_at = _stop_all(fleet, names)
        fleet.journal.wait_for("woke", count=elections)
        time.sleep(1)
        awakenings = [_awakening(fleet, name, woken_at[name]) for name in names]
    what = f"stopped for {ASLEEP:g} s: the first is_leader() is False, {elections} side by side"
    yield figures.every(what, [not each.leads for each in awakenings])
    yield figures.every("the first is_valid() is False", [not each.valid for each in awakenings])
    what = "from SIGCONT to that answer"
    yield figures.milliseconds(what, [each.asked_after for each in awakenings])
    accepted = [each.old_writes for each in awakenings]
    yield figures.numbers("writes of the old term that the fenced table accepts", accepted, most=0)
    what = "the successor wrote meanwhile, with a higher token"
    yield figures.every(what, [each.succeeded for each in awakenings])


@dataclass(frozen=True)
class _Awakening:
    """What a process believed and did right after it went on."""

    leads: bool
    valid: bool
    asked_after: float
    old_writes: int
    succeeded: bool


def _stop_all(fleet: Fleet, names: list[str]) -> dict[str, float]:
    """Return when each leader went on."""
    moments = sorted(random.uniform(0, RENEWAL_EVERY) for _ in names)
    began_at = time.monotonic()
    woken_at = {}
    for number, off in ((signal.SIGSTOP, 0.0), (signal.SIGCONT, ASLEEP)):
        for moment, name in zip(moments, names, strict=True):
            time.sleep(max(0.0, began_at + moment + off - time.monotonic()))
            woken_at[name] = fleet.signal(f"leader-{name}", number)
    return woken_at


def _awakening(fleet: Fleet, name: str, woken_at: float) -> _Awakening:
    woke = fleet.journal.wait_for("woke", election=name)[0]
    wrote = fleet.journal.entries("wrote", election=name)
    old = [each for each in wrote if each.replica == woke.replica]
    new = [each for each in wrote if each.replica != woke.replica and each.at < woken_at]
    token = old[0].facts["token"]
    return _Awakening(
        leads=woke.facts["leads"],
        valid=woke.facts["valid"],
        asked_after=woke.at - woken_at,
        old_writes=sum(
            each.facts["accepted"]
            for each in old
            if each.at > woken_at and each.facts["token"] == token
        ),
        succeeded=any(each.facts["accepted"] and each.facts["token"] > token for each in new),
    )
