"""The search: every world that can be reached, each looked at once, the nearest first."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .exploration_story import TICK, retold
from .model_configuration import Configuration
from .model_invariants import Invariants
from .model_moves import Model
from .model_world import Outcome, World


@dataclass(frozen=True)
class Violation:
    """What is wrong, and the story that leads to it: in as few ticks, then moves, as it can."""

    what: str
    story: tuple[str, ...]


@dataclass
class Report:
    """What an exploration has covered.

    `depth` and `requests` are the most moves and requests on the paths by which the worlds were
    first reached; longer ones, which lead to no other world, are covered as well.
    """

    configuration: Configuration
    worlds: int = 0
    transitions: int = 0
    candidate_states: int = 0
    depth: int = 0
    requests: int = 0
    faults: int = 0
    seconds: float = 0.0
    violation: Violation | None = None


class _FoundError(Exception):
    def __init__(self, what: str, reached_from: int, by: int) -> None:
        super().__init__(what)
        self.what, self.reached_from, self.by = what, reached_from, by


Look = Callable[[Model, World, int], None]


def explore(configuration: Configuration, look: Look | None = None) -> Report:
    """Return what was found: the first violation, if there is one, with the path to it.

    `look` is shown every world, in the tick in which it was reached.
    """
    began_at = time.monotonic()
    search = _Search(configuration, look)
    try:
        search.run()
    except _FoundError as found:
        path = (*search.path(found.reached_from), found.by)
        search.report.violation = Violation(found.what, retold(search.model, path))
    report = search.report
    report.candidate_states = len(search.model.candidates.states)
    report.worlds = len(search.came_from)
    report.seconds = time.monotonic() - began_at
    return report


class _Search:
    """Tick by tick; within one, the worlds are taken in the order in which they were reached."""

    def __init__(self, configuration: Configuration, look: Look | None) -> None:
        self.model = Model(configuration)
        self._look = look
        self.report = Report(configuration)
        self.came_from, self.by = array("q"), array("h")
        self._judge = Invariants(self.model).judge
        self._depth, self._requests = array("H"), array("H")

    def run(self) -> None:
        model, last = self.model, self.model.configuration.ticks
        worlds = {model.start(): self._add(-1, 0, 0)}
        for tick in range(last + 1):
            self._spread(worlds, tick)
            self._note(worlds, tick)
            if tick < last:
                later: dict[World, int] = {}
                for world, index in worlds.items():
                    moves = model.ticks(world, tick + 1)
                    self._take(world, index, moves, later, tick + 1, TICK)
                worlds = later

    def path(self, index: int) -> list[int]:
        """Return which of the moves was taken in each world on the way to that one."""
        path = []
        while self.came_from[index] >= 0:
            path.append(self.by[index])
            index = self.came_from[index]
        return path[::-1]

    def _spread(self, worlds: dict[World, int], tick: int) -> None:
        """Add to `worlds` all that are reached from them before time passes."""
        queue = list(worlds)
        for world in queue:
            moves = self.model.moves(world, tick)
            queue += self._take(world, worlds[world], moves, worlds, tick)

    def _take(
        self,
        world: World,
        index: int,
        moves: Iterable[Outcome],
        known: dict[World, int],
        tick: int,
        first: int = 0,
    ) -> list[World]:
        """Take each of `moves` from `world`; return what was not `known`, and now is."""
        new, by = [], first
        for by, (_, _, reached, sent, harm) in enumerate(moves, first + 1):
            after = self._judge(world, reached, tick)
            if harm is not None or isinstance(after, str):
                raise _FoundError(harm or str(after), index, by - 1)
            if after not in known:
                known[after] = self._add(index, by - 1, sent)
                new.append(after)
        self.report.transitions += by - first
        return new

    def _note(self, worlds: dict[World, int], tick: int) -> None:
        if self._look is not None:
            for world in worlds:
                self._look(self.model, world, tick)
        faults_left = min((world.faults_left for world in worlds), default=0)
        faults = self.model.configuration.most_faults - faults_left
        self.report.faults = max(self.report.faults, faults)

    def _add(self, reached_from: int, by: int, sent: int) -> int:
        index = len(self.came_from)
        depth = self._depth[reached_from] + 1 if index else 0
        requests = self._requests[reached_from] + sent if index else 0
        self.came_from.append(reached_from)
        self.by.append(by)
        self._depth.append(depth)
        self._requests.append(requests)
        self.report.depth = max(self.report.depth, depth)
        self.report.requests = max(self.report.requests, requests)
        return index
