"""The world that is explored, as a value: the server, the candidates, and what is under way.

Its parts are numbers in the tables of the model, so that it is hashed quickly. All that the future
or the invariants depend on is in it, but for the time: the search keeps the worlds of one tick
together.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

NONE = -1

_Thing = TypeVar("_Thing", bound=Hashable)


class Late(NamedTuple):
    """A write under way that its candidate has given up, and when it was composed.

    `proves` is `NONE` where it makes nobody leader: it is a release, or its candidate has stepped
    down since, or is gone.
    """

    write: int
    place: int
    proves: int


class Player(NamedTuple):
    """A candidate's state, the answer that is on its way to it, and what proves that it may lead.

    The `proof` is the tick in which the newest of its committed writes that count was composed.
    `has_begun`: an attempt in this tick.
    """

    state: int
    answer: int = NONE
    has_begun: bool = False
    proof: int = NONE


class World(NamedTuple):
    """`highest` is the greatest token of any term so far."""

    server: int
    late: tuple[Late, ...]
    highest: int
    faults_left: int
    players: tuple[Player, ...]

    def with_player(self, place: int, player: Player) -> World:
        """The candidate at `place` is now that."""
        players = (*self.players[:place], player, *self.players[place + 1 :])
        return World(self.server, self.late, self.highest, self.faults_left, players)

    def with_fault(self) -> World:
        """One fault less is left."""
        return World(self.server, self.late, self.highest, self.faults_left - 1, self.players)

    def without_proof(self, place: int) -> World:
        """Nothing that the candidate at `place` has sent so far may make it leader."""
        late = sorted(
            each._replace(proves=NONE) if each.place == place else each for each in self.late
        )
        player = self.players[place]._replace(proof=NONE)
        return self._replace(late=tuple(late)).with_player(place, player)


class Outcome(NamedTuple):
    """The world after a move, how many requests it has sent, and what it did wrong, if anything.

    `place` is that of the candidate that moves, `what` tells in words what it does or meets.
    """

    place: int
    what: tuple[str, ...]
    world: World
    sent: int = 0
    harm: str | None = None


class Numbered(Generic[_Thing]):
    """Things, each with the number by which it stands in a world."""

    def __init__(self) -> None:
        self._things: list[_Thing] = []
        self._numbers: dict[_Thing, int] = {}

    def __getitem__(self, number: int) -> _Thing:
        return self._things[number]

    def __len__(self) -> int:
        return len(self._things)

    def number(self, thing: _Thing) -> int:
        """Return the number of `thing`, the same for things that are equal."""
        number = self._numbers.setdefault(thing, len(self._things))
        if number == len(self._things):
            self._things.append(thing)
        return number
