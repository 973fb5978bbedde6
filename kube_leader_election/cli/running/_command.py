"""The command as `run` sees it: by way of its guard."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from . import _children
from ._guard import LONGEST_MESSAGE, fork_guard, now
from ._lifetime import Lifetime

# In seconds, and well within the time to die: the machine may be busy.
_IS_LATE = 0.3
_IS_LOST = 5.0


class GuardLostError(Exception):
    """The guard has died, or does not act: all that has come of the command is killed."""


@dataclass(frozen=True)
class Ended:
    """Nothing is left of the command. `by_itself`: before anybody had ended it, though maybe asked.

    `code`: its exit code, as a shell would have it.
    """

    code: int
    by_itself: bool


class Command:
    """Runs while it may, in a process that is forked off right away. For the main thread."""

    def __init__(self, command: Sequence[str], grace: float) -> None:
        self._lifetime = Lifetime(grace=grace, leads_until=0.0)
        self._is_closed = False
        self._late_since = math.inf
        _children.become_subreaper()  # of what is left where the guard dies
        self.guard, self._channel = fork_guard(command, grace)
        self._channel.setblocking(False)

    @property
    def leads_until(self) -> float:
        """Until when it may live without another renewal."""
        return self._lifetime.leads_until

    def fileno(self) -> int:
        """For `select`: readable when `ended` has something to tell."""
        return self._channel.fileno()

    def start(self, leads_until: float, environment: Mapping[str, str]) -> None:
        """It runs, with so much more in its environment.

        :raises GuardLostError: it does not.
        """
        self._lifetime = Lifetime(grace=self._lifetime.grace, leads_until=leads_until)
        self._tell("start", leads_until, environment)

    def renewed(self, leads_until: float) -> None:
        """It may live until then."""
        self._lifetime = self._lifetime.renewed(leads_until)
        self._tell("renewed", leads_until)

    def finish(self, ends_at: float) -> None:
        """It has no longer than until then."""
        if ends_at >= self._lifetime.ends_at:
            return
        self._lifetime = self._lifetime.asked_to_finish(ends_at)
        self._tell("finish", ends_at)

    def forward(self, number: int) -> None:
        """It was sent this signal, it alone."""
        self._tell("signal", number)

    def ended(self) -> Ended | None:
        """Return how it has ended; `None`: it runs, or something of it.

        :raises GuardLostError: nobody is there to say so; nothing of it is left.
        """
        try:
            message = self._channel.recv(LONGEST_MESSAGE)
        except BlockingIOError:
            return None
        except ConnectionError:
            message = b""
        if not message:
            self.kill_guard()
        _, code, by_itself = json.loads(message)
        return Ended(code, by_itself)

    def see_to_its_end(self) -> None:
        """If it should be over, and its guard is late, all of it was killed from here.

        :raises GuardLostError: the guard does not say either that it is over.
        """
        looked_at = now()
        if looked_at < self._lifetime.kills_at + _IS_LATE:
            self._late_since = math.inf
            return
        self._late_since = min(self._late_since, looked_at)
        _children.signal_all(signal.SIGKILL, below=self.guard)
        if looked_at > self._late_since + _IS_LOST:
            self.kill_guard()

    def kill_guard(self) -> NoReturn:
        """:raises GuardLostError: nothing is left, neither of the command nor of its guard."""
        self.close()
        raise GuardLostError("the guard of the command was killed, or did not act in time")

    def close(self) -> None:
        """The guard has ended, and all that there was."""
        if self._is_closed:  # another may have its pid by now
            return
        self._is_closed = True
        self._channel.close()
        with suppress(ProcessLookupError):
            os.kill(self.guard, signal.SIGKILL)
        for _ in _children.kill_all():
            pass

    def _tell(self, *message: Any) -> None:
        try:
            self._channel.send(json.dumps(message).encode())
        except (BlockingIOError, ConnectionError):
            self.kill_guard()
