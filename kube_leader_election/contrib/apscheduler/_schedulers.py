"""The schedulers of APScheduler, in every replica."""

from __future__ import annotations

import threading
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler

from ._mixin import LeaderSchedulerMixin

__all__ = [
    "LeaderAsyncIOScheduler",
    "LeaderBackgroundScheduler",
    "LeaderBlockingScheduler",
    "LeaderSchedulerMixin",
]


class LeaderBlockingScheduler(LeaderSchedulerMixin, BlockingScheduler):
    """A `BlockingScheduler` in every replica, of which one begins jobs."""

    _blocked: threading.Thread | None = None

    def start(self, *args: Any, **kwargs: Any) -> None:
        """As of any other, until `shutdown`."""
        self._blocked = threading.current_thread()
        super().start(*args, **kwargs)

    def shutdown(self, wait: bool = True) -> None:
        """As of any other; in a signal handler on the thread of `start` it only begins to."""
        if self.running and threading.current_thread() is self._blocked:
            # What is under way there holds locks, or is half done.
            threading.Thread(target=super().shutdown, args=[wait]).start()
        else:
            super().shutdown(wait)


class LeaderBackgroundScheduler(LeaderSchedulerMixin, BackgroundScheduler):
    """A `BackgroundScheduler` in every replica, of which one begins jobs."""


class LeaderAsyncIOScheduler(LeaderSchedulerMixin, AsyncIOScheduler):
    """An `AsyncIOScheduler` in every replica, of which one begins jobs."""
