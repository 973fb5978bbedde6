"""What a scheduler does besides: contend, begin jobs while it leads, and let go at the end."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.job import Job
from apscheduler.schedulers import SchedulerAlreadyRunningError
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.base import STATE_RUNNING, BaseScheduler

from kube_leader_election import (
    InvalidParamsError,
    LeaderElector,
    LeaderElectorParams,
    Leadership,
    LeaseApi,
    NotLeadingError,
)
from kube_leader_election.contrib._candidacy import Candidacy

from ._gate import Gate
from ._gated import GatedExecutor
from ._stores import TermStore, Writing, keep_time, names_its_time

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

# In seconds.
_LOOKS_AT_SHARED = 10.0  # for what another replica has added to a store
_LOOKS_WHILE_STOPPING = 0.02


class LeaderSchedulerMixin(BaseScheduler):
    """To be named before a class of APScheduler's schedulers; three of them are ready.

    Jobs begin where this replica leads, and nowhere else. It contends from `start` on; `shutdown`
    releases the Lease when the jobs that run have ended. What is promised: docs/apscheduler.rst.
    """

    def __init__(
        self,
        params: LeaderElectorParams,
        *args: Any,
        namespace: str | None = None,
        client: LeaseApi | ApiClient | None = None,
        **options: Any,
    ) -> None:
        """Nothing was started or asked for yet. What is not named here is the scheduler's own.

        `namespace` and `client` are by default those of the Pod, or of the kubeconfig, when it is
        started.

        :raises InvalidParamsError: one of them breaks its rule.
        """
        self._candidacy = Candidacy(params, namespace, client)
        self._elector: LeaderElector | None = None
        self._gate = Gate()
        self._writing = Writing()
        self._turn = threading.RLock()
        self._is_closing = False
        self._term: Leadership | None = None
        self._began_at: datetime | None = None
        self._took_over: Leadership | None = None
        self._replacing: dict[tuple[str, str], Job] = {}
        super().__init__(*args, **options)

    def is_leader(self) -> bool:
        """Whether jobs may begin here now, by our own clock. It is a method: call it."""
        return self._gate.leadership is not None

    @property
    def leadership(self) -> Leadership | None:
        """The term that we lead in, `None` where we do not: for a job, at its beginning."""
        return self._gate.leadership

    def healthy(self, tolerance: float = 20.0) -> bool:
        """As `LeaderElector.healthy`."""
        return self._elector is None or self._elector.healthy(tolerance)

    def start(self, *args: Any, **kwargs: Any) -> None:
        """We contend from now on, and begin jobs while we lead. Blocks where it did.

        :raises SchedulerAlreadyRunningError: it runs.
        :raises LeaderElectionError: no cluster is known.
        """
        if self.running:
            raise SchedulerAlreadyRunningError
        elector = self._candidacy.elector(
            on_started_leading=self._begin, on_stopped_leading=self._finish
        )
        self._elector = elector
        self._is_closing = False
        elector.start()
        try:
            super().start(*args, **kwargs)
        except BaseException:
            elector.stop(wait=False)
            raise

    def shutdown(self, wait: bool = True) -> None:
        """No job begins any more; the Lease is released when those that run have ended.

        With `wait` what is queued is run before, still leading. Where an event loop is to go on,
        or without `wait`, this returns at once, and the Lease is released later.

        :raises SchedulerNotRunningError: it does not run.
        """
        with self._turn:  # what is under way was written down
            self._is_closing = self.running
        super().shutdown(wait)
        if self._elector is not None:
            self._elector.stop(wait=wait and not isinstance(self, AsyncIOScheduler))

    def add_executor(self, executor: Any, alias: str = "default", **options: Any) -> None:
        """:raises InvalidParamsError: its jobs run in processes, which cannot ask who leads."""
        super().add_executor(executor, alias, **options)
        if isinstance(self._executors[alias], ProcessPoolExecutor):
            self.remove_executor(alias)
            rule = "must run jobs in this process: one queued in another cannot ask who leads"
            raise InvalidParamsError(f"executors[{alias!r}]", executor, rule)

    def add_jobstore(self, jobstore: Any, alias: str = "default", **options: Any) -> None:
        """As ever."""
        with self._jobstores_lock:
            super().add_jobstore(jobstore, alias, **options)
            self._jobstores[alias] = TermStore(self._jobstores[alias], self._writing)

    def _begin(self, leadership: Leadership) -> None:
        self._term = leadership
        self._began_at = datetime.now(self.timezone)  # first: then what is added is for us
        self._gate.open(leadership)
        self._wake()

    def _finish(self) -> None:
        """What runs has ended, or the term is over: the Lease is released only then."""
        leadership, self._term = self._term, None
        while leadership and not self._gate.close_if_idle():
            leadership.lost.wait(_LOOKS_WHILE_STOPPING)
        self._gate.close()
        self._wake()

    def _wake(self) -> None:
        if self.running:
            with suppress(AttributeError, RuntimeError):  # its event loop has just been closed
                self.wakeup()

    def _process_jobs(self) -> float | None:
        """Return in how many seconds to look again; `None`: when it is woken."""
        with self._turn:
            if self.state != STATE_RUNNING or self._is_closing:
                return None
            try:
                return self._process(self._gate.plannable)
            except NotLeadingError:
                return None
            except Exception:
                self._logger.exception("A job store failed; it is asked again")
                retry_interval: float = self.jobstore_retry_interval
                return retry_interval

    def _process(self, leadership: Leadership | None) -> float | None:
        if leadership is None:
            return self._follow()
        with self._writing.within(leadership):
            if self._took_over is not leadership:
                self._take_over()
                self._took_over = leadership
            seconds: float | None = super()._process_jobs()
        if any(store.is_shared for store in self._jobstores.values()):
            return _LOOKS_AT_SHARED if seconds is None else min(seconds, _LOOKS_AT_SHARED)
        return seconds

    def _follow(self) -> float | None:
        """What is due here is for another, as far as only we know of it."""
        now = datetime.now(self.timezone)
        with self._jobstores_lock:
            local = [store for store in self._jobstores.values() if not store.is_shared]
            for store in local:
                store.skip_missed(now)
            times = [at for store in local if (at := store.get_next_run_time()) is not None]
        seconds = (min(times) - datetime.now(self.timezone)).total_seconds() if times else None
        return None if seconds is None else min(max(seconds, 0.0), threading.TIMEOUT_MAX)

    def _take_over(self) -> None:
        now = datetime.now(self.timezone)
        with self._jobstores_lock:
            for (alias, job_id), job in list(self._replacing.items()):
                if alias in self._jobstores and self._stored(job, alias) is not None:
                    self._real_add_job(job, alias, True)
                self._replacing.pop((alias, job_id), None)
            for store in self._jobstores.values():
                store.skip_missed(now if store.is_shared else self._began_at)

    def _real_add_job(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
        """A schedule that replaces another is written by who leads only, and delays nothing."""
        stored = self._stored(job, jobstore_alias) if replace_existing else None
        if stored is not None and not names_its_time(job):
            if not self.is_leader():
                job._jobstore_alias = jobstore_alias  # noqa: SLF001 (as a scheduler does)
                self._replacing[jobstore_alias, job.id] = job
                return
            keep_time(job, stored, datetime.now(self.timezone))
        self._replacing.pop((jobstore_alias, job.id), None)
        super()._real_add_job(job, jobstore_alias, replace_existing)

    def _stored(self, job: Job, alias: str) -> Job | None:
        store = self._lookup_jobstore(alias)
        return store.lookup_job(job.id) if store.is_shared else None

    def _lookup_executor(self, alias: str) -> Any:
        executor = super()._lookup_executor(alias)
        leadership = self._writing.leadership
        if leadership is None:
            return executor
        return GatedExecutor(executor, self._gate, leadership)
