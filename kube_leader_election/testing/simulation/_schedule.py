"""A schedule: who contends for the Lease, and all that happens to them, as data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

# In seconds: how long a message is under way where nothing is said of it.
PROMPTLY = 0.01


class Rules(Enum):
    """By which rules a replica takes and keeps the Lease."""

    LOCK = "LeaseLock"
    ELECTOR = "LeaderElector"
    CLIENT_GO = "client-go"
    WALL_CLOCK = "wall clock"


@dataclass(frozen=True)
class Replica:
    """One candidate, which may live several times. All in seconds, by its own clocks.

    `holder_id`: that of its first life; `None` for its name, which no other replica has. Its
    monotonic clock runs at `rate`; its wall clock is kept, but `ahead` of true time.
    `retry_period`: from the end of one call of a lock to the next; for the other rules as their
    parameters have it. `busy_for`: so long its work takes to end once it is told to.
    """

    rules: Rules
    name: str
    holder_id: str | None = None
    lease_ttl: int = 5
    renew_deadline: float = 4.0
    retry_period: float = 1.0
    max_clock_skew: float | None = None
    watches: bool = True
    busy_for: float = 0.0
    rate: float = 1.0
    ahead: float = 0.0
    starts_at: float = 0.0


@dataclass(frozen=True)
class OnRequest:
    """What becomes of the request of this `number` that a replica sends, from 0. `None`: lost.

    `status`: it is answered so, and not carried out. `earlier`: if it is a read, it is answered
    with what the Lease said so many versions ago. `again_after`: something on the way sends it
    once more, so many seconds after it was sent.
    """

    replica: str
    number: int
    arrives_after: float | None = PROMPTLY
    answered_after: float | None = PROMPTLY
    status: int | None = None
    earlier: int = 0
    again_after: float | None = None


@dataclass(frozen=True)
class OnEvent:
    """What becomes of the watch event of this `number` that is sent to a replica, from 0.

    It comes `late`, and so what follows on the same watch; or `twice`, and then in any order.
    """

    replica: str
    number: int
    late: float = 0.0
    twice: float | None = None


class What(Enum):
    """What happens at some time, and what `seconds` means then."""

    CRASH = "the process is killed, and starts again after"
    RENAMED = "the process is killed, and starts again under another name after"
    PAUSE = "the process stands still for"
    LEAVE = "it stops (an elector) or steps down (a lock), and contends again after"
    GIVE_UP = "it gives its term up, if it leads"
    WALL_JUMP = "its wall clock is set, ahead of true time by"
    WATCH_ENDS = "its watch ends"
    WATCH_STALLS = "its watch tells nothing any more"
    OUTAGE = "the server is not reached by anybody for"
    LABEL = "somebody edits a label of the Lease"
    INTRUDE = "somebody writes another holder into the Lease, for a duration of"
    DELETE = "somebody deletes the Lease"
    RESTORE = "etcd is restored, as it was so long ago:"

    @property
    def is_of_all(self) -> bool:
        """Whether it happens to what all share."""
        return self in _OF_ALL


_OF_ALL = (What.OUTAGE, What.LABEL, What.INTRUDE, What.DELETE, What.RESTORE)


@dataclass(frozen=True)
class Happening:
    """Something that happens `at` a time: to one replica, or to what all share."""

    at: float
    what: What
    replica: str = ""
    seconds: float = 0.0


Fault = OnRequest | OnEvent | Happening


@dataclass(frozen=True)
class Schedule:
    """Who contends, and what happens until `calm_at`, in true time; from then on all is well.

    `seed` is that of what is no fault: jitter, and the small delays of messages.
    """

    seed: int
    replicas: tuple[Replica, ...]
    faults: tuple[Fault, ...] = ()
    calm_at: float = 20.0

    def without(self, name: str) -> Schedule:
        """Return the same without this replica, and without what happens to it."""
        replicas = tuple(each for each in self.replicas if each.name != name)
        faults = tuple(each for each in self.faults if each.replica != name)
        return replace(self, replicas=replicas, faults=faults)
