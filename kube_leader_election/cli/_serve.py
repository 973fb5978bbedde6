"""``serve``: the Leases of an API server, for any program."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

from ._options import describe
from ._say import give_up, say


def add_to(parser: argparse.ArgumentParser) -> None:
    """`parser` is that of this command."""
    describe(
        parser,
        "Serve the Leases of a Kubernetes API server on loopback until interrupted, and write a"
        " kubeconfig for whoever wants to elect a leader there.",
        "serve",
        "serve --port 8080 --kubeconfig leases.kubeconfig",
    )
    parser.add_argument("--port", type=port_number, default=0, help="any that is free by default")
    parser.add_argument("--tls", action="store_true", help="https, for users with a token only")
    parser.add_argument(
        "--kubeconfig",
        type=Path,
        metavar="FILE",
        help="a new file to write it to, for as long as it serves",
    )
    parser.set_defaults(run=_serve)


def port_number(text: str) -> int:
    """:raises argparse.ArgumentTypeError: it is none."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: must be from 0 to 65535")
    return int(text)


def _serve(options: argparse.Namespace) -> int:
    from kube_leader_election.testing import ApiServer

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    if options.kubeconfig is not None and options.kubeconfig.exists():
        give_up(f"{options.kubeconfig} exists, and is not overwritten")
    try:
        with ApiServer(tls=options.tls, port=options.port) as server, ExitStack() as at_exit:
            path = server.write_kubeconfig(options.kubeconfig)
            at_exit.callback(path.unlink, missing_ok=True)
            say(f"serving Leases at {server.url}")
            say(f"export KUBECONFIG={shlex.quote(str(path.absolute()))}")
            while True:
                signal.pause()
    except OSError as error:
        where = options.kubeconfig if error.filename else f"port {options.port}"
        give_up(f"cannot serve on {where}: {error.strerror or error}")
    except ModuleNotFoundError as error:
        give_up(str(error))
