"""A run as one picture: a lane for each replica and one for the server, and what happens in it."""

from __future__ import annotations

from collections.abc import Iterator

from kube_leader_election.testing._lanes import TERMS, Lanes

from ._chronicle import Chronicle, Entry, chronicle_of
from ._judge import TermSeen
from ._run import Outcome
from ._schedule import Schedule

_SERVER = "server"


def svg(schedule: Schedule) -> str:
    """Return an SVG document: who believed to lead and when, and what happened meanwhile."""
    return "\n".join(_Drawing(schedule, *chronicle_of(schedule)).parts())


class _Drawing:
    def __init__(self, schedule: Schedule, chronicle: Chronicle, outcome: Outcome) -> None:
        self._chronicle = chronicle
        self._outcome = outcome
        names = [replica.name for replica in schedule.replicas]
        self._colours = dict(zip(names, TERMS, strict=False))
        ends = [outcome.ended_at, *(self._until(term) for term in outcome.terms)]
        seconds = max(1.0, min(max(ends), outcome.ended_at + 5.0))
        self._lanes = Lanes([*names, _SERVER], seconds)

    def parts(self) -> Iterator[str]:
        """Yield the document in pieces."""
        violation = self._outcome.violation
        yield from self._lanes.opening("no violation" if violation is None else str(violation))
        for term in self._outcome.terms:
            name = term.process.replica.name
            words = f"leads, token {term.token}"
            yield from self._lanes.bar(
                name, term.began_at, self._until(term), words, self._colours[name]
            )
        for entry in self._chronicle.entries:
            yield self._mark(entry)
        if violation is not None:
            yield self._lanes.wrong(violation.at)
        yield "</svg>"

    def _mark(self, entry: Entry) -> str:
        name = entry.process.replica.name if entry.process else _SERVER
        hint = f"{entry.at:.3f} s, {name}: {entry.text}"
        if entry.is_fault:
            return self._lanes.fault(name, entry.at, entry.text, hint)
        below = 16 if entry.text.startswith(("asks", "hears")) else 0
        radius = 2 if entry.process else 4
        return self._lanes.dot(name, entry.at, hint, radius=radius, below=below)

    def _until(self, term: TermSeen) -> float:
        return term.ends_at if term.ended_at is None else term.ended_at
