"""What ``run`` is told, and whether that can be."""

from __future__ import annotations

import argparse
import sys

from kube_leader_election import InvalidParamsError, LeaderElectorParams
from kube_leader_election._core.timing import drain_timeout_rule
from kube_leader_election._params import check_namespace

from ._options import add_durations, add_lease, describe, durations
from ._serve import port_number
from .running._lifetime import grace_rule, longest_grace, room_rule
from .running._order import Order

ABOUT = """\

in a Pod, with a service account that may do what `rbac` prints:
  command: [kube-leader-election, run, my-app, --health-port, "8080",
            --, python, worker.py]

The command finds in its environment KUBE_LEADER_ELECTION_FENCING_TOKEN, which
is greater than that of every earlier one, ..._LEASE, ..._NAMESPACE and
..._HOLDER_ID. When another may lead soon, it and all processes that it has
started get SIGTERM, and then SIGKILL before that. At SIGTERM it is told to
finish, still leading, and the next replica leads as soon as it has.

exit codes:
  that of the command, or 128 + N if signal N has killed it
  0 if it was told to end and ran nothing
  125 run has failed; 126 the command cannot be executed; 127 it is not found
  2 wrong usage
"""
# In seconds, by which the election waits longer for the command than this has time to finish, so
# that its end is seen.
_SEEN_WITHIN = 2.0


def add_to(parser: argparse.ArgumentParser) -> None:
    """`parser` is that of this command."""
    describe(
        parser,
        "Run a command only where, and only while, this replica leads.",
        "run my-app -- python worker.py",
    )
    parser.epilog = f"{parser.epilog}\n{ABOUT}"
    parser.usage = f"{parser.prog} LEASE [options] -- COMMAND..."
    add_lease(parser)
    parser.add_argument(
        "-n", "--namespace", help="default: the Pod's, or that of the kubeconfig's context"
    )
    parser.add_argument(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="from SIGTERM to SIGKILL after a loss (default: all there is room for, 3.7)",
    )
    parser.add_argument(
        "--drain-timeout",
        type=float,
        default=LeaderElectorParams.drain_timeout,
        metavar="SECONDS",
        help="how long the command may take to finish after SIGTERM (default: %(default)s)",
    )
    parser.add_argument(
        "--health-port", type=port_number, metavar="PORT", help="serve /healthz and /leader"
    )
    add_durations(parser)
    parser.set_defaults(run=lambda options: _run(parser, options))


def parsed(given: argparse.Namespace) -> Order:
    """Return what was given, with what follows from it.

    :raises InvalidParamsError: it cannot be.
    """
    command = tuple(given.to_run or ())
    if not command:
        raise InvalidParamsError("COMMAND", None, "must be given, after --")
    if given.namespace is not None:
        check_namespace(given.namespace)
    if rule := drain_timeout_rule(given.drain_timeout):
        raise InvalidParamsError("drain_timeout", given.drain_timeout, rule)
    ttl, deadline, period = durations(given)
    params = LeaderElectorParams(
        lease_name=given.lease,
        lease_ttl=ttl,
        renew_deadline=deadline,
        retry_period=period,
        drain_timeout=given.drain_timeout + _SEEN_WITHIN,
    )
    if rule := room_rule(ttl, deadline):
        raise InvalidParamsError("renew_deadline", deadline, rule)
    grace = given.grace
    if grace is None:
        grace = max(0.0, longest_grace(ttl, deadline))
    if rule := grace_rule(grace, ttl, deadline):
        raise InvalidParamsError("grace", grace, rule)
    return Order(
        params=params,
        namespace=given.namespace,
        grace=float(grace),
        drain_timeout=given.drain_timeout,
        health_port=given.health_port,
        command=command,
    )


def _run(parser: argparse.ArgumentParser, given: argparse.Namespace) -> int:
    try:
        options = parsed(given)
    except InvalidParamsError as error:
        parser.error(str(error))
    if sys.platform != "linux":
        parser.error("works on Linux only, which kills a process with its parent")
    from .running._runner import run

    return run(options)
