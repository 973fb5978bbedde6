"""The figures of a run, as lines of text"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator

from . import verdict
from .evidence import Belief, Evidence, Fault
from .timing import LEADER_WITHIN

_AFTERMATH = 3.0  # in seconds, for which a fault that is over still counts


def lines(evidence: Evidence, seconds: float) -> Iterator[str]:
    """What happened, and how fast a leader was followed by another."""
    yield f"{len(evidence.beliefs)} terms in {seconds:.0f} s, {len(evidence.processes)} processes"
    kinds = Counter(fault.kind for fault in evidence.faults)
    listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    yield f"{len(evidence.faults)} faults: {listed}"
    for kind in ("killed", "terminated"):
        yield _hand_overs(kind, list(takeovers(kind, evidence)))
    accepted = sum(write.accepted for write in evidence.fenced_writes)
    refused = len(evidence.fenced_writes) - accepted
    yield f"fenced table: {accepted} writes accepted, {refused} refused"
    asked = [f"{each.replica} {len(each.times) / seconds:.1f}" for each in evidence.requests]
    yield f"requests a second: {', '.join(asked)}"
    warned = [f"{name} {count} of {most}" for name, count, most in verdict.warnings(evidence)]
    yield f"warnings: {', '.join(warned)}"
    stalls = [hole.until - hole.since for hole in evidence.holes if not hole.replica]
    yield f"the machine stood still {len(stalls)} times, {max(stalls, default=0):.2f} s at most"
    holes = list(verdict.overlooked(evidence))
    yield f"a replica was not asked {len(holes)} times, for {max(holes, default=0):.2f} s at most"
    waits = [
        wait.until - wait.since
        for window in evidence.quiet
        for wait in verdict.leaderless_times(window, evidence.beliefs)
    ]
    within = f"{LEADER_WITHIN:.1f} s are allowed"
    yield f"where all was well, nobody led for {max(waits, default=0):.1f} s at most; {within}"
    led = sum(max(0.0, belief.until - belief.since) for belief in evidence.beliefs)
    yield f"somebody led for {100 * led / seconds:.0f} % of the time"


def takeovers(kind: str, evidence: Evidence) -> Iterator[float]:
    """How long there was no leader after one was stopped like this, and nothing else was wrong."""
    beliefs = sorted(evidence.beliefs, key=lambda each: each.since)
    for fault in evidence.faults:
        if fault.kind != kind:
            continue
        old = _leader_at(fault, beliefs)
        new = next((each for each in beliefs if old and each.since > old.until), None)
        if old is not None and new is not None and _is_alone(fault, new.since, evidence.faults):
            yield new.since - (fault.began_at if kind == "killed" else old.until)


def _leader_at(fault: Fault, beliefs: Iterable[Belief]) -> Belief | None:
    for belief in beliefs:
        if belief.replica == fault.target and belief.since < fault.began_at < belief.until + 0.1:
            return belief
    return None


def _is_alone(fault: Fault, until: float, faults: Iterable[Fault]) -> bool:
    targets = ("server", "lease", fault.target)
    others = [each for each in faults if each.target in targets and each.disturbs]
    since = fault.began_at - _AFTERMATH
    return not any(
        each is not fault and each.began_at < until and each.ended_at > since for each in others
    )


def _hand_overs(kind: str, seconds: list[float]) -> str:
    if not seconds:
        return f"leaders {kind}: none that nothing else happened to"
    median, worst = statistics.median(seconds), max(seconds)
    return (
        f"leaders {kind}: {len(seconds)}, next after {median:.2f} s (median), {worst:.2f} s (worst)"
    )
