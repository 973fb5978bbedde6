"""One candidate for a worker and its pool: what Celery tells of a worker's life, an election's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import signals

from kube_leader_election import LeaderElectionError, LeaderElectorParams, LeaseApi
from kube_leader_election.contrib.prefork import PodElector

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


class WorkerElector(PodElector):
    """One candidate for a worker; whatever runs in its pool may ask, and do a `duty`.

    Make it in the module of the application. A worker that begins contends, and one that is told
    to end begins no duty more, leads until all its tasks have ended, and releases the Lease then.
    Nothing else that imports the module contends. For the pools prefork, by fork and by spawn,
    threads and solo.
    """

    def __init__(
        self,
        params: LeaderElectorParams,
        *,
        namespace: str | None = None,
        client: LeaseApi | ApiClient | None = None,
    ) -> None:
        """The worker that begins in this process will contend.

        `namespace` and `client` are by default those of the Pod, or of the kubeconfig, then. Where
        there are none, the worker does not begin.

        :raises InvalidParamsError: one of them breaks its rule.
        """
        super().__init__(params, namespace=namespace, client=client)
        signals.worker_init.connect(self._begin, weak=False)
        signals.worker_shutting_down.connect(self._finish, weak=False)
        signals.worker_shutdown.connect(self._end, weak=False)

    def _begin(self, **_: Any) -> None:
        try:
            self.start()
        except LeaderElectionError as error:
            # Of what is an Exception Celery writes a line to the log, and goes on.
            raise SystemExit(f"{self!r}: {error}") from error

    def _finish(self, **_: Any) -> None:
        self.finish()  # in a signal handler

    def _end(self, **_: Any) -> None:
        self.stop()
