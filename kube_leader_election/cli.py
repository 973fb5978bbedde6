"""The command line: try things out, without a cluster."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
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
    parser.add_argument("--port", type=_port, default=0, help="any that is free by default")
    parser.add_argument("--tls", action="store_true", help="https, for users with a token only")
    parser.add_argument(
        "--kubeconfig", type=Path, help="a new file to write it to, for as long as it serves"
    )
    parser.set_defaults(run=_serve)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return int(text)


def _serve(options: argparse.Namespace) -> int:
    from .testing import ApiServer

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    if options.kubeconfig is not None and options.kubeconfig.exists():
        sys.exit(f"kube_leader_election: {options.kubeconfig} exists, and is not overwritten")
    try:
        with ApiServer(tls=options.tls, port=options.port) as server, ExitStack() as at_exit:
            path = server.write_kubeconfig(options.kubeconfig)
            at_exit.callback(path.unlink, missing_ok=True)
            print(f"serving Leases at {server.url}")
            print(f"export KUBECONFIG={shlex.quote(str(path.absolute()))}", flush=True)
            while True:
                signal.pause()
    except OSError as error:
        where = error.filename or f"port {options.port}"
        sys.exit(f"kube_leader_election: cannot serve on {where}: {error.strerror or error}")
    except ModuleNotFoundError as error:
        sys.exit(f"kube_leader_election: {error}")
