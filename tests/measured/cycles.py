"""A hundred elections one after the other in one process leave nothing behind"""

from __future__ import annotations

from collections.abc import Iterator

from . import figures
from .cycling import WEIGHED_AFTER
from .figures import Figure
from .world import World

_UNITS = {"threads": "", "sockets": "", "descriptors": "", "RSS": "MiB", "tracemalloc": "MiB"}
_GROWTH = {"threads": 0.0, "sockets": 0.0, "descriptors": 0.0, "RSS": 1.0, "tracemalloc": 0.1}


def measure(world: World) -> Iterator[Figure]:
    """Start, win and stop elections; what the process has grows no more from 50 to 100."""
    with world.fleet() as fleet:
        fleet.spawn("replica", ["leader"], part="cycle")
        weighed = fleet.journal.wait_for("weighed", count=len(WEIGHED_AFTER), seconds=300)
        fleet.exit_code("replica")
    for what, unit in _UNITS.items():
        values = [each.facts[what] for each in weighed]
        listed = ", ".join(f"{value:.2f}".removesuffix(".00") for value in values)
        counts = ", ".join(map(str, WEIGHED_AFTER))
        yield figures.numbers(
            f"{what} after {counts} elections: {listed}; growth",
            [values[-1] - values[-2]],
            most=_GROWTH[what],
            unit=unit,
        )
