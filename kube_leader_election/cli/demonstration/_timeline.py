"""The story as one picture: a lane for each replica, and one for the server. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from kube_leader_election.testing._lanes import TERMS, Lanes

from ._happenings import SERVER
from ._story import Story, Term, Trouble
from ._summary import overlaps

_SERVER = "server"
_MARGIN = 1.1  # of the time, for what is written at the end
_LEGEND = "Bars are terms, dots are renewals, lines lead to the next term; in seconds"


def svg(story: Story, now: float) -> str:
    """Return an SVG document of what happened until now."""
    return "\n".join(_parts(story, now))


def _parts(story: Story, now: float) -> Iterator[str]:
    server = [_SERVER] if any(each.name == SERVER for each in story.troubles) else []
    lanes = Lanes([*story.replicas, *server], (now - story.began_at) * _MARGIN)
    terms = sorted(story.terms, key=lambda each: each.began_at)
    two = overlaps(terms)
    leaders = "never two leaders" if not two else f"TWO LEADERS, {len(two)} x"
    yield from lanes.opening(f"{len(terms)} terms, {leaders}. {_LEGEND}")
    colours = dict(zip(story.replicas, itertools.cycle(TERMS)))
    for replica in story.replicas.values():
        at = replica.started_at - story.began_at
        yield lanes.dot(replica.name, at, f"{at:.3f} s, {replica.name} is started", radius=3)
    for term in terms:
        yield from _term(lanes, story, term, colours[term.name], now)
    for one, other in itertools.pairwise(terms):
        at, then = min(one.over_at, now) - story.began_at, other.began_at - story.began_at
        if one.name != other.name:
            yield lanes.hand_over(one.name, at, other.name, then)
    for trouble in story.troubles:
        yield _trouble(lanes, story, trouble)
    for _, other in two:
        yield lanes.wrong(other.began_at - story.began_at)
    yield "</svg>"


def _term(lanes: Lanes, story: Story, term: Term, colour: str, now: float) -> Iterator[str]:
    since, until = term.began_at - story.began_at, min(term.over_at, now) - story.began_at
    yield from lanes.bar(term.name, since, until, f"token {term.token}", colour)
    for at in term.renewals:
        at -= story.began_at
        yield lanes.dot(term.name, at, f"{at:.3f} s, {term.name} has renewed", below=14)


def _trouble(lanes: Lanes, story: Story, trouble: Trouble) -> str:
    name = _SERVER if trouble.name == SERVER else trouble.name
    at = trouble.at - story.began_at
    until = None if trouble.ended_at is None else trouble.ended_at - story.began_at
    hint = f"{at:.3f} s, {trouble.name} {trouble.what.value}"
    return lanes.fault(name, at, trouble.what.value, hint, until)
