"""The states of a production candidate and its conversation, each reached by running that code.

A generator cannot be copied. A state is a snapshot of the candidate from before the conversation
began, and what it was told since; whatever comes next is found out by telling it all again. Each
state has a number, and what was found out about it once is remembered.
"""

from __future__ import annotations

import pickle
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import (
    Create,
    Instant,
    Replace,
    Request,
)

from .model_configuration import Configuration
from .model_live import Live
from .model_merging import Visible, fingerprint, forget

# Told to a candidate: a conversation that it is to begin, an answer, or an event.
Told = tuple[Any, Instant]


@dataclass(frozen=True, eq=False)
class State:
    """What one candidate is at some time; it is in a conversation while there is a `request`.

    It leads through the tick `leads_through` if it hears nothing more, with `token`. The write
    that it asks for was composed in the tick `composed_at`.
    """

    place: int
    name: str
    snapshot: bytes
    told: tuple[Told, ...]
    request: Request | None
    composed_at: int
    leads_through: int
    token: int | None
    sees: str | None
    violation: str | None


class Candidates:
    """All states of the candidates that were come across, by their numbers."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.states: list[State] = []
        self._numbers: dict[Hashable, int] = {}
        self._next: dict[Hashable, int] = {}
        self._settled: dict[Hashable, int] = {}

    def fresh(self, place: int, name: str) -> int:
        """Return the state of one that has just been started."""
        live = self._live(self._configuration.candidate(name))
        return self._number(place, name, live, pickle.dumps(live.candidate), (), 0)

    def tell(self, number: int, what: Any, tick: int, visible: Visible) -> int:
        """Return what becomes of a state when it is told `what`, as `Live.tell` has it."""
        key = (number, what, tick)
        after = self._next.get(key)
        if after is None:
            after = self._next[key] = self._told(self.states[number], what, tick)
        return self.settled(after, tick, visible)

    def settled(self, number: int, tick: int, visible: Visible) -> int:
        """Return the state in which all is forgotten that has no effect from `tick` on."""
        state = self.states[number]
        if state.request is not None or state.violation or not self._configuration.merges:
            return number
        key = (number, tick, visible)
        after = self._settled.get(key)
        if after is None:
            live = self._revived(state)
            forget(live.candidate, self._configuration.now(state.place, tick), visible)
            snapshot = pickle.dumps(live.candidate)
            after = self._number(state.place, state.name, live, snapshot, (), tick)
            self._settled[key] = self._settled[after, tick, visible] = after
        return after

    def _told(self, state: State, what: Any, tick: int) -> int:
        live = self._revived(state)
        request = live.request
        now = self._configuration.now(state.place, tick)
        live.tell(what, now)
        told = (*state.told, (what, now))
        composed_at = state.composed_at if live.request is request else tick
        return self._number(
            state.place, state.name, live, state.snapshot, told, tick, composed_at=composed_at
        )

    def _live(self, candidate: Candidate) -> Live:
        return Live(candidate, watches=self._configuration.watches)

    def _revived(self, state: State) -> Live:
        live = self._live(pickle.loads(state.snapshot))
        for what, now in state.told:
            live.tell(what, now)
        return live

    def _number(
        self,
        place: int,
        name: str,
        live: Live,
        snapshot: bytes,
        told: tuple[Told, ...],
        tick: int,
        *,
        composed_at: int = 0,
    ) -> int:
        if not isinstance(live.request, (Create, Replace)):
            composed_at = 0
        alike: Hashable = told
        if self._configuration.merges:
            alike = fingerprint(live.candidate, live.steps)
        key = (place, name, alike, composed_at, live.violation)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.states)
            through, token = self._leads(place, live.candidate, tick)
            lease = live.candidate.lease
            self.states.append(
                State(
                    place=place,
                    name=name,
                    snapshot=snapshot,
                    told=told,
                    request=live.request,
                    composed_at=composed_at,
                    leads_through=through,
                    token=token,
                    sees=lease.uid if lease else None,
                    violation=live.violation,
                )
            )
        return number

    def _leads(self, place: int, candidate: Candidate, tick: int) -> tuple[int, int | None]:
        through, token = tick - 1, None
        now = self._configuration.now(place, tick)
        while candidate.is_leader(now):
            token = candidate.fencing_token(now)
            through += 1
            if through > tick + 2 * self._configuration.ticks_per_ttl:
                break  # it believes for ever
            now = self._configuration.now(place, through + 1)
        return through, token
