"""What can happen to the replicas of the demo, and to their server. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

SERVER = "the API server"


class What(str, Enum):
    """What can happen, in words that follow the name of whom it happens to."""

    STARTED = "is started"
    KNOWS = "knows who leads"
    LEADS = "leads"
    RENEWED = "has renewed"
    FINISHED = "has finished its work"
    LOST = "leads no more"
    ENDED = "has ended"
    STOPPED = "is told to stop"
    KILLED = "is killed"
    FROZEN = "stands still"
    THAWED = "goes on"
    AWAY = "is away"
    BACK = "is back"


@dataclass(frozen=True, kw_only=True)
class Happening:
    """What happened to `name`, a replica or the server, at a time of the shared monotonic clock.

    `token`: of the term that begins. `until`: the end of what the last renewal gives. `leader`:
    whom it knows to lead. `seconds`: for so long it is to go on.
    """

    name: str
    what: What
    at: float
    token: int | None = None
    until: float | None = None
    leader: str | None = None
    seconds: float | None = None


# Of what makes a leader lead no more, afterwards.
WAS = {
    What.STOPPED: "was stopped",
    What.KILLED: "was killed",
    What.FROZEN: "stood still",
    What.BACK: "was back",
}
# What is said besides, the first time.
WHY = {
    What.STOPPED: ", as Kubernetes does before it replaces a Pod",
    What.KILLED: ", as by a crash: nobody releases the Lease",
    What.FROZEN: ", as any process may, and renews no more",
    What.AWAY: ": nobody can renew, or lead next",
}
