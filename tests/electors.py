"""Electors that end with their test, and threads that a deadlock does not keep for ever."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import Signals
from typing import Any, Generic, TypeVar

from kube_leader_election import LeaderElector, LeaderElectorParams, Leadership
from kube_leader_election.testing import FakeClock, FakeCoordinationV1Api
from tests.hostile import PATIENCE, wait_until

# The shortest that there may be: belief ends 1 s after a write, an attempt after 0.2 s.
SHORTEST: dict[str, Any] = {"lease_ttl": 2, "renew_deadline": 1.0, "retry_period": 0.5}

_THREADS = {
    f"kube-leader-election-{what}"
    for what in ("supervisor", "requests", "connection", "watch", "callbacks", "log")
}

# Of locks that other tests have made, and that the garbage collector has not come to.
_others: set[threading.Thread] = set()

_T = TypeVar("_T")


class Electors:
    """Makes candidates for the Lease `leader`, and stops them at the end of its block.

    All are on one fake server and one clock, where they are not given another `client`, with
    which the clock is the machine's.
    """

    def __init__(self, api: FakeCoordinationV1Api | None, clock: FakeClock | None) -> None:
        self._api = api
        self._clock = clock
        self._made: list[LeaderElector] = []

    def __call__(
        self,
        holder_id: str | None = "a",
        *,
        client: Any = None,
        clock: Any = None,
        namespace: str = "default",
        **options: Any,
    ) -> LeaderElector:
        told = {name: options.pop(name) for name in list(options) if name.startswith("on_")}
        params = LeaderElectorParams(lease_name="leader", holder_id=holder_id, **options)
        if client is None:
            client, clock = self._api, clock or self._clock
        elector = LeaderElector(client, namespace, params, clock=clock, **told)
        self._made.append(elector)
        return elector

    def __enter__(self) -> Electors:
        _others.clear()
        _others.update(threading.enumerate())
        return self

    def __exit__(self, *exc: object) -> None:
        if not self._made:
            return
        for elector in self._made:
            elector.stop(wait=False)
        with suppress(AssertionError):
            wait_until(lambda: threads() == [], 1.0)
        if threads():
            gc.collect()  # errors refer to locks, whose connections have a thread each
        wait_until(lambda: threads() == [])


def threads() -> list[str]:
    """The names of our threads that run, and ran not before the electors of the test."""
    names = [thread.name for thread in threading.enumerate() if thread not in _others]
    return [name for name in names if name in _THREADS]


def sockets() -> set[str]:
    """Those of this process, each by a name that no other has while it is open."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add(str(entry.readlink()))
    return {link for link in found if link.startswith("socket:")}


def asked(api: FakeCoordinationV1Api) -> list[str]:
    """What was asked for so far, but for the watches."""
    return [request.verb for request in api.requests if request.verb != "watch"]


def lead(elector: LeaderElector) -> Leadership:
    """Start it, and return its first term."""
    elector.start()
    return term_of(elector)


def term_of(elector: LeaderElector) -> Leadership:
    """Return the term in which it leads, or will."""
    leadership = elector.wait_until_leading(PATIENCE)
    assert leadership is not None
    return leadership


def pass_time(clock: FakeClock, until: Callable[[], object], *, step: float = 0.5) -> None:
    """Time goes by, a hundred times as fast as it does at least, until the condition holds."""
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end
        clock.advance(step)
        time.sleep(0.005)


class Doing(Generic[_T]):
    """A call on a thread of its own."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._results: list[_T] = []
        self._errors: list[BaseException] = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def is_done(self) -> bool:
        return not self.thread.is_alive()

    def result(self) -> _T:
        """Return what the call has returned.

        :raises BaseException: what it raised.
        """
        self.thread.join(PATIENCE)
        assert self.is_done
        if self._errors:
            raise self._errors[0]
        return self._results[0]

    def _run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as error:  # noqa: BLE001 (for `result`)
            self._errors.append(error)


def interrupt(number: Signals, until: Callable[[], object]) -> None:
    """The main thread, wherever it is, handles a signal, after which the condition holds.

    One that comes right before a thread of Python's blocks is not handled before that ends, in a
    wait for a lock of `threading` as in any other; so it is sent again.
    """
    main = threading.main_thread().ident
    assert main is not None
    end = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < end
        signal.pthread_kill(main, number)
        with suppress(AssertionError):
            wait_until(lambda: bool(until()), 2.0)


@contextmanager
def no_deadlock(seconds: float = PATIENCE) -> Iterator[None]:
    """The main thread comes out of the block in time, or an error does."""

    def give_up(*_: object) -> None:
        raise AssertionError(f"it still hangs after {seconds} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
