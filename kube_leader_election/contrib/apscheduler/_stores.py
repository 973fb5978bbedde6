"""Job stores: who writes to them, and what becomes of the times that were missed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from apscheduler.job import Job
from apscheduler.jobstores.base import JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.triggers.date import DateTrigger

from kube_leader_election import Leadership


class Writing(threading.local):
    """In which term this thread writes when jobs run next; `None`: in none, and whatever it likes.

    A job may have run meanwhile for another leader, who has written so.
    """

    leadership: Leadership | None = None

    @contextmanager
    def within(self, leadership: Leadership) -> Iterator[None]:
        """Within the block what this thread writes is refused where the term is over."""
        self.leadership = leadership
        try:
            yield
        finally:
            self.leadership = None

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Within the block this thread may write; a job that was removed meanwhile stays so.

        :raises NotLeadingError: it writes in a term that is over.
        """
        if self.leadership is None:
            yield
            return
        self.leadership.ensure_valid()
        with suppress(JobLookupError):
            yield


class TermStore:
    """A job store that is asked as ever, and written to as `writing` allows.

    `is_shared`: other replicas may see it.
    """

    def __init__(self, store: Any, writing: Writing) -> None:
        self.is_shared = not isinstance(store, MemoryJobStore)
        self._store = store
        self._writing = writing

    def start(self, scheduler: Any, alias: str) -> None:
        """As ever; twice, since another replica may create its table at the same moment."""
        try:
            self._store.start(scheduler, alias)
        except Exception:  # noqa: BLE001 (a database's, of any kind)
            self._store.start(scheduler, alias)

    def update_job(self, job: Job) -> None:
        """:raises NotLeadingError: the term is over."""
        with self._writing.allowed():
            self._store.update_job(job)

    def remove_job(self, job_id: str) -> None:
        """:raises NotLeadingError: the term is over."""
        with self._writing.allowed():
            self._store.remove_job(job_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def skip_missed(self, now: datetime) -> None:
        """Of what was due, at most one run of each job is left: the last one, if it is shared.

        A store in memory does not say what others have run: nothing is left.
        """
        for job in self.get_due_jobs(now):
            missed = job._get_run_times(now)[-1]  # noqa: SLF001 (as a scheduler does)
            due = missed if self.is_shared else job.trigger.get_next_fire_time(missed, now)
            if due is None:
                self.remove_job(job.id)
            elif due != job.next_run_time:
                job._modify(next_run_time=due)  # noqa: SLF001
                self.update_job(job)


def names_its_time(job: Job) -> bool:
    """Whether who adds the job has said when it is to run, and not only how often."""
    return hasattr(job, "next_run_time") or isinstance(job.trigger, DateTrigger)


def keep_time(job: Job, stored: Job, now: datetime) -> None:
    """The job, which replaces the stored one, does not run later than that would have."""
    first = job.trigger.get_next_fire_time(None, now)
    if first is not None and stored.next_run_time is not None:
        job._modify(next_run_time=min(first, stored.next_run_time))  # noqa: SLF001
