"""What is explored: the configurations, each with the faults that are all combined in it.

Kinds of faults that make each other possible are together. A write that was given up and is late
covers one that was lost, and one whose answer was lost, as soon as it is committed.
"""

from __future__ import annotations

from dataclasses import replace

from .model_configuration import Configuration, Fault

_MOST = {"most_faults": 3, "ticks": 3, "ticks_per_ttl": 2}
_NOT_ALL = {Fault.DELETION, Fault.OLD_EVENT, Fault.REQUEST_LOST, Fault.USURPER}


def _with(name: str, *faults: Fault, **how: object) -> Configuration:
    return replace(Configuration(name=name, faults=frozenset(faults)), **{**_MOST, **how})  # type: ignore[arg-type]


FULL = (
    Configuration(name="no fault", ticks=9, most_faults=0),
    _with("lost and late writes", Fault.LATE, Fault.ANSWER_LOST, Fault.PAUSE),
    _with("other writers", Fault.TWICE, Fault.USURPER, Fault.EDIT),
    _with("stale reads", Fault.STALE, Fault.LATE),
    _with("step down", Fault.STEP_DOWN, Fault.LATE, Fault.PAUSE),
    _with("restarts", Fault.CRASH, Fault.NEW_NAME, Fault.PAUSE),
    _with("deletions", Fault.DELETION, Fault.LATE, Fault.PAUSE),
    _with("wall clocks", Fault.LATE, Fault.STEP_DOWN, Fault.PAUSE, max_clock_skew=0.0),
    _with("wall clocks, skew 0.2 s", Fault.LATE, Fault.CRASH, max_clock_skew=0.2),
    _with("elector, old events", Fault.OLD_EVENT, Fault.PAUSE, adopts=False, watches=True),
    _with("elector, late writes", Fault.LATE, Fault.STEP_DOWN, adopts=False, watches=True),
    _with("namesakes", Fault.LATE, Fault.CRASH, adopts=False, names=("a", "a")),
    _with("all kinds", *set(Fault) - _NOT_ALL, most_faults=2),
    _with("three candidates", Fault.LATE, Fault.STEP_DOWN, names=("a", "b", "c"), most_faults=1),
)

SHORT = tuple(
    replace(configuration, most_faults=min(1, configuration.most_faults)) for configuration in FULL
)
