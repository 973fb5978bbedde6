"""One term of a pod, for whoever works in one of its processes."""

from __future__ import annotations

import time
from collections.abc import Callable

from kube_leader_election import NotLeadingError

from ._belief import Belief

# In seconds: what another process tells can only be looked at.
_LOOKS_EVERY = 0.1


class Told:
    """As an `Event`, of what is known by asking."""

    def __init__(self, is_set: Callable[[], bool]) -> None:
        self._ask = is_set

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._ask()

    def wait(self, timeout: float | None = None) -> bool:
        """It has happened, or `timeout` seconds are over; return whether it has happened."""
        began_at = time.monotonic()
        while not self._ask():
            nap = _LOOKS_EVERY
            if timeout is not None:
                nap = min(nap, began_at + timeout - time.monotonic())
                if nap <= 0:
                    return self._ask()
            time.sleep(nap)
        return True


class PodLeadership:
    """One term of the pod. Work that needs it ends when `stopping` is set.

    As a `Leadership`, and in any process of the pod: `stopping` asks to finish, after `lost` there
    is no right to go on, and `fencing_token` is for what is written to. It tells within
    milliseconds of the end of a term, and within 0.2 s of the request to finish. Every method is
    thread-safe; none makes a request.
    """

    def __init__(self, began: Belief, ask: Callable[[], tuple[Belief | None, float]]) -> None:
        self.fencing_token = began.fencing_token
        self.ordinal = began.ordinal
        self._ask = ask
        self.stopping = Told(self._is_to_finish)
        self.lost = Told(lambda: not self.is_valid())

    def is_valid(self) -> bool:
        """Whether the pod leads now, and in this term. It is a method: call it."""
        return self.remaining() > 0

    def __bool__(self) -> bool:
        return self.is_valid()

    def remaining(self) -> float:
        """Return for how many seconds the pod leads if no more is heard of its main process."""
        belief, now = self._ask()
        if belief is None or belief.ordinal != self.ordinal:
            return 0.0
        return max(0.0, belief.leads_until - now)

    def ensure_valid(self) -> None:
        """The pod leads now, and in this term.

        :raises NotLeadingError: it does not: stop.
        """
        if not self.is_valid():
            raise NotLeadingError("the term is over: another may lead", holder_identity=None)

    def __repr__(self) -> str:
        state = "valid" if self.is_valid() else "over"
        return f"<PodLeadership: fencing token {self.fencing_token}, {state}>"

    def _is_to_finish(self) -> bool:
        belief, _ = self._ask()
        return belief is None or belief.ordinal != self.ordinal or belief.stopping
