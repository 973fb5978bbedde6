"""The command line: run what only one replica may, look at elections, plan them, try them out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from kube_leader_election import InvalidParamsError

from . import _demo, _doctor, _plan, _rbac, _run, _serve, _status
from ._options import PROGRAM
from ._say import complain


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code of the process."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Leader election on Kubernetes Leases.",
        epilog="COMMAND --help shows its options, and an example.",
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="COMMAND", title="commands"
    )
    _run.add_to(commands.add_parser("run", help="run a command only while leading"))
    _status.add_to(commands.add_parser("status", help="show who holds the Leases"))
    _doctor.add_to(commands.add_parser("doctor", help="find what would go wrong with an election"))
    _plan.add_to(commands.add_parser("plan", help="say what settings promise, and what they cost"))
    _rbac.add_to(commands.add_parser("rbac", help="print the least Role for a Lease"))
    _demo.add_to(commands.add_parser("demo", help="watch three replicas elect a leader"))
    _serve.add_to(commands.add_parser("serve", help="serve Leases on loopback, for any program"))
    ours, to_run = _split(sys.argv[1:] if arguments is None else arguments)
    options, unknown = parser.parse_known_args(ours)
    if to_run is not None and options.command != "run":
        unknown += ["--", *to_run]
    if unknown:
        misses_dashes = options.command == "run" and to_run is None
        hint = ": the COMMAND comes after --" if misses_dashes else ""
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
    options.to_run = to_run
    try:
        code: int = options.run(options)
    except InvalidParamsError as error:
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # nobody reads what it says: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1
    return code


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return what comes before the first ``--``, and what after it; a later one is of the latter.

    Not left to `argparse`, which before Python 3.13 removes one for each positional argument.
    """
    given = list(arguments)
    if "--" not in given:
        return given, None
    at = given.index("--")
    return given[:at], given[at + 1 :]
