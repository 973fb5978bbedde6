"""What was sent, read from the broker, and whether anything was sent twice or not at all"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

# Celery takes an entry for due so long before its time.
EARLY = 0.05


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
    nothing was sent for the next. `late`: how late each slot was sent.
    """

    again: list[float]
    doubles: list[tuple[Sent, Sent]]
    lost: list[tuple[Sent, Sent]]
    late: list[float]


def judge(all_sent: Iterable[Sent], entry: str, every: float | None, patience: float) -> Verdict:
    """Return what is to be said of an entry that is due `every` so many seconds, or by cron.

    It is lost what is later than by `patience`, in seconds, for which nobody could send. The slot
    of an interval follows from when the one before was sent: so a slot too near to the one before
    is a double, and one too far from it comes after one that was lost.
    """
    again: list[float] = []
    by_slot: dict[float, Sent] = {}
    doubles: list[tuple[Sent, Sent]] = []
    for one in all_sent:
        if one.entry != entry:
            continue
        first = by_slot.setdefault(one.slot, one)
        if first is not one:
            again.append(one.slot)
            if first.id != one.id:
                doubles.append((first, one))
    chain = [by_slot[slot] for slot in sorted(by_slot)]
    pairs = list(pairwise(chain))
    step = 60.0 if every is None else every
    doubles += [(one, two) for one, two in pairs if two.slot - one.slot < step - EARLY]
    lost = [(one, two) for one, two in pairs if two.slot - one.slot > step + patience]
    if every is None:
        lost = [(one, two) for one, two in pairs if two.slot - one.slot > step + EARLY]
    return Verdict(again, doubles, lost, [one.at - one.slot for one in chain])
