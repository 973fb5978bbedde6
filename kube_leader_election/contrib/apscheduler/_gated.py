"""Jobs that begin only in the term in which they were handed to an executor."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from apscheduler.job import Job
from apscheduler.util import iscoroutinefunction_partial

from kube_leader_election import Leadership

from ._gate import Gate

_LONG_AGO = -1e9  # in seconds: any run time is later than this before now


class GatedExecutor:
    """Stands in for an executor where a scheduler hands it what is due."""

    def __init__(self, executor: Any, gate: Gate, leadership: Leadership) -> None:
        self._executor = executor
        self._gate = gate
        self._leadership = leadership

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """It was handed on, and begins if the gate is open then."""
        self._executor.submit_job(_GatedJob(job, self._gate, self._leadership), run_times)


class _GatedJob(Job):
    """A copy of a job. It cannot leave this process, where nobody would ask."""

    def __init__(self, job: Job, gate: Gate, leadership: Leadership) -> None:
        self._gate = gate
        self._leadership = leadership
        self._grace_time = job.misfire_grace_time
        for name in Job.__slots__:
            if name not in ("__weakref__", "func", "func_ref", "misfire_grace_time"):
                setattr(self, name, getattr(job, name))
        self.func_ref = None
        self.func = _gated(job.func, gate, leadership)

    @property
    def misfire_grace_time(self) -> float | None:
        """Who runs it asks right before: what may not begin has missed its time."""
        if self._gate.lets_in(self._leadership):
            grace_time: float | None = self._grace_time
            return grace_time
        return _LONG_AGO


def _gated(function: Any, gate: Gate, leadership: Leadership) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with gate.passed(leadership):
            return function(*args, **kwargs)

    async def call_coroutine(*args: Any, **kwargs: Any) -> Any:
        with gate.passed(leadership):
            return await function(*args, **kwargs)

    return call_coroutine if iscoroutinefunction_partial(function) else call
