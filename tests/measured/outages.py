"""The API server stands still: for a few seconds nobody notices, for longer the leader is told"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tests.apiserver.server import ApiServer

from . import figures
from .figures import Figure
from .fleet import Fleet
from .world import World

RENEW_DEADLINE = 10.0
RENEWAL_EVERY = RENEW_DEADLINE / 3
SHORT, LONG = 5.5, 30.0
ELECTIONS = 20
PROCESSES = 4
_TELLINGS = ("LEADING", "FOLLOWING", "STANDBY", "started", "stopped", "lost")
_TOLD = 0.05
_BACK = 5.0


def survive(world: World) -> Iterator[Figure]:
    """Stop the server for 5.5 s, beside 20 elections that renew at 20 different moments."""
    times = world.choose(full=3, quick=1)
    survived: list[bool] = []
    silent: list[bool] = []
    ages: list[float] = []
    with world.fleet() as fleet:
        terms = _start(fleet)
        for _ in range(times):
            time.sleep(RENEWAL_EVERY + random.uniform(0.5, 3))  # all have renewed
            began_at = _stand_still(world.server, SHORT)
            ages += [began_at - _last_renewal(fleet, name, began_at) for name in terms]
            time.sleep(RENEWAL_EVERY + 1)
            told = fleet.journal.entries(*_TELLINGS, since=began_at)
            for name, replica in terms.items():
                of_it = [each for each in told if each.election == name]
                silent.append(not of_it)
                renewed = _has_renewed(fleet, name, replica, began_at + SHORT)
                survived.append(renewed and "lost" not in {each.what for each in of_it})
    what = f"{SHORT} s without the server: the leader goes on, {ELECTIONS} side by side"
    yield figures.every(what, survived)
    yield figures.every("nobody is told anything", silent)
    yield figures.seconds("age of the last renewal when the server stopped", ages, digits=1)


def end(world: World) -> Iterator[Figure]:
    """Stop the server for 30 s, beside 20 elections; each leader ends at its deadline."""
    with world.fleet() as fleet:
        terms = _start(fleet)
        time.sleep(RENEWAL_EVERY + random.uniform(0, 3))
        began_at = _stand_still(world.server, LONG)
        resumed_at = time.monotonic()
        ends = [_end(fleet, *term, began_at) for term in terms.items()]
        led = [_led(fleet, name, resumed_at) for name in terms]
    late = [each.lost_at - each.deadline_at for each in ends if each.lost_at]
    what = f"{LONG:g} s without the server: `lost` set after the deadline, while a request hangs"
    yield figures.milliseconds(what, late, least=-1, most=1000 * _TOLD)
    after = [each.lost_at - each.renewed_at for each in ends if each.lost_at]
    yield figures.seconds("`lost` set after the last renewTime", after, most=RENEW_DEADLINE + _TOLD)
    in_time = [each.lost_at is not None and each.lost_at < resumed_at for each in ends]
    yield figures.every("`lost` and the callback were told before the server went on", in_time)
    yield figures.seconds("the server goes on to a leader", led, most=_BACK)


@dataclass(frozen=True)
class _End:
    """How a term ended: when its replica and the server's record say that it was to, and did."""

    deadline_at: float
    renewed_at: float
    lost_at: float | None


def _start(fleet: Fleet) -> dict[str, str]:
    """Return the leader of each election; half of the processes lead, the others follow."""
    names = [f"election-{number}" for number in range(ELECTIONS)]
    half = PROCESSES // 2
    shares = [names[number::half] for number in range(half)]
    for number, share in enumerate(shares):
        fleet.spawn(f"leader-{number}", share, spread=RENEWAL_EVERY)
    for number, share in enumerate(shares):
        fleet.await_leading(f"leader-{number}", share)
        fleet.spawn(f"standby-{number}", share)
    for number, share in enumerate(shares):
        fleet.await_watching(f"standby-{number}", share)
    return {name: f"leader-{number}" for number, share in enumerate(shares) for name in share}


def _stand_still(server: ApiServer, seconds: float) -> float:
    """The server has stood still and goes on; return when it stopped."""
    server.pause()
    began_at = time.monotonic()
    try:
        time.sleep(seconds)
    finally:
        server.resume()
    return began_at


def _has_renewed(fleet: Fleet, name: str, replica: str, since: float) -> bool:
    return bool(fleet.journal.entries("deadline", election=name, replica=replica, since=since))


def _end(fleet: Fleet, name: str, replica: str, stopped_at: float) -> _End:
    told = {
        each.what: each.at
        for each in fleet.journal.entries(
            "lost", "stopped", election=name, replica=replica, since=stopped_at
        )
    }
    deadlines = fleet.journal.entries("deadline", election=name, replica=replica)
    before = [each.facts["ends_at"] for each in deadlines if each.at < stopped_at + SHORT]
    lost_at = max(told.values()) if len(told) == 2 else None
    return _End(before[-1], _last_renewal(fleet, name, stopped_at), lost_at)


def _last_renewal(fleet: Fleet, name: str, stopped_at: float) -> float:
    """Return the last renewTime that the server has told of, also of what it was just writing."""
    return fleet.observer.seen(name, until=stopped_at + SHORT - 0.5)[-1].renewed_at


def _led(fleet: Fleet, name: str, resumed_at: float) -> float:
    leads = fleet.journal.wait_for("LEADING", election=name, since=resumed_at)[0]
    return leads.at - resumed_at
