"""The command line: try things out, without a cluster."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from . import _demo, _serve


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code of the process."""
    parser = argparse.ArgumentParser(
        prog="kube_leader_election", description="Leader election on Kubernetes Leases."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _demo.add_to(commands.add_parser("demo", help="watch three replicas elect a leader"))
    _serve.add_to(commands.add_parser("serve", help="serve Leases on loopback, for any program"))
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except BrokenPipeError:  # nobody reads what it says: `... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 1
    return code
