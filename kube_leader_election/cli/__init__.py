"""The command line: look at elections, plan them, and try them out without a cluster."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from kube_leader_election import InvalidParamsError

from . import _demo, _doctor, _plan, _rbac, _serve, _status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code of the process."""
    parser = argparse.ArgumentParser(
        prog="kube-leader-election", description="Leader election on Kubernetes Leases."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _status.add_to(commands.add_parser("status", help="show who holds the Leases"))
    _doctor.add_to(commands.add_parser("doctor", help="find what would go wrong with an election"))
    _plan.add_to(commands.add_parser("plan", help="say what settings promise, and what they cost"))
    _rbac.add_to(commands.add_parser("rbac", help="print the least Role for a Lease"))
    _demo.add_to(commands.add_parser("demo", help="watch three replicas elect a leader"))
    _serve.add_to(commands.add_parser("serve", help="serve Leases on loopback, for any program"))
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except InvalidParamsError as error:
        print(f"kube-leader-election: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # nobody reads what it says: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1
    return code
