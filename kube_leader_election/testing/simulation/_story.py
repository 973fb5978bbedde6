"""A run told in lines of text, for a person to follow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields

from ._chronicle import Chronicle, Entry, chronicle_of
from ._schedule import OnEvent, OnRequest, Replica, Schedule

_PLAIN = {each.name: each.default for each in fields(Replica) if each.default is not MISSING}


def story(schedule: Schedule) -> str:
    """Return who contends, what happens to the messages, and all that follows, line by line.

    Times are true ones, in seconds. At the end stands the invariant that did not hold, if any.
    """
    chronicle, outcome = chronicle_of(schedule)
    end = "no invariant is violated" if outcome.violation is None else str(outcome.violation)
    return "\n".join([*_beginning(schedule), "", *_middle(chronicle), "", end])


def _beginning(schedule: Schedule) -> Iterator[str]:
    for replica in schedule.replicas:
        odd = [name for name in _PLAIN if getattr(replica, name) != _PLAIN[name]]
        told = [f"{name} {_short(getattr(replica, name))}" for name in odd]
        yield f"{replica.name}: {', '.join([replica.rules.value, *told])}"
    for fault in schedule.faults:
        if isinstance(fault, OnRequest):
            yield f"request {fault.number} of {fault.replica}: {_fate(fault)}"
        elif isinstance(fault, OnEvent):
            again = "" if fault.twice is None else f", and again {fault.twice:g} s after that"
            yield f"event {fault.number} for {fault.replica}: {fault.late:g} s late{again}"


def _fate(fault: OnRequest) -> str:
    if fault.status is not None:
        return f"answered {fault.status}"
    if fault.earlier:
        return f"if it is a read, answered with the Lease of {fault.earlier} versions ago"
    there = "lost" if fault.arrives_after is None else f"arrives after {fault.arrives_after:g} s"
    back = "lost" if fault.answered_after is None else f"takes {fault.answered_after:g} s"
    again = "" if fault.again_after is None else f", sent again {fault.again_after:g} s after it"
    return there + (f", its answer {back}" if fault.arrives_after is not None else "") + again


def _middle(chronicle: Chronicle) -> Iterator[str]:
    width = max((len(_who(entry)) for entry in chronicle.entries), default=0)
    for entry in chronicle.entries:
        yield f"{entry.at:8.3f}  {_who(entry):{width}}  {entry.text}"


def _who(entry: Entry) -> str:
    return entry.process.replica.name if entry.process else "server"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
