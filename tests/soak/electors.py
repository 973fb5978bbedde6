"""Electors for many Leases, on clocks that run fast while nothing is asked"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from kube_leader_election import LeaderElector, LeaderElectorParams
from kube_leader_election._core.messages import (
    Answer,
    Failed,
    Found,
    Intent,
    Replace,
    Request,
    WatchEnded,
)
from kube_leader_election.testing import FakeClock
from tests.measured import figures
from tests.measured.figures import Figure

from .log_lines import LogLines
from .stand_in import StandIn

LEASES, STANDBYS = 16, 4  # of the first few Leases there is a standby
TIMES: dict[str, Any] = {"lease_ttl": 4, "renew_deadline": 2.5, "retry_period": 0.5}
TICK = 0.01
SPEED = 25.0
LONGEST_TICK = 0.01  # of true time; what the machine did not give us for longer did not pass
MOST_REQUESTS_PER_RENEWAL = 2.0


class PatientClock(FakeClock):
    """Knows which threads have looked at it"""

    def __init__(self) -> None:
        super().__init__()
        self.seen_by: set[int] = set()

    def monotonic(self) -> float:
        """Return seconds that never go back"""
        self.seen_by.add(threading.get_ident())
        return super().monotonic()


class Witness:
    """Notes what one elector asks, and is answered"""

    def __init__(self, elector: LeaderElector) -> None:
        self.elector = elector
        self.asking = 0
        self.renewals = self.troubles = self.watch_ends = 0
        self.last = "nothing"
        self._last_trouble: object = None
        store = elector._election()._store
        self._carry, self._watch = store.carry, store.watch
        vars(store).update(carry=self.carry, watch=self.watch)

    @property
    def terms(self) -> int:
        """How many have begun"""
        return self.elector._election()._candidate._terms

    @property
    def thread(self) -> int | None:
        """That which decides"""
        return self.elector._election()._supervisor.thread.ident

    @property
    def is_running(self) -> bool:
        """Whether its election is not over"""
        return self.elector._election()._supervisor.thread.is_alive()

    def carry(self, request: Request, timeout: float) -> Answer:
        """As the store's, which this calls"""
        self.asking += 1
        try:
            answer = self._carry(request, timeout)
        finally:
            self.asking -= 1
        self._note(request, answer)
        return answer

    def watch(
        self, version: str | None, *, open_timeout: float, deliver: Callable[..., Any]
    ) -> Any:
        """As the store's, which this calls"""

        def note(watch: object, event: object) -> None:
            self.watch_ends += isinstance(event, WatchEnded)
            deliver(watch, event)

        return self._watch(version, open_timeout=open_timeout, deliver=note)

    def _note(self, request: Request, answer: Answer) -> None:
        self.last = type(answer).__name__
        if isinstance(answer, Found):
            is_renewal = isinstance(request, Replace) and request.intent is Intent.RENEW
            self.renewals += is_renewal
            self._last_trouble = None
            return
        if isinstance(answer, Failed):
            cause = type(answer.error.__cause__).__name__
            self.last = f"{type(answer.error).__name__}, {answer.status or cause}"
        if self.last != self._last_trouble:
            self.troubles += 1
        self._last_trouble = self.last


class Contenders:
    """The electors for one Lease, on one clock; the time that a request takes is true time"""

    def __init__(self, stand_in: StandIn, number: int, names: str) -> None:
        self.clock = PatientClock()
        self.lost: Counter[str] = Counter()
        self.two_led = 0
        self._leading = [False for _ in names]
        self.witnesses = [
            Witness(
                LeaderElector(
                    stand_in.client(),
                    "default",
                    LeaderElectorParams(
                        lease_name=f"elector-{number}", holder_id=f"{number}-{name}", **TIMES
                    ),
                    clock=self.clock,
                )
            )
            for name in names
        ]

    @property
    def asking(self) -> bool:
        """Whether a request is under way"""
        return any(witness.asking for witness in self.witnesses)

    def tick(self, seconds: float) -> None:
        """So much true time has passed, which is none for who did not get to look at the clock"""
        if not {witness.thread for witness in self.witnesses} <= self.clock.seen_by:
            return
        self.clock.seen_by.clear()
        self.clock.advance(seconds if self.asking else seconds * SPEED)
        leading = [witness.elector.is_leader() for witness in self.witnesses]
        self.two_led += sum(leading) > 1
        for witness, is_leader, was in zip(self.witnesses, leading, self._leading, strict=True):
            if was and not is_leader:
                self.lost[f"last answer {witness.last}"] += 1
        self._leading = leading


class Electors:
    """All of them, and the thread that lets their time pass, within its with-block"""

    def __init__(self, stand_in: StandIn) -> None:
        self._leases = [
            Contenders(stand_in, number, "ab" if number < STANDBYS else "a")
            for number in range(LEASES)
        ]
        self._stopping = threading.Event()
        self._may_go = threading.Event()
        self._parked = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Electors:
        for witness in self._witnesses:
            witness.elector.start()
        self._may_go.set()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._may_go.set()
        self._thread.join()
        for witness in self._witnesses:
            witness.elector.stop(wait=False)
        # Where one waits for something, it is for its clock.
        while any(
            witness.elector._election()._supervisor.thread.is_alive() for witness in self._witnesses
        ):
            for each in self._leases:
                each.clock.advance(TICK)
            time.sleep(TICK)
        for witness in self._witnesses:
            witness.elector.stop()

    @property
    def _witnesses(self) -> list[Witness]:
        return [witness for each in self._leases for witness in each.witnesses]

    @property
    def renewals(self) -> int:
        """How many were answered"""
        return sum(witness.renewals for witness in self._witnesses)

    @property
    def lost(self) -> Counter[str]:
        """How many terms have ended, and after which answer"""
        return sum((each.lost for each in self._leases), Counter())

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is asked within the block"""
        self._may_go.clear()
        self._parked.wait()
        while any(each.asking for each in self._leases):
            time.sleep(TICK)
        time.sleep(TICK)
        yield
        self._may_go.set()

    def figures(self, requests: int, lines: LogLines) -> Iterator[Figure]:
        """Yield what was to be shown of them"""
        yield figures.numbers(
            f"requests per renewal, {requests}, with those of the standbys",
            [requests / self.renewals],
            most=MOST_REQUESTS_PER_RENEWAL,
        )
        terms = sum(witness.terms for witness in self._witnesses)
        for kind in ("begin", "end"):
            told = lines.count[kind]
            yield figures.every(f"lines that say {kind}: {told}, terms: {terms}", [told <= terms])
        troubles = sum(witness.troubles for witness in self._witnesses)
        told = lines.count["trouble"]
        yield figures.every(f"lines of trouble: {told}, troubles: {troubles}", [told <= troubles])
        ends = sum(witness.watch_ends for witness in self._witnesses)
        polled = lines.count["polled"]
        yield figures.every(
            f"lines of polling: {polled}, watches that ended: {ends}", [polled <= ends]
        )
        yield figures.numbers("defects", [lines.count["defect"]], most=0)
        two_led = sum(each.two_led for each in self._leases)
        yield figures.numbers("times that two led", [two_led], most=0)

    def _run(self) -> None:
        before = time.monotonic()
        while not self._stopping.wait(TICK):
            if not self._may_go.is_set():
                self._parked.set()
                self._may_go.wait()
                self._parked.clear()
                before = time.monotonic()
            now = time.monotonic()
            for each in self._leases:
                each.tick(min(now - before, LONGEST_TICK))
            before = now
