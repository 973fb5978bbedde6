"""Nothing happens: what a healthy leader and its standbys ask of the server"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator

from . import figures
from .figures import Figure
from .fleet import Fleet
from .world import World

STANDBYS = ("standby-0", "standby-1")
RENEWAL_EVERY = 10.0 / 3
_BETWEEN = 1.0  # in seconds after a renewal, where no other one is near


def measure(world: World) -> Iterator[Figure]:
    """Count requests in three elections for a minute: a leader and two standbys, all processes."""
    seconds = world.choose(full=60, quick=20)
    elections = [f"election-{number}" for number in range(3)]
    with world.fleet() as fleet:
        fleet.spawn("leader", elections, spread=RENEWAL_EVERY)
        fleet.await_leading("leader", elections)
        for standby in STANDBYS:
            fleet.spawn(standby, elections)
        for standby in STANDBYS:
            fleet.await_watching(standby, elections)
        began_at = time.monotonic()
        time.sleep(seconds + 2 * RENEWAL_EVERY)
        counts = [_count(fleet, name, began_at, seconds) for name in elections]
    renewals = [leader["update"] / renewed for renewed, leader, _ in counts]
    yield figures.numbers(f"requests for each renewal, {seconds} s", renewals, most=1.0)
    others = [leader.total() - leader["update"] for _, leader, _ in counts]
    yield figures.numbers("other requests of the leader, reads included", others, most=0)
    silent = [standby for *_, standbys in counts for standby in standbys]
    yield figures.numbers("requests of a standby that watches", silent, most=0)
    yield figures.seconds(
        "from one renewal to the next",
        [each for name in elections for each in _intervals(fleet, name, began_at)],
    )


def _count(
    fleet: Fleet, name: str, began_at: float, seconds: float
) -> tuple[int, Counter[str], list[int]]:
    """Return the renewals that were seen in whole intervals, the leader's requests by verb, and
    the number of each standby's.
    """
    seen = [each.at for each in fleet.observer.seen(name, since=began_at)]
    last = next(number for number, at in enumerate(seen) if at - seen[0] >= seconds)
    since, until = seen[0] + _BETWEEN, seen[last] + _BETWEEN

    def requests(agent: str) -> list[str]:
        found = fleet.audit.requests(agent, fleet.namespace, name)
        return [each.verb for each in found if since < each.at <= until]

    return last, Counter(requests("leader")), [len(requests(standby)) for standby in STANDBYS]


def _intervals(fleet: Fleet, name: str, began_at: float) -> list[float]:
    renewed_at = [each.renewed_at for each in fleet.observer.seen(name, since=began_at)]
    return [late - early for early, late in itertools.pairwise(renewed_at)]
