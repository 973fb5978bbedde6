"""A path through the worlds, told move by move."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from .model_moves import Model
from .model_world import NONE, Outcome, World

# A step of a path is the number of a move among those of its world; from this one on, among those
# that time makes.
TICK = 10_000


def retold(model: Model, path: Iterable[int]) -> tuple[str, ...]:
    """Return a line for each move: its tick, who does what, and what has changed by that."""
    world, tick = model.start(), 0
    lines: list[str] = []
    for step in path:
        if step >= TICK:
            tick += 1
            outcomes = model.ticks(world, tick)
        else:
            outcomes = model.moves(world, tick)
        outcome = next(islice(outcomes, step % TICK, None))
        lines.append(_line(model, world, outcome, tick))
        world = outcome.world
    return tuple(lines)


def _line(model: Model, before: World, outcome: Outcome, tick: int) -> str:
    after = outcome.world
    who = ""
    if outcome.place != NONE:
        who = model.candidates.states[before.players[outcome.place].state].name + ": "
    changes = []
    if before.server != after.server:
        changes.append(_lease(model, after))
    leaders = _leaders(model, after, tick)
    if leaders != _leaders(model, before, tick) or tick * outcome.place < 0:
        changes.append(f"{' and '.join(leaders) or 'nobody'} may lead")
    told = f"{tick}  {who}{', '.join(outcome.what)}"
    return f"{told}  [{'; '.join(changes)}]" if changes else told


def _lease(model: Model, world: World) -> str:
    newest = model.cluster.servers[world.server].versions[-1]
    if newest.record is None:
        return f"no Lease, {newest.number}"
    return f"version {newest.number}: {newest.record.holder_identity or 'free'}"


def _leaders(model: Model, world: World, tick: int) -> list[str]:
    states = [model.candidates.states[player.state] for player in world.players]
    return [f"{state.name}({place})" for place, state in enumerate(states)
            if tick <= state.leads_through]  # fmt: skip
