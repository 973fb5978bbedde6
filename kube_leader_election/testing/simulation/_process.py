"""A replica between a start and its end: a process, what it sends, and what comes to it."""

from __future__ import annotations

import math
import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

from kube_leader_election._core.attempt import LeaseLockResult
from kube_leader_election._core.candidate import Candidate
from kube_leader_election._core.messages import Answer, Failed, Instant, Read, Request, WatchEvent
from kube_leader_election._core.news import News
from kube_leader_election._core.term import Term
from kube_leader_election._core.timing import Timing

from ._schedule import PROMPTLY, OnEvent, OnRequest, Replica
from ._server import Server, Trouble, refusal
from ._world import Act, Clocks, World

# Of the messages that nothing happens to, in seconds.
SHORTEST_DELAY, LONGEST_DELAY = 0.2 * PROMPTLY, 2 * PROMPTLY


class Observer(Protocol):
    """Who sees all that the processes do, and judges it."""

    def composed(self, process: Process, request: Request, now: Instant) -> None:
        """It has composed the request, which is about to be sent."""

    def heard(self, process: Process, what: Answer | WatchEvent) -> None:
        """It is about to learn from this answer, or from this event of its watch."""

    def returned(self, process: Process, result: LeaseLockResult | None) -> None:
        """A call to a lock has returned this, or raised an error."""

    def told(self, process: Process, news: News) -> None:
        """An elector has told this."""

    def looked(self, process: Process) -> None:
        """It has done all that it does now."""


class Place:
    """Where the processes of a replica run, one after another, and its way to the server."""

    def __init__(
        self,
        world: World,
        server: Server,
        replica: Replica,
        dice: random.Random,
        requests: dict[int, OnRequest],
        events: dict[int, OnEvent],
        number: int,
    ) -> None:
        self.world = world
        self.server = server
        self.replica = replica
        self.dice = dice
        self.clocks = Clocks(world, rate=replica.rate, ahead=replica.ahead, number=number)
        self._requests = requests
        self._events = events
        self.sent = self._told = 0

    def delay(self) -> float:
        """Return for how long a message is under way that nothing happens to."""
        return SHORTEST_DELAY + (LONGEST_DELAY - SHORTEST_DELAY) * self.dice.random()

    def calm_down(self) -> None:
        """Nothing happens to what is sent from now on."""
        self._requests, self._events = {}, {}

    def send(
        self, request: Request, process: Process, answered: Callable[[Answer], object]
    ) -> None:
        """The request is under way, and whatever happens to it happens."""
        fault = self._requests.get(self.sent)
        self.sent += 1
        there, back = self.delay(), self.delay()
        if fault is None:
            self.world.after(there, lambda: self._arrive(request, process, back, answered))
            return
        if fault.status is not None:
            refused = refusal(fault.status, str(fault.status))
            self.world.after(there + back, lambda: answered(refused))
            return
        if fault.earlier and isinstance(request, Read):
            self.world.after(there + back, lambda: answered(self.server.earlier(fault.earlier)))
            return
        if fault.arrives_after is not None:
            self.world.after(
                fault.arrives_after,
                lambda: self._arrive(request, process, fault.answered_after, answered),
            )
        if fault.again_after is not None:
            self.world.after(fault.again_after, lambda: self.server.carry_out(request, process))

    def tell(self, not_before: float, deliver: Act) -> float:
        """What a watch tells is under way, and comes not before what it told before."""
        fault = self._events.get(self._told)
        self._told += 1
        when = max(not_before, self.world.now + self.delay() + (fault.late if fault else 0.0))
        self.world.at(when, deliver)
        if fault is not None and fault.twice is not None:
            self.world.at(when + fault.twice, deliver)
        return when

    def _arrive(
        self,
        request: Request,
        process: Process,
        back: float | None,
        answered: Callable[[Answer], object],
    ) -> None:
        if self.server.is_down:
            return
        answer = self.server.carry_out(request, process)
        if back is not None:
            self.world.after(back, lambda: answered(answer))


class Process(ABC):
    """One life of a replica. It stands still, or ends, when it is told to."""

    def __init__(self, place: Place, name: str, observer: Observer) -> None:
        self.place = place
        self.world = place.world
        self.replica = place.replica
        self.name = name
        self.observer = observer
        self.is_over = False
        self._stands_until = -math.inf
        self._hear: Callable[[Answer], object] = _heed_nothing

    @abstractmethod
    def start(self) -> None:
        """It contends from now on."""

    @abstractmethod
    def believed_until(self) -> float:
        """Return until when, in true time, it believes to lead if it hears nothing: maybe past."""

    @abstractmethod
    def leave(self) -> None:
        """It is asked to lead no more, and does not contend again."""

    @abstractmethod
    def give_up(self) -> None:
        """It is asked to end its term, if there is one, and may contend again."""

    def end(self) -> None:
        """Nothing is done by it any more; what it has sent may be carried out still."""
        self.is_over = True

    def believes(self) -> bool:
        """Whether it takes itself for the leader now, by its clocks."""
        return not self.is_over and self.believed_until() > self.world.now

    def stand_still(self, seconds: float) -> None:
        """It does nothing for so long, while its clocks run on."""
        self._stands_until = max(self._stands_until, self.world.now + seconds)

    def stood_until(self) -> float:
        """Return what its clock showed, or will, when it stood still last."""
        return self._stands_until * self.replica.rate

    def look(self) -> Instant:
        """Return what its clocks show."""
        return self.place.clocks.look()

    def do(self, act: Act) -> None:
        """It does this now, or once it goes on; never, if it has ended."""
        if self.world.now < self._stands_until:
            self.world.at(self._stands_until, lambda: self.do(act))
        elif not self.is_over:
            act()
            self.observer.looked(self)

    def wake_at(self, monotonic: float, act: Act) -> None:
        """It does this when its clock shows so much."""
        self.world.at(self.place.clocks.true(monotonic), lambda: self.do(act))

    def ask(
        self, request: Request, now: Instant, deadline_at: float, go_on: Callable[[Answer], object]
    ) -> None:
        """The request is under way; its answer, or at the deadline the lack of one, goes on."""
        self.observer.composed(self, request, now)

        def hear(answer: Answer) -> None:
            if self._hear is hear:
                self._hear = _heed_nothing
                self.observer.heard(self, answer)
                go_on(answer)

        def come(answer: Answer) -> None:
            if self._hear is hear:
                self.do(lambda: hear(answer))

        self._hear = hear
        self.place.send(request, self, come)
        late = Failed(Trouble("too late"))
        self.world.at(self.place.clocks.true(deadline_at), lambda: come(late))

    def break_off(self) -> None:
        """The request under way fails now."""
        self.world.after(0.0, lambda: self.do(lambda: self._hear(Failed(Trouble("given up")))))


class OurProcess(Process):
    """One that goes by the rules of this library: its candidate is the production core's."""

    timing: Timing
    candidate: Candidate

    def term(self) -> Term | None:
        """Return the term in which it leads, if it does."""
        return self.candidate.term(self.look())

    def believed_until(self) -> float:
        """Return when its term is over, in true time."""
        now = self.look()
        term = self.candidate.term(now)
        return self.place.clocks.true(term.ends_at(now)) if term else -math.inf


def _heed_nothing(_: Answer) -> None:
    """What an answer does that comes too late."""
