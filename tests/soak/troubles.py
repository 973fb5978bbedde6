"""What goes wrong with the requests of a soak: each kind of fault with one request in a hundred"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable

from kube_leader_election.testing import faults
from kube_leader_election.testing._plan import Plan, RecordedRequest
from kube_leader_election.testing.faults import Fault

SHARE = 0.01  # of each kind, among the requests that can meet it
SHARE_OF_WATCHES = 0.1  # a watch is one request, and then tells for long

LONGER_THAN_A_CALL = 2.0
LONGER_THAN_AN_ANSWER_MAY_BE = 2_200_000
MOST_EVENTS_BEFORE = 100

STATUSES = (204, 400, 401, 403, 404, 408, 409, 410, 413, 418, 422, 500, 502, 503, 504)
REDIRECTS = (301, 302, 303, 307, 308)
RETRY_AFTER = ("0", "1", "60", "-1", "soon", "9" * 30, "Fri, 01 Jan 2100 00:00:00 GMT")

Make = Callable[[random.Random], Fault]


def _either(chance: random.Random) -> bool:
    return chance.random() < 0.5


def _status(chance: random.Random) -> Fault:
    return faults.answer(chance.choice(STATUSES), committed=_either(chance))


def _redirect(chance: random.Random) -> Fault:
    return faults.answer(chance.choice(REDIRECTS), headers={"Location": "http://127.0.0.1:1/"})


def _retry_after(chance: random.Random) -> Fault:
    headers = {"Retry-After": chance.choice(RETRY_AFTER)}
    return faults.answer(chance.choice((429, 503)), headers=headers)


def _html(chance: random.Random) -> Fault:
    status = chance.choice((200, 404, 409, 502))
    headers = {"Content-Type": "text/html"}
    return faults.answer(status, body=faults.html, headers=headers, committed=_either(chance))


def _without(chance: random.Random) -> Fault:
    field = chance.choice(("metadata", "metadata.uid", "metadata.resourceVersion", "kind"))
    return faults.answer(200, body=faults.without(field), committed=_either(chance))


def _held(chance: random.Random) -> Fault:
    return faults.hold_answer(chance.choice((0.001, 0.02, LONGER_THAN_A_CALL)))


def _dribble(chance: random.Random) -> Fault:
    return faults.dribble(chance.choice(("header", "body")), committed=_either(chance))


OF_REQUESTS: dict[str, Make] = {
    "lost request": lambda _: faults.lose_request(),
    "lost answer": lambda _: faults.lose_answer(),
    "late answer": _held,
    "hang": lambda chance: faults.hang(committed=_either(chance)),
    "dribble": _dribble,
    "reset": lambda chance: faults.reset(committed=_either(chance)),
    "error status": _status,
    "redirect": _redirect,
    "Retry-After": _retry_after,
    "HTML": _html,
    "empty body": lambda chance: faults.answer(200, body=b"", committed=_either(chance)),
    "cut JSON": lambda chance: faults.answer(200, body=faults.cut_json, committed=_either(chance)),
    "field missing": _without,
    "huge body": lambda _: faults.answer(200, body=faults.padded(LONGER_THAN_AN_ANSWER_MAY_BE)),
}
OF_READS: dict[str, Make] = {"stale read": lambda chance: faults.stale_read(chance.randint(1, 3))}


def _after(chance: random.Random) -> int:
    return chance.randrange(MOST_EVENTS_BEFORE)


OF_WATCHES: dict[str, Make] = {
    "watch ends": lambda chance: faults.end_watch(after=_after(chance)),
    "watch stalls": lambda chance: faults.stall_watch(after=_after(chance)),
    "ERROR 410": lambda chance: faults.error_event(after=_after(chance)),
    "ERROR 500": lambda chance: faults.error_event(500, after=_after(chance)),
    "events twice": lambda _: faults.duplicate_events(),
    "bookmarks only": lambda _: faults.bookmarks_only(),
    "events missing": lambda chance: faults.miss_events(3, after=_after(chance)),
}


class RandomPlan(Plan):
    """Each request meets each fault by chance, and no list grows: what was met is counted."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._chance = random.Random(seed)
        self.met: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()

    def meet_connection(self) -> bool:
        """Whether a new connection is one that never gets to its first request"""
        with self._lock:
            hangs = self._chance.random() < SHARE
            self.met["hanging connection"] += hangs
            return hangs

    def meet(self, request: RecordedRequest) -> Fault | None:
        """Count `request`, and return what goes wrong with it, if anything does"""
        with self._lock:
            self.asked[request.verb] += 1
            kinds = dict.fromkeys(OF_REQUESTS, SHARE)
            if request.verb == "get":
                kinds |= dict.fromkeys(OF_READS, SHARE)
            elif request.verb == "watch":
                kinds |= dict.fromkeys(OF_WATCHES, SHARE_OF_WATCHES)
            kinds["none"] = 1 - sum(kinds.values())
            (kind,) = self._chance.choices(list(kinds), list(kinds.values()))
            make = {**OF_REQUESTS, **OF_READS, **OF_WATCHES}.get(kind)
            if make is None:
                return None
            self.met[kind] += 1
            return make(self._chance)
