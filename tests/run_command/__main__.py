"""Puts three replicas of ``run`` through what may happen, and looks for two commands at a time

``python -m tests.run_command [--quick] [SCENE ...]``

On the real API server, each replica with a way of its own to it, and the rights of
``examples/rbac.yaml``. The commands write down every 2 ms that they live, by the monotonic clock,
into one file. The exit status is 1 if two have lived at a time, or a target did not hold; with
``--quick``, which is for machines that are busy with something else as well, what is only slow is
printed, and no reason for that.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.apiserver.build import binaries
from tests.apiserver.server import ApiServer
from tests.measured import figures
from tests.measured.figures import Figure
from tests.programs import share_environment

from .replicas import Replicas
from .scenes import SCENES, Town
from .stamps import overlaps


def main() -> int:
    """Return 0 where all has held."""
    options = _options()
    share_environment()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # all blocks end
    with (
        tempfile.TemporaryDirectory() as folder,
        ApiServer(binaries()) as server,
        Replicas(3, Path(folder), server) as replicas,
    ):
        town = Town(replicas)
        loads = [_load()]
        for name in options.scenes or SCENES:
            scene, began_at = SCENES[name], time.monotonic()
            count = scene.quick if options.quick else scene.full
            try:
                for _ in range(count):
                    scene.happen(town)
                    loads.append(_load())
            except Exception:
                print(f"{name} failed:\n{replicas.story()}", flush=True)
                raise
            kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(town.kinds.items()))
            town.kinds.clear()
            print(f"{name}: {kinds}, in {time.monotonic() - began_at:.0f} s", flush=True)
        print(f"load average {min(loads):.1f} to {max(loads):.1f}, {os.cpu_count()} cores")
        return _verdict(town, quick=options.quick)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.run_command", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer times, within a minute or two")
    names = ", ".join(SCENES)
    parser.add_argument("scenes", nargs="*", metavar="SCENE", help=f"all, or of: {names}")
    options = parser.parse_args()
    if unknown := set(options.scenes) - SCENES.keys():
        parser.error(f"no scene {', '.join(sorted(unknown))}; there are {names}")
    return options


def _load() -> float:
    return os.getloadavg()[0]


def _verdict(town: Town, *, quick: bool) -> int:
    lives = town.replicas.lives()
    found = overlaps(lives)
    print(f"{len(lives)} commands, {sum(len(life.pids) for life in lives)} processes")
    print(figures.heading())
    rows = [row for row in _rows(town, len(found)) if row.n != "0"]
    for row in rows:
        print(row)
    for one, other in found:
        print(f"at a time: {one} and {other}")
    return int(any(row.held is False and not (quick and row.is_slow) for row in rows))


def _rows(town: Town, found: int) -> list[Figure]:
    end_to_start = "SIGTERM: from the end of one to the start of the next"
    ready = "the same, until the first line of the next one has run"
    return [
        figures.numbers("two commands at a time", [found], most=0),
        figures.milliseconds(end_to_start, town.hand_overs, median=50),
        figures.milliseconds(ready, town.with_interpreter),
        figures.milliseconds("killed: until nothing of the command is left", town.deaths),
        figures.seconds("killed: until the next runs", town.takeovers),
        figures.seconds("stopped, cut off: from the end of one to the next", town.spare, least=0),
    ]


if __name__ == "__main__":
    sys.exit(main())
