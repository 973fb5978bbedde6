"""All that happens in a run, in words: for those who want to know how it came to that."""

from __future__ import annotations

from dataclasses import dataclass

from kube_leader_election._core.attempt import LeaseLockResult
from kube_leader_election._core.messages import (
    Absent,
    Answer,
    Bookmark,
    Conflict,
    Create,
    Deleted,
    Failed,
    Found,
    Instant,
    Intent,
    Read,
    Request,
    WatchEvent,
)
from kube_leader_election._core.news import News, TermEnded
from kube_leader_election._core.record import LeaseRecord

from ._judge import Judge
from ._process import Process
from ._run import Outcome, Run
from ._schedule import Happening, Schedule
from ._server import Writer
from ._world import World


@dataclass(frozen=True)
class Entry:
    """What happened at a true time, and to whom; `None`: to the server."""

    at: float
    process: Process | None
    text: str
    is_fault: bool = False


class Chronicle(Judge):
    """A judge who also writes down what is seen."""

    def __init__(self, world: World, *, longest_belief: float, alike: bool) -> None:
        super().__init__(world, longest_belief=longest_belief, alike=alike)
        self.entries: list[Entry] = []

    def _write(self, process: Process | None, text: str, *, is_fault: bool = False) -> None:
        self.entries.append(Entry(self.world.now, process, text, is_fault))

    def began(self, process: Process) -> None:
        """A process is about to start."""
        clocks, walls = process.place.clocks, ""
        if clocks.ahead:
            walls = f", on the wall {clocks.ahead:+.3f} s"
        rules = process.replica.rules.value
        self._write(process, f"starts ({rules}, clock at {clocks.rate:.4f}{walls})")
        super().began(process)

    def happens(self, what: Happening, process: Process | None) -> None:
        """Something is about to happen."""
        seconds = f" {what.seconds:.3f} s" if what.seconds else ""
        self._write(process, f"{what.what.value}{seconds}", is_fault=True)
        super().happens(what, process)

    def committed(self, writer: Writer | None, request: Request | None, *, created: bool) -> None:
        """The Lease was written."""
        lease = self.server.lease
        by = writer if isinstance(writer, Process) else None
        if lease is not None:
            self._write(
                None, f"the Lease says {_record(lease.record)}, by {by.name if by else 'hand'}"
            )
        super().committed(writer, request, created=created)

    def composed(self, process: Process, request: Request, now: Instant) -> None:
        """A request is about to be sent."""
        number = process.place.sent
        self._write(process, f"asks, its request {number}: {_request(request)}")
        super().composed(process, request, now)

    def heard(self, process: Process, what: Answer | WatchEvent) -> None:
        """A process is about to learn from this."""
        self._write(process, f"hears: {_heard(what)}")
        super().heard(process, what)

    def returned(self, process: Process, result: LeaseLockResult | None) -> None:
        """A call to a lock has returned."""
        if result is None:
            self._write(process, "its call raises")
        super().returned(process, result)

    def told(self, process: Process, news: News) -> None:
        """An elector has told this."""
        if isinstance(news, TermEnded):
            self._write(process, "leads no more")
        super().told(process, news)

    def term_began(self, process: Process, token: int | None, ends_at: float) -> None:
        """A process believes to lead."""
        self._write(process, f"leads, token {token}, until {ends_at:.3f} s if nothing comes")
        super().term_began(process, token, ends_at)


def chronicle_of(schedule: Schedule) -> tuple[Chronicle, Outcome]:
    """Return all that happens in this schedule, and what comes of it."""
    run = Run(schedule, Chronicle)
    outcome = run.play()
    assert isinstance(run.judge, Chronicle)
    return run.judge, outcome


def _record(record: LeaseRecord) -> str:
    who = record.holder_identity or "nobody"
    time = f"{record.renew_time:%M:%S.%f}"[:-3] if record.renew_time else "never"
    duration = record.lease_duration_seconds
    return f"{who} at {time} for {duration} s, version {record.resource_version}"


def _request(request: Request) -> str:
    if isinstance(request, Read):
        return "read"
    if isinstance(request, Create):
        return "create"
    verbs = {Intent.ACQUIRE: "take over", Intent.RENEW: "renew", Intent.RELEASE: "release"}
    return f"{verbs[request.intent]} version {request.base.record.resource_version}"


def _heard(what: Answer | WatchEvent) -> str:
    if isinstance(what, Found):
        return _record(what.record)
    if isinstance(what, Deleted):
        return "it was deleted"
    if isinstance(what, Absent):
        return "there is none"
    if isinstance(what, Conflict):
        return "conflict"
    if isinstance(what, Bookmark):
        return f"bookmark {what.resource_version}"
    return str(what.error) if isinstance(what, Failed) else type(what).__name__
