"""The command line: try things out, without a cluster."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, and return the exit code of the process."""
    parser = argparse.ArgumentParser(
        prog="kube_leader_election", description="Leader election on Kubernetes Leases."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="serve Leases on loopback, for any program"))
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Serve the Leases of a Kubernetes API server on loopback until interrupted, and write a"
        " kubeconfig for whoever wants to elect a leader there."
    )
    parser.add_argument("--port", type=int, default=0, help="any that is free by default")
    parser.add_argument("--tls", action="store_true", help="https, for users with a token only")
    parser.add_argument(
        "--kubeconfig", type=Path, help="where to write it, instead of a temporary folder"
    )
    parser.set_defaults(run=_serve)


def _serve(options: argparse.Namespace) -> int:
    from .testing import ApiServer

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        with ApiServer(tls=options.tls, port=options.port) as server:
            path = server.write_kubeconfig(options.kubeconfig)
            print(f"serving Leases at {server.url}")
            print(f"export KUBECONFIG={path}", flush=True)
            while True:
                signal.pause()
    except OSError as error:
        reason = error.strerror or error
        sys.exit(f"kube_leader_election: cannot serve on port {options.port}: {reason}")
