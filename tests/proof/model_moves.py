"""All that may happen in a world.

What only one candidate can see happens as early as it can, for the same would come of it later in
the tick: a read is made when the attempt begins or a conflict is heard of, and an answer arrives
when it is given, or when a tick begins. What is left to be interleaved is when an attempt begins,
when a write reaches the server, when time passes, and faults.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kube_leader_election._core.attempt import acquire_or_renew, step_down
from kube_leader_election._core.messages import Create, Intent, Read, Replace, Request

from .model_candidate import Candidates, State
from .model_cluster import Cluster
from .model_configuration import Configuration, Fault
from .model_live import Event
from .model_server import NO_ANSWER, Server
from .model_world import NONE, Late, Outcome, Player, World


class Model:
    """A configuration, and all that can happen in it."""

    def __init__(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self.candidates = Candidates(configuration)
        self.cluster = Cluster(configuration)

    def start(self) -> World:
        """There is no Lease, and nobody knows anything."""
        names = enumerate(self.configuration.names)
        players = tuple(Player(self.candidates.fresh(place, name)) for place, name in names)
        server = self.cluster.servers.number(Server())
        return World(server, (), 0, self.configuration.most_faults, players)

    def ticks(self, world: World, tick: int) -> Iterator[Outcome]:
        """Yield what can be when time has passed and it is `tick`: answers arrive then, or not."""
        states = self.candidates.states
        paused = sum(states[player.state].request is not None for player in world.players)
        if paused and not self._may(world, Fault.PAUSE, paused):
            return
        visible = self.cluster.visible(world)
        players = []
        for place, (state, answer, _, proof) in enumerate(world.players):
            if proof != NONE and self._has_expired(place, proof, tick):
                proof = NONE
            settled = self.candidates.settled(state, tick, visible)
            players.append(Player(settled, answer, False, proof))
        later = world._replace(players=tuple(players), faults_left=world.faults_left - paused)
        yield from self._arrivals(Outcome(NONE, ("time passes",), later), tick, 0)

    def _arrivals(self, so_far: Outcome, tick: int, place: int) -> Iterator[Outcome]:
        """Let the answer that is on its way to `place` arrive, or not; then those to the others."""
        if place == len(so_far.world.players):
            yield so_far
            return
        yield from self._arrivals(so_far, tick, place + 1)
        number = so_far.world.players[place].answer
        if number == NONE:
            return
        world, name = _answered(so_far.world, place, NONE), self.configuration.names[place]
        told = [(world, self.cluster.answers[number], f"{name} is answered")]
        if self._may(world, Fault.ANSWER_LOST):
            told.append((world.with_fault(), NO_ANSWER, f"{name} loses its answer"))
        for heard, answer, words in told:
            what = (*so_far.what, words)
            for outcome in self._tell(place, what, heard, tick, answer, so_far.sent):
                yield from self._arrivals(outcome._replace(place=NONE), tick, place + 1)

    def moves(self, world: World, tick: int) -> Iterator[Outcome]:
        """Yield all that can happen in `tick`, but that time passes."""
        for place, player in enumerate(world.players):
            state = self.candidates.states[player.state]
            if state.request is None:
                if not player.has_begun:
                    yield from self._begin(world, tick, place)
            elif player.answer == NONE:
                yield from self._commit(world, tick, place, state)
            if self.configuration.watches:
                yield from self._events(world, tick, place)
            if world.faults_left:
                yield from self._restart(world, place, state)
        for late in dict.fromkeys(world.late):
            rest = list(world.late)
            rest.remove(late)
            without = world._replace(late=tuple(rest))
            after, _, harm = self.cluster.commit(without, tick, late)
            yield Outcome(late.place, ("its late write is committed",), after, 0, harm)
        if world.faults_left:
            yield from self._others(world, tick)

    def _begin(self, world: World, tick: int, place: int) -> Iterator[Outcome]:
        begun = world.with_player(place, world.players[place]._replace(has_begun=True))
        yield from self._tell(place, ("attempts",), begun, tick, acquire_or_renew)
        if self._may(world, Fault.STEP_DOWN):
            gone = begun.with_fault().without_proof(place)
            yield from self._tell(place, ("steps down",), gone, tick, step_down)

    def _commit(self, world: World, tick: int, place: int, state: State) -> Iterator[Outcome]:
        """The write of the candidate reaches the server, or something happens to it."""
        write = self._under_way(state, place)
        after, answer, harm = self.cluster.commit(world, tick, write)
        yield from self._answer(place, ("its write arrives",), after, tick, answer, harm)
        if self._may(world, Fault.TWICE):
            again, answer, harm = self.cluster.commit(after.with_fault(), tick, write)
            yield from self._answer(place, ("its write arrives twice",), again, tick, answer, harm)
        if self._may(world, Fault.REQUEST_LOST):
            what = ("its write is lost",)
            yield from self._tell(place, what, world.with_fault(), tick, NO_ANSWER)
        if self._may(world, Fault.LATE):
            what = ("gives its write up, which is still under way",)
            late = self.cluster.with_late(world.with_fault(), write)
            yield from self._tell(place, what, late, tick, NO_ANSWER)

    def _answer(
        self,
        place: int,
        what: tuple[str, ...],
        world: World,
        tick: int,
        answer: int,
        harm: str | None = None,
        sent: int = 0,
    ) -> Iterator[Outcome]:
        """The candidate is answered at once, or not before the next tick, or not at all."""
        if harm is not None:
            yield Outcome(place, what, world, sent, harm)
            return
        heard = (*what, "is answered")
        yield from self._tell(place, heard, world, tick, self.cluster.answers[answer], sent)
        if self._may(world, Fault.PAUSE):
            later = (*what, "the answer takes time")
            yield Outcome(place, later, _answered(world, place, answer), sent)
        if self._may(world, Fault.ANSWER_LOST):
            lost = (*what, "the answer is lost")
            yield from self._tell(place, lost, world.with_fault(), tick, NO_ANSWER, sent)

    def _events(self, world: World, tick: int, place: int) -> Iterator[Outcome]:
        """The watch shows what is new, and perhaps what was; what changes nothing is left out."""
        server = self.cluster.servers[world.server]
        for back in range(len(server.versions)):
            event = server.event(back)
            if event is None or (back and not self._may(world, Fault.OLD_EVENT)):
                continue
            before = world.with_fault() if back else world
            what = (f"watches what was {back} versions ago" if back else "watches",)
            for outcome in self._tell(place, what, before, tick, Event(event)):
                if outcome.world.players != world.players:
                    yield outcome

    def _restart(self, world: World, place: int, state: State) -> Iterator[Outcome]:
        """The process ends, but its write may be committed; the next begins in the next tick."""
        for fault, name in ((Fault.CRASH, state.name), (Fault.NEW_NAME, state.name + "'")):
            if not self._may(world, fault):
                continue
            player = world.players[place]
            gone = world.with_fault()
            if state.request is not None and player.answer == NONE:
                gone = self.cluster.with_late(gone, self._under_way(state, place))
            fresh = Player(self.candidates.fresh(place, name), has_begun=True)
            gone = gone.without_proof(place).with_player(place, fresh)
            yield Outcome(place, (f"restarts as {name}",), gone)

    def _tell(
        self,
        place: int,
        what: tuple[str, ...],
        world: World,
        tick: int,
        told: Any,
        sent: int = 0,
    ) -> Iterator[Outcome]:
        """Yield what comes of it when the candidate is told that.

        A read that it makes then is made at once, and shows what there is or, if stale, was.
        """
        visible, player = self.cluster.visible(world), world.players[place]
        number = self.candidates.tell(player.state, told, tick, visible)
        state = self.candidates.states[number]
        request = state.request
        world = world.with_player(
            place, Player(number, player.answer, player.has_begun, player.proof)
        )
        if state.violation or isinstance(told, Event) or request is None:
            yield Outcome(place, what, world, sent)
        elif isinstance(request, Read):
            versions = self.cluster.servers[world.server].versions
            for back in range(len(versions) if self._may(world, Fault.STALE) else 1):
                answer = self.cluster.answers.number(versions[-1 - back].as_answer())
                read = (*what, f"reads what was {back} versions ago" if back else "reads")
                after = world.with_fault() if back else world
                yield from self._answer(place, read, after, tick, answer, sent=sent + 1)
        else:
            is_used = request.record.renew_time in visible.times
            harm = "a write says a renewTime that is used" if is_used else None
            yield Outcome(place, (*what, "sends a write"), world, sent + 1, harm)

    def _others(self, world: World, tick: int) -> Iterator[Outcome]:
        """Others than the candidates change the Lease."""
        server, remembers = self.cluster.servers[world.server], self.configuration.remembers
        record = server.record
        if record is None:
            return
        changed = {}
        if self._may(world, Fault.EDIT):
            changed["a label is edited"] = server.edited(tick, remembers)
        if self._may(world, Fault.USURPER) and record.holder_identity:
            changed["another name is written"] = server.usurped(tick, remembers)
        states = [self.candidates.states[player.state] for player in world.players]
        if self._may(world, Fault.DELETION) and all(state.sees == record.uid for state in states):
            changed["the Lease is deleted"] = server.with_version(tick, None, remembers)
        for what, after in changed.items():
            number = self.cluster.servers.number(after)
            yield Outcome(NONE, (what,), self.cluster.with_server(world.with_fault(), number))

    def _may(self, world: World, fault: Fault, times: int = 1) -> bool:
        return world.faults_left >= times and fault in self.configuration.faults

    def _under_way(self, state: State, place: int) -> Late:
        write = state.request
        assert isinstance(write, (Create, Replace))
        number = self.cluster.writes.number(write)
        return Late(number, place, NONE if is_release(write) else state.composed_at)

    def _has_expired(self, place: int, proof: int, tick: int) -> bool:
        now = self.configuration.now(place, tick).monotonic
        then = self.configuration.now(place, proof).monotonic
        return now - then >= self.configuration.timing.belief


def is_release(request: Request) -> bool:
    """Whether `request` gives the Lease up."""
    return isinstance(request, Replace) and request.intent is Intent.RELEASE


def _answered(world: World, place: int, answer: int) -> World:
    state, _, has_begun, proof = world.players[place]
    return world.with_player(place, Player(state, answer, has_begun, proof))
