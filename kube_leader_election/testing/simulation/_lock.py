"""A process that calls a `LeaseLock` in a loop: the production core, driven by its caller."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from typing import Any

from kube_leader_election._core.attempt import (
    Arrival,
    LeaseLockResult,
    StepDownResult,
    acquire_or_renew,
    step_down,
)
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import Answer, Request
from kube_leader_election._core.timing import lock_timing

from ._process import Observer, OurProcess, Place
from ._server import Trouble

Conversation = Generator[Request, Arrival, Any]


class LockProcess(OurProcess):
    """Calls `try_acquire_or_renew` again and again, and `step_down` when it leaves."""

    def __init__(self, place: Place, name: str, observer: Observer) -> None:
        super().__init__(place, name, observer)
        self.timing = lock_timing(
            lease_ttl=self.replica.lease_ttl,
            max_clock_skew=self.replica.max_clock_skew,
            call_timeout=None,
        )
        self.candidate = Candidate(name, self.timing)
        self._steps: Conversation | None = None
        self._deadline_at = math.inf
        self._leaving = False
        self._wants: Callable[[Candidate], Conversation] = acquire_or_renew

    def start(self) -> None:
        """It calls."""
        self._call()

    def leave(self) -> None:
        """It steps down, at the end of its call, and then ends."""
        self._leaving = True
        self.give_up()

    def give_up(self) -> None:
        """It steps down, at the end of its call."""
        self._wants = step_down
        self.candidate.end_term()

    def _call(self) -> None:
        if self._steps is not None:
            return
        now, wants = self.look(), self._wants
        self._wants = acquire_or_renew
        self._deadline_at = now.monotonic + self.timing.attempt_timeout
        self._steps = wants(self.candidate)
        self.ask(next(self._steps), now, self._deadline_at, self._go_on)

    def _go_on(self, answer: Answer) -> None:
        steps, now = self._steps, self.look()
        assert steps is not None
        try:
            request = steps.send((answer, now))
        except StopIteration as end:
            self._returned(end.value)
        except Trouble:
            self._returned(None)
        else:
            self.ask(request, now, self._deadline_at, self._go_on)

    def _returned(self, result: LeaseLockResult | StepDownResult | None) -> None:
        self._steps = None
        if not isinstance(result, StepDownResult):
            self.observer.returned(self, result)
        if self._leaving and self._wants is acquire_or_renew:
            self.end()
            return
        pause = 0.0 if self._wants is step_down else self.replica.retry_period
        self.wake_at(self.look().monotonic + pause, self._call)
