"""What replicas write down, and how it is read: one line of JSON for each thing that happened.

Many processes append to one file, each line with a single write. The stamps are of the clock
that `time.monotonic` reads, which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # for what takes a second, on a machine that is busy with something else
_GLANCE = 0.002


@dataclass(frozen=True)
class Entry:
    """`what` happened to an election in a replica at `at`, and what there is to know of it."""

    at: float
    replica: str
    election: str
    what: str
    facts: dict[str, Any]


class Writer:
    """Appends to the journal. Thread-safe."""

    def __init__(self, path: Path, replica: str) -> None:
        self._replica = replica
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, election: str, what: str, *, at: float | None = None, **facts: Any) -> None:
        """It happened at `at`, or now."""
        stamp = time.monotonic() if at is None else at
        line = json.dumps([stamp, self._replica, election, what, facts])
        os.write(self._file, f"{line}\n".encode())


class Reader:
    """Reads what was written so far, and waits for more. Thread-safe."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._path = path
        self._turn = threading.Lock()
        self._offset = 0
        self._entries: list[Entry] = []

    def entries(
        self, *what: str, election: str = "", replica: str = "", since: float = 0.0
    ) -> list[Entry]:
        """Return what happened there from `since` on, in order; an empty filter lets all pass."""
        with self._turn:
            self._read()
            found = [
                each
                for each in self._entries
                if each.what in what
                and election in ("", each.election)
                and replica in ("", each.replica)
                and each.at >= since
            ]
        return sorted(found, key=lambda each: each.at)

    def wait_for(
        self,
        *what: str,
        election: str = "",
        replica: str = "",
        since: float = 0.0,
        count: int = 1,
        seconds: float = PATIENCE,
    ) -> list[Entry]:
        """Return at least `count` of what `entries` returns, which may be still to come.

        :raises TimeoutError: there were not so many in time; tells of the last ones.
        """
        deadline = time.monotonic() + seconds
        while True:
            found = self.entries(*what, election=election, replica=replica, since=since)
            if len(found) >= count:
                return found
            if time.monotonic() > deadline:
                last = "\n".join(str(each) for each in self._entries[-20:])
                asked = f"{' or '.join(what)} of {election or 'any'} in {replica or 'any'}"
                raise TimeoutError(f"{asked}: {len(found)} of {count}; last:\n{last}")
            time.sleep(_GLANCE)

    def _read(self) -> None:
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        self._entries += [Entry(*json.loads(line)) for line in whole.splitlines()]
