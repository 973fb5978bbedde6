"""What a program is given for one term: its token, its end, and the request to finish."""

from __future__ import annotations

from collections.abc import Callable

from ._core.news import LeaderState
from ._errors import NotLeadingError
from ._events import Event

__all__ = ["LeaderState", "Leadership"]


class Leadership:
    """One term. Work that needs it ends when `stopping` is set, and has no right after `lost`.

    `stopping`: please finish; the Lease is released as soon as the work has. Set at the end of
    the term at the latest, so whoever waits for it waits for whichever comes first. `lost`: the
    term is over. `fencing_token`: greater than that of every earlier term of anyone; let what is
    written to refuse a smaller one. `None` where the server's versions are no integers.
    `ordinal`: its number among the terms of this elector, from 1.
    Every method is thread-safe; none makes a request or blocks.
    """

    def __init__(
        self,
        *,
        ordinal: int,
        fencing_token: int | None,
        stopping: Event,
        lost: Event,
        remaining: Callable[[int], float],
        holder_identity: Callable[[], str | None],
    ) -> None:
        self.fencing_token = fencing_token
        self.stopping: Event = stopping
        self.lost: Event = lost
        self.ordinal = ordinal
        self._remaining = remaining
        self._holder_identity = holder_identity

    def is_valid(self) -> bool:
        """Whether we lead now, and in this term. It is a method: call it, or test the object."""
        return self.remaining() > 0

    def __bool__(self) -> bool:
        return self.is_valid()

    def remaining(self) -> float:
        """Return how many seconds are left without another renewal, 0 where the term is over."""
        return self._remaining(self.ordinal)

    def ensure_valid(self) -> None:
        """We lead now, and in this term.

        :raises NotLeadingError: we do not: stop, and let it out of the work.
        """
        if not self.is_valid():
            raise NotLeadingError(
                "the term is over: another may lead", holder_identity=self._holder_identity()
            )

    def __repr__(self) -> str:
        left = self.remaining()
        state = f"{left:.1f} s left" if left else "over"
        return f"<Leadership: fencing token {self.fencing_token}, {state}>"
