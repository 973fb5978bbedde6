"""What several commands are told in the same words."""

from __future__ import annotations

import argparse
import textwrap

from kube_leader_election import (
    InvalidParamsError,
    LeaderElectorParams,
    LeaseLockParams,
    current_namespace,
)
from kube_leader_election._params import check_namespace

from ._say import give_up

PROGRAM = "kube-leader-election"


def describe(parser: argparse.ArgumentParser, text: str, *examples: str) -> None:
    """`--help` shows `text` and the examples, each the arguments after the program's name."""
    parser.description = textwrap.fill(text, 78)
    lines = [f"  {PROGRAM} {example}" for example in examples]
    parser.epilog = "\n".join(["examples:" if len(lines) > 1 else "example:", *lines])
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def add_lease(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """The Lease is told by its name."""
    nargs = "?" if optional else None
    parser.add_argument("lease", nargs=nargs, metavar="LEASE", type=lease_name, help="its name")


def add_namespace(parser: argparse._ActionsContainer) -> None:
    """The namespace may be told."""
    parser.add_argument(
        "-n", "--namespace", help="default: the Pod's, or that of the kubeconfig, or 'default'"
    )


def add_durations(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """What `durations` returns may be told; return the group, for more of the kind."""
    defaults = LeaderElectorParams(lease_name="any")
    group = parser.add_argument_group("settings of all candidates, in seconds")
    group.add_argument(
        "--lease-ttl",
        "--ttl",
        type=_whole,
        default=defaults.lease_ttl,
        metavar="SECONDS",
        help="for how long the Lease is claimed, whole seconds (default: %(default)s)",
    )
    group.add_argument(
        "--renew-deadline",
        type=float,
        metavar="SECONDS",
        help=f"for how long one renewal lets lead (default: 2/3 of it, {defaults.renew_deadline})",
    )
    group.add_argument(
        "--retry-period",
        type=float,
        metavar="SECONDS",
        help=f"between tries (default: a fifth of that, {defaults.retry_period})",
    )
    return group


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The durations of a `LeaderElector` may be told; for what they mean see its parameters."""
    add_durations(parser).add_argument(
        "--max-clock-skew",
        type=float,
        metavar="SECONDS",
        help="how far wall clocks may be apart (default: none is trusted)",
    )


def durations(options: argparse.Namespace) -> tuple[int, float, float]:
    """Return ttl, deadline and period; what was not told has client-go's proportions."""
    ttl: int = options.lease_ttl
    deadline: float | None = options.renew_deadline
    if deadline is None:
        deadline = ttl * 2 / 3
    period: float | None = options.retry_period
    if period is None:
        period = max(0.5, deadline / 5)
    return ttl, deadline, period


def settings(options: argparse.Namespace, lease: str = "my-app") -> LeaderElectorParams:
    """Return what was told, and what follows from it.

    :raises InvalidParamsError: a value breaks its rule.
    """
    ttl, deadline, period = durations(options)
    return LeaderElectorParams(
        lease_name=lease,
        lease_ttl=ttl,
        renew_deadline=deadline,
        retry_period=period,
        max_clock_skew=options.max_clock_skew,
    )


def namespace_of(options: argparse.Namespace) -> str:
    """Return the namespace that was told, or else is meant.

    :raises InvalidParamsError: what was told is none.
    :raises SystemExit: what is meant cannot be found out.
    """
    if options.namespace is not None:
        return check_namespace(options.namespace)
    try:
        return current_namespace("default")
    except InvalidParamsError as error:  # of a file, and of nothing that was told
        give_up(str(error))


def lease_name(text: str) -> str:
    """Return the name of a Lease.

    :raises argparse.ArgumentTypeError: it can be none.
    """
    try:
        return LeaseLockParams(lease_name=text).lease_name
    except InvalidParamsError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error.rule}") from None


def user_name(text: str) -> str:
    """Return the name of a user.

    :raises argparse.ArgumentTypeError: it can be none.
    """
    if not (text and text.isprintable()):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a name that can be printed")
    return text


def count(text: str) -> int:
    """Return a whole number, 1 or more.

    :raises argparse.ArgumentTypeError: it is none.
    """
    if not (text.isdecimal() and 0 < int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number from 1 to 1000000")
    return int(text)


def _whole(text: str) -> int:
    if not (text.isdecimal() and len(text) < 12):
        raise argparse.ArgumentTypeError(f"{text!r}: must be a whole number of seconds")
    return int(text)
