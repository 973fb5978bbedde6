"""What the story comes to. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from kube_leader_election.cli._say import shown

from ._happenings import What
from ._story import Story, Term

_AFTER = {
    What.STOPPED: "after a release",
    What.KILLED: "after a kill",
    What.FROZEN: "after a leader stood still",
    What.BACK: "after an outage",
}


@dataclass(frozen=True)
class Summary:
    """What was seen, a line each, and whether it is what is promised."""

    lines: tuple[str, ...]
    is_well: bool


def summary_of(story: Story) -> Summary:
    """Return that of a story which has ended."""
    terms = sorted(story.terms, key=lambda each: each.began_at)
    two = overlaps(terms)
    tokens = [term.token for term in terms]
    rises = all(one < other for one, other in itertools.pairwise(tokens))
    shown_tokens = " < ".join(map(str, tokens)) if rises else ", ".join(map(str, tokens))
    greater = "each greater than all before" if rises else "NOT INCREASING"
    leaders = "at no instant" if not two else f"SEEN {len(two)} x"
    lines = (
        f"terms                 {len(terms)}, of {len({term.name for term in terms})} replicas",
        f"fencing tokens        {shown_tokens}: {greater}",
        *_next_leaders(terms),
        f"two leaders at once   {leaders}, by the clock that all processes share",
    )
    return Summary(lines, is_well=rises and not two)


def _next_leaders(terms: Sequence[Term]) -> Iterator[str]:
    title = "next leader"
    for what, after in _AFTER.items():
        waits = [
            term.waited
            for term in terms
            if term.cause is not None and term.cause.what is what and term.waited is not None
        ]
        if waits:
            yield f"{title:20}  {', '.join(map(shown, waits))} {after}"
            title = ""


def overlaps(terms: Sequence[Term]) -> list[tuple[Term, Term]]:
    """Return the pairs of terms which have an instant in common."""
    pairs = itertools.combinations(sorted(terms, key=lambda each: each.began_at), 2)
    return [(one, other) for one, other in pairs if other.began_at < one.over_at]
