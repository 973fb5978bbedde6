"""One candidate for a process and all its children."""

from __future__ import annotations

import atexit
import functools
import mmap
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from kube_leader_election import (
    LeaderElectionError,
    LeaderElector,
    LeaderElectorParams,
    Leadership,
    LeaseApi,
    only_leader,
)
from kube_leader_election._clock import SystemClock
from kube_leader_election._process import process_id
from kube_leader_election.contrib._candidacy import Candidacy

from . import _shared
from ._belief import HOLDS_FOR, NO_BELIEF, Belief, Writer, read
from ._leadership import PodLeadership
from ._shared import Shared

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_P = ParamSpec("_P")
_R = TypeVar("_R")

# In seconds.
_TELLS_EVERY = 0.2
_LOOKS_WHILE_STOPPING = 0.02
_ADDRESS = "KUBE_LEADER_ELECTION_POD_"


class PodElector:
    """One candidate for a pod: its main process contends, and every process of it may ask.

    Make it where the main process and its children import it, `start` it in the main process
    before the first of them is forked, and `stop` it there when they have ended. Where the main
    process ends, is killed or stands still, all of them know of no leading within 1.2 s. A child
    that is not forked but started anew finds it by the Lease's name, on Linux.
    """

    def __init__(
        self,
        params: LeaderElectorParams,
        *,
        namespace: str | None = None,
        client: LeaseApi | ApiClient | None = None,
    ) -> None:
        """Nothing was started or asked for yet.

        `namespace` and `client` are by default those of the Pod, or of the kubeconfig, when it is
        started.

        :raises InvalidParamsError: one of them breaks its rule.
        """
        self._candidacy = Candidacy(params, namespace, client)
        self._clock = SystemClock()
        self._main: _Main | None = None
        self._found: mmap.mmap | None = None

    def start(self) -> None:
        """We contend from now on, and the children forked from now on may ask. For main processes.

        :raises LeaderElectionError: it was started before, in this process or in one that this was
            forked from; or no cluster is known.
        """
        if self._main is not None:
            raise LeaderElectionError(
                f"{self!r} was started by process {self._main.process[0]}: its children only ask"
            )
        main = _Main(self._candidacy.elector(), self._clock)
        main.thread.start()
        os.environ[self._variable] = main.shared.address
        self._main = main
        atexit.register(main.let_go)

    def finish(self) -> None:
        """What works may finish, and nothing new begins. Safe in a signal handler.

        We lead until `stop`, or for `drain_timeout`, and contend no more. Does nothing but in the
        process that was started.
        """
        if self._main is not None and self._main.is_here:
            self._main.elector.stop(wait=False)

    def stop(self) -> None:
        """No process leads any more; the Lease is released as soon as all others have ended.

        Waits for that as `LeaderElector.stop` does for work; where they live on, the Lease is left
        to expire. May be repeated. Does nothing but in the process that was started.
        """
        if self._main is not None and self._main.is_here:
            self._main.let_go()
            self._main.elector.stop()

    def is_leader(self) -> bool:
        """Whether the pod leads now, by the clock of this machine. It is a method: call it.

        The same in each of its processes, within 0.2 s. False where none has been started.
        """
        return self._ask()[0] is not None

    @property
    def leadership(self) -> PodLeadership | None:
        """The term that the pod leads in, `None` where it does not lead."""
        belief, _ = self._ask()
        return None if belief is None else PodLeadership(belief, self._ask)

    @property
    def fencing_token(self) -> int | None:
        """The token of the term that the pod leads in, `None` where it does not lead."""
        belief, _ = self._ask()
        return None if belief is None else belief.fencing_token

    def duty(self, function: Callable[_P, _R]) -> Callable[_P, _R | None]:
        """Decorate: a call does nothing, and returns `None`, unless the pod leads, and goes on to.

        As `only_leader`; but nothing begins after `finish`, where work may only end.

        :raises InvalidParamsError: the function would act later: it is a coroutine function, say.
        """
        guarded = only_leader(_MayBegin(self._ask))(function)
        return functools.wraps(function)(guarded)

    def healthy(self, tolerance: float = 20.0) -> bool:
        """As `LeaderElector.healthy`, in the main process; its children cannot tell: true."""
        main = self._main
        return main is None or not main.is_here or main.elector.healthy(tolerance)

    def __repr__(self) -> str:
        leadership = self.leadership
        role = f"fencing token {leadership.fencing_token}" if leadership else "not leading"
        return f"<{type(self).__name__} {self._candidacy.params.lease_name}: {role}>"

    @property
    def _variable(self) -> str:
        candidacy = self._candidacy
        return f"{_ADDRESS}{candidacy.namespace or ''}/{candidacy.params.lease_name}"

    def _ask(self) -> tuple[Belief | None, float]:
        """Return what is believed and when that was so."""
        now = self._clock.monotonic()
        memory = self._memory()
        return (None if memory is None else read(memory, now)), now

    def _memory(self) -> mmap.mmap | None:
        if self._main is not None:
            return self._main.shared.memory
        if self._found is None and (address := os.environ.get(self._variable)):
            self._found = _shared.find(address)
        return self._found


class _MayBegin:
    """Whether work may begin, for `only_leader`."""

    def __init__(self, ask: Callable[[], tuple[Belief | None, float]]) -> None:
        self._ask = ask

    def is_leader(self) -> bool:
        belief, _ = self._ask()
        return belief is not None and not belief.stopping


class _Main:
    """What runs in the main process. The Lease is released when all have let go."""

    def __init__(self, elector: LeaderElector, clock: SystemClock) -> None:
        self.elector = elector
        self.process = process_id()
        self.shared: Shared = _shared.make()
        self.thread = threading.Thread(
            target=self._contend, name="kube-leader-election-pod", daemon=True
        )
        self._clock = clock
        self._writer = Writer(self.shared.memory)
        self._has_let_go = threading.Lock()

    @property
    def is_here(self) -> bool:
        """Whether this is the main process."""
        return self.process == process_id()

    def let_go(self) -> None:
        """The main process needs the term no longer."""
        if self.is_here and self._has_let_go.acquire(blocking=False):
            self.shared.let_go()

    def _contend(self) -> None:
        try:
            with suppress(LeaderElectionError):  # which it has logged
                self.elector.run(self._lead)
        finally:
            self.shared.forget()

    def _lead(self, leadership: Leadership) -> None:
        try:
            while leadership.is_valid() and not self.shared.is_let_go():
                stopping = leadership.stopping.is_set()
                self._tell(leadership, stopping=stopping)
                if stopping:
                    leadership.lost.wait(_LOOKS_WHILE_STOPPING)
                else:
                    leadership.stopping.wait(_TELLS_EVERY)
        finally:
            self._writer.tell(NO_BELIEF)

    def _tell(self, leadership: Leadership, *, stopping: bool) -> None:
        now = self._clock.monotonic()  # first: what is left then is not less
        self._writer.tell(
            Belief(
                leads_until=now + min(leadership.remaining(), HOLDS_FOR),
                ordinal=leadership.ordinal,
                fencing_token=leadership.fencing_token,
                stopping=stopping,
            )
        )
