"""A replica that writes to fenced tables, and that notices when its process was stopped."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kube_leader_election import LeaderElector, Leadership

from .replica import Replica

_PAUSE = 0.02  # in seconds, between two looks
_ASLEEP = 5.0  # in seconds; what is longer between two looks was a stop
_TRIES = 5


def make_table(path: Path) -> None:
    """There is a table with one row, guarded by the token of who wrote it last."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE guarded (token INTEGER NOT NULL, writer TEXT NOT NULL)")
        database.execute("INSERT INTO guarded VALUES (0, '')")


def write_row(path: Path, token: int | None, writer: str) -> bool:
    """Return whether the table has accepted the write."""
    statement = "UPDATE guarded SET token = ?, writer = ? WHERE token <= ?"
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        return database.execute(statement, (token, writer, token)).rowcount == 1


@dataclass
class _Candidate:
    election: str
    elector: LeaderElector
    term: Leadership | None = None


def write_fenced(replica: Replica) -> None:
    """Write once at the beginning of each term, and in an old term after the process was stopped.

    Never in between: who is stopped within a write keeps the table locked.
    """
    candidates = [_Candidate(name, replica.follow(name)) for name in replica.orders.elections]
    asked_at = time.monotonic()
    while True:
        for candidate in candidates:
            begins_at = time.monotonic()
            term = candidate.term
            leads = candidate.elector.is_leader()
            is_valid = term is not None and term.is_valid()
            ends_at = time.monotonic()
            asleep = begins_at - asked_at
            asked_at = ends_at
            if term is not None and asleep > _ASLEEP:
                facts = {"leads": leads, "valid": is_valid, "asleep": asleep}
                replica.log.write(candidate.election, "woke", at=begins_at, **facts)
                for _ in range(_TRIES):
                    _write(replica, candidate.election, term)
                candidate.term = None
            elif leads and not is_valid:
                candidate.term = candidate.elector.leadership
                if candidate.term is not None:
                    _write(replica, candidate.election, candidate.term)
        time.sleep(_PAUSE)


def _write(replica: Replica, election: str, term: Leadership) -> None:
    """Whether the term has a right to is the table's to say."""
    accepted = write_row(replica.folder / election, term.fencing_token, replica.orders.replica)
    replica.log.write(election, "wrote", token=term.fencing_token, accepted=accepted)
