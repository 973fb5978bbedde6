"""Explores all interleavings of candidates and faults; the exit status is 1 if one goes wrong

``python -m tests.proof.explorer [--short] [CONFIGURATION ...]``

Prints, for each configuration, how many candidates there are and how many faults at most, what was
covered, and the time. A violation is told move by move: the tick, who does what, and what changes.
"""

from __future__ import annotations

import argparse
import sys

from .exploration import Report, explore
from .explorations import FULL, SHORT

_COLUMNS = (
    f"{'configuration':28} {'candidates':>10} {'ticks':>5} {'requests':>8} {'faults':>6}"
    f" {'worlds':>9} {'transitions':>11} {'depth':>5} {'seconds':>7} {'violations':>10}"
)


def main() -> int:
    arguments = _arguments()
    _say(_COLUMNS)
    is_well = True
    for configuration in SHORT if arguments.short else FULL:
        if arguments.names and configuration.name not in arguments.names:
            continue
        report = explore(configuration)
        _say(_row(report))
        if report.violation is not None:
            is_well = False
            _say(f"{report.violation.what}:")
            for line in report.violation.story:
                _say(f"    {line}")
    return 0 if is_well else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="fewer faults, in less than a minute")
    parser.add_argument("names", metavar="CONFIGURATION", nargs="*", help="only these")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {configuration.name for configuration in FULL}
    if unknown:
        parser.error(f"no such configuration: {', '.join(sorted(unknown))}")
    return arguments


def _row(report: Report) -> str:
    configuration = report.configuration
    return (
        f"{configuration.name:28} {len(configuration.names):10} {configuration.ticks:5}"
        f" {report.requests:8} {report.faults:6} {report.worlds:9,} {report.transitions:11,}"
        f" {report.depth:5} {report.seconds:7.1f} {0 if report.violation is None else 1:10}"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
