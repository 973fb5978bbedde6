"""The thread that carries the requests of an election out, one after another."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from ._core.messages import Answer, Failed, Request
from ._failure import LeaseName
from ._store import Store


class Requests:
    """Delivers, from its thread, one answer to each request that it was asked."""

    def __init__(
        self,
        store: Store,
        target: LeaseName,
        *,
        monotonic: Callable[[], float],
        deliver: Callable[[Answer], object],
    ) -> None:
        self.thread = threading.Thread(
            target=self._run, name="kube-leader-election-requests", daemon=True
        )
        self._store = store
        self._target = target
        self._monotonic = monotonic
        self._deliver = deliver
        self._asked: queue.SimpleQueue[tuple[Request, float] | None] = queue.SimpleQueue()

    def ask(self, request: Request, deadline_at: float) -> None:
        """`request` is sent, if there is time, and its answer delivered about then at last."""
        self._asked.put((request, deadline_at))

    def give_up(self) -> None:
        """The request under way fails at once, but for that of a fake which hangs."""
        self._store.close()

    def close(self) -> None:
        """Nothing more is sent, and thread and connection end."""
        self._asked.put(None)
        self._store.close()

    def _run(self) -> None:
        while (asked := self._asked.get()) is not None:
            request, deadline_at = asked
            try:
                answer = self._store.carry(request, deadline_at - self._monotonic())
            except BaseException as error:  # noqa: BLE001 (a fake's assertion, or its exit)
                what = f"no answer ({type(error).__name__})"
                answer = Failed(self._target.error(request, what, cause=error))
            self._deliver(answer)
        self._store.close()
