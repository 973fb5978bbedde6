"""Which request meets what: faults that are armed, scripted races, and a log of the requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .faults import VERBS, Fault, check_count, is_of_connections


@dataclass
class RecordedRequest:
    """One request that arrived; `status` is that of its answer, `None` while there is none."""

    verb: str
    namespace: str
    name: str
    user: str
    body: Any = field(default=None, repr=False)
    status: int | None = None


class UnmetFaultsError(AssertionError):
    """What was armed was never met, so the test did not test what it says."""


_What = TypeVar("_What")


@dataclass
class _Armed(Generic[_What]):
    what: _What
    verbs: tuple[str, ...]
    user: str | None
    skip: int
    left: int | None
    hits: int = 0

    def takes(self, verb: str, user: str) -> bool:
        """Whether this request is one that it waits for; a request it lets pass is counted."""
        if self.left == 0 or verb not in self.verbs or self.user not in (None, user):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.hits += 1
        if self.left is not None:
            self.left -= 1
        return True

    @property
    def unmet(self) -> bool:
        return self.left != 0 and (self.left is not None or self.hits == 0)

    def __str__(self) -> str:
        times = "" if self.left is None else f", {self.left} times more"
        user = "" if self.user is None else f" of {self.user!r}"
        return f"{self.what!r} for {'|'.join(self.verbs)}{user}{times}"


class Plan:
    """The faults and races of one stand-in. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._faults: list[_Armed[Fault]] = []
        self._races: list[_Armed[Callable[[], object]]] = []
        self._requests: list[RecordedRequest] = []
        self._raised: list[Exception] = []

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request so far, in the order of arrival."""
        with self._lock:
            return list(self._requests)

    def fail_next(
        self, fault: Fault, *, verb: str | None, user: str | None, skip: int, times: int | None
    ) -> None:
        """Let `times` requests (`None`: all that come) meet `fault`, after `skip` others."""
        if not isinstance(fault, Fault):
            raise TypeError(f"fault={fault!r}: must be one of kube_leader_election.testing.faults")
        check_count("skip", skip, least=0)
        if times is not None:
            check_count("times", times, least=1)
        if is_of_connections(fault) and (verb or user):
            raise ValueError("a handshake is no request of anybody's: it takes no verb and no user")
        armed = _Armed(fault, _verbs(verb, fault.verbs), user, skip, times)
        with self._lock:
            self._faults.append(armed)

    def before_next(
        self, action: Callable[[], object], *, verb: str | None, user: str | None, skip: int
    ) -> None:
        """Let `action` be called right before a request is carried out, after `skip` others."""
        if not callable(action):
            raise TypeError(f"action={action!r}: must be callable")
        check_count("skip", skip, least=0)
        armed = _Armed(action, _verbs(verb, VERBS), user, skip, 1)
        with self._lock:
            self._races.append(armed)

    def meet_connection(self) -> bool:
        """Whether a new connection is one that never gets through its handshake."""
        with self._lock:
            return any(
                each.takes(VERBS[0], "") for each in self._faults if is_of_connections(each.what)
            )

    def meet(self, request: RecordedRequest) -> Fault | None:
        """Write `request` down, run the race that waits for it, and return its fault."""
        with self._lock:
            self._requests.append(request)
            met = (each for each in self._races if each.takes(request.verb, request.user))
            race = next(met, None)
        if race is not None:
            race.what()
        with self._lock:
            for armed in self._faults:
                if not is_of_connections(armed.what) and armed.takes(request.verb, request.user):
                    return armed.what
        return None

    def blame(self, error: Exception) -> None:
        """Let `check_met` raise what a race raised where nobody could be told."""
        with self._lock:
            self._raised.append(error)

    def check_met(self) -> None:
        """All that was armed was met, and no race raised unheard.

        :raises Exception: what a race raised.
        :raises UnmetFaultsError: it was not; says what was left.
        """
        with self._lock:
            unmet = [str(fault) for fault in self._faults if fault.unmet]
            unmet += [str(race) for race in self._races if race.unmet]
            raised = self._raised[:1]
        if raised:
            raise raised[0]
        if unmet:
            raise UnmetFaultsError("armed, and never met: " + "; ".join(unmet))


def _verbs(verb: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    if verb is None:
        return known
    if verb not in known:
        raise ValueError(f"verb={verb!r}: must be one of {', '.join(known)}")
    return (verb,)
