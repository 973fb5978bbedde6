"""Makes each mistake in a copy of the package, and has it found; exit code 1 if one is not

``python -m tests.proof.mutants [--processes N] [--search] [--first SEED] [--count N] [NAME ...]``

Who is to find it is stored with it. With ``--search`` all try, and are told: the scripts, the
explorer, and as many random schedules from a fresh seed on as are asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kube_leader_election.testing.simulation import play, random_schedule

from .mutants_listed import MUTANTS, Mutant
from .mutated import copy_to

_PATIENCE = 3600.0  # seconds


@dataclass(frozen=True)
class Verdict:
    """Who has found the mistake, and what; or what went wrong with the search itself."""

    mutant: Mutant
    found: tuple[str, ...]
    fault: str | None
    seconds: float

    @property
    def is_killed(self) -> bool:
        return bool(self.found) and self.fault is None

    def __str__(self) -> str:
        lines = self.found if self.is_killed else (self.fault or "SURVIVES",)
        first = f"{self.mutant.name:62} {self.seconds:6.1f} s  {lines[0]}"
        return "\n".join([first, *(f"{'':72} {line}" for line in lines[1:])])


def tried(mutant: Mutant, *arguments: str) -> Verdict:
    """Return what becomes of a mutant, in a process of its own."""
    began_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        folder = Path(name).resolve()
        try:
            copy_to(folder, mutant.changes)
        except ValueError as error:
            return Verdict(mutant, (), f"BROKEN: {error}", time.monotonic() - began_at)
        done = subprocess.run(
            [sys.executable, "-m", "tests.proof.mutants_killers", mutant.name, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    seconds = time.monotonic() - began_at
    if done.returncode:
        return Verdict(mutant, (), f"BROKEN: {done.stderr[-1000:]}", seconds)
    found = json.loads(done.stdout)
    seeds = [each["seed"] for each in found if each["seed"] is not None]
    if any(play(random_schedule(seed)).violation is not None for seed in seeds):
        return Verdict(mutant, (), f"BROKEN: without it seed {seeds} violates one too", seconds)
    lines = (f"{each['by']} ({each['tried']:,}): {each['what']}" for each in found)
    return Verdict(mutant, tuple(lines), None, seconds)


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    unknown = set(options.names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        sys.exit(f"no such mutant: {', '.join(sorted(unknown))}")
    wanted = [mutant for mutant in MUTANTS if not options.names or mutant.name in options.names]
    first = random.randrange(2**31) if options.first is None else options.first
    search = ["--search", str(first), str(options.count)] if options.search else []
    killed = 0
    with ThreadPoolExecutor(options.processes) as pool:
        for verdict in pool.map(lambda mutant: tried(mutant, *search), wanted):
            killed += verdict.is_killed
            _say(str(verdict))
    _say(f"{killed} of {len(wanted)} mutants are killed")
    return 0 if killed == len(wanted) else 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.proof.mutants")
    parser.add_argument("--processes", type=int, default=os.cpu_count(), help="so many at a time")
    parser.add_argument("--search", action="store_true", help="let all killers try")
    parser.add_argument("--first", type=int, help="the first seed of the search, else a fresh one")
    parser.add_argument("--count", type=int, default=500, help="of the schedules of the search")
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these mutants")
    return parser.parse_args(arguments)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
