"""A clock that is set by hand."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

# Not on a whole second: a typed client writes such a time without its six digits, and the API
# server refuses that.
START = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)


class FakeClock:
    """Both clocks of one machine, which stand still until they are moved. Thread-safe.

    `rate` is how fast they run: after `advance(10)` a clock of rate 1.01 has moved on by 10.1
    seconds. Pass it as `clock` to what is tested.
    """

    def __init__(self, *, start: datetime = START, rate: float = 1.0) -> None:
        """Show `start`, an aware time, on the wall."""
        if start.tzinfo is None:
            raise ValueError(f"start={start!r}: must be an aware datetime")
        self.rate = rate
        self._lock = threading.RLock()
        self._monotonic = 1000.0
        self._utc = start.astimezone(timezone.utc)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        with self._lock:
            return self._monotonic

    def utcnow(self) -> datetime:
        """Return the wall time, aware and in UTC."""
        with self._lock:
            return self._utc

    def advance(self, seconds: float) -> None:
        """`seconds` of true time have passed, on both clocks at their rate."""
        if seconds < 0:
            raise ValueError(f"seconds={seconds!r}: time does not go back; shift_wall() moves that")
        with self._lock:
            self._monotonic += seconds * self.rate
            self._utc += timedelta(seconds=seconds * self.rate)

    def shift_wall(self, seconds: float) -> None:
        """The wall clock was set, forward or back; no time has passed."""
        with self._lock:
            self._utc += timedelta(seconds=seconds)
