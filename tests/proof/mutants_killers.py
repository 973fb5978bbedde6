"""Runs one killer against the package that is imported: ``python -m tests.proof.mutants_killers``

Says in JSON what it has found. It is `mutants` that runs it, where the package has a mistake.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import kube_leader_election
from kube_leader_election.testing.simulation import play, random_schedule

from .exploration import explore
from .explorations import SHORT
from .mutants_listed import MUTANTS, Explored, Killer, Scripted, Simulated
from .mutants_scripts import SCRIPTS

# Of how many kills an average is made, and for how long (in seconds) more are looked for.
_KILLS, _SEARCHED_FOR = 5, 600.0


@dataclass(frozen=True)
class Found:
    """What `by` says of the mutant, in how many schedules or worlds; the `seed` of the last one."""

    by: str
    what: str
    tried: int
    seed: int | None = None


def found_by(killer: Killer) -> Found | None:
    """Return what the killer finds in the package that is imported, `None` for nothing."""
    if isinstance(killer, Simulated):
        return _simulate(killer)
    if isinstance(killer, Explored):
        return _explore(killer)
    return _follow(killer)


def searched(first: int, schedules: int) -> Iterator[Found]:
    """Yield who of all killers finds something, with the random schedules from `first` on."""
    for script in SCRIPTS:
        if (found := _follow(Scripted(script))) is not None:
            yield found
    for configuration in SHORT:
        if (found := _explore(Explored(configuration.name))) is not None:
            yield found
            break
    until, seed, kills, played = time.monotonic() + _SEARCHED_FOR, first, 0, 0
    while kills < _KILLS and played < schedules and time.monotonic() < until:
        found = _simulate(Simulated(0, 0, seed, schedules - played))
        if found is None:
            played = schedules
            break
        played, seed, kills = played + found.tried, seed + found.tried, kills + 1
        if kills == 1:
            yield found
    if kills:
        yield Found("simulator", f"{kills} kills, {round(played / kills)} on average", played)


def _simulate(killer: Simulated) -> Found | None:
    for tried, seed in enumerate(range(killer.first, killer.first + killer.count), 1):
        violation = play(random_schedule(seed)).violation
        if violation is not None:
            return Found(f"simulator, seed {seed}", str(violation), tried, seed)
    return None


def _explore(killer: Explored) -> Found | None:
    (configuration,) = (each for each in SHORT if each.name == killer.configuration)
    report = explore(configuration)
    if report.violation is None:
        return None
    return Found(f"explorer, {configuration.name!r}", report.violation.what, report.worlds)


def _follow(killer: Scripted) -> Found | None:
    try:
        SCRIPTS[killer.script]()
    except AssertionError as error:
        what = str(error).partition("\n")[0]
        return Found(f"script {killer.script}", what, 1)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of the mutant")
    parser.add_argument("--search", nargs=2, type=int, metavar=("FIRST", "COUNT"))
    options = parser.parse_args()
    if Path(kube_leader_election.__file__).resolve().parents[1] != Path.cwd().resolve():
        raise SystemExit(f"not the package in this folder: {kube_leader_election.__file__}")
    if options.search:
        found = list(searched(*options.search))
    else:
        (mutant,) = (each for each in MUTANTS if each.name == options.name)
        one = found_by(mutant.killer)
        found = [one] if one else []
    sys.stdout.write(json.dumps([asdict(each) for each in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
