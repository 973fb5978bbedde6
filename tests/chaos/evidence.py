"""What a run leaves behind to be judged: who believed when, what was written, what went wrong"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Belief:
    """One process was asked again and again whether it leads, and said yes, in one term.

    Each answer is true of an instant between right before and right after the question: the first
    one from `first_asked_at` to `first_answered_at`, the last one likewise. A term is continuous,
    since one that has ended is never gone on with, so the process believed from the first of
    these instants to the last one, however far apart they are and whatever stopped it meanwhile.
    """

    replica: str
    process: int
    token: int
    first_asked_at: float
    first_answered_at: float
    last_asked_at: float
    last_answered_at: float

    @property
    def since(self) -> float:
        """From here on, at the latest."""
        return self.first_answered_at

    @property
    def until(self) -> float:
        """To here, at least; before `since` where there was one answer only."""
        return self.last_asked_at

    def covers(self, since: float, until: float) -> bool:
        """Whether it certainly believed all that time."""
        return self.since <= since and until <= self.until


@dataclass(frozen=True)
class Hole:
    """For longer than it should have been, a process did not run; `replica` is "" for the run's."""

    replica: str
    since: float
    until: float


@dataclass(frozen=True)
class LeaseWrite:
    """What a watch has shown: the Lease at that version; `kind` as in its events."""

    seen_at: float
    kind: str
    version: int
    holder: str
    uid: str = ""


@dataclass(frozen=True)
class FencedWrite:
    """What became of a write to the fenced table; the accepted ones are in the table's order."""

    replica: str
    token: int
    began_at: float
    ended_at: float
    accepted: bool


@dataclass(frozen=True)
class Fault:
    """`kind` is what went wrong, `target` a replica, "server" or "lease"."""

    kind: str
    target: str
    began_at: float
    ended_at: float

    @property
    def disturbs(self) -> bool:
        """Whether a request may fail or a term end because of it."""
        return self.kind not in ("wall clock", "fork", "labelled")


@dataclass(frozen=True)
class Window:
    """All was well from `since` to `until`."""

    since: float
    until: float


@dataclass(frozen=True)
class Process:
    """One life of a replica, and all that it has logged, line by line."""

    replica: str
    number: int
    holder_id: str
    began_at: float
    log: tuple[str, ...] = ()
    exit_code: int | None = None
    """`None` where it was killed"""


@dataclass(frozen=True)
class Requests:
    """The instants, by the server's clock, at which it was asked by a replica."""

    replica: str
    times: tuple[float, ...]


@dataclass
class Evidence:
    beliefs: list[Belief] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)
    lease_writes: list[LeaseWrite] = field(default_factory=list)
    unseen: list[tuple[int, int]] = field(default_factory=list)
    """Versions between which the watch may have missed some"""
    fenced_writes: list[FencedWrite] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    quiet: list[Window] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    requests: list[Requests] = field(default_factory=list)
    complaints: list[tuple[float, str, str]] = field(default_factory=list)
    """What replicas themselves found wrong: when, which one, what"""


@dataclass(frozen=True)
class Violation:
    at: float
    rule: str
    what: str
