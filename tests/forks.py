"""A child that is forked, and the descriptors that it and its parent hold."""

from __future__ import annotations

import contextlib
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from kube_leader_election._wire import Wire


@contextlib.contextmanager
def forked(work: Callable[[], object]) -> Iterator[int]:
    """Runs ``work`` in a child, which exits with 0 if that was true."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks with threads, as users do
        child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(120)
            code = 0 if work() else 2
        finally:
            os._exit(code)
    try:
        yield child
    finally:
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def descriptors_of(wire: Wire) -> list[int]:
    """Those that its connection holds: the socket's, and the second one of it."""
    assert wire._socket is not None
    return [sock.fileno() for sock in (wire._socket, *wire._handles)]


def is_closed(descriptor: int) -> bool:
    """Whether this process, which has opened nothing since, holds it no more."""
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False
