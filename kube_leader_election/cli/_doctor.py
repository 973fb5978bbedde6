"""``doctor``: what would go wrong with an election here, and how to mend it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from contextlib import closing

from kube_leader_election import InvalidParamsError, LeaderElectorParams

from ._cluster import connect
from ._examination import Examination
from ._findings import Finding, Level
from ._options import (
    add_lease,
    add_namespace,
    add_settings,
    count,
    describe,
    namespace_of,
    settings,
    user_name,
)
from ._say import say
from ._table import Table, show

_STYLES = {Level.WELL: "", Level.NOTE: "", Level.FRAGILE: "yellow", Level.TROUBLE: "red"}


def add_to(parser: argparse.ArgumentParser) -> None:
    """`parser` is that of this command."""
    describe(
        parser,
        "Find what would go wrong with an election for the Lease: whether the API server is"
        " reached and how fast, what is allowed, how far the clocks are apart, what is odd about"
        " the Lease or fragile in the settings. Changes nothing. The exit code is 0 where all is"
        " well, 1 where something is to be mended, and 2 for wrong usage.",
        "doctor my-app --as system:serviceaccount:default:my-app",
        "doctor my-app --lease-ttl 30 --holders 'my-app-*'",
    )
    add_lease(parser)
    add_namespace(parser)
    parser.add_argument(
        "--as", dest="user", type=user_name, metavar="USER", help="in the name of another user"
    )
    parser.add_argument(
        "--holders", metavar="PATTERN", help="what the names of your candidates look like"
    )
    parser.add_argument(
        "--reads", type=count, default=100, help="how many to measure (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="for machines")
    add_settings(parser)
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    namespace, refused = namespace_of(options), None
    try:
        params = settings(options, options.lease)
    except InvalidParamsError as error:
        params, refused = LeaderElectorParams(lease_name=options.lease), error
    with closing(connect(user=options.user)) as cluster:
        examination = Examination(
            cluster,
            namespace,
            params,
            refused=refused,
            holders=options.holders,
            reads=options.reads,
        )
        findings = list(examination.findings())
    is_well = all(each.is_well for each in findings)
    if options.json:
        say(json.dumps({"well": is_well, "findings": [_document(each) for each in findings]}))
    else:
        show(table(findings))
    return 0 if is_well else 1


def table(findings: Sequence[Finding]) -> Table:
    """Return them for people, the mend of each below it."""
    rows, styles = list[list[str]](), dict[int, str]()
    for finding in findings:
        styles[len(rows)] = _STYLES[finding.level]
        rows.append([finding.level.value, finding.about, finding.says])
        for number, line in enumerate(finding.mend.splitlines()):
            rows.append(["", "" if number else "  mend", line])
    return Table(("LEVEL", "ABOUT", "FOUND"), rows, styles, wraps=frozenset({"FOUND"}))


def _document(finding: Finding) -> dict[str, str]:
    return {**vars(finding), "level": finding.level.value}
