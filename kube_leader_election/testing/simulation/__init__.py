"""Elections in virtual time: all that can happen, and a judge who knows the true time.

The candidates are the production core itself, driven as `LeaseLock` and `LeaderElector` drive it,
around the API server of the stand-ins, among neighbours by the rules of client-go and of those
who go by the wall clock. A schedule is data: who contends, and what happens to them. To see what
becomes of it, and to make one that violates an invariant as small as it can be:

    from kube_leader_election.testing import simulation

    schedule = simulation.random_schedule(seed)
    if simulation.play(schedule).violation:
        print(simulation.story(simulation.shrink(schedule)))

What must hold is in docs/guarantees.rst. `python -m kube_leader_election.testing.simulation`
plays many.
"""

from __future__ import annotations

from ._chance import Beyond, random_schedule
from ._dossier import Violation
from ._drawing import svg
from ._judge import TermSeen
from ._run import Outcome, play
from ._schedule import Fault, Happening, OnEvent, OnRequest, Replica, Rules, Schedule, What
from ._shrink import shrink
from ._story import story

__all__ = [
    "Beyond",
    "Fault",
    "Happening",
    "OnEvent",
    "OnRequest",
    "Outcome",
    "Replica",
    "Rules",
    "Schedule",
    "TermSeen",
    "Violation",
    "What",
    "play",
    "random_schedule",
    "shrink",
    "story",
    "svg",
]
