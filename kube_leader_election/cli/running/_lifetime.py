"""For how long a command may run: decided by the numbers, with no process and no clock.

All instants are on one clock, in seconds. The Lease is ours for others for 0.98 of its duration
after the last renewal. A command is told to end at `renew_deadline`, when its leader stops to
believe, and is killed `grace` later; what is left then is for its death to be seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

from kube_leader_election._core.timing import CLOCK_RATE_MARGIN, belief_after

# In seconds, for a SIGKILL and for the end that it brings, on a machine that is busy. Candidates
# that see renewTime in whole seconds, as client-go's do, may come as much too early.
TIME_TO_DIE = 1.0
_ROUNDING = 1e-6


class Due(Enum):
    """What is to be done to a command and to all that has come of it."""

    TERMINATE = "SIGTERM"
    KILL = "SIGKILL"


@dataclass(frozen=True, kw_only=True)
class Lifetime:
    """The time of one command.

    `leads_until`: without another renewal, the end of the term. `ends_at`: if it was asked to
    finish, the instant at which its time for that is over. `terminated_at`: when all that is left
    of it was told to end.
    """

    grace: float
    leads_until: float
    ends_at: float = math.inf
    terminated_at: float | None = None

    @property
    def kills_at(self) -> float:
        """When all that is left of it is killed."""
        latest = min(self.leads_until + self.grace, self.ends_at)
        return (
            latest if self.terminated_at is None else min(latest, self.terminated_at + self.grace)
        )

    @property
    def acts_at(self) -> float:
        """When something is `due`."""
        if self.terminated_at is not None:
            return self.kills_at
        return min(self.leads_until, self.ends_at - self.grace)

    def due(self, now: float) -> Due | None:
        """Return what is to be done now, if anything."""
        if now >= self.kills_at:
            return Due.KILL
        if self.terminated_at is None and now >= self.acts_at:
            return Due.TERMINATE
        return None

    def renewed(self, leads_until: float) -> Lifetime:
        """The term is longer. Whoever was told to end is not told otherwise."""
        if self.terminated_at is not None:
            return self
        return replace(self, leads_until=max(self.leads_until, leads_until))

    def asked_to_finish(self, ends_at: float) -> Lifetime:
        """It has until then; who asks again does not give it longer."""
        return replace(self, ends_at=min(self.ends_at, ends_at))

    def terminated(self, now: float) -> Lifetime:
        """All that is left of it was told to end, the first time that counts."""
        return self if self.terminated_at is not None else replace(self, terminated_at=now)


def longest_grace(lease_ttl: int, renew_deadline: float) -> float:
    """Return how long may be between SIGTERM and SIGKILL after a loss; negative: no time at all."""
    return belief_after(lease_ttl, None) - renew_deadline - TIME_TO_DIE


def room_rule(lease_ttl: int, renew_deadline: float) -> str | None:
    """Return why no command can be run with these, if so."""
    if longest_grace(lease_ttl, renew_deadline) >= -_ROUNDING:
        return None
    formula = _formula(lease_ttl, renew_deadline)
    return f"leaves no time to end the command before another may lead: {formula} is less than 0"


def grace_rule(grace: float, lease_ttl: int, renew_deadline: float) -> str | None:
    """Return the rule that `grace` breaks beside the others, if any."""
    longest = longest_grace(lease_ttl, renew_deadline)
    if 0 <= grace <= longest + _ROUNDING:
        return None
    return f"must be from 0 to {longest:g} s: {_formula(lease_ttl, renew_deadline)}"


def _formula(lease_ttl: int, renew_deadline: float) -> str:
    return (
        f"{CLOCK_RATE_MARGIN} * lease_ttl ({lease_ttl}) - renew_deadline ({renew_deadline:g})"
        f" - {TIME_TO_DIE:g} s to be killed in"
    )


def next_look(left: float) -> float:
    """Return after how many seconds a term of which so much is `left` is to be looked at again.

    Often enough that a renewal is seen before the time of the last one is over.
    """
    return min(max(left / 3, 0.02), 1.0)
