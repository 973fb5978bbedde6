"""The replicas of the demo, from outside: processes, and what they tell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO

from ._happenings import Happening, What

PATIENCE = 5.0  # in seconds, with a replica that was told to end


class Replicas:
    """One process for each name, which the end of the `with` block ends."""

    def __init__(self, arguments: Sequence[str], told: IO[bytes], at_exit: ExitStack) -> None:
        self._arguments = arguments
        self._told = told
        self._at_exit = at_exit
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._expected_to_end: set[str] = set()

    def start(self, name: str) -> None:
        """A replica of that name contends soon."""
        command = [sys.executable, "-m", f"{__package__}._replica", name, *self._arguments]
        self._processes[name] = process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=self._told,
            start_new_session=True,  # Ctrl-C is for the demo alone, which ends them
        )
        self._at_exit.callback(_end, process)

    def signal(self, name: str, number: int) -> None:
        """The replica of that name was sent a signal."""
        if number in (signal.SIGTERM, signal.SIGKILL):
            self._expected_to_end.add(name)
        self._processes[name].send_signal(number)

    def lost(self) -> list[str]:
        """Return the names of those that have ended by themselves."""
        return sorted(self.ended() - self._expected_to_end)

    def ended(self) -> set[str]:
        """Return the names of those whose processes are over."""
        return {name for name, process in self._processes.items() if process.poll() is not None}

    def ask_all_to_end(self) -> None:
        """They end soon, all at the same time."""
        for process in self._processes.values():
            _ask_to_end(process)


@contextmanager
def replicas(arguments: Sequence[str], hear: Callable[[Happening], object]) -> Iterator[Replicas]:
    """Within the block replicas can be started, and `hear` is told what they tell, on a thread.

    `arguments`: where the API server is, and the durations; see `_replica`.
    """
    # One pipe for all, so that what they tell comes in the order in which it happened.
    read_end, write_end = os.pipe()
    reader = threading.Thread(target=_read, args=(os.fdopen(read_end, "rb"), hear), daemon=True)
    with ExitStack() as at_exit:
        reader.start()
        at_exit.callback(reader.join)
        told = at_exit.enter_context(os.fdopen(write_end, "wb"))
        started = Replicas(arguments, told, at_exit)
        try:
            yield started
        finally:
            started.ask_all_to_end()


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGCONT)
    if process.stdin is not None:
        process.stdin.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _read(told: IO[bytes], hear: Callable[[Happening], object]) -> None:
    with told:
        for line in told:
            fields = json.loads(line)
            hear(Happening(**{**fields, "what": What(fields["what"])}))
