"""``status``: who holds the Leases, since when and for how long still."""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any

from ._cluster import Cluster, NoAnswerError, connect, refusal
from ._leases import COLUMNS, DELETED, NEAR, Row, row_of
from ._options import add_lease, add_namespace, describe, namespace_of
from ._say import give_up, say, shown
from ._table import Table, is_picture, live, show

Documents = Sequence[Mapping[str, Any]]


def add_to(parser: argparse.ArgumentParser) -> None:
    """`parser` is that of this command."""
    describe(
        parser,
        "Show who holds a Lease, or all Leases of a namespace: for how long, when it was renewed,"
        " when it expires, and what is odd about it. Times are by the wall clocks of the"
        " server and the holder. Needs the verb 'get' for one Lease, and 'list' for several.",
        "status -n my-namespace",
        "status my-app --watch",
        "status -A --json",
    )
    add_lease(parser, optional=True)
    where = parser.add_mutually_exclusive_group()
    add_namespace(where)
    where.add_argument("-A", "--all-namespaces", action="store_true", help="of all namespaces")
    parser.add_argument(
        "-w",
        "--watch",
        action="store_true",
        help="go on until interrupted; where output is no terminal, a line for each change",
    )
    parser.add_argument(
        "--interval",
        type=_interval,
        default=1.0,
        metavar="SECONDS",
        help="with --watch: between two looks (default: %(default)s)",
    )
    parser.add_argument(
        "--json", action="store_true", help="for machines; with --watch an object for each change"
    )
    parser.set_defaults(run=_run, parser=parser)


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number from 0.1 to 3600")
    return seconds


def _run(options: argparse.Namespace) -> int:
    if options.lease and options.all_namespaces:
        options.parser.error("a LEASE is in one namespace: -n, not -A")
    namespace = None if options.all_namespaces else namespace_of(options)
    with closing(connect()) as cluster:
        view = _View(cluster, namespace, options.lease, as_json=options.json)
        try:
            if options.watch:
                view.watch(options.interval)
            documents = view.read()
        except NoAnswerError as error:
            give_up(str(error))
        if not documents and options.lease:
            give_up(f"there is no Lease {namespace}/{options.lease}")
        view.show(documents)
    return 0


class _View:
    """What is looked at, and how it is shown."""

    def __init__(
        self, cluster: Cluster, namespace: str | None, lease: str | None, *, as_json: bool
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._lease = lease
        self._as_json = as_json

    def read(self) -> Documents:
        """Return the Leases as they are now.

        :raises NoAnswerError: it could not be known.
        """
        if self._lease is None or self._namespace is None:
            return list(self._cluster.leases(self._namespace))
        answer = self._cluster.lease(self._namespace, self._lease)
        if answer.lease is not None:
            return [answer.lease]
        if answer.status == HTTPStatus.NOT_FOUND and answer.is_the_servers:
            return []
        raise NoAnswerError(refusal(answer, f"get of Lease {self._namespace}/{self._lease}"))

    def show(self, documents: Documents) -> None:
        """All are printed."""
        rows = rows_of(documents, self._now())
        if self._as_json:
            say(json.dumps({"leases": [row.document() for row in rows]}, indent=2))
        elif rows:
            show(self._table(rows))
            for line in legend(rows, self._cluster.ahead):
                say(line)
        else:
            say(f"there is no Lease in {self._namespace or 'any namespace'}")

    def watch(self, interval: float) -> None:
        """Look again and again, and tell, until interrupted.

        :raises NoAnswerError: the first look saw nothing.
        """
        for number in (signal.SIGINT, signal.SIGTERM):  # ended so, a picture gives the cursor back
            signal.signal(number, lambda number, _: sys.exit(128 + number))
        documents, problem, before = self.read(), "", dict[tuple[str, str], Row]()
        with ExitStack() as at_exit:
            draw = None
            if is_picture() and not self._as_json:
                draw = at_exit.enter_context(live())
            while True:
                rows = rows_of(documents, self._now())
                if draw is not None:
                    below = [*legend(rows, self._cluster.ahead), problem or self._caption(rows)]
                    draw(self._table(rows), "\n".join(below))
                else:
                    self._tell(changes(before, rows))
                    before = {row.key: row for row in rows}
                time.sleep(interval)
                problem, was = "", problem
                try:
                    documents = self.read()
                except NoAnswerError as error:
                    problem = str(error)
                    if draw is None and problem != was:
                        say(f"kube-leader-election: {problem}", file=sys.stderr)

    def _tell(self, changed: Iterable[Row]) -> None:
        for row in changed:
            if self._as_json:
                say(json.dumps(row.document()))
            else:
                say(f"{self._now():%H:%M:%SZ}  {row.sentence()}")

    def _caption(self, rows: Sequence[Row]) -> str:
        count = "no Lease" if not rows else f"{len(rows)} Lease{'s' * (len(rows) > 1)}"
        where = f"in {self._namespace}" if self._namespace else "in all namespaces"
        return f"{count} {where} at {self._now():%H:%M:%SZ}; Ctrl-C ends it"

    def _now(self) -> datetime:
        """Return the time by the server's clock, or ours where they may be equal."""
        return datetime.fromtimestamp(time.time() + self._cluster.ahead, timezone.utc)

    def _table(self, rows: Sequence[Row]) -> Table:
        first = 0 if self._namespace is None else 1
        styles = {number: "yellow" for number, row in enumerate(rows) if row.notes}
        cells = [row.cells()[first:] for row in rows]
        return Table(
            COLUMNS[first:],
            cells,
            styles,
            wraps=frozenset({"NAMESPACE", "LEASE", "HOLDER", "NOTES"}),
        )


def rows_of(documents: Documents, now: datetime) -> list[Row]:
    """Return what they say at `now`, in the order of their names."""
    return sorted((row_of(each, now) for each in documents), key=lambda row: row.key)


def legend(rows: Sequence[Row], ahead: float) -> list[str]:
    """Return what the notes mean, a line each, and whose times they are if clocks differ."""
    meanings = {note.mark: note.meaning for row in rows for note in row.notes}
    lines = [f"{mark}: {meaning}" for mark, meaning in meanings.items()]
    if abs(ahead) >= NEAR:
        side = "behind" if ahead > 0 else "ahead of"
        apart = f"{shown(abs(ahead))} {side} the server's"
        lines.append(f"this machine's clock is {apart}, which all times are by")
    return lines


def changes(before: Mapping[tuple[str, str], Row], rows: Sequence[Row]) -> list[Row]:
    """Return the rows with more news than a renewal, and, noted as such, those that are gone."""
    news = [
        row for row in rows if row.key not in before or not row.says_the_same_as(before[row.key])
    ]
    gone = before.keys() - {row.key for row in rows}
    return news + [
        Row(namespace=key[0], name=key[1], holder=None, notes=(DELETED,)) for key in sorted(gone)
    ]
