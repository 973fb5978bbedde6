"""Storms, in which much goes wrong at once, drawn from a seed; between them all is well"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from .evidence import Window
from .lanes import Action, Lanes
from .timing import LEADER_WITHIN
from .town import Town
from .trouble import LEASE, SERVER, Trouble
from .verdict import stood_still

_TURN = 0.02
_UP_WITHIN = 180.0
_SETTLED = 3.0  # in seconds; a quiet time goes on for so long with a leader
# In seconds, on average, between two faults of a lane.
_NETWORK, _PROCESS, _RIGHTS, _CLOCK, _FORK = 14.0, 25.0, 50.0, 12.0, 15.0
_SERVER, _LEASE, _LEADER = 22.0, 9.0, 2.0


class Weather:
    """Makes storms, one after the other, on the thread of the town.

    Each lane draws from numbers of its own, so that none depends on when another had its turn.
    `look` is called many times a second.
    """

    def __init__(self, town: Town, seed: int, *, wall_jumps: bool, look: Action) -> None:
        self.lanes = Lanes()
        self.quiet: list[Window] = []
        self._town = town
        self._look = look
        self._trouble = trouble = Trouble(town, self.lanes)
        self._plan: list[tuple[float, random.Random, Callable[[random.Random], object]]] = []

        def plan(lane: str, every: float, begin: Callable[[random.Random], object]) -> None:
            self._plan.append((every, random.Random(f"{seed} {lane}"), begin))

        for actor in town.actors:
            plan(f"network {actor.name}", _NETWORK, partial(trouble.network, actor))
            plan(f"process {actor.name}", _PROCESS, partial(trouble.process, actor))
            plan(f"rights {actor.name}", _RIGHTS, partial(trouble.rights, actor))
            plan(f"fork {actor.name}", _FORK, partial(trouble.fork, actor))
            if wall_jumps:
                plan(f"clock {actor.name}", _CLOCK, partial(trouble.jump, actor))
        plan(SERVER, _SERVER, trouble.server)
        plan(LEASE, _LEASE, trouble.lease)
        plan("leader", _LEADER, trouble.leader)

    def storm(self, seconds: float) -> None:
        """Faults came and went for so long, and all are over."""
        for every, draw, begin in self._plan:
            self._repeat(every, draw, begin)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._turn()
        self.lanes.end_all()
        self._town.server.restore()
        self._town.settle_errands()
        self.wait_until_all_are_up()

    def wait_until_all_are_up(self) -> None:
        """Every replica contends.

        :raises RuntimeError: one does not.
        """
        deadline = time.monotonic() + _UP_WITHIN
        while not all(actor.is_up for actor in self._town.actors):
            if time.monotonic() > deadline:
                raise RuntimeError("a replica does not come up")
            for actor in self._town.actors:
                if self._trouble.may_start():
                    self._trouble.start(actor, keeps_name=False)
            self._turn()

    def calm(self) -> None:
        """Nothing happened until somebody led for a while, or should have."""
        since = leads_since = time.monotonic()
        while (now := time.monotonic()) - leads_since < _SETTLED:
            self._turn()
            if self._town.leader is None:
                leads_since = now
            window = Window(since, now)
            bound = LEADER_WITHIN + stood_still(self._town.stalls.holes, window)
            if now - since > 2 * (bound + _SETTLED):
                break
        self.quiet.append(Window(since, time.monotonic()))

    def _turn(self) -> None:
        """Do what is due, look, and wait a little."""
        self.lanes.do_what_is_due()
        self._look()
        time.sleep(_TURN)

    def _repeat(
        self, every: float, draw: random.Random, begin: Callable[[random.Random], object]
    ) -> None:
        def happen() -> None:
            begin(draw)
            self.lanes.after(draw.expovariate(1 / every), happen)

        self.lanes.after(draw.expovariate(1 / every), happen)
