"""One term of leading: a scheduler that is built in it, and dropped at its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from celery.beat import PersistentScheduler, Scheduler

from kube_leader_election._telling import logger

from ._database import DatabaseTermed, noting_failures
from ._termed import Right, Termed, termed_producer
from ._times import Times


class LeaseScheduler(Scheduler):
    """Celery's own, without a file: when its entries have last run is kept in the Lease."""

    def setup_schedule(self) -> None:
        """As in a `PersistentScheduler`, the clean-up of results stays."""
        self.merge_inplace(self.app.conf.beat_schedule)
        self.install_default_entries(self.schedule)


class Term:
    """The scheduler is built when it is first to tick, and again after it has failed."""

    def __init__(
        self,
        right: Right,
        scheduler_class: type,
        times: Callable[[], Times],
        *,
        app: Any,
        **options: Any,
    ) -> None:
        """`times` makes where the times are kept, if the scheduler does not keep them itself."""
        self.leadership = right.leadership
        self._class = termed(scheduler_class, right)
        producer = termed_producer(app.amqp.Producer, right)
        self._options = {**options, "app": app, "Producer": producer, "sync_every_tasks": 1}
        kept = issubclass(scheduler_class, (PersistentScheduler, LeaseScheduler))
        self._times = times() if kept else None
        self._scheduler: Any = None
        self._was_built = False
        self._due_at = 0.0

    def tick(self) -> float:
        """What was due was sent; return in how many seconds there is to be another tick."""
        if self._scheduler is None:
            self._scheduler = self._build()
        if time.monotonic() >= self._due_at:
            interval: float = self._scheduler.tick() or 0.0
            self._due_at = time.monotonic() + interval
            self._keep_times()
        return max(0.0, self._due_at - time.monotonic())

    def should_sync(self) -> bool:
        """Whether the scheduler wants to persist what it has sent."""
        return self._scheduler is not None and bool(self._scheduler.should_sync())

    def sync(self) -> None:
        """What was sent is persisted."""
        self._scheduler._do_sync()  # noqa: SLF001 (as Celery's own service does)

    def finish(self) -> None:
        """All that was sent is persisted, if the term is not over, and the scheduler closed."""
        scheduler, self._scheduler = self._scheduler, None
        if self._times is not None:
            if self.leadership.is_valid():
                self._times.keep(at_once=True)
            self._times.close()
        if scheduler is not None:
            _close(scheduler, persist=self.leadership.is_valid())

    def drop(self) -> None:
        """Nothing is persisted; the next tick builds another scheduler."""
        scheduler, self._scheduler = self._scheduler, None
        self._due_at = 0.0
        if scheduler is not None:
            _close(scheduler, persist=False)

    def _build(self) -> Any:
        began_at = time.monotonic()
        known = self._times.known() if self._times is not None else {}
        scheduler: Any = self._class(**self._options)
        scheduler.lock_key = None  # RedBeat's own lock, which nobody has acquired
        for entry in scheduler.schedule.values() if known else ():
            last_run_at = known.get(entry.name)
            # One that is new here says that it ran just now.
            if last_run_at and (not entry.total_run_count or last_run_at > entry.last_run_at):
                entry.last_run_at = last_run_at
        if not self._was_built:
            self._was_built = True
            logger.info("beat's scheduler was built in %.3f s", time.monotonic() - began_at)
        return scheduler

    def _keep_times(self) -> None:
        if self._times is not None:
            entries = self._scheduler.schedule.values()
            self._times.note({entry.name: entry.last_run_at for entry in entries})
            self._times.keep()


def termed(scheduler_class: type, right: Right) -> type:
    """Return a class of schedulers that send by this right only."""
    mixin: type = Termed
    body: dict[str, Any] = {"_right": right, "__module__": scheduler_class.__module__}
    database = sys.modules.get("django_celery_beat.schedulers")
    if database is not None and issubclass(scheduler_class, database.DatabaseScheduler):
        mixin = DatabaseTermed
        body["_unsaved"] = set()
        body["Entry"] = noting_failures(scheduler_class.Entry, body["_unsaved"])  # type: ignore[attr-defined]
    return type(scheduler_class.__name__, (mixin, scheduler_class), body)


def _close(scheduler: Any, *, persist: bool) -> None:
    """Its resources are released. What fails is logged: nothing depends on it any more."""
    finalizer = getattr(scheduler, "_finalize", None)
    if finalizer is not None:
        finalizer.cancel()  # it would persist at the end of the process
    if not persist:
        scheduler._is_dropped = True  # noqa: SLF001 (ours)
        cache = getattr(getattr(scheduler, "_store", None), "cache", None)
        if cache is not None:
            cache.clear()  # a shelve writes it when it is closed
    try:
        scheduler.close()
    except Exception:  # noqa: BLE001 (a database's, a shelve's)
        logger.warning("beat's scheduler was not closed well", exc_info=True)
    connection = scheduler.__dict__.pop("connection", None)  # of Celery before 5.7
    if connection is not None:
        with suppress(Exception):
            connection.release()
