"""What would go wrong with an election, from what was asked: no request, and no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from kube_leader_election import LeaderElectorParams, bounds
from kube_leader_election._core.timing import ElectorTiming, whole_seconds

from ._leases import NEAR, Row
from ._rbac import VERBS, rule
from ._say import printable, shown

# An attempt may read, write, and after a conflict read again.
REQUESTS_OF_AN_ATTEMPT = 3


class Level(Enum):
    """How bad it is: from `FRAGILE` on something is to be mended."""

    WELL = "well"
    NOTE = "note"
    FRAGILE = "fragile"
    TROUBLE = "trouble"


@dataclass(frozen=True)
class Finding:
    """What was found about one thing, and how to mend it, in lines."""

    level: Level
    about: str
    says: str
    mend: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing is to be mended."""
        return self.level in (Level.WELL, Level.NOTE)


def of_settings(params: LeaderElectorParams, timing: ElectorTiming) -> Iterator[Finding]:
    """Yield what is to be said of settings that are not refused."""
    for warning in timing.warnings():
        yield Finding(Level.FRAGILE, "settings", warning, "see: kube-leader-election plan")
    promised = bounds(params)
    yield Finding(
        Level.WELL,
        "settings",
        f"one renewal lets lead for {promised.belief:.3g} s, an outage of"
        f" {promised.outage_survived:.3g} s is survived, and a crash is followed by a new leader"
        f" {promised.takeover_after_crash:.3g} s after the last renewal",
    )


def of_reads(times: Sequence[float], failures: Sequence[str], timeout: float) -> Iterator[Finding]:
    """Yield how fast the server is, where one attempt has so many seconds of `timeout`."""
    if failures:
        asked = len(times) + len(failures)
        says = f"{len(failures)} of {asked} reads failed: {failures[-1]}"
        yield Finding(Level.TROUBLE, "reads", says, "look at the network and the API server's load")
    if not times:
        return
    half, most = percentile(times, 0.5), percentile(times, 0.99)
    says = f"{len(times)} reads took {shown(half)} (p50), {shown(most)} (p99)"
    needs = REQUESTS_OF_AN_ATTEMPT * most
    if needs <= timeout:
        yield Finding(Level.WELL, "reads", f"{says}; one attempt has {timeout:.3g} s")
        return
    level = Level.TROUBLE if most > timeout else Level.FRAGILE
    says += (
        f"; one attempt has {timeout:.3g} s, a fifth of renew_deadline, for up to"
        f" {REQUESTS_OF_AN_ATTEMPT} requests"
    )
    deadline = math.ceil(needs * 5)
    mend = f"renew_deadline of {deadline} s or more, lease_ttl of {math.ceil(deadline * 1.5)} s"
    yield Finding(level, "reads", says, mend)


def percentile(values: Sequence[float], part: float) -> float:
    """Return the least of `values` that this part of them does not exceed."""
    return sorted(values)[max(0, math.ceil(part * len(values)) - 1)]


def of_rights(
    allowed: Mapping[str, bool], lease: str, command: str, *, exists: bool
) -> Iterator[Finding]:
    """Yield which verbs are missing, each with the rule that grants it; `command` grants all."""
    missing = [verb for verb in ("create", *VERBS) if not allowed[verb]]
    for verb in missing:
        level, follows = Level.TROUBLE, "no candidate can lead"
        if verb == "watch":
            level, follows = Level.FRAGILE, "an elector polls, so a hand-over takes 2.5 s, not 0.1"
        elif verb == "create" and exists:
            level, follows = Level.FRAGILE, "nobody leads any more once the Lease is deleted"
        mend = f"allow it by a Role:\n{rule(verb, lease)}\nor all that is needed:\n{command}"
        yield Finding(level, "rights", f"{verb!r} is not allowed: {follows}", mend)
    if not missing:
        yield Finding(Level.WELL, "rights", f"allowed are {', '.join(('create', *VERBS))}")
    if allowed.get("delete"):
        says = "'delete' is allowed: a deleted Lease lets a new candidate lead beside the old one"
        yield Finding(Level.NOTE, "rights", f"{says}; grant it to nobody who need not have it")


def clock_offset(samples: Iterable[tuple[float, float, float]]) -> tuple[float, float] | None:
    """Return between what the server's clock is ahead of ours, `None` if nothing tells.

    Of each answer: when it was asked for and when it came by our clock, and its Date, which
    leaves the fraction of the second out.
    """
    found = [(date - came_at, date + 1 - sent_at) for sent_at, came_at, date in samples]
    if not found:
        return None
    low, high = max(low for low, _ in found), min(high for _, high in found)
    return min(low, high), max(low, high)  # crossed where several servers answer


def of_clock(offset: tuple[float, float] | None, skew: float | None) -> Iterator[Finding]:
    """Yield how far the wall clocks are apart, where `skew` is what was declared."""
    if offset is None:
        yield Finding(Level.NOTE, "clock", "the server does not say its time (no Date in answers)")
        return
    low, high = offset
    apart = low if low > 0 else -high if high < 0 else 0.0
    limit = NEAR if skew is None else max(skew, 0.01)
    if apart <= limit:
        most = max(abs(low), abs(high))
        yield Finding(Level.WELL, "clock", f"within {shown(most)} of the server's")
        return
    side = "behind" if low > 0 else "ahead of"
    says = f"this machine's wall clock is {shown(apart)} {side} the server's"
    mend = "set the clock (chrony, ntpd)"
    if skew is None:
        says += "; electors do not go by it, but a LeaseLock does by default, and so do others"
        yield Finding(Level.FRAGILE, "clock", says, mend)
    else:
        says += f", and max_clock_skew is {skew:g} s: two may lead"
        mend += f", or declare a max_clock_skew of {math.ceil(apart)} s for all, or None"
        yield Finding(Level.TROUBLE, "clock", says, mend)


def of_lease(
    row: Row | None, lease: Mapping[str, Any], params: LeaderElectorParams, holders: str | None
) -> Iterator[Finding]:
    """Yield what is odd about the Lease, and who holds it; `holders` is a pattern of names."""
    if row is None:
        says = "it does not exist yet: the first candidate creates it"
        yield Finding(Level.NOTE, "lease", says)
        return
    for note in row.notes:
        level = Level.TROUBLE if note.grave else Level.FRAGILE if note.mend else Level.NOTE
        yield Finding(level, "lease", f"{note.mark}: {note.meaning}", note.mend)
    if (owner := _owner(lease)) is not None:
        says = f"it belongs to {owner}, and is no Lease of an election"
        yield Finding(Level.TROUBLE, "lease", says, "use a Lease with a name of its own")
    if row.holder is None:
        if not row.notes:
            yield Finding(Level.WELL, "lease", "it is free")
        return
    name = printable(row.holder)
    if holders is not None and not fnmatchcase(row.holder, holders):
        says = f"it is held by {name}, which is none of {holders}: another program's"
        yield Finding(Level.TROUBLE, "lease", says, "give one of the two another Lease")
        return
    stored, ttl = _duration(lease), whole_seconds(params.lease_ttl)
    if stored is not None and stored != ttl:
        says = f"{name} claims it for {shown(stored)}, these settings for {shown(ttl)}"
        yield Finding(Level.FRAGILE, "lease", says, "give all candidates the same lease_ttl")
    renewed = "" if row.renewed_ago is None else f", renewed {shown(max(0, row.renewed_ago))} ago"
    yield Finding(Level.WELL, "lease", f"held by {name}{renewed}")


def _owner(lease: Mapping[str, Any]) -> str | None:
    """Return whose heartbeat the Lease is, `None` where it is that of an election."""
    metadata = lease.get("metadata") or {}
    labels, owners = metadata.get("labels"), metadata.get("ownerReferences")
    if isinstance(labels, Mapping) and labels.get("apiserver.kubernetes.io/identity"):
        return "an API server, which tells by it that it is alive"
    for owner in owners if isinstance(owners, list) else ():
        if isinstance(owner, Mapping) and owner.get("kind") == "Node":
            name = printable(str(owner.get("name")))
            return f"the Node {name}, which tells by it that it is alive"
    return None


def _duration(lease: Mapping[str, Any]) -> int | None:
    stored = (lease.get("spec") or {}).get("leaseDurationSeconds")
    return stored if isinstance(stored, int) and stored > 0 else None
