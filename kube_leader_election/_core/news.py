"""What is told of an election, in order: strictly paired, and only of terms that were led."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .candidate import Candidate
from .messages import Instant


class Party(Enum):
    """Who may be busy because of a term."""

    WORK = "the work of run()"
    CALLBACKS = "the callbacks"


class LeaderState(Enum):
    """What a candidate is to the election."""

    LEADING = "leading"
    """It leads, by its own clock."""
    FOLLOWING = "following"
    """Another leads."""
    STANDBY = "standby"
    """Nobody is known to lead, or it does not take part: it starts, stops or has stopped."""


@dataclass(frozen=True)
class TermBegan:
    ordinal: int
    token: int | None


@dataclass(frozen=True)
class TermStopping:
    """Whoever acts because of the term is to finish."""

    ordinal: int


@dataclass(frozen=True)
class TermEnded:
    ordinal: int


@dataclass(frozen=True)
class RoleChanged:
    """What we are now, and who leads, `None` if nobody is known to."""

    state: LeaderState
    holder_identity: str | None


@dataclass(frozen=True)
class Troubled:
    """An attempt has failed in a way in which none has since the last success."""

    error: Exception


@dataclass(frozen=True)
class Polled:
    """The Lease is polled instead of watched, for this reason."""

    reason: Exception | str


@dataclass(frozen=True)
class Warned:
    text: str


News = TermBegan | TermStopping | TermEnded | RoleChanged | Troubled | Polled | Warned


class Reporter:
    """Remembers what was told, and which of the `parties` are busy with the term told last."""

    def __init__(self, candidate: Candidate, *, parties: frozenset[Party]) -> None:
        self._candidate = candidate
        self._parties = parties
        self._busy: set[Party] = set()
        self._term: int | None = None
        self._busy_with: int | None = None
        self._told_stopping = False
        self.held_back_since = math.inf
        self._role = RoleChanged(LeaderState.STANDBY, None)
        self._troubles_told: set[object] = set()
        self._troubles: list[Troubled | Polled] = []

    @property
    def is_engaged(self) -> bool:
        """Whether a party has not finished with the term told last."""
        return bool(self._busy)

    def is_held_back(self, now: Instant) -> bool:
        """Whether a party is still busy with a term that is over."""
        term = self._candidate.term(now)
        return bool(self._busy) and (term is None or term.ordinal != self._busy_with)

    def finished(self, party: Party, ordinal: int | None = None) -> None:
        """`party` has finished with the term of this number, or with whichever it was told of."""
        if ordinal in (None, self._busy_with):
            self._busy.discard(party)
            if not self._busy:
                self.held_back_since = math.inf

    def recovered(self) -> None:
        """An attempt has succeeded."""
        self._troubles_told.clear()

    def attempt_failed(self, error: Exception, status: int | None) -> None:
        """An attempt has failed, which is told once for failures alike until one succeeds."""
        trouble = (type(error), type(error.__cause__), status)
        if trouble not in self._troubles_told:
            self._troubles_told.add(trouble)
            self._troubles.append(Troubled(error))

    def no_watch(self, reason: Exception | str | None) -> None:
        """There is no watch, for this reason if it is to be told."""
        if reason is not None:
            self._troubles.append(Polled(reason))

    def news(self, now: Instant, *, leaving: bool, stopping: bool) -> Iterator[News]:
        """Yield what has changed since this was called last.

        `leaving`: a term is to end, and none is to begin. `stopping`: not to take part any more.
        """
        yield from self._term_news(now, leaving=leaving)
        role = RoleChanged(LeaderState.STANDBY, None)
        holder = self._candidate.holder(now)
        if self._candidate.is_leader(now):
            role = RoleChanged(LeaderState.LEADING, holder)
        elif holder is not None and not stopping:
            role = RoleChanged(LeaderState.FOLLOWING, holder)
        if role != self._role:
            self._role = role
            yield role
        while self._troubles:
            yield self._troubles.pop(0)
        warning = self._candidate.take_warning()
        if warning is not None:
            yield Warned(warning)

    def _term_news(self, now: Instant, *, leaving: bool) -> Iterator[News]:
        term = self._candidate.term(now)
        if self._term is not None:
            over = term is None or term.ordinal != self._term
            if (leaving or over) and not self._told_stopping:
                self._told_stopping = True
                yield TermStopping(self._term)
            if over:
                yield TermEnded(self._term)
                self._term = None
                if term is None:
                    self._candidate.forget_term()
                self.held_back_since = now.monotonic if self._busy else math.inf
        if term is not None and self._term is None and self._busy:
            self._candidate.end_term()  # nobody could act in it
        elif term is not None and self._term is None and not leaving:
            self._term = self._busy_with = term.ordinal
            self._busy = set(self._parties)
            self._told_stopping = False
            yield TermBegan(term.ordinal, term.token)
