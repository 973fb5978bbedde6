"""The clocks: which ones, and how to look at both."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol

from ._core.messages import Instant
from ._core.record import as_utc


class Clock(Protocol):
    """Where the time comes from; inject your own in tests."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def utcnow(self) -> datetime:
        """Return the wall time, aware and in UTC."""


class SystemClock:
    """This machine's clocks. The monotonic one runs on in its sleep where there is such a one."""

    def __init__(self) -> None:
        self._boottime = getattr(time, "CLOCK_BOOTTIME", None)
        try:
            self.monotonic()
        except OSError:
            self._boottime = None

    @property
    def stops_in_sleep(self) -> bool:
        """Whether the monotonic clock may stand still while the machine is suspended."""
        return self._boottime is None

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        if self._boottime is None:
            return time.monotonic()
        return time.clock_gettime(self._boottime)

    def utcnow(self) -> datetime:
        """Return the wall time, aware and in UTC."""
        return datetime.now(timezone.utc)


def look_at(clock: Clock) -> Instant:
    """Return what both clocks say, the monotonic one read first.

    A pause in between then makes a claim seem older than its `renewTime`, never younger.
    """
    return Instant(clock.monotonic(), as_utc(clock.utcnow()))
