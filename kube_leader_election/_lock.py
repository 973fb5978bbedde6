"""LeaseLock: one candidate, driven by its user's calls."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, TypeVar

from ._clock import Clock, SystemClock, look_at
from ._core.attempt import Arrival, LeaseLockResult, acquire_or_renew, look, step_down
from ._core.candidate import Candidate
from ._core.messages import Instant, Read, Request
from ._core.record import LeaseRecord
from ._core.timing import lock_timing
from ._errors import InvalidParamsError, NotLeadingError
from ._failure import LeaseName
from ._params import LeaseLockParams, check_namespace
from ._process import process_id, unique_name
from ._store import Store, check_client
from ._telling import describe, log_end, log_start, logger
from ._typed import LeaseApi

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_Outcome = TypeVar("_Outcome")
_Conversation = Callable[[Candidate], Generator[Request, Arrival, _Outcome]]


class LeaseLock:
    """One candidate for one Lease, that leads for as long as its user keeps calling.

    Call `try_acquire_or_renew` every few seconds, at least every third of what `lease_ttl` less
    `max_clock_skew` leaves; ask `is_leader` right before acting. Every method is thread-safe;
    none starts a thread but the one of the connection. In a forked child the lock is another
    candidate, which does not lead.
    """

    def __init__(
        self,
        client: LeaseApi | ApiClient,
        namespace: str,
        params: LeaseLockParams,
        *,
        clock: Clock | None = None,
    ) -> None:
        """Nothing was sent yet.

        `client` is a `kubernetes.client.CoordinationV1Api`, an `ApiClient`, or has the methods
        of `LeaseApi`. `clock` is this machine's unless a test brings its own.

        :raises InvalidParamsError: one of them breaks its rule.
        """
        check_client(client)
        check_namespace(namespace)
        if not isinstance(params, LeaseLockParams):
            raise InvalidParamsError("params", params, "must be a LeaseLockParams")
        self._client = client
        self._params = params
        self._target = LeaseName(namespace, params.lease_name)
        self._timing = lock_timing(
            lease_ttl=params.lease_ttl,
            max_clock_skew=params.max_clock_skew,
            call_timeout=params.call_timeout,
        )
        self._clock = SystemClock() if clock is None else clock
        self._born_in = process_id()
        self._states: dict[tuple[int, int], _ProcessState] = {}
        for warning in self._timing.warnings():
            logger.warning("Lease %s: %s", self._target, warning)

    @property
    def holder_id(self) -> str:
        """The name under which this process contends."""
        return self._state().holder_id

    @property
    def fencing_token(self) -> int | None:
        """The token of the term we lead in, `None` where we do not lead.

        Greater than that of every earlier term of anyone, constant within the term: pass it to
        what you write to, and let that refuse a smaller one than it has seen.
        """
        return self._state().candidate.fencing_token(look_at(self._clock))

    def is_leader(self) -> bool:
        """Whether we lead now, by our own clock. It is a method: call it.

        Makes no request, never blocks, and turns false by itself when the time that the last
        confirmed renewal gave us is over, whatever else hangs.
        """
        state = self._states.get(process_id())
        return state is not None and state.candidate.is_leader(look_at(self._clock))

    def try_acquire_or_renew(self) -> LeaseLockResult:
        """We lead, or know that we may not yet.

        Makes one request where another holds the Lease, two where it is created, taken over or
        renewed, two more for each conflict. Blocks for `call_timeout` at most, other threads'
        calls included, where the client is a real one; a fake's time is its own.

        :returns: whether we lead (`acquired_lease`, also its truth), what the Lease says, token.
        :raises LeaseError: it could not be known. What was true of `is_leader` before is still,
            until its own time is over: log the error, and call again at the next turn.
        """
        return self._carry_out(acquire_or_renew)

    def step_down(self) -> None:
        """We do not lead, and the Lease is free for anybody to take at once.

        Leading ends before the first request is sent, whatever the outcome. Makes two requests,
        and blocks as `try_acquire_or_renew` does. Let the work that needed leadership end first.
        May be called in a signal handler; the call that it interrupts may then raise `LeaseError`.

        :raises NotLeadingError: the Lease is not ours, so nothing was written.
        :raises LeaseError: it could not be released, or that is unknown; at the latest it
            expires by itself. May be called again.
        """
        candidate = self._state().candidate
        candidate.end_term()
        try:
            result = self._carry_out(step_down)
        except BaseException:
            candidate.end_term()  # another thread may have begun a term meanwhile
            raise
        if not result.released:
            holder = result.lease.holder_identity if result.lease else None
            raise NotLeadingError(
                f"Lease {self._target} is not held by {self.holder_id!r}", holder_identity=holder
            )

    def read(self) -> LeaseRecord | None:
        """Return what the Lease says, `None` where there is none, without contending for it.

        Makes one request, and blocks as `try_acquire_or_renew` does.

        :raises GetLeaseError: it could not be known.
        """
        return self._carry_out(look)

    def __repr__(self) -> str:
        state = self._states.get(process_id())
        role = "not leading" if state is None else state.describe(look_at(self._clock))
        return f"<LeaseLock {self._target}: {role}>"

    def _carry_out(self, conversation: _Conversation[_Outcome]) -> _Outcome:
        """Carry the requests of `conversation` out, all within one deadline."""
        state = self._state()
        deadline_at = self._clock.monotonic() + self._timing.attempt_timeout
        # An interrupt can strike between any two steps, and a turn that it left taken would stay
        # so for ever: whoever owns it releases it. A signal handler may take its thread's turn.
        try:
            if not state.turn.acquire(timeout=self._timing.attempt_timeout):
                raise self._target.error(
                    Read(), "not sent, another thread's call took all the time"
                )
            try:
                return self._talk(state, conversation(state.candidate), deadline_at)
            finally:
                state.tell_changes(self._target, look_at(self._clock))
        finally:
            try:  # noqa: SIM105 (an interrupt could strike within the call of suppress)
                state.turn.release()
            except RuntimeError:  # the turn never was ours
                pass

    def _talk(
        self,
        state: _ProcessState,
        steps: Generator[Request, Arrival, _Outcome],
        deadline_at: float,
    ) -> _Outcome:
        try:
            request = next(steps)
            while True:
                answer = state.store.carry(request, deadline_at - self._clock.monotonic())
                request = steps.send((answer, look_at(self._clock)))
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]

    def _state(self) -> _ProcessState:
        """Return what belongs to this process; a forked child shares nothing with its parent."""
        process = process_id()
        state = self._states.get(process)
        if state is None:
            state = self._states.setdefault(process, self._new_state(process))
            for other in set(self._states) - {process}:
                self._states.pop(other, None)
        return state

    def _new_state(self, process: tuple[int, int]) -> _ProcessState:
        # A child under a given holder_id is its parent's namesake, so it must not take the
        # parent's record for one of its own former life.
        holder_id = self._params.holder_id or unique_name()
        stops = isinstance(self._clock, SystemClock) and self._clock.stops_in_sleep
        candidate = Candidate(
            holder_id, self._timing, adopts=process == self._born_in, wall_ends_term=stops
        )
        store = Store(self._client, self._target, lease_ttl=self._timing.lease_ttl)
        return _ProcessState(holder_id, candidate, store)


class _ProcessState:
    """What a lock is in one process."""

    def __init__(self, holder_id: str, candidate: Candidate, store: Store) -> None:
        self.holder_id = holder_id
        self.candidate = candidate
        self.store = store
        self.turn = threading.RLock()
        self._told_token: int | None = None
        self._told_leading = False

    def describe(self, now: Instant) -> str:
        return describe(self.holder_id, self.candidate.term(now), now)

    def tell_changes(self, target: LeaseName, now: Instant) -> None:
        """Log what has changed since this was called last: one line for each change of role."""
        warning = self.candidate.take_warning()
        if warning:
            logger.warning("Lease %s: %s", target, warning)
        term = self.candidate.term(now)
        leading, token = term is not None, term.token if term else None
        if leading and (not self._told_leading or token != self._told_token):
            log_start(target, self.holder_id, token)
        elif self._told_leading and not leading:
            log_end(target, self.holder_id)
        self._told_leading, self._told_token = leading, token
