"""Plays random schedules, one for each seed, and tells of those in which an invariant is violated:

python -m kube_leader_election.testing.simulation --schedules 50000
"""

from __future__ import annotations

import argparse
import functools
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from . import Beyond, play, random_schedule, shrink, story, svg

say = functools.partial(print, flush=True)

_CHUNK = 500
_TOLD_EVERY = 10.0
_MOST_TOLD = 3
_BEYOND = {"rates": Beyond.RATES, "skew": Beyond.SKEW}


def main() -> int:
    """Return 0 where what was to be expected has come."""
    options = _options()
    beyond = _BEYOND.get(options.beyond)
    if options.show is not None:
        return _show(options.show, beyond, options.svg)
    first = random.randrange(10**9) if options.seed is None else options.seed
    seeds = range(first, first + options.schedules)
    say(f"schedules of the seeds {seeds.start} to {seeds.stop - 1}")
    if beyond is not None:
        say(f"beyond what is assumed: {beyond.value}")
    began = time.monotonic()
    figures, violating = _play_all(seeds, beyond, options.jobs, began)
    say(_told(figures, began))
    for seed in violating[:_MOST_TOLD]:
        say(f"\nseed {seed}, made as small as it can be:\n")
        say(story(shrink(random_schedule(seed, beyond=beyond))))
    say(f"\n{len(violating)} violations in {len(seeds)} schedules")
    return int(bool(violating) != (beyond is not None))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m kube_leader_election.testing.simulation",
        description="Play random elections in virtual time, and look for two leaders.",
    )
    parser.add_argument("--schedules", type=int, default=1000, metavar="N", help="how many")
    parser.add_argument("--seed", type=int, metavar="S", help="the first seed; else by chance")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes")
    parser.add_argument(
        "--beyond", choices=_BEYOND, help="let an assumption not hold: violations are expected"
    )
    parser.add_argument("--show", type=int, metavar="S", help="tell the story of this one seed")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="with --show: draw it, too")
    return parser.parse_args()


def _show(seed: int, beyond: Beyond | None, picture: Path | None) -> int:
    schedule = random_schedule(seed, beyond=beyond)
    is_violating = play(schedule).violation is not None
    if is_violating:
        schedule = shrink(schedule)
    say(story(schedule))
    if picture is not None:
        picture.write_text(svg(schedule))
    return int(is_violating)


def _play_all(
    seeds: range, beyond: Beyond | None, jobs: int, began: float
) -> tuple[Counter[str], list[int]]:
    figures: Counter[str] = Counter()
    violating: list[int] = []
    told_at = began
    with ProcessPoolExecutor(jobs) as processes:
        chunks = [processes.submit(_play_some, chunk, beyond) for chunk in _chunks(seeds)]
        for chunk in as_completed(chunks):
            some, found = chunk.result()
            figures += some
            violating += found
            for seed in found:
                say(f"seed {seed} violates an invariant")
            if time.monotonic() > told_at + _TOLD_EVERY:
                told_at = time.monotonic()
                say(_told(figures, began))
    return figures, sorted(violating)


def _chunks(seeds: range) -> Iterator[range]:
    for begin in range(0, len(seeds), _CHUNK):
        yield seeds[begin : begin + _CHUNK]


def _play_some(seeds: range, beyond: Beyond | None) -> tuple[Counter[str], list[int]]:
    figures: Counter[str] = Counter()
    violating = []
    for seed in seeds:
        outcome = play(random_schedule(seed, beyond=beyond))
        figures["schedules"] += 1
        figures["candidates"] += outcome.candidates
        figures["requests"] += outcome.requests
        figures["terms"] += len(outcome.terms)
        figures["hours"] += int(outcome.ended_at)
        figures["excused"] += len(outcome.excused)
        if outcome.violation is not None:
            figures[f"violations of {outcome.violation.invariant}"] += 1
            violating.append(seed)
    return figures, violating


def _told(figures: Counter[str], began: float) -> str:
    seconds = time.monotonic() - began
    told = {**figures, "hours": figures["hours"] // 3600}
    counts = ", ".join(f"{number} {what}" for what, number in told.items())
    return f"{seconds:6.0f} s: {counts}"


if __name__ == "__main__":
    sys.exit(main())
