"""One replica: a process that contends, and looks at itself: ``python -m tests.chaos.replica``"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import logging
import os
import signal
import sys
import threading
import time
import warnings
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from kube_leader_election import (
    LeaderElector,
    LeaderElectorParams,
    Leadership,
    LeaderState,
    LeaseError,
    LeaseLock,
    LeaseLockParams,
    NotLeadingError,
)
from kube_leader_election._clock import SystemClock
from tests.measured.journal import Writer

from . import fence, timing
from .beliefs import Notes
from .broken import RULES
from .orders import ELECTOR, LEASE, Orders, Remote

_SAMPLE = 0.001
_BETWEEN_WRITES = 0.05
_BETWEEN_LOOKS = 0.02
_CHILD_MAY_TAKE = 15  # seconds
_THREAD_MAY_LACK = 2.0
_PARTS = ("supervisor", "requests", "log")


class _Clock(SystemClock):
    """This machine's, but that its wall clock jumps as it is told."""

    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self._remote = remote

    def utcnow(self) -> datetime:
        return super().utcnow() + timedelta(seconds=self._remote.wall_offset)


class Replica:
    """Contends until SIGTERM."""

    def __init__(self, orders: Orders) -> None:
        folder = Path(orders.folder)
        self._orders = orders
        self._remote = Remote(folder / f"{orders.replica}.remote")
        self._notes = Notes(folder / f"{orders.name}.beliefs")
        self._journal = Writer(folder / "journal", orders.name)
        self._table = folder / fence.TABLE
        self._ending = threading.Event()
        self._old_token = 0
        self._candidate = self._make()

    def run(self) -> None:
        """Lead whenever possible; all else is done by threads."""
        for work in (self._sample, self._obey):
            threading.Thread(target=work, name=work.__name__, daemon=True).start()
        candidate = self._candidate
        if isinstance(candidate, LeaderElector):
            threading.Thread(target=self._look_after, args=[candidate], daemon=True).start()
            candidate.run(self._work, stop_on=[signal.SIGTERM])
        else:
            signal.signal(signal.SIGTERM, lambda *_: self._ending.set())
            worker = threading.Thread(target=self._work_in_terms_of, args=[candidate], daemon=True)
            worker.start()
            self._loop(candidate)
            worker.join()
            with contextlib.suppress(NotLeadingError, LeaseError):
                candidate.step_down()

    def _make(self) -> LeaderElector | LeaseLock:
        orders, clock = self._orders, _Clock(self._remote)
        if orders.kind == ELECTOR:
            params = LeaderElectorParams(
                lease_name=LEASE,
                holder_id=orders.holder_id,
                lease_ttl=timing.LEASE_TTL,
                renew_deadline=timing.RENEW_DEADLINE,
                retry_period=timing.RETRY_PERIOD,
                drain_timeout=timing.DRAIN_TIMEOUT,
            )
            return LeaderElector(_api_client(orders), orders.namespace, params, clock=clock)
        lock_params = LeaseLockParams(
            lease_name=LEASE,
            holder_id=orders.holder_id,
            lease_ttl=timing.LEASE_TTL,
            max_clock_skew=orders.skew,
        )
        return LeaseLock(_api_client(orders), orders.namespace, lock_params, clock=clock)

    def _sample(self) -> None:
        candidate, notes = self._candidate, self._notes
        while True:
            before = candidate.fencing_token
            asked_at = time.monotonic()
            leads = candidate.is_leader()
            answered_at = time.monotonic()
            if not leads:
                notes.note(None, asked_at, answered_at)
            elif before is not None and before == candidate.fencing_token:
                notes.note(before, asked_at, answered_at)
            time.sleep(_SAMPLE)

    def _loop(self, lock: LeaseLock) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(LeaseError):
                if lock.try_acquire_or_renew().lease is not None:
                    self._notes.note_sight()
            self._ending.wait(timing.LOOP_PERIOD)

    def _work_in_terms_of(self, lock: LeaseLock) -> None:
        while not self._ending.wait(_BETWEEN_WRITES):
            token = lock.fencing_token
            self._write(token or self._old_token)

    def _work(self, leadership: Leadership) -> None:
        token = leadership.fencing_token or 0
        while not leadership.stopping.wait(_BETWEEN_WRITES):
            self._write(token)
        if leadership.lost.is_set():
            self._write(token)  # whether it has a right to is the table's to say

    def _write(self, token: int) -> None:
        if not token:
            return
        done = fence.write(self._table, self._orders.replica, token)
        self._old_token = token if done is None or done.accepted else 0
        if done is not None and not done.accepted:
            times = {"began_at": done.began_at, "ended_at": done.ended_at}
            self._journal.write(LEASE, "refused", token=token, **times)

    def _look_after(self, elector: LeaderElector) -> None:
        """Complain where a thread of the library is missing, or it calls itself unhealthy."""
        names = {f"kube-leader-election-{part}" for part in _PARTS}
        whole_at = time.monotonic()
        while True:
            time.sleep(_BETWEEN_LOOKS)
            if elector.state is not LeaderState.STANDBY:
                self._notes.note_sight()
            missing = names - {thread.name for thread in threading.enumerate()}
            takes_part = elector.state is not LeaderState.STANDBY  # else it may begin or have ended
            if not missing or not takes_part:
                whole_at = time.monotonic()
            elif time.monotonic() - whole_at > _THREAD_MAY_LACK:
                self._journal.write(LEASE, "complaint", text=f"no thread {sorted(missing)}")
                return
            if not elector.healthy():
                self._journal.write(LEASE, "complaint", text="not healthy")
                return

    def _obey(self) -> None:
        done = self._remote.forks
        while True:
            time.sleep(_BETWEEN_LOOKS)
            if self._remote.forks > done:
                done += 1
                self._fork()

    def _fork(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 2
            try:
                faulthandler.register(signal.SIGALRM, chain=True)  # tells where it hangs
                signal.alarm(_CHILD_MAY_TAKE)
                code = 1 if self._candidate.is_leader() else 0
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        if code:
            self._journal.write(LEASE, "complaint", text=f"a forked child ended with {code}")


def _api_client(orders: Orders) -> Any:
    from kubernetes import client, config

    configuration = client.Configuration()
    load: Any = config.load_kube_config  # untyped
    load(orders.kubeconfig, client_configuration=configuration)
    configuration.proxy = None
    return client.ApiClient(configuration)


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until it contends
    orders = Orders(**json.loads(sys.argv[1]))
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    if orders.without:
        RULES[orders.without]()
    Replica(orders).run()


if __name__ == "__main__":
    main()
