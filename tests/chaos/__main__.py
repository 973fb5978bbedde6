"""Everything goes wrong at once; the exit status is 1 if two led, nobody did, or anything else

``python -m tests.chaos --minutes N --seed S [--svg FILE] [--without RULE]``

Five replicas, each a process behind a proxy of its own, contend for one Lease on a real API
server. With ``--without`` they lack a rule, and the run ends at the first violation; the exit
status is 1 if there was none.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time
from pathlib import Path

from tests.apiserver.build import binaries
from tests.apiserver.server import ApiServer
from tests.programs import share_environment

from . import figures, verdict
from .broken import RULES
from .drawing import draw
from .evidence import Evidence, Violation
from .town import Town
from .trouble import HUNG
from .weather import Weather

_STORM = (12.0, 24.0)  # in seconds
_PROGRESS_EVERY = 5.0
_JUDGE_EVERY = 1.0
_ENDING = (signal.SIGINT, signal.SIGTERM)


class _Stop(Exception):
    """A violation was found, and no more are wanted."""


def main() -> int:
    arguments = _arguments()
    share_environment()
    for number in _ENDING:
        signal.signal(number, _end)
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    skew = random.Random(f"{seed} clocks").choice((None, 0.0))
    trusts = "no wall clock, and those jump" if skew is None else "the wall clocks"
    _say(f"--minutes {arguments.minutes:g} --seed {seed}; LeaseLocks go by {trusts}")
    with (
        ApiServer(binaries()) as server,
        Town(server, skew=skew, without=arguments.without) as town,
    ):
        run = Run(town, seed, arguments.minutes * 60, wall_jumps=skew is None)
        evidence = run.carry_out(stop_at_first=bool(arguments.without))
    violations = verdict.judge_safety(evidence) if arguments.without else verdict.judge(evidence)
    for line in figures.lines(evidence, run.seconds):
        _say(line)
    for violation in violations:
        _say(_told(violation, evidence, run.began_at))
    _say(f"{len(violations)} violations, seed {seed}")
    if arguments.svg:
        arguments.svg.write_text(draw(evidence, violations, run.began_at, f"seed {seed}"))
    if arguments.without:
        return 0 if violations else 1  # the run was to find out
    return 1 if violations else 0


class Run:
    """Storms and quiet times in turn, until the time is over."""

    def __init__(self, town: Town, seed: int, seconds: float, *, wall_jumps: bool) -> None:
        self._town = town
        self._draw = random.Random(f"{seed} storms")
        self._weather = Weather(town, seed, wall_jumps=wall_jumps, look=self._look)
        self._stop_at_first = False
        self._violations = 0
        self._failure = ""
        self._said_at = self._judged_at = -float("inf")
        self.began_at = time.monotonic()
        self._ends_at = self.began_at + seconds

    @property
    def seconds(self) -> float:
        return self._ended_at - self.began_at

    def carry_out(self, *, stop_at_first: bool) -> Evidence:
        """Return the evidence; the replicas are gone."""
        self._stop_at_first = stop_at_first
        try:
            self._weather.wait_until_all_are_up()
            self._weather.calm()
            while (left := self._ends_at - time.monotonic()) > 0:
                self._weather.storm(min(left, self._draw.uniform(*_STORM)))
                self._weather.calm()
        except _Stop:
            self._weather.lanes.end_all()
        except RuntimeError as error:  # what was found until then is told all the same
            self._failure = str(error)
        self._ended_at = time.monotonic()
        for actor in self._town.actors:
            actor.kill()
        self._town.observer.catch_up()
        evidence = self._evidence()
        evidence.requests = self._town.requests()
        return evidence

    def _evidence(self) -> Evidence:
        evidence = self._town.evidence()
        evidence.faults = list(self._weather.lanes.faults)
        evidence.quiet = list(self._weather.quiet)
        if self._failure:
            evidence.complaints.append((time.monotonic(), "the run", self._failure))
        for fault in evidence.faults:
            if fault.kind == HUNG:
                evidence.complaints.append((fault.ended_at, fault.target, HUNG))
        return evidence

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._judged_at > _JUDGE_EVERY:
            self._judged_at = now
            self._violations = len(verdict.judge_safety(self._evidence()))
        if now - self._said_at > _PROGRESS_EVERY:
            self._said_at = now
            terms, faults = len(self._town.beliefs()), len(self._weather.lanes.faults)
            counts = f"{terms} terms, {faults} faults, {self._violations} violations"
            _say(f"{max(0.0, self._ends_at - now):4.0f} s left: {counts}")
        if self._violations and self._stop_at_first:
            raise _Stop


def _told(violation: Violation, evidence: Evidence, began_at: float) -> str:
    going_on = []
    for fault in verdict.going_on(evidence.faults, violation.at):
        since, until = fault.began_at - began_at, fault.ended_at - began_at
        going_on.append(f"{fault.kind} {fault.target} {since:.1f}-{until:.1f}")
    at = violation.at - began_at
    return f"VIOLATION {at:.3f} s: {violation.rule}: {violation.what}; {', '.join(going_on)}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, help="by default another one each time")
    parser.add_argument("--svg", type=Path, help="draw what happened into this file")
    parser.add_argument("--without", choices=sorted(RULES), default="", metavar="RULE")
    return parser.parse_args()


def _end(number: int, _: object) -> None:
    """End all with-blocks, and let no second signal interrupt that."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
