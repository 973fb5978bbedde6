"""The database refuses an old leader that does not know yet that its time is over.

No check in the program can do that: the process may be paused right after it. Start it twice,
pause the one that works with `kill -STOP`, and continue it when the other one has worked.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing

from kubernetes import client, config

from kube_leader_election import (
    LeaderElector,
    LeaderElectorParams,
    Leadership,
    current_namespace,
)

DATABASE = os.environ.get("DATABASE", "counter.db")


def main() -> None:
    with closing(sqlite3.connect(DATABASE)) as database, database:
        database.execute("CREATE TABLE IF NOT EXISTS counter (total INTEGER, token INTEGER)")
        database.execute("INSERT INTO counter SELECT 0, 0 WHERE NOT EXISTS (SELECT * FROM counter)")
    config.load_config()
    params = LeaderElectorParams(lease_name="my-app")
    elector = LeaderElector(client.CoordinationV1Api(), current_namespace("default"), params)
    elector.run(work, stop_on=[signal.SIGTERM, signal.SIGINT])


def work(leadership: Leadership) -> None:
    """Count until asked to finish, or refused."""
    token = leadership.fencing_token
    with closing(sqlite3.connect(DATABASE)) as database:
        accepted = add(database, 0, token)  # from here on, earlier leaders are refused
        while accepted and not leadership.stopping.is_set():
            print(f"leader {token} works", flush=True)
            time.sleep(1)
            accepted = add(database, 1, token)
            said = "has added 1" if accepted else "is refused: a later leader has written"
            print(f"leader {token} {said}", flush=True)


def add(database: sqlite3.Connection, number: int, token: int | None) -> bool:
    """Check the token and write in one statement: no other write comes in between."""
    with database:
        update = "UPDATE counter SET total = total + ?, token = ? WHERE token <= ?"
        return database.execute(update, (number, token, token)).rowcount == 1


if __name__ == "__main__":
    main()
