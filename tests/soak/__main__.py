"""Elections that go on for long, while everything goes wrong; exit status 1 if something grows

``python -m tests.soak [--renewals 100000] [--seed S] [lock] [elector]``
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable

from tests.measured import figures
from tests.measured.figures import Figure

from .contest import Contest
from .electors import Electors
from .locks import Locks
from .log_lines import counted
from .stand_in import Counts, StandIn
from .weight import Weight, descriptor_count, thread_count, weigh

PARTS = 20
# In parts. Tracing takes time and memory, so that RSS is judged before it begins; and it knows only
# what is made from then on, in the place of what was kept before.
WARM_UP, TRACED_FROM, TRACED_WARM_UP = 4, 13, 17
MOST_GROWTH_MIB = 1.0
# Until then stacks of threads and the last thousand writes of each candidate are still to come.
SETTLED_AFTER, MOST_GROWTH_BEFORE_MIB = 10_000, 3.0
MOST_SECONDS_WITHOUT_RENEWAL = 60.0
PATIENCE = 30.0

CONTESTS: dict[str, Callable[[StandIn], Contest]] = {"lock": Locks, "elector": Electors}


def main() -> int:
    arguments = _arguments()
    _return_memory()
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = "127.0.0.1"
    _say(f"{arguments.renewals} renewals each, seed {arguments.seed}")
    measured: list[Figure] = []
    for name in arguments.contests or CONTESTS:
        measured += _soak(name, arguments.renewals, arguments.seed)
    failed = [figure for figure in measured if figure.held is False]
    _say(f"\n{len(measured) - len(failed)} of {len(measured)} held")
    for figure in failed:
        _say(str(figure))
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--renewals", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("contests", nargs="*", choices=[[], *CONTESTS], help="both by default")
    return parser.parse_args()


def _return_memory() -> None:
    """Large blocks go back to the system when they are freed, as glibc does it only if it is told

    By itself it learns from the first one to keep such, in each of its arenas.
    """
    if "MALLOC_MMAP_THRESHOLD_" not in os.environ:
        os.environ["MALLOC_MMAP_THRESHOLD_"] = str(2**16)
        os.execv(sys.executable, [sys.executable, "-m", "tests.soak", *sys.argv[1:]])


def _soak(name: str, renewals: int, seed: int) -> list[Figure]:
    """Return what was measured, after it was printed"""
    began_at = time.monotonic()
    with StandIn(seed) as stand_in, counted(stand_in.token) as lines:
        before = (thread_count(), descriptor_count())
        weights: list[Weight] = []
        contest = CONTESTS[name](stand_in)
        lines.count.clear()  # what is said of odd parameters
        with contest:
            for part in range(1, PARTS + 1):
                if part == TRACED_FROM:
                    tracemalloc.start()
                _wait_for(contest, renewals * part // PARTS)
                with contest.quiet():
                    weights.append(weigh())
                    counts = stand_in.counts()
                _tell_progress(name, contest, counts, weights[-1], time.monotonic() - began_at)
            done = contest.renewals
        after = _settled(before)
        tracemalloc.stop()
        counts = stand_in.counts()
    measured = [*_growth(weights, renewals), *_left_behind(before, after)]
    measured += contest.figures(counts.requests, lines)
    measured.append(figures.numbers("lines with a token", [lines.told_secrets], most=0))
    _say(f"\n{name}: {done} renewals in {time.monotonic() - began_at:.0f} s")
    _say(f"  asked: {_listed(counts.asked)}\n  met: {_listed(counts.met)}")
    _say(f"  lines: {_listed(lines.count)}; the longest has {lines.longest} characters")
    _say(f"  terms lost: {contest.lost.total()}")
    for why, count in contest.lost.most_common(12):
        _say(f"    {count}  {why}")
    for figure in [figures.heading(), *measured]:
        _say(str(figure))
    return measured


def _wait_for(contest: Contest, renewals: int) -> None:
    seen, seen_at = contest.renewals, time.monotonic()
    while (now := contest.renewals) < renewals:
        if now != seen:
            seen, seen_at = now, time.monotonic()
        if time.monotonic() - seen_at > MOST_SECONDS_WITHOUT_RENEWAL:
            raise RuntimeError(f"no renewal after {now} for {MOST_SECONDS_WITHOUT_RENEWAL:g} s")
        time.sleep(0.02)


def _settled(before: tuple[int, int]) -> tuple[int, int]:
    """Return how many threads and descriptors there are once what has ended is gone"""
    gives_up_at = time.monotonic() + PATIENCE
    while (after := (thread_count(), descriptor_count())) != before:
        weigh()  # collects what is dropped
        if time.monotonic() > gives_up_at:
            break
        time.sleep(0.05)
    return after


def _growth(weights: list[Weight], renewals: int) -> list[Figure]:
    is_settled = renewals * WARM_UP / PARTS >= SETTLED_AFTER
    untraced, traced = weights[WARM_UP - 1 : TRACED_FROM - 1], weights[TRACED_WARM_UP - 1 :]
    growths = {
        "RSS": [each.resident - untraced[0].resident for each in untraced[1:]],
        "tracemalloc": [each.traced - traced[0].traced for each in traced[1:]],
    }
    return [
        figures.numbers(
            f"{what}, growth after its warm-up",
            growth,
            most=MOST_GROWTH_MIB if is_settled else MOST_GROWTH_BEFORE_MIB,
            unit="MiB",
        )
        for what, growth in growths.items()
    ]


def _left_behind(before: tuple[int, int], after: tuple[int, int]) -> list[Figure]:
    return [
        figures.every(f"{what} before: {count}, after: {now}", [count == now])
        for what, count, now in zip(("threads", "descriptors"), before, after, strict=True)
    ]


def _tell_progress(
    name: str, contest: Contest, counts: Counts, weight: Weight, seconds: float
) -> None:
    _say(
        f"{name} {seconds:6.1f} s {contest.renewals:7d} renewals, {counts.requests} requests,"
        f" {counts.met.total()} of them met a fault; {contest.lost.total()} terms lost; {weight};"
        f" the stand-in {counts.resident_mib:.0f} MiB"
    )


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {count}" for what, count in counts.most_common())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
