"""``demo``: three replicas elect a leader; one is told to stop, and one is killed."""

from __future__ import annotations

import argparse
import queue
import signal
import time
from collections.abc import Callable
from typing import NoReturn

from kube_leader_election._inbox import Inbox

from ._replicas import Event, Replicas, started
from ._say import say

# Short, so that a takeover can be waited for.
LEASE_TTL, RENEW_DEADLINE, RETRY_PERIOD = 3, 2.0, 0.5
NAMES = ("replica-1", "replica-2", "replica-3")
PATIENCE = 60.0  # in seconds, with what takes some, on a machine that is busy with something else

INTRODUCTION = f"""\
Three replicas of a service, each a process. Only one of them may lead at any time.
They agree through a Lease, on an API server that this command serves: no cluster is needed.
Who leads claims the Lease for {LEASE_TTL} s (lease_ttl), and stops {RENEW_DEADLINE:g} s after its\
 last renewal (renew_deadline).
Failures are retried every {RETRY_PERIOD:g} s (retry_period). The defaults are 15, 10 and 2 s.
"""


def add_to(parser: argparse.ArgumentParser) -> None:
    """`parser` is that of this command."""
    parser.description = (
        "Show three replicas that elect a leader: one is told to stop, and one is killed. Takes"
        " about ten seconds, and needs no cluster and no network."
    )
    parser.set_defaults(run=_run)


class _EndedEarlyError(Exception):
    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


def _run(_: argparse.Namespace) -> int:
    # A handler that raised could do so anywhere, and leave a process: it only asks for the end.
    events: Inbox[Event | None] = Inbox()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: events.put(None))
    from kube_leader_election.testing import ApiServer

    say(INTRODUCTION)
    narrator = Narrator()
    with ApiServer() as server:
        narrator.say("the API server serves, and three replicas are started")
        try:
            arguments = [server.url, *map(str, (LEASE_TTL, RENEW_DEADLINE, RETRY_PERIOD))]
            with started(NAMES, arguments, events) as replicas:
                Demo(replicas, events, narrator).play()
        except _EndedEarlyError as error:
            narrator.say(str(error))
            return error.code
    return 0


class Narrator:
    """Says what happens, with the time since the beginning."""

    def __init__(self) -> None:
        self._began_at = time.monotonic()

    def say(self, text: str, at: float | None = None) -> None:
        """`text` is what happened now, or `at` an earlier time."""
        elapsed = (time.monotonic() if at is None else at) - self._began_at
        say(f"{elapsed:5.1f} s  {text}")


class Demo:
    """What the replicas are told, and what they tell."""

    def __init__(self, replicas: Replicas, events: Inbox[Event | None], narrator: Narrator) -> None:
        self._replicas = replicas
        self._events = events
        self._narrator = narrator
        self._leader: str | None = None
        self._tokens: list[int | None] = []
        self._awake: set[str] = set()
        self._ended: set[str] = set()
        self._cause: tuple[str, float] | None = None

    def play(self) -> None:
        """It was seen from the first leader to the end of the last."""
        self._wait(lambda: self._leader is not None and len(self._awake) == len(NAMES))
        followers = [name for name in NAMES if name != self._leader]
        self._narrator.say(f"{' and '.join(followers)} follow: they watch the Lease")
        self._wait_for_seconds(1.5)

        self._end_leader(
            signal.SIGTERM, "told to stop", "as Kubernetes does before it replaces a Pod"
        )
        self._wait(lambda: self._leader is not None)
        self._wait_for_seconds(1.5)

        self._end_leader(signal.SIGKILL, "killed", "as by a crash: nobody releases the Lease")
        self._wait(lambda: self._leader is not None)
        self._wait_for_seconds(1.0)

        last = self._end_leader(signal.SIGTERM, "told to stop", "the last one")
        self._wait(lambda: last in self._ended)
        tokens = " < ".join(map(str, self._tokens))
        self._narrator.say(f"the end. Each leader had a greater fencing token: {tokens}")

    def _end_leader(self, number: int, what: str, why: str) -> str:
        self._wait(lambda: self._leader is not None)
        name, self._leader = str(self._leader), None
        self._narrator.say(f"{name} is {what}, {why}")
        self._cause = (f"{name} was {what}", time.monotonic())
        self._replicas.signal(name, number)
        return name

    def _wait_for_seconds(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        self._wait(lambda: time.monotonic() >= ends_at)

    def _wait(self, condition: Callable[[], bool]) -> None:
        """`condition` holds, and what was told until then is said.

        :raises _EndedEarlyError: it will not, or somebody has asked for the end.
        """
        gives_up_at = time.monotonic() + PATIENCE
        while not condition():
            try:
                event = self._events.get(0.1)
            except queue.Empty:
                self._check(gives_up_at)
                continue
            if event is None:
                raise _EndedEarlyError("interrupted: all replicas are stopped", 130)
            self._hear(event)

    def _check(self, gives_up_at: float) -> None:
        if lost := self._replicas.lost():
            self._fail(f"{' and '.join(lost)} ended unexpectedly")
        if time.monotonic() >= gives_up_at:
            self._fail(f"nothing has happened for {PATIENCE:g} s")

    def _fail(self, text: str) -> NoReturn:
        raise _EndedEarlyError(f"{text}: all replicas are stopped", 1)

    def _hear(self, event: Event) -> None:
        if event.what == "leads":
            self._leader = event.name
            self._tokens.append(event.token)
            text = f"{event.name} leads (fencing token {event.token})"
            if self._cause is not None:
                cause, began_at = self._cause
                text += f", {_shown(event.at - began_at)} after {cause}"
            self._cause = None
            self._narrator.say(text, event.at)
        elif event.what == "has finished":
            self._narrator.say(f"{event.name} has finished its work", event.at)
        elif event.what == "has lost":
            self._leader = None if self._leader == event.name else self._leader
            self._narrator.say(f"{event.name} leads no more: it could not renew in time", event.at)
        elif event.what == "has ended":
            self._ended.add(event.name)
        else:
            self._awake.add(event.name)


def _shown(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
