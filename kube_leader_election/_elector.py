"""LeaderElector: one candidate, that contends in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from signal import Signals
from types import TracebackType
from typing import TYPE_CHECKING

from ._audience import Runner
from ._clock import Clock, SystemClock, look_at
from ._core.news import LeaderState
from ._election import Election
from ._errors import InvalidParamsError, LeaderElectionError, NotLeadingError
from ._failure import LeaseName
from ._leadership import Leadership
from ._params import LeaderElectorParams, check_namespace, timing_of
from ._process import process_id, unique_name
from ._signals import handled
from ._store import Store, check_client
from ._teller import Callbacks
from ._telling import describe, logger
from ._typed import LeaseApi

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


class LeaderElector:
    """One candidate for one Lease, that contends in the background from `start` to `stop`.

    It watches the Lease, renews it in time while it leads, and takes it over the moment that it
    is free. Every method is thread-safe and may be called in a signal handler. Five threads run
    until `stop`, or until the interpreter, or a child of `multiprocessing`, ends by itself, which
    releases the Lease too: one supervises, one asks, one logs, and each of two connections has
    one. Callbacks have one more. In a forked child it is another candidate, which has not been
    started.
    """

    def __init__(
        self,
        client: LeaseApi | ApiClient,
        namespace: str,
        params: LeaderElectorParams,
        *,
        on_started_leading: Callable[[Leadership], object] | None = None,
        on_stopped_leading: Callable[[], object] | None = None,
        on_new_leader: Callable[[str], object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Nothing was sent yet, and no thread runs.

        `client` is a `kubernetes.client.CoordinationV1Api`, an `ApiClient`, or has the methods
        of `LeaseApi`. The callbacks are called on one thread, in order: `on_started_leading` at
        the beginning of a term, with it; `on_stopped_leading` at its end, or when it is to end:
        the Lease is not released before it has returned. They are strictly paired, and a term
        that is over before it could be told is not told. If `on_started_leading` raises, that is
        logged, the Lease released, and contended for again after `lease_ttl`. `on_new_leader` is
        told who leads, also of ourselves. `clock` is this machine's unless a test brings its own.

        :raises InvalidParamsError: one of them breaks its rule.
        """
        check_client(client)
        check_namespace(namespace)
        if not isinstance(params, LeaderElectorParams):
            raise InvalidParamsError("params", params, "must be a LeaderElectorParams")
        self._client = client
        self._params = params
        self._target = LeaseName(namespace, params.lease_name)
        self._timing = timing_of(params)
        self._callbacks = Callbacks(on_started_leading, on_stopped_leading, on_new_leader)
        self._clock = SystemClock() if clock is None else clock
        self._elections: dict[tuple[int, int], Election] = {}
        for warning in self._timing.warnings():
            logger.warning("Lease %s: %s", self._target, warning)

    @property
    def holder_id(self) -> str:
        """The name under which this process contends."""
        return self._election().holder_id

    @property
    def state(self) -> LeaderState:
        """What this candidate is now: `LEADING` exactly while `is_leader()`."""
        election = self._election()
        if election.term() is not None:
            return LeaderState.LEADING
        state = election.view.state
        return LeaderState.STANDBY if state is LeaderState.LEADING else state

    @property
    def leadership(self) -> Leadership | None:
        """The term we lead in, `None` where we do not lead."""
        leadership = self._election().view.leadership
        return leadership or None

    @property
    def holder_identity(self) -> str | None:
        """Who leads, maybe not we; `None` where nobody is known to."""
        election = self._election()
        if election.term() is not None:
            return election.holder_id
        view = election.view
        return None if view.state is LeaderState.LEADING else view.holder_identity

    @property
    def fencing_token(self) -> int | None:
        """The token of the term we lead in, `None` where we do not lead.

        Greater than that of every earlier term of anyone, constant within the term: pass it to
        what you write to, and let that refuse a smaller one than it has seen.
        """
        term = self._election().term()
        return term.token if term else None

    def is_leader(self) -> bool:
        """Whether we lead now, by our own clock. It is a method: call it.

        Makes no request, never blocks, and turns false by itself when the time that the last
        confirmed renewal gave us is over, whatever else hangs.
        """
        return self._election().term() is not None

    def start(self) -> None:
        """We contend from now on.

        :raises LeaderElectionError: it was started before, in this process.
        """
        self._election().start(None)

    def stop(self, *, wait: bool = True) -> None:
        """We contend no more; the Lease is released when the work that it was needed for has ended.

        Work, and callbacks, have `drain_timeout` seconds for that; what takes longer is told that
        the term is lost, and the Lease is left to expire. Then one request is made where we led.
        Waits for all that, but not in the work or a callback. With `wait=False`, as is best in a
        signal handler, it only asks. May be repeated; does nothing where nothing was started.
        """
        election = self._elections.get(process_id())
        if election is not None and election.is_starting:
            election.stop()
            is_over_soon = election.is_started  # a signal handler may interrupt the start
            if wait and is_over_soon and not election.waits_for(threading.current_thread()):
                election.wait_until_over()

    def run(self, work: Callable[[Leadership], object], *, stop_on: Iterable[Signals] = ()) -> None:
        """`work` was called for each term that we led, and the election is over.

        Blocks. Work is called on this thread, with its term. When it returns while we lead, or
        raises, the Lease is released and the election over; its error comes out of here. When it
        returns after the term was lost, or lets `NotLeadingError` out then, we contend again: so
        it is to return soon after `leadership.stopping` is set. A signal of `stop_on` has the
        effect of `stop(wait=False)`, for as long as this runs.

        :raises LeaderElectionError: it was started before, in this process.
        :raises InvalidParamsError: `stop_on` has what is no signal that can be handled, or is used
            outside of the main thread. Nothing was started.
        :raises LeaderElectionError: our thread died, of a defect that it has logged.
        """
        runner: Runner = Runner()
        election = self._election()
        with handled(stop_on, election.stop):
            try:
                election.start(runner)
                self._work(election, runner, work)
            finally:
                if election.serves(runner):
                    election.abandon_work()
                    election.wait_until_over()
        election.check()

    def changes(self) -> Iterator[LeaderState]:
        """Return an iterator of the state now and each other one to come, until `stop`.

        It blocks for the next one, and misses none. What it says was true when it changed: ask
        `is_leader` right before acting.

        :raises LeaderElectionError: nothing was started in this process.
        """
        return self._started().view.states()

    def wait_until_leading(self, timeout: float | None = None) -> Leadership | None:
        """We lead, in the term that is returned; `None`: not in time, or the election is over.

        :raises LeaderElectionError: nothing was started in this process.
        """
        return self._started().wait_for_a_term(timeout)

    def healthy(self, tolerance: float = 20.0) -> bool:
        """Whether a liveness probe should let this process live.

        False where our thread has died, or where it, an answer or the end of work whose term is
        over is late by more than `tolerance` seconds (20 in client-go's adaptor too). An API
        server that is not reached, or another leader, is no reason to restart.
        """
        election = self._elections.get(process_id())
        return election is None or election.is_healthy(tolerance)

    def __enter__(self) -> LeaderElector:
        """Started; does not wait until we lead."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stopped."""
        self.stop()

    def __repr__(self) -> str:
        election = self._elections.get(process_id())
        role = "not leading"
        if election is not None:
            role = describe(election.holder_id, election.term(), look_at(self._clock))
        return f"<LeaderElector {self._target}: {role}>"

    def _work(
        self, election: Election, runner: Runner, work: Callable[[Leadership], object]
    ) -> None:
        while (leadership := runner.get()) is not None:
            failed = election.is_working = True
            try:
                work(leadership)
                failed = False
            except NotLeadingError:
                if leadership.is_valid():
                    raise
                failed = False
            finally:
                election.is_working = False
                election.end_work(leadership, failed=failed)

    def _started(self) -> Election:
        election = self._election()
        if not election.is_started:
            raise LeaderElectionError(f"{self!r} was not started in this process: call start()")
        return election

    def _election(self) -> Election:
        """Return what belongs to this process; a forked child shares nothing with its parent."""
        process = process_id()
        election = self._elections.get(process)
        if election is None:
            election = self._elections.setdefault(process, self._new_election())
            for other in set(self._elections) - {process}:
                self._elections.pop(other, None)
        return election

    def _new_election(self) -> Election:
        return Election(
            Store(self._client, self._target, lease_ttl=self._timing.lease_ttl),
            self._target,
            self._params.holder_id or unique_name(),
            self._timing,
            self._callbacks,
            self._clock,
        )
