"""Whatever runs is stopped where its process ends, and told the end in a forked child."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import Protocol

from ._process import process_id

# In seconds: for callbacks, where nobody has stopped the election.
DRAIN_TIMEOUT = 0.5


class Running(Protocol):
    """An election that was started, and is not over."""

    def stop(self, drain_timeout: float | None = None) -> None: ...

    def wait_until_over(self, drain_timeout: float | None = None) -> None: ...

    def end_in_child(self) -> None: ...


_running: set[Running] = set()
_finalized_in: tuple[int, int] | None = None


def add(election: Running) -> None:
    """It is stopped where the process ends, if it is not `discard`ed before."""
    _running.add(election)
    _finalize_child()


def discard(election: Running) -> None:
    """It is over."""
    _running.discard(election)


def _stop_all() -> None:
    elections = list(_running)
    with suppress(KeyboardInterrupt, SystemExit):  # a second Ctrl-C: it is waited no longer
        for election in elections:
            election.stop(DRAIN_TIMEOUT)
        for election in elections:
            election.wait_until_over(DRAIN_TIMEOUT)


def _finalize_child() -> None:
    """A child of `multiprocessing` ends without what `atexit` knows."""
    global _finalized_in
    process = sys.modules.get("multiprocessing.process")
    parent = getattr(process, "parent_process", None)  # another thread may be importing it
    if parent is None or parent() is None or _finalized_in == process_id():
        return
    from multiprocessing import util

    _finalized_in = process_id()
    # Before the queues of multiprocessing are closed, which callbacks may put to.
    util.Finalize(None, _stop_all_after_threads, exitpriority=100)


def _stop_all_after_threads() -> None:
    """As in the main process, not before the threads that it is not to end without have.

    `threading` waits for those only after this, and for the one that waits for them here.
    """
    if _threads_that_count():
        threading.Thread(target=_outlast_threads, name="kube-leader-election-end").start()
    else:
        _stop_all()


def _outlast_threads() -> None:
    while threads := _threads_that_count():
        for thread in threads:
            thread.join()
    _stop_all()


def _threads_that_count() -> list[threading.Thread]:
    beside = (threading.main_thread(), threading.current_thread())
    return [each for each in threading.enumerate() if not each.daemon and each not in beside]


def _end_all_in_child() -> None:
    for election in list(_running):
        election.end_in_child()
    _running.clear()


atexit.register(_stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_end_all_in_child)
