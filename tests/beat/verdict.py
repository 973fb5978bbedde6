"""What was sent, read from the broker, and whether anything was sent twice or not at all"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Celery takes an entry for due so long before its time.
EARLY = 0.05
# A time has microseconds where it is written down.
EXACT = 0.001
# Of a scheduler: RedBeat takes the time after the publish, which may last on a busy machine.
SLACK = {"redbeat": 2.5}
MINUTE = 60.0


@dataclass(frozen=True)
class Sent:
    """One message: for which slot of which entry, when, by whom; in seconds since the epoch"""

    entry: str
    slot: float
    id: str
    token: int
    at: float
    pid: int


def sent(messages: Iterable[Mapping[str, Any]]) -> list[Sent]:
    """Return what these messages of Celery say, in their order."""
    found = []
    for message in messages:
        headers = message["headers"]
        slot = datetime.fromisoformat(headers["leader_slot"]).timestamp()
        token, at, pid = (headers[name] for name in ("leader_fencing_token", "sent_at", "sent_by"))
        found.append(Sent(headers["task"], slot, headers["id"], token, at, pid))
    return found


@dataclass(frozen=True)
class Verdict:
    """Of one entry. `again`: slots sent more than once, all with one id.

    `doubles`: what was sent with another id where nothing was due. `lost`: after which slots
    the next was not the one that followed. `late`: how late each slot was sent.
    """

    again: list[float]
    doubles: list[tuple[Sent, Sent]]
    lost: list[tuple[Sent, Sent]]
    late: list[float]


def judge(
    all_sent: Iterable[Sent], entry: str, every: float | None, *, slack: float = EXACT
) -> Verdict:
    """Return what is to be said of an entry that is due `every` so many seconds, or each minute.

    The next slot follows from when the last one was sent, however late that was: one that is too
    near to it is a double, and after one that is later than it follows, something was lost.
    """
    step = MINUTE if every is None else every
    verdict = Verdict([], [], [], [])
    first: dict[float, Sent] = {}
    before: Sent | None = None
    for one in all_sent:
        if one.entry != entry:
            continue
        same = first.get(one.slot)
        if same is not None:
            verdict.again.append(one.slot)
            if same.id != one.id:
                verdict.doubles.append((same, one))
        elif before is not None:
            follows = _next_minute(before.at) if every is None else before.at + step
            if one.slot > follows + slack:
                verdict.lost.append((before, one))
            if one.slot < max(first) + step - EARLY:
                verdict.doubles.append((first[max(first)], one))
        first.setdefault(one.slot, one)
        before = one
    verdict.late.extend(one.at - one.slot for one in first.values())
    return verdict


def _next_minute(at: float) -> float:
    return (at // MINUTE + 1) * MINUTE
