"""An elector that leads when it is told to."""

from __future__ import annotations

import itertools
import threading

from kube_leader_election._leadership import LeaderState

# One lock and one count for all: a token is greater than that of every earlier term of anyone.
_lock = threading.RLock()
_tokens = itertools.count(1)


class FakeElector:
    """Stands in for a `LeaderElector` where a program only asks. Thread-safe.

    No Lease, no clock: it leads from `lead` to `lose`.
    """

    def __init__(self, *, holder_identity: str = "fake", leading: bool = False) -> None:
        """Lead as `holder_identity` if `leading`, else nobody is known to lead."""
        self._own_identity = holder_identity
        # Replaced as a whole: who reads it needs no lock.
        self._leader: tuple[str | None, int | None] = (None, None)
        if leading:
            self.lead()

    @property
    def state(self) -> LeaderState:
        """Whether this one leads, another does, or nobody is known to."""
        holder_identity, token = self._leader
        if token is not None:
            return LeaderState.LEADING
        return LeaderState.STANDBY if holder_identity is None else LeaderState.FOLLOWING

    @property
    def holder_identity(self) -> str | None:
        """Who leads, `None` where nobody is known to."""
        return self._leader[0]

    @property
    def fencing_token(self) -> int | None:
        """The token of the term, `None` where this one does not lead."""
        return self._leader[1]

    def is_leader(self) -> bool:
        """Whether this one leads. It is a method: call it."""
        return self._leader[1] is not None

    def lead(self) -> None:
        """This one leads, in a new term even if it has led before."""
        with _lock:
            self._leader = (self._own_identity, next(_tokens))

    def lose(self, holder_identity: str | None = "another") -> None:
        """`holder_identity` leads, and this one does not; with `None` nobody is known to."""
        with _lock:
            self._leader = (holder_identity, None)
