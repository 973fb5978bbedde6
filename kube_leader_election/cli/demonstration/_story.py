"""What has happened so far, from what the replicas have told and what was done to them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from kube_leader_election.cli._say import shown

from ._happenings import SERVER, WAS, WHY, Happening, What


@dataclass(kw_only=True)
class Term:
    """A time of leading. `cause`: what made the one before lead no more."""

    name: str
    token: int
    began_at: float
    until: float
    ended_at: float | None = None
    cause: Happening | None = None
    renewals: list[float] = field(default_factory=list)

    @property
    def over_at(self) -> float:
        """The end: when the work had finished, or the time that the last renewal gave was over."""
        return self.until if self.ended_at is None else min(self.until, self.ended_at)

    @property
    def waited(self) -> float | None:
        """For how long nobody led, from the cause on."""
        return None if self.cause is None else max(0.0, self.began_at - self.cause.at)


@dataclass(kw_only=True)
class Trouble:
    """What was done to a replica or the server. `ended_at` is that of what goes on."""

    name: str
    what: What
    at: float
    ended_at: float | None = None


@dataclass(kw_only=True)
class Replica:
    """One process, as far as it is known from outside."""

    name: str
    started_at: float
    knows: str | None = None
    is_awake: bool = False
    is_frozen: bool = False
    was_told_to_stop: bool = False
    ended_as: What | None = None
    ended_at: float | None = None

    @property
    def lives(self) -> bool:
        """Whether its process is there."""
        return self.ended_as is None


@dataclass(frozen=True)
class Lease:
    """What the Lease says: who holds it, and when it expires, on the monotonic clock."""

    holder: str | None
    expires_at: float


class Story:
    """All that happened. Not thread-safe."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.replicas: dict[str, Replica] = {}
        self.terms: list[Term] = []
        self.troubles: list[Trouble] = []
        self.lines: list[tuple[float, str]] = []
        self.lease: Lease | None = None
        self._cause: Happening | None = None
        self._explained: set[What] = set()

    def leader(self, now: float) -> Term | None:
        """Return the term of who leads now."""
        led = [term for term in self.terms if term.began_at <= now < term.over_at]
        return led[-1] if led else None

    def living(self) -> list[str]:
        """Return the names of those whose processes are there."""
        return [replica.name for replica in self.replicas.values() if replica.lives]

    def is_awake(self) -> bool:
        """Whether all who live have looked at the Lease."""
        return all(each.is_awake for each in self.replicas.values() if each.lives)

    @property
    def is_server_away(self) -> bool:
        """Whether nobody reaches it."""
        return any(each.name == SERVER and each.ended_at is None for each in self.troubles)

    def say(self, text: str, at: float) -> None:
        """`text` is one more line of the story."""
        self.lines.append((at - self.began_at, text))

    def hear(self, happening: Happening) -> None:
        """It happened, and what follows from it."""
        if happening.name == SERVER:
            self._hear_of_server(happening)
        elif happening.what is What.STARTED:
            name = happening.name
            self.replicas[name] = Replica(name=name, started_at=happening.at)
        elif happening.what in (What.STOPPED, What.KILLED, What.FROZEN, What.THAWED):
            self._hear_of_deed(happening, self.replicas[happening.name])
        elif happening.what is What.LEADS:
            self._hear_of_term(happening)
        else:
            self._hear_from(happening, self.replicas[happening.name])

    def _hear_from(self, told: Happening, replica: Replica) -> None:
        term = self._term_of(told.name)
        if told.what is What.KNOWS:
            replica.is_awake, replica.knows = True, told.leader
        elif told.what is What.RENEWED and term and told.until is not None:
            term.until = max(term.until, told.until)
            term.renewals.append(told.at)
            if self._is_outlasted_by(replica):
                self._cause = None
        elif told.what in (What.FINISHED, What.LOST) and term:
            term.ended_at = told.at
            why = ": it could not renew in time" if told.what is What.LOST else ""
            self.say(f"{told.name} {told.what.value}{why}", told.at)
        elif told.what is What.ENDED and replica.lives:
            replica.ended_as, replica.ended_at = told.what, told.at

    def _is_outlasted_by(self, replica: Replica) -> bool:
        """Whether it stood still, and goes on leading."""
        cause = self._cause
        stood_still = cause and cause.what is What.FROZEN and cause.name == replica.name
        return bool(stood_still) and not replica.is_frozen

    def _hear_of_term(self, told: Happening) -> None:
        replica = self.replicas[told.name]
        replica.is_awake = True
        term = Term(
            name=told.name,
            token=told.token or 0,
            began_at=told.at,
            until=told.until or told.at,
            ended_at=replica.ended_at,
            cause=self._cause,
        )
        self.terms.append(term)
        text = f"{term.name} leads (fencing token {term.token})"
        if self._cause is not None and term.waited is not None:
            text += f", {shown(term.waited)} after {self._cause.name} {WAS[self._cause.what]}"
        self._cause = None
        self.say(text, told.at)

    def _hear_of_deed(self, deed: Happening, replica: Replica) -> None:
        term = self._term_of(deed.name)
        if deed.what is What.THAWED:
            replica.is_frozen = False
            self._end_trouble(deed)
        else:
            self.troubles.append(Trouble(name=deed.name, what=deed.what, at=deed.at))
            if term and deed.at < term.over_at:
                self._cause = deed
        if deed.what is What.STOPPED:
            replica.was_told_to_stop = True
        elif deed.what is What.FROZEN:
            replica.is_frozen = True
        elif deed.what is What.KILLED:
            replica.ended_as, replica.ended_at, replica.is_frozen = deed.what, deed.at, False
            self._end_trouble(deed)
            if term:
                term.ended_at = deed.at
        self._tell(deed)

    def _hear_of_server(self, deed: Happening) -> None:
        if deed.what is What.AWAY:
            self.troubles.append(Trouble(name=SERVER, what=deed.what, at=deed.at))
        elif deed.what is What.BACK:
            self._end_trouble(deed)
            if self.leader(deed.at) is None:
                self._cause = deed
        self._tell(deed)

    def _end_trouble(self, deed: Happening) -> None:
        for trouble in self.troubles:
            if trouble.what in (What.FROZEN, What.AWAY) and trouble.name == deed.name:
                trouble.ended_at = trouble.ended_at or deed.at

    def _tell(self, deed: Happening) -> None:
        seconds = "" if deed.seconds is None else f" for {deed.seconds:g} s"
        why = "" if deed.what in self._explained else WHY.get(deed.what, "")
        self._explained.add(deed.what)
        self.say(f"{deed.name} {deed.what.value}{seconds}{why}", deed.at)

    def _term_of(self, name: str) -> Term | None:
        """Return its term, unless it was told that this is over."""
        own = [term for term in self.terms if term.name == name]
        return own[-1] if own and own[-1].ended_at is None else None
