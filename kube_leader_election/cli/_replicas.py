"""The replicas of the demo, from outside: processes, and what they tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO

from kube_leader_election._inbox import Inbox

PATIENCE = 5.0  # in seconds, with a replica that was told to end


@dataclass(frozen=True)
class Event:
    """What a replica has told. `at` is on the monotonic clock, which all processes share."""

    name: str
    what: str
    at: float
    token: int | None


class Replicas:
    """One process for each name, which the end of the `with` block ends."""

    def __init__(self, processes: dict[str, subprocess.Popen[bytes]]) -> None:
        self._processes = processes
        self._expected_to_end: set[str] = set()

    def signal(self, name: str, number: int) -> None:
        """The replica of that name was sent a signal that ends it."""
        self._expected_to_end.add(name)
        self._processes[name].send_signal(number)

    def lost(self) -> list[str]:
        """Return the names of those that have ended by themselves."""
        ended = {name for name, process in self._processes.items() if process.poll() is not None}
        return sorted(ended - self._expected_to_end)


@contextmanager
def started(
    names: Sequence[str], arguments: Sequence[str], events: Inbox[Event | None]
) -> Iterator[Replicas]:
    """Within the block a replica of each name contends, and what they tell comes to `events`.

    `arguments`: where the API server is, and the durations; see `_replica`.
    """
    # One pipe for all, so that what they tell comes in the order in which it happened.
    read_end, write_end = os.pipe()
    reader = threading.Thread(target=_read, args=(os.fdopen(read_end, "rb"), events), daemon=True)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    with ExitStack() as at_exit:
        reader.start()
        at_exit.callback(reader.join)
        with os.fdopen(write_end, "wb") as told:
            for name in names:
                processes[name] = _start([name, *arguments], told)
                at_exit.callback(_end, processes[name])
        for process in processes.values():
            at_exit.callback(_ask_to_end, process)  # all of them, before the first is waited for
        yield Replicas(processes)


def _start(arguments: Sequence[str], told: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", f"{__package__}._replica", *arguments],
        stdin=subprocess.PIPE,
        stdout=told,
        start_new_session=True,  # Ctrl-C is for the demo alone, which ends them
    )


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    _ask_to_end(process)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(told: IO[bytes], events: Inbox[Event | None]) -> None:
    with told:
        for line in told:
            events.put(Event(**json.loads(line)))
