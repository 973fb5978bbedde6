"""Who judges a run: by the true time, by all that is committed, and by all that is believed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from kube_leader_election._core.attempt import LeaseLockResult
from kube_leader_election._core.messages import (
    Answer,
    Create,
    Instant,
    Replace,
    Request,
    WatchEvent,
)
from kube_leader_election._core.news import News

from ._dossier import ROUNDING, Dossier, Violation
from ._process import OurProcess, Process
from ._schedule import Happening
from ._server import Server, Writer
from ._world import World


@dataclass
class TermSeen:
    """A term of leading, in true time: it ends by the clock, unless it was ended before that."""

    process: Process
    token: int | None
    began_at: float
    ends_at: float
    ended_at: float | None = None


class Judge:
    """Sees all, and raises `Violation` where an invariant does not hold.

    Two leaders are excused for `longest_belief` seconds after the Lease was deleted under one whom
    not all others know of; and after etcd was restored, from when on versions mean two things,
    until they are new again. `excused` is when that was made use of.
    """

    def __init__(self, world: World, *, longest_belief: float, alike: bool) -> None:
        self.server: Server
        self.terms: list[TermSeen] = []
        self.excused: list[tuple[float, float]] = []
        self.candidates = self.requests = 0
        self.world = world
        self._longest_belief = longest_belief
        self._alike = alike
        self._living: list[Process] = []
        self._until: dict[Process, float] = {}
        self._dossiers: dict[Process, Dossier] = {}
        self._current: dict[Process, TermSeen] = {}
        self._deleted_at = self._excused_until = -math.inf
        self._newest_token = 0
        self._versions_are_new_from = 0

    # What happens, as far as the schedule knows.

    def began(self, process: Process) -> None:
        """A process is about to start, which knows nothing of the Lease."""
        self.candidates += 1
        self._living = [each for each in self._living if not each.is_over]
        self._living.append(process)
        self._until[process] = -math.inf
        if isinstance(process, OurProcess):
            self._dossiers[process] = Dossier(process)
        if self.world.now < self._deleted_at + self._longest_belief:
            self._excuse()

    def happens(self, what: Happening, process: Process | None) -> None:
        """Something is about to happen, maybe to this process."""

    def leaves(self, process: Process) -> None:
        """It is asked to lead no more."""
        if process in self._dossiers:
            self._dossiers[process].leaves()

    def restored(self) -> None:
        """All versions are lower now: tokens say nothing any more, and who led may believe so."""
        self._versions_are_new_from = max(self._versions_are_new_from, self.server.version + 1)
        for dossier in self._dossiers.values():
            dossier.restored(self._versions_are_new_from)
        self._excused_until = math.inf

    def leads_beyond(self, when: float) -> bool:
        """Whether somebody leads, and will until then if nothing happens."""
        return any(each.believes() and each.believed_until() > when for each in self._living)

    # What the server tells.

    def committed(self, writer: Writer | None, request: Request | None, *, created: bool) -> None:
        """The Lease was written by `writer`, or by hand."""
        if created and not isinstance(request, Create):
            raise Violation(5, self.world.now, "a replace has made the Lease again")
        if self._excused_until == math.inf and self.server.version >= self._versions_are_new_from:
            self._excused_until = self.world.now
            self._excuse()
        for process, dossier in self._dossiers.items():
            if process is not writer:
                dossier.is_disturbed = True
            elif isinstance(request, Create | Replace):
                dossier.committed(request)
                if isinstance(request, Create) and dossier.created_at < self._deleted_at:
                    self._excuse()

    def deleted(self, uid: str | None) -> None:
        """The Lease of this uid was deleted."""
        self._deleted_at = self.world.now
        for process in self._living:
            dossier = self._dossiers.get(process)
            if dossier is not None:
                dossier.is_disturbed = True
            knows = dossier is not None and dossier.seen_uid == uid
            if not process.is_over and not (knows and self._alike):
                self._excuse()

    # What the processes tell.

    def composed(self, process: Process, request: Request, now: Instant) -> None:
        """A request is about to be sent."""
        self.requests += 1
        if process in self._dossiers:
            self._dossiers[process].composed(request, now)

    def heard(self, process: Process, what: Answer | WatchEvent) -> None:
        """A process is about to learn from this."""
        if process in self._dossiers:
            self._dossiers[process].heard(what)

    def returned(self, process: Process, result: LeaseLockResult | None) -> None:
        """A call to a lock has returned this, or raised."""
        self._dossiers[process].returned(result)

    def told(self, process: Process, news: News) -> None:
        """An elector has told this."""
        self._dossiers[process].told(news)

    def looked(self, process: Process) -> None:
        """A process has done what it does now: nobody else believes to lead if it does."""
        dossier, until = self._dossiers.get(process), process.believed_until()
        self._until[process] = until
        if dossier is not None:
            dossier.learnt()
        if process.is_over or until <= self.world.now:
            if dossier is not None:
                dossier.believed_no_more()
            term_seen = self._current.pop(process, None)
            if term_seen is not None and term_seen.ends_at > self.world.now:
                term_seen.ended_at = self.world.now
            return
        if dossier is not None:
            if dossier.believed(self.server.version):
                self.term_began(process, dossier.token, until)
            self._current[process].ends_at = until
        for other in self._living:
            if other is not process and self._until[other] > self.world.now and other.believes():
                self._two_lead(process, other)

    def term_began(self, process: Process, token: int | None, ends_at: float) -> None:
        """It leads in a term that is new."""
        is_ordered = token is not None and token > self._newest_token
        if not is_ordered and self.world.now >= self._excused_until:
            text = f"{process.name}: the token {token} follows on {self._newest_token}"
            raise Violation(6, self.world.now, text)
        self._newest_token = max(self._newest_token, token or 0)
        self._current[process] = TermSeen(process, token, self.world.now, ends_at)
        self.terms.append(self._current[process])

    def _two_lead(self, one: Process, other: Process) -> None:
        if not (one in self._dossiers or other in self._dossiers):
            return  # that is between them
        until = min(one.believed_until(), other.believed_until())
        if until > self._excused_until + ROUNDING:
            both = f"{one.replica.name} and {other.replica.name}"
            text = f"{both} believe to lead, for {until - self.world.now:.3f} s"
            raise Violation(1, self.world.now, text)
        self.excused.append((self.world.now, until))

    def _excuse(self) -> None:
        until = self.world.now + self._longest_belief
        self._excused_until = max(self._excused_until, until)
