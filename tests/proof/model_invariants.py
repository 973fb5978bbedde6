"""What must be true of every world, and of each step from one to the next.

The numbers are those of the list of invariants: at most one believes (1, 12); by a write of its
own that counts, for as long as that allows (2, 3); tokens grow, and are constant in a term (6).
What one candidate must keep by itself (4, 7, 8) is seen where it is run, what is done to the Lease
(5) by the server.
"""

from __future__ import annotations

from .model_moves import Model, is_release
from .model_world import NONE, World


class Invariants:
    """Judges the worlds of a model."""

    def __init__(self, model: Model) -> None:
        self._states = model.candidates.states
        self._cluster = model.cluster

    def judge(self, before: World, after: World, tick: int) -> World | str:
        """Return the world with the tokens of new terms taken note of, or what is wrong."""
        leaders = 0
        highest = after.highest
        for place, player in enumerate(after.players):
            state = self._states[player.state]
            if state.violation:
                return state.violation
            if tick > state.leads_through:
                continue
            leaders += 1
            if player.proof == NONE:
                return "it leads by no write that counts, or for longer than that allows"
            was = self._states[before.players[place].state]
            led = tick <= was.leads_through
            if led and was.token != state.token:
                return "its token changed within a term"
            if not led:
                if state.token is None or state.token <= highest:
                    return "the token of a new term is not the greatest"
                highest = state.token
            if after.late and self._may_still_release(after, place):
                return "it leads while its release may be committed"
        if leaders > 1:
            return "two lead"
        return after if highest == after.highest else after._replace(highest=highest)

    def _may_still_release(self, world: World, place: int) -> bool:
        late = (each for each in world.late if each.place == place)
        return any(is_release(self._cluster.writes[each.write]) for each in late)
