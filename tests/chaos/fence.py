"""A table that accepts no write of an older term than the last one, and keeps what it accepted"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from .evidence import FencedWrite

TABLE = "fenced.db"
_MAKE = """
CREATE TABLE guarded (token INTEGER NOT NULL);
INSERT INTO guarded VALUES (0);
CREATE TABLE accepted (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    replica TEXT NOT NULL, token INTEGER NOT NULL, began_at REAL NOT NULL, ended_at REAL NOT NULL
);
"""


def make_table(path: Path) -> None:
    """There is a table that nobody has written to."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(_MAKE)


def write(path: Path, replica: str, token: int) -> FencedWrite | None:
    """Return what became of a write, `None` where another, stopped in the middle, is in the way."""
    began_at = time.monotonic()
    try:
        with closing(sqlite3.connect(path, timeout=0.1)) as database, database:
            database.execute("PRAGMA synchronous=OFF")
            update = "UPDATE guarded SET token = ? WHERE token <= ?"
            accepted = database.execute(update, (token, token)).rowcount == 1
            if accepted:
                row = (replica, token, began_at, time.monotonic())
                columns = "(replica, token, began_at, ended_at)"
                database.execute(f"INSERT INTO accepted {columns} VALUES (?, ?, ?, ?)", row)
    except sqlite3.OperationalError:
        return None
    return FencedWrite(replica, token, began_at, time.monotonic(), accepted)


def accepted_writes(path: Path) -> list[FencedWrite]:
    """In the order in which the table has accepted them."""
    with closing(sqlite3.connect(path, timeout=10)) as database:
        select = "SELECT replica, token, began_at, ended_at FROM accepted ORDER BY number"
        return [
            FencedWrite(replica, token, began_at, ended_at, True)
            for replica, token, began_at, ended_at in database.execute(select)
        ]
