"""Measures, and prints each figure with its target; the exit status is 1 if one did not hold

``python -m tests.measured [--quick] [SCENARIO ...]``

With ``--quick``, which is for machines that are busy with something else as well, what is only
slow is printed, and no reason for that status.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
import traceback

from tests.programs import share_environment

from . import beliefs, cycles, figures, intruders, kill9, outages, rolling, steady, suspended
from .figures import Figure
from .world import Scenario, World

SCENARIOS: dict[str, Scenario] = {
    "rolling": rolling.measure,
    "kill9": kill9.measure,
    "steady": steady.measure,
    "intruders": intruders.measure,
    "outage": outages.survive,
    "long-outage": outages.end,
    "suspended": suspended.measure,
    "late-answer": beliefs.late_answers,
    "deletion": beliefs.deletions,
    "cycles": cycles.measure,
}


_ENDING = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    arguments = _arguments()
    share_environment()
    logging.getLogger("kube_leader_election").setLevel(logging.CRITICAL)  # trouble is wanted
    for number in _ENDING:
        signal.signal(number, _end)
    began_at = time.monotonic()
    measured: list[Figure] = []
    with World(quick=arguments.quick) as world:
        _say(figures.heading())
        for name in arguments.scenarios or SCENARIOS:
            measured += _measured(name, world)
    targets = [figure for figure in measured if figure.held is not None]
    failed = [figure for figure in targets if not figure.held]
    held = len(targets) - len(failed)
    _say(f"\n{held} of {len(targets)} targets held, {time.monotonic() - began_at:.0f} s")
    for figure in failed:
        _say(str(figure))
    return 1 if any(not (arguments.quick and figure.is_slow) for figure in failed) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.measured", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, within 6 minutes")
    names = ", ".join(SCENARIOS)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"all, or of: {names}")
    arguments = parser.parse_args()
    if unknown := set(arguments.scenarios) - SCENARIOS.keys():
        parser.error(f"no scenario {', '.join(sorted(unknown))}; there are {names}")
    return arguments


def _end(number: int, _: object) -> None:
    """End all with-blocks, and let no second signal interrupt that."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


def _measured(name: str, world: World) -> list[Figure]:
    """Return the figures of a scenario, each printed; one that broke has a figure for that."""
    measured: list[Figure] = []
    began_at = time.monotonic()
    try:
        measured.extend(SCENARIOS[name](world))
    except Exception:  # noqa: BLE001 (the other scenarios can still be measured)
        traceback.print_exc()
        measured.append(figures.every(f"{name} was measured to its end", [False]))
    _say(f"{name}, {time.monotonic() - began_at:.0f} s")
    for figure in measured:
        _say(str(figure))
    return measured


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
