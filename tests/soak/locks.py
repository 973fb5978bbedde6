"""Locks that are renewed in loops, each for a Lease of its own and on a clock of its own"""

from __future__ import annotations

import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from kube_leader_election import LeaseError, LeaseLock, LeaseLockParams
from kube_leader_election.testing import FakeClock
from tests.measured import figures
from tests.measured.figures import Figure

from .log_lines import LogLines
from .stand_in import StandIn

LANES = 12  # what waits for one that hangs is the others' time
CALL_TIMEOUT = 0.25
RENEWS_EVERY, RETRIES_EVERY = 4.9, 1.0  # by its clock
MOST_REQUESTS_PER_RENEWAL = 3.0


class Lane:
    """One lock, and the loop that its user would write"""

    def __init__(self, stand_in: StandIn, number: int) -> None:
        self._clock = FakeClock()
        params = LeaseLockParams(
            lease_name=f"lock-{number}", holder_id=f"lane-{number}", call_timeout=CALL_TIMEOUT
        )
        client = stand_in.client()
        self._lock = LeaseLock(client, "default", params, clock=self._clock)
        self._told: tuple[bool, int | None] = (False, None)
        self.renewals = self.attempts = self.terms = self.defects = 0
        self.lost: Counter[str] = Counter()

    def turn(self) -> None:
        """Call once, and let the time pass that this took, and that until the next call"""
        began_at = time.monotonic()
        renewed, why = False, "another's record or an absence was seen"
        try:
            renewed = self._lock.try_acquire_or_renew().acquired_lease
        except LeaseError as error:
            why = f"{type(error).__name__}, {error.status or type(error.__cause__).__name__}"
        self.attempts += 1
        self.renewals += renewed
        self._note((self._lock.is_leader(), self._lock.fencing_token), why)
        self._clock.advance(time.monotonic() - began_at)
        self._clock.advance(RENEWS_EVERY if renewed else RETRIES_EVERY)
        if self._told[0] and not self._lock.is_leader():
            self.lost[f"not renewed in time, last {why}"] += 1
            self._told = (False, self._told[1])

    def end(self) -> None:
        """Let the lock go"""
        del self._lock

    def _note(self, now: tuple[bool, int | None], why: str) -> None:
        was_leading, token = self._told
        if now[0] and now[1] != token:
            self.terms += 1
        elif not now[0] and was_leading:
            self.lost[f"ended in a call: {why}"] += 1
        self._told = (now[0], now[1] if now[0] else token)


class Locks:
    """All lanes, each on a thread, within its with-block"""

    def __init__(self, stand_in: StandIn) -> None:
        self._lanes = [Lane(stand_in, number) for number in range(LANES)]
        self._stopping = threading.Event()
        self._may_go = threading.Event()
        self._parked = [threading.Event() for _ in self._lanes]
        self._threads = [
            threading.Thread(target=self._run, args=(lane, parked), daemon=True)
            for lane, parked in zip(self._lanes, self._parked, strict=True)
        ]

    def __enter__(self) -> Locks:
        self._may_go.set()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._may_go.set()
        for thread in self._threads:
            thread.join()
        for lane in self._lanes:
            lane.end()

    @property
    def renewals(self) -> int:
        """How many calls have led"""
        return sum(lane.renewals for lane in self._lanes)

    @property
    def lost(self) -> Counter[str]:
        """How many terms have ended, and why"""
        return sum((lane.lost for lane in self._lanes), Counter())

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Nothing is asked within the block"""
        self._may_go.clear()
        for parked in self._parked:
            parked.wait()
        yield
        self._may_go.set()

    def figures(self, requests: int, lines: LogLines) -> Iterator[Figure]:
        """Yield what was to be shown of them"""
        calls = sum(lane.attempts for lane in self._lanes)
        yield figures.numbers(
            f"requests per renewal, {requests} in {calls} calls",
            [requests / self.renewals],
            most=MOST_REQUESTS_PER_RENEWAL,
        )
        terms, lost = sum(lane.terms for lane in self._lanes), self.lost.total()
        yield figures.every(
            f"lines that say a term began, of {terms}", [lines.count["begin"] == terms]
        )
        yield figures.every(f"lines that say a term ended, of {lost}", [lines.count["end"] <= lost])
        other = lines.count.total() - lines.count["begin"] - lines.count["end"]
        yield figures.numbers("other lines", [other], most=0)
        defects = sum(lane.defects for lane in self._lanes)
        yield figures.numbers("errors that are not the library's", [defects], most=0)

    def _run(self, lane: Lane, parked: threading.Event) -> None:
        while not self._stopping.is_set():
            if not self._may_go.is_set():
                parked.set()
                self._may_go.wait()
                parked.clear()
            try:
                lane.turn()
            except Exception:  # noqa: BLE001 (the others go on)
                lane.defects += 1
                traceback.print_exc()
