"""What may be done to the replicas of the demo, by a script or by keys. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

EXAMPLE = "kill, freeze 5, outage"
DEFAULT = "stop, kill"
FIRST_REPLICAS = 3
SECONDS = 4.0  # longer than the Lease is claimed for
_LONGEST = 60.0


class Deed(Enum):
    """What is done. All but the last two are done to the leader."""

    STOP = "stop"
    KILL = "kill"
    FREEZE = "freeze"
    OUTAGE = "outage"
    ADD = "add"

    @property
    def lasts(self) -> bool:
        """Whether it goes on for some seconds."""
        return self in (Deed.FREEZE, Deed.OUTAGE)

    @property
    def needs_a_leader(self) -> bool:
        """Whether it is done to whoever leads."""
        return self not in (Deed.OUTAGE, Deed.ADD)


KEYS = {deed.value[0]: deed for deed in Deed}
QUIT = "q"
EXPLAINED = {
    Deed.STOP: "tell the leader to stop (SIGTERM)",
    Deed.KILL: "kill it (SIGKILL)",
    Deed.FREEZE: f"let it stand still for {SECONDS:g} seconds, or as many as follow (SIGSTOP)",
    Deed.OUTAGE: "take the API server away for as long",
    Deed.ADD: "start one more replica",
}


@dataclass(frozen=True)
class Step:
    """A deed, and for how many seconds it goes on, where it does."""

    deed: Deed
    seconds: float = SECONDS


def parsed(script: str) -> tuple[Step, ...]:
    """Return the steps of a script: deeds separated by commas, some with seconds.

    :raises ValueError: it is none, or leaves nobody to whom a step can be done; says why.
    """
    steps = tuple(_step(words.split()) for words in script.split(","))
    left = FIRST_REPLICAS
    for step in steps:
        if step.deed.needs_a_leader and not left:
            raise ValueError(f"leaves no replica to {step.deed.value}: add one before")
        left += {Deed.ADD: 1, Deed.STOP: -1, Deed.KILL: -1}.get(step.deed, 0)
    return steps


def _step(words: Sequence[str]) -> Step:
    known = {deed.value: deed for deed in Deed}
    deed = known.get(words[0]) if words else None
    if deed is None or len(words) > 1 + deed.lasts:
        raise ValueError(
            f"{' '.join(words)!r} must be stop, kill, freeze [SECONDS], outage [SECONDS] or add"
        )
    if len(words) == 1:
        return Step(deed)
    try:
        seconds = float(words[1])
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{' '.join(words)!r} must be for 0 to {_LONGEST:g} seconds")
    return Step(deed, seconds)
